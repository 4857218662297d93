"""What networks compute in another way on CPUs than on accelerators: convolutions."""

import contextlib
import math
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial

import einops
import jax
import jax.numpy as jnp

_platforms: ContextVar[tuple[str, ...]] = ContextVar("platforms", default=())


@contextlib.contextmanager
def traced_for(*platforms: str):
    """Within it models are traced for programs of these platforms ("cpu", "cuda", ...), not of the default backend."""
    token = _platforms.set(platforms)
    try:
        yield
    finally:
        _platforms.reset(token)


def convolution(dims: int) -> Callable:
    """The 2-D or 3-D convolution of the programs being traced, called as `jax.lax.conv_general_dilated` of NHWC."""
    platforms = _platforms.get() or (jax.default_backend(),)
    if "cpu" not in platforms:
        return jax.lax.conv_general_dilated
    ours = conv_by_planes if dims == 3 else conv_of_frames
    return ours if set(platforms) == {"cpu"} else partial(conv_by_platform, ours)


def conv_by_platform(ours: Callable, x, kernel, strides, padding, **settings):
    """Each platform's own convolution in one program: `ours` on CPUs, else XLA's."""
    plain = partial(jax.lax.conv_general_dilated, window_strides=strides, padding=padding, **settings)
    if kernel.ndim == 4 and not has_small_maps(x, kernel, strides, padding):
        return plain(x, kernel)
    ours = partial(ours, strides=strides, padding=padding, **settings)
    return jax.lax.platform_dependent(x, kernel, cpu=ours, default=plain)


def conv_by_planes(x, kernel, strides, padding, dimension_numbers=None, **unused):
    """A 3-D convolution as one 2-D convolution, with the frames of each window in time stacked as channels.

    XLA has no fast 3-D convolution on CPUs: there a training step of I3D takes a fourth of the time this way. It stands
    in for `jax.lax.conv_general_dilated` in `nn.Conv`; groups and dilation are not for it.

    Args:
        x: (B, T, H, W, C).
        kernel: (t, h, w, C, features).
        strides: 3 numbers; padding: (before, after) of each of the 3 axes.

    Returns:
        (B, T', H', W', features).
    """
    batch, size = x.shape[0], kernel.shape[0]
    x = jnp.pad(x, ((0, 0), padding[0], (0, 0), (0, 0), (0, 0)))
    steps = max((x.shape[1] - size) // strides[0] + 1, 0)  # T'
    end = (steps - 1) * strides[0] + 1
    x = jnp.concatenate([x[:, i : i + end : strides[0]] for i in range(size)], -1)  # (B, T', H, W, t C)
    kernel = einops.rearrange(kernel, "t h w c f -> h w (t c) f")
    x = conv_of_frames(x.reshape(batch * steps, *x.shape[2:]), kernel, strides[1:], padding[1:])
    return x.reshape(batch, steps, *x.shape[1:])


def conv_of_frames(x, kernel, strides, padding, dimension_numbers=None, **unused):
    """A 2-D convolution, of small maps as a product of matrices; stands in for `jax.lax.conv_general_dilated`.

    XLA's convolution on CPUs is at 1 to 3 % of a core's peak where a map or its outputs have fewer places than the
    kernel, as the last maps of small frames do. There the product takes a fortieth of the time.

    Args:
        x: (B, H, W, C).
        kernel: (h, w, C, features).
        strides: 2 numbers; padding: (before, after) of both axes.

    Returns:
        (B, H', W', features).
    """
    if not has_small_maps(x, kernel, strides, padding):
        return jax.lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    height, width = _outputs(x, kernel, strides, padding)
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    ends = (height - 1) * strides[0] + 1, (width - 1) * strides[1] + 1
    windows = [
        x[:, i : i + ends[0] : strides[0], j : j + ends[1] : strides[1]]
        for i in range(kernel.shape[0])
        for j in range(kernel.shape[1])
    ]  # each (B, H', W', C)
    return jnp.concatenate(windows, -1) @ einops.rearrange(kernel, "h w c f -> (h w c) f")


def has_small_maps(x, kernel, strides, padding) -> bool:
    """Whether the maps that a 2-D convolution sees or makes have fewer places than its kernel."""
    places = min(math.prod(x.shape[1:3]), math.prod(_outputs(x, kernel, strides, padding)))
    return 0 < places < math.prod(kernel.shape[:2])


def _outputs(x, kernel, strides, padding) -> tuple[int, ...]:
    """(H', W')."""
    sizes = zip(x.shape[1:3], kernel.shape[:2], strides, padding, strict=True)
    return tuple(max((size + sum(pads) - k) // stride + 1, 0) for size, k, stride, pads in sizes)
