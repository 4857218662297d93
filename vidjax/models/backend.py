"""Convolutions, max-pooling and attention, the operations that differ between CPUs and accelerators.

On CPUs, XLA has fast code for 2-D convolutions only, and attention waits for memory. The functions here compute the
same as `jax.lax.conv_general_dilated`, `nn.max_pool` and `jax.nn.dot_product_attention`, gradients included. To measure
the speed of whole networks, run `python -m vidjax.bench models`.
"""

import contextlib
import itertools
import math
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import partial, reduce

import einops
import jax
import jax.numpy as jnp
from flax import linen as nn

MANY_PAIRS = 128 * 128  # from this number of queries times keys on, attention head by head is faster
MANY_PLACES = 1000  # from this map size on, matrix products compute the gradient of a kernel faster

_platforms: ContextVar[tuple[str, ...]] = ContextVar("platforms", default=())


@contextlib.contextmanager
def traced_for(*platforms: str):
    """Trace models for these platforms ("cpu", "cuda", ...) instead of the default backend, within a `with` block."""
    token = _platforms.set(platforms)
    try:
        yield
    finally:
        _platforms.reset(token)


def convolution() -> Callable:
    """Return the convolution for the traced platforms; call it like `jax.lax.conv_general_dilated` on N(D)HWC."""
    platforms = _traced_for()
    if platforms == {"cpu"}:
        return conv
    return _convolution_by_platform if "cpu" in platforms else jax.lax.conv_general_dilated


def depthwise_convolution() -> Callable:
    """Return the depthwise convolution for the traced platforms; call it like `depthwise_conv`."""
    platforms = _traced_for()
    if platforms == {"cpu"}:
        return depthwise_conv
    return _depthwise_by_platform if "cpu" in platforms else _grouped_conv


def transposed_convolution() -> Callable:
    """Return the transposed convolution for the traced platforms; call it like `conv_transpose`."""
    return conv_transpose if _traced_for() == {"cpu"} else _transposed


def unrolls_loops() -> bool:
    """Return whether to unroll loops over convolutions: inside a loop, RAFT takes 1.5 to 1.9 times as long on CPUs."""
    return _traced_for() == {"cpu"}


def max_pooling() -> Callable:
    """Return the max-pooling for the traced platforms; call it like `nn.max_pool`."""
    return max_pool if _traced_for() == {"cpu"} else nn.max_pool


def attention() -> Callable:
    """Return the attention for the traced platforms; call it like `attention_by_head`."""
    return attention_by_head if _traced_for() == {"cpu"} else jax.nn.dot_product_attention


def _traced_for() -> set[str]:
    return set(_platforms.get() or (jax.default_backend(),))


def _convolution_by_platform(x, kernel, strides, padding, **settings):
    """Put the CPU's convolution and the plain one into one program if their forward passes differ."""
    plain = partial(jax.lax.conv_general_dilated, window_strides=strides, padding=padding, **settings)
    if kernel.ndim == 4 and not has_small_maps(x, kernel, strides, padding):
        return plain(x, kernel)
    return jax.lax.platform_dependent(x, kernel, cpu=partial(conv, strides=strides, padding=padding), default=plain)


def _depthwise_by_platform(x, kernel, strides, padding):
    on_cpu, elsewhere = (partial(f, strides=strides, padding=padding) for f in (depthwise_conv, _grouped_conv))
    return jax.lax.platform_dependent(x, kernel, cpu=on_cpu, default=elsewhere)


def _grouped_conv(x, kernel, strides, padding):
    layout = {"dimension_numbers": ("NDHWC", "DHWIO", "NDHWC"), "feature_group_count": x.shape[-1]}
    return jax.lax.conv_general_dilated(x, kernel, strides, padding, **layout)


# ---------------------------------------------------------------------------------------------------------- convolution


def conv(x, kernel, strides, padding, dimension_numbers=None, **unused):
    """A 2-D or 3-D convolution that replaces `jax.lax.conv_general_dilated` in `nn.Conv`, without groups or dilation.

    Args:
        x: (B, T, H, W, C), or (B, H, W, C).
        kernel: (t, h, w, C, features), or (h, w, C, features).
        strides: one number per axis; padding: (before, after) per axis.

    Returns:
        (B, T', H', W', features), or (B, H', W', features).
    """
    if kernel.ndim == 4:
        return conv(x[:, None], kernel[None], (1, *strides), ((0, 0), *padding))[:, 0]
    return _conv(x, kernel, tuple(strides), tuple(map(tuple, padding)))


