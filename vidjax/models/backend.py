"""Chooses the operations that differ between CPUs and accelerators: convolutions, max-pooling and attention.

On CPUs, XLA has fast code for 2-D convolutions only, and attention waits for memory. `cpu_conv`, `cpu_pool` and
`cpu_attention` compute the same as `jax.lax.conv_general_dilated`, `nn.max_pool` and
`jax.nn.dot_product_attention`, gradients included. To measure the speed of whole networks, run
`python -m vidjax.bench models`.
"""

import contextlib
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial

import jax
from flax import linen as nn

from vidjax.models import cpu_attention, cpu_conv, cpu_pool

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
        return cpu_conv.conv
    return _convolution_by_platform if "cpu" in platforms else jax.lax.conv_general_dilated


def depthwise_convolution() -> Callable:
    """Return the depthwise convolution for the traced platforms; call it like `depthwise_conv`."""
    platforms = _traced_for()
    if platforms == {"cpu"}:
        return cpu_conv.depthwise_conv
    return _depthwise_by_platform if "cpu" in platforms else _grouped_conv


def transposed_convolution() -> Callable:
    """Return the transposed convolution for the traced platforms; call it like `conv_transpose`."""
    return cpu_conv.conv_transpose if _traced_for() == {"cpu"} else cpu_conv.transposed_by_xla


def unrolls_loops() -> bool:
    """Return whether to unroll loops over convolutions: inside a loop, RAFT takes 1.5 to 1.9 times as long on CPUs."""
    return _traced_for() == {"cpu"}


def max_pooling() -> Callable:
    """Return the max-pooling for the traced platforms; call it like `nn.max_pool`."""
    return cpu_pool.max_pool if _traced_for() == {"cpu"} else nn.max_pool


def attention() -> Callable:
    """Return the attention for the traced platforms; call it like `attention_by_head`."""
    return cpu_attention.attention_by_head if _traced_for() == {"cpu"} else jax.nn.dot_product_attention


def _traced_for() -> set[str]:
    return set(_platforms.get() or (jax.default_backend(),))


def _convolution_by_platform(x, kernel, strides, padding, **settings):
    """Put the CPU's convolution and the plain one into one program if their forward passes differ."""
    plain = partial(jax.lax.conv_general_dilated, window_strides=strides, padding=padding, **settings)
    if kernel.ndim == 4 and not cpu_conv.has_small_maps(x, kernel, strides, padding):
        return plain(x, kernel)
    return jax.lax.platform_dependent(
        x, kernel, cpu=partial(cpu_conv.conv, strides=strides, padding=padding), default=plain
    )


def _depthwise_by_platform(x, kernel, strides, padding):
    on_cpu, elsewhere = (partial(f, strides=strides, padding=padding) for f in (cpu_conv.depthwise_conv, _grouped_conv))
    return jax.lax.platform_dependent(x, kernel, cpu=on_cpu, default=elsewhere)


def _grouped_conv(x, kernel, strides, padding):
    layout = {"dimension_numbers": ("NDHWC", "DHWIO", "NDHWC"), "feature_group_count": x.shape[-1]}
    return jax.lax.conv_general_dilated(x, kernel, strides, padding, **layout)
