"""What networks compute in another way on CPUs than on accelerators: the 3-D convolution."""

import contextlib
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


def convolution_3d() -> Callable:
    """The 3-D convolution of the programs that are being traced, called as `jax.lax.conv_general_dilated`."""
    platforms = _platforms.get() or (jax.default_backend(),)
    if "cpu" not in platforms:
        return jax.lax.conv_general_dilated
    return conv_by_planes if set(platforms) == {"cpu"} else conv_by_platform


def conv_by_platform(x, kernel, strides, padding, **settings):
    """Each platform's own 3-D convolution in one program."""
    arguments = {"padding": padding, **settings}
    planes = partial(conv_by_planes, strides=strides, **arguments)
    plain = partial(jax.lax.conv_general_dilated, window_strides=strides, **arguments)
    return jax.lax.platform_dependent(x, kernel, cpu=planes, default=plain)


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
    x = x.reshape(batch * steps, *x.shape[2:])
    x = jax.lax.conv_general_dilated(
        x, kernel, strides[1:], padding[1:], dimension_numbers=("NHWC", "HWIO", "NHWC")
    )  # (B T', H', W', features)
    return x.reshape(batch, steps, *x.shape[1:])