def _outputs_of_conv(x, kernel, strides, padding):
    (t, h, w), (batch, frames, height, width, channels) = kernel.shape[:3], x.shape
    if (t, h, w) == (1, 1, 1):
        x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
        return x[:, :: strides[0], :: strides[1], :: strides[2]] @ kernel[0, 0, 0]
    if (h, w, *strides[1:], *padding[1:]) == (1, 1, 1, 1, (0, 0), (0, 0)):  # over time only: flatten space
        x = x.reshape(batch, frames, height * width, channels)
        x = conv_of_frames(x, kernel[:, :, 0], (strides[0], 1), (padding[0], (0, 0)))
        return x.reshape(batch, x.shape[1], height, width, x.shape[-1])
    x = _windows_in_time(x, t, strides[0], padding[0])  # (B, T', H, W, t C)
    steps = x.shape[1]
    kernel = einops.rearrange(kernel, "t h w c f -> h w (t c) f")
    x = conv_of_frames(x.reshape(batch * steps, *x.shape[2:]), kernel, strides[1:], padding[1:])
    return x.reshape(batch, steps, *x.shape[1:])


def _conv_forward(x, kernel, strides, padding):
    return _outputs_of_conv(x, kernel, strides, padding), (x, kernel)


def _conv_backward(strides, padding, kept, gradient):
    x, kernel = kept
    (of_x,) = jax.linear_transpose(lambda x: _outputs_of_conv(x, kernel, strides, padding), x)(gradient)
    if math.prod(gradient.shape[2:4]) >= MANY_PLACES or kernel.shape[1:3] == (1, 1):
        return of_x, _kernel_gradient(x, gradient, kernel.shape, strides, padding)
    (of_kernel,) = jax.linear_transpose(lambda kernel: _outputs_of_conv(x, kernel, strides, padding), kernel)(gradient)
    return of_x, of_kernel


_conv = jax.custom_vjp(_outputs_of_conv, nondiff_argnums=(2, 3))
_conv.defvjp(_conv_forward, _conv_backward)


def _kernel_gradient(x, gradient, shape, strides, padding):
    """Return the gradient of a kernel of this shape: per kernel position, its inputs times the output gradient."""
    (_, h, w, _, features), (height, width) = shape, gradient.shape[2:4]
    x = jnp.pad(x, ((0, 0), (0, 0), *padding[1:], (0, 0)))
    x = _windows_in_time(x, shape[0], strides[0], padding[0])  # (B, T', H, W, t C)
    seen = [
        _every(_every(x, 2, i, height, strides[1]), 3, j, width, strides[2]).reshape(-1, x.shape[-1])
        for i in range(h)
        for j in range(w)
    ]  # each (B T' H' W', t C)
    products = jnp.stack([places.T @ gradient.reshape(-1, features) for places in seen])  # (h w, t C, features)
    return einops.rearrange(products, "(h w) (t c) f -> t h w c f", h=h, t=shape[0])


