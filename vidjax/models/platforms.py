"""What networks compute in another way on CPUs than on accelerators: convolution and max-pooling."""

import contextlib
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial

import jax
from flax import linen as nn

from vidjax.models import cpu

_platforms: ContextVar[tuple[str, ...]] = ContextVar("platforms", default=())


@contextlib.contextmanager
def traced_for(*platforms: str):
    """Within it models are traced for programs of these platforms ("cpu", "cuda", ...), not of the default backend."""
    token = _platforms.set(platforms)
    try:
        yield
    finally:
        _platforms.reset(token)


def convolution() -> Callable:
    """The convolution of the programs being traced, called as `jax.lax.conv_general_dilated` of NHWC or NDHWC."""
    platforms = _traced_for()
    if platforms == {"cpu"}:
        return cpu.conv
    return _convolution_by_platform if "cpu" in platforms else jax.lax.conv_general_dilated


def max_pooling() -> Callable:
    """The max-pooling of the programs being traced, called as `nn.max_pool`."""
    return cpu.max_pool if _traced_for() == {"cpu"} else nn.max_pool


def _traced_for() -> set[str]:
    return set(_platforms.get() or (jax.default_backend(),))


def _convolution_by_platform(x, kernel, strides, padding, **settings):
    """The CPU's own convolution and the plain one in one program, where they differ in a forward pass."""
    plain = partial(jax.lax.conv_general_dilated, window_strides=strides, padding=padding, **settings)
    if kernel.ndim == 4 and not cpu.has_small_maps(x, kernel, strides, padding):
        return plain(x, kernel)
    return jax.lax.platform_dependent(x, kernel, cpu=partial(cpu.conv, strides=strides, padding=padding), default=plain)
