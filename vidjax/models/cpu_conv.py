"""Convolutions that are fast on CPUs, gradients included: in 2-D and 3-D, transposed, and depthwise.

On CPUs, XLA has fast code for 2-D convolutions only. `backend` chooses between these and XLA's.
"""

import itertools
import math

import einops
import jax
import jax.numpy as jnp

MANY_PLACES = 1000  # from this map size on, matrix products compute the gradient of a kernel faster


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
        every(every(x, 2, i, height, strides[1]), 3, j, width, strides[2]).reshape(-1, x.shape[-1])
        for i in range(h)
        for j in range(w)
    ]  # each (B T' H' W', t C)
    products = jnp.stack([places.T @ gradient.reshape(-1, features) for places in seen])  # (h w, t C, features)
    return einops.rearrange(products, "(h w) (t c) f -> t h w c f", h=h, t=shape[0])


def _windows_in_time(x, size, stride, padding):
    """Stack the frames of each window in time as channels: (B, T, H, W, C) -> (B, T', H, W, size C)."""
    x = jnp.pad(x, ((0, 0), padding, (0, 0), (0, 0), (0, 0)))
    steps = max((x.shape[1] - size) // stride + 1, 0)
    return jnp.concatenate([every(x, 1, i, steps, stride) for i in range(size)], -1)


def every(x, axis, start, number, stride):
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
        every(every(x, 1, i, height, strides[0]), 2, j, width, strides[1])
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


def transposed_by_xla(x, kernel, strides, padding):
    pads = [(k - 1 - before, k - 1 - after) for k, (before, after) in zip(kernel.shape, padding, strict=False)]
    layout = {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "transpose_kernel": True}
    return jax.lax.conv_transpose(x, kernel, strides, pads, **layout)


def _transposed_forward(x, kernel, strides, padding):
    return transposed_by_xla(x, kernel, strides, padding), (x, kernel)


def _transposed_backward(strides, padding, kept, gradient):
    x, kernel = kept
    of_x = conv(gradient, kernel, strides, padding)
    inputs, outputs = gradient[:, None], x[:, None]  # of the convolution, with a time axis
    of_kernel = _kernel_gradient(inputs, outputs, (1, *kernel.shape), (1, *strides), ((0, 0), *padding))
    return of_x, of_kernel.reshape(kernel.shape)


_conv_transpose = jax.custom_vjp(transposed_by_xla, nondiff_argnums=(2, 3))
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
            of_place = every(of_place, axis, start, number, stride)
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