def _windows_in_time(x, size, stride, padding):
    """Stack the frames of each window in time as channels: (B, T, H, W, C) -> (B, T', H, W, size C)."""
    x = jnp.pad(x, ((0, 0), padding, (0, 0), (0, 0), (0, 0)))
    steps = max((x.shape[1] - size) // stride + 1, 0)
    return jnp.concatenate([_every(x, 1, i, steps, stride) for i in range(size)], -1)


def _every(x, axis, start, number, stride):
    """Return `number` entries along an axis, from `start` on, every `stride`-th."""
    return jax.lax.slice_in_dim(x, start, start + (number - 1) * stride + 1 if number else start, stride, axis)


def conv_of_frames(x, kernel, strides, padding, dimension_numbers=None, **unused):
    """A 2-D convolution that uses a matrix product for small maps; replaces `jax.lax.conv_general_dilated`.

    XLA's convolution reaches 1 to 3 % of a core's peak if the input or output map has fewer positions than the kernel,
    as in the last layers on small frames. There the matrix product takes a fortieth of the time.

    Args:
        x: (B, H, W, C).
        kernel: (h, w, C, features).
        strides: 2 numbers; padding: (before, after) per axis.

    Returns:
        (B, H', W', features).
    """
    if not has_small_maps(x, kernel, strides, padding):
        return jax.lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    height, width = _outputs(x, kernel, strides, padding)
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    windows = [
        _every(_every(x, 1, i, height, strides[0]), 2, j, width, strides[1])
        for i in range(kernel.shape[0])
        for j in range(kernel.shape[1])
    ]  # each (B, H', W', C)
    return jnp.concatenate(windows, -1) @ einops.rearrange(kernel, "h w c f -> (h w c) f")


def has_small_maps(x, kernel, strides, padding) -> bool:
    """Return whether the input or output maps of a 2-D convolution have fewer positions than its kernel."""
    places = min(math.prod(x.shape[1:3]), math.prod(_outputs(x, kernel, strides, padding)))
    return 0 < places < math.prod(kernel.shape[:2])


def _outputs(x, kernel, strides, padding) -> tuple[int, ...]:
    """Return the size of the output maps, (H', W')."""
    sizes = zip(x.shape[1:3], kernel.shape[:2], strides, padding, strict=True)
    return tuple(max((size + sum(pads) - k) // stride + 1, 0) for size, k, stride, pads in sizes)


def conv_transpose(x, kernel, strides, padding):
    """The transpose of a 2-D convolution from (B, H', W', F) to (B, H, W, C): torch's `conv_transpose2d`.

    XLA's gradient of it takes 13 times as long on CPUs (56x128, 386 to 64 channels).

    Args:
        x: (B, H, W, C).
        kernel: (h, w, F, C), that of the convolution.
        strides: 2 numbers; padding: (before, after) per axis of the convolution.

    Returns:
        (B, H', W', F).
    """
    return _conv_transpose(x, kernel, tuple(strides), tuple(map(tuple, padding)))


def _transposed(x, kernel, strides, padding):
    pads = [(k - 1 - before, k - 1 - after) for k, (before, after) in zip(kernel.shape, padding, strict=False)]
    layout = {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "transpose_kernel": True}
    return jax.lax.conv_transpose(x, kernel, strides, pads, **layout)


def _transposed_forward(x, kernel, strides, padding):
    return _transposed(x, kernel, strides, padding), (x, kernel)


def _transposed_backward(strides, padding, kept, gradient):
    x, kernel = kept
    of_x = conv(gradient, kernel, strides, padding)
    inputs, outputs = gradient[:, None], x[:, None]  # of the convolution, with a time axis
    of_kernel = _kernel_gradient(inputs, outputs, (1, *kernel.shape), (1, *strides), ((0, 0), *padding))
    return of_x, of_kernel.reshape(kernel.shape)


_conv_transpose = jax.custom_vjp(_transposed, nondiff_argnums=(2, 3))
_conv_transpose.defvjp(_transposed_forward, _transposed_backward)


# ----------------------------------------------------------------------------------------------- depthwise convolution


def depthwise_conv(x, kernel, strides, padding):
    """A 3-D convolution of each channel by itself, as a sum over the places of the kernel.

    XLA's grouped convolution takes 700 times as long on CPUs, and its gradient 40 times (3x3x3, 192 channels of
    8x28x28).

    Args:
        x: (B, T, H, W, C).
        kernel: (t, h, w, 1, C).
        strides: 3 numbers; padding: (before, after) per axis.

    Returns:
        (B, T', H', W', C).
    """
    return _depthwise(x, kernel, tuple(strides), tuple(map(tuple, padding)))


def _outputs_of_depthwise(x, kernel, strides, padding):
    seen = _seen_by_places(x, kernel.shape, strides, padding)
    return sum(inputs * weights for inputs, weights in zip(seen, kernel.reshape(-1, kernel.shape[-1]), strict=True))


def _seen_by_places(x, shape, strides, padding) -> list:
    """Return the inputs that each place of a kernel of this shape sees, each (B, T', H', W', C)."""
    sizes = zip(x.shape[1:4], shape, strides, padding, strict=False)
    outputs = [(size + sum(pads) - k) // stride + 1 for size, k, stride, pads in sizes]
    x, seen = jnp.pad(x, ((0, 0), *padding, (0, 0))), []
    for place in itertools.product(*map(range, shape[:3])):
        of_place = x
        for axis, (start, number, stride) in enumerate(zip(place, outputs, strides, strict=True), 1):
            of_place = _every(of_place, axis, start, number, stride)
        seen.append(of_place)
    return seen


def _depthwise_forward(x, kernel, strides, padding):
    return _outputs_of_depthwise(x, kernel, strides, padding), (x, kernel)


def _depthwise_backward(strides, padding, kept, gradient):
    x, kernel = kept
    places = zip(kernel.shape, x.shape[1:4], gradient.shape[1:4], strides, padding, strict=False)
    spread = [(k - 1 - before, n + before - 1 - (m - 1) * s, s - 1) for k, n, m, s, (before, _) in places]
    spread = jax.lax.pad(gradient, jnp.zeros((), gradient.dtype), ((0, 0, 0), *spread, (0, 0, 0)))
    of_x = _outputs_of_depthwise(spread, kernel[::-1, ::-1, ::-1], (1, 1, 1), ((0, 0),) * 3)
    precise = jnp.promote_types(gradient.dtype, jnp.float32)
    products = [(seen * gradient).astype(precise) for seen in _seen_by_places(x, kernel.shape, strides, padding)]
    # One reduction of all products reads the gradient once; a reduction of each takes five times as long
    zeros, add = (jnp.zeros((), precise),) * len(products), lambda a, b: tuple(map(jnp.add, a, b))
    of_kernel = jax.lax.reduce(tuple(products), zeros, add, (0, 1, 2, 3))
    return of_x, jnp.stack(of_kernel).reshape(kernel.shape).astype(kernel.dtype)


_depthwise = jax.custom_vjp(_outputs_of_depthwise, nondiff_argnums=(2, 3))
_depthwise.defvjp(_depthwise_forward, _depthwise_backward)


# ---------------------------------------------------------------------------------------------------------- max-pooling


def max_pool(x, window: Sequence[int], strides: Sequence[int], padding: Sequence[tuple[int, int]]):
    """Max-pooling of (B, T, H, W, C), one axis after the other, with the arguments of `nn.max_pool`.

    The gradient goes to the first of equal maxima, as in XLA, and takes a fourth to a fifteenth of XLA's time.
    """
    return _max_pool(x, tuple(window), tuple(strides), tuple(map(tuple, padding)))


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _max_pool(x, window, strides, padding):
    if strides not in (window, (1, 1, 1)):  # partly overlapping windows: XLA is as fast
        return nn.max_pool(x, window, strides, padding)
    return _maxima(x, window, strides, padding)[-1]


def _max_pool_forward(x, window, strides, padding):
    return _max_pool(x, window, strides, padding), x


def _max_pool_backward(window, strides, padding, x, gradient):
    maxima = _maxima(x, window, strides, padding)
    for axis, before, after in zip((1, 2, 3), maxima[2::-1], maxima[:0:-1], strict=True):
        of_axis = window[axis - 1], strides[axis - 1], padding[axis - 1]
        gradient = _to_first_maximum(gradient, before, after, axis, *of_axis)
    return (gradient,)


_max_pool.defvjp(_max_pool_forward, _max_pool_backward)


def _maxima(x, window, strides, padding) -> list:
    """Return x and its maxima over windows of width, of width and height, and of width, height and time."""
    found = [x]
    for axis in (3, 2, 1):
        of_axis = window[axis - 1], strides[axis - 1], padding[axis - 1]
        found.append(reduce(jnp.maximum, _window(found[-1], axis, *of_axis)))
    return found


def _window(x, axis, size, stride, padding) -> list:
    """Return the first entry of each window along an axis, the second, ...; padding is never the maximum."""
    number = (x.shape[axis] + sum(padding) - size) // stride + 1
    pads = [(0, 0)] * axis + [tuple(padding)] + [(0, 0)] * (x.ndim - axis - 1)
    x = jnp.pad(x, pads, constant_values=-jnp.inf)
    return [_every(x, axis, i, number, stride) for i in range(size)]


def _to_first_maximum(gradient, x, maxima, axis, size, stride, padding):
    """Return the gradient of `x` from the gradient of its maxima over windows along an axis."""
    result = jnp.zeros_like(x)
    for i, candidate in enumerate(_window(x, axis, size, stride, padding)):
        is_first = candidate == maxima
        start = i - padding[0]  # position of the candidates in x, without padding
        end = start + (maxima.shape[axis] - 1) * stride + 1
        places = [(0, 0, 0)] * axis + [(start, x.shape[axis] - end, stride - 1)] + [(0, 0, 0)] * (x.ndim - axis - 1)
        result += jax.lax.pad(jnp.where(is_first, gradient, 0), jnp.zeros((), x.dtype), places)
        gradient = jnp.where(is_first, 0, gradient)
    return result


# ------------------------------------------------------------------------------------------------------------ attention


def attention_by_head(query, key, value, bias=None, mask=None, *, scale=None):
    """Multi-head attention that computes one head of one sequence per device after the other, which fits in the cache.

    Args:
        query: (B, N, H, D).
        key: (B, M, H, D); value: (B, M, H, E).
        bias: (1, H, N, M), added to the scaled products.
        mask: bool, broadcast to (B, H, N, M), the same for all heads; false where a query does not see a key.
        scale: factor of the products; None for 1 / sqrt(D).

    Returns:
        (B, N, H, E).
    """
    (batch, length, _, depth), others = query.shape, key.shape[1]
    if length * others < MANY_PAIRS or (mask is not None and mask.shape[1] != 1):
        return jax.nn.dot_product_attention(query, key, value, bias, mask, scale=scale)
    devices = 1 if batch % jax.device_count() else jax.device_count()
    query = query * jnp.asarray(depth**-0.5 if scale is None else scale, query.dtype)
    # Each device keeps its rows of the batch. A single device needs no axis, which would cost a copy in transposes
    sizes = {"devices": devices} if devices > 1 else {}
    rows, kept = ("(devices i)", "devices") if sizes else ("i", "")
    query, key, value = (einops.rearrange(x, f"{rows} n h d -> h i {kept} n d", **sizes) for x in (query, key, value))
    if mask is not None:
        mask = jnp.broadcast_to(mask, (batch, *mask.shape[1:]))
        mask = einops.rearrange(mask, f"{rows} 1 n m -> i {kept} n m", **sizes)

    def of_head(arrays):
        query, key, value, bias = arrays
        return jax.lax.map(lambda x: _attend(*x[:3], bias, x[3]), (query, key, value, mask))

    outputs = jax.lax.map(of_head, (query, key, value, None if bias is None else bias[0]))
    return einops.rearrange(outputs, f"h i {kept} n d -> {rows} n h d", **sizes)


@jax.custom_vjp
def _attend(query, key, value, bias, mask):
    """(..., N, D), (..., M, D), (..., M, E), (N, M), (..., 1 or N, M) -> (..., N, E)."""
    return _attend_forward(query, key, value, bias, mask)[0]


def _energy(query, key, bias, mask):
    precise = jnp.promote_types(query.dtype, jnp.float32)
    energy = jnp.matmul(query, key.mT, preferred_element_type=precise)  # (..., N, M)
    energy = energy if bias is None else energy + bias
    return energy if mask is None else jnp.where(mask, energy, -0.7 * jnp.finfo(precise).max)


def _attend_forward(query, key, value, bias, mask):
    energy = _energy(query, key, bias, mask)
    largest = energy.max(-1, keepdims=True)
    shares = jnp.exp(energy - largest)
    total = shares.sum(-1, keepdims=True)
    outputs = ((shares.astype(value.dtype) @ value) / total).astype(value.dtype)
    return outputs, (query, key, value, bias, mask, outputs, largest, total)


def _attend_backward(kept, gradient):
    """Dao et al., "FlashAttention" (2022), https://arxiv.org/abs/2205.14135, appendix B.2: computes the shares anew."""
    query, key, value, bias, mask, outputs, largest, total = kept
    shares = jnp.exp(_energy(query, key, bias, mask) - largest) * (1 / total)
    of_shares = gradient @ value.mT
    of_energy = shares * (of_shares - (gradient * outputs).sum(-1, keepdims=True))
    of_energy = of_energy if mask is None else jnp.where(mask, of_energy, 0)
    of_bias = None if bias is None else of_energy.reshape(-1, *bias.shape).sum(0).astype(bias.dtype)
    of_energy, shares = of_energy.astype(query.dtype), shares.astype(gradient.dtype)
    return of_energy @ key, of_energy.mT @ query, shares.mT @ gradient, of_bias, None


_attend.defvjp(_attend_forward, _attend_backward)
