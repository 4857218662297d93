from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.peers.formula import uniform
from vidjax.models import backend, cpu_attention, cpu_conv, cpu_pool


def test_each_platform_has_its_own():
    outside = backend.convolution(), backend.max_pooling()
    with backend.traced_for("cpu"):
        assert (backend.convolution(), backend.max_pooling()) == (cpu_conv.conv, cpu_pool.max_pool)
    with backend.traced_for("cuda", "tpu"):
        assert (backend.convolution(), backend.max_pooling()) == (jax.lax.conv_general_dilated, nn.max_pool)
    with backend.traced_for("cpu", "tpu"):
        assert backend.convolution() not in (cpu_conv.conv, jax.lax.conv_general_dilated)
        assert backend.max_pooling() is nn.max_pool
    assert (backend.convolution(), backend.max_pooling()) == outside


@pytest.mark.parametrize("dims, platform_dependent", [(3, True), (2, True), (2, False)])
def test_one_program_for_all_platforms_computes_the_same(dims, platform_dependent):
    """With two phrasings only where the CPU's is another one."""
    size = 2 if platform_dependent else 8
    inputs = jnp.asarray(uniform("inputs", (2, 5, size, size, 3)[3 - dims :]))
    weights = jnp.asarray(uniform("kernel", (3,) * dims + (3, 4)))
    names = {2: ("NHWC", "HWIO", "NHWC"), 3: ("NDHWC", "DHWIO", "NDHWC")}[dims]
    settings = {"strides": (1,) * dims, "padding": ((1, 1),) * dims, "dimension_numbers": names}
    with backend.traced_for("cpu", "tpu"):
        both = partial(backend.convolution(), **settings)
    with backend.traced_for("tpu"):
        plain = jax.lax.conv_general_dilated(inputs, weights, *list(settings.values())[:2], dimension_numbers=names)
    np.testing.assert_allclose(jax.jit(both)(inputs, weights), plain, atol=1e-5)
    assert ("platform_index" in str(jax.make_jaxpr(both)(inputs, weights))) is platform_dependent


def test_attention_is_that_of_the_platform():
    assert backend.attention() is cpu_attention.attention_by_head
    with backend.traced_for("cpu", "cuda", "tpu"):
        assert backend.attention() is jax.nn.dot_product_attention
