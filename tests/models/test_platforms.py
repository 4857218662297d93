from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import uniform
from vidjax.models import platforms
from vidjax.models.layers import no_padding, tf_same, torch_same
from vidjax.models.platforms import conv_by_planes

VIDEO = uniform("video", (2, 5, 8, 7, 3))


@pytest.mark.parametrize("padding", [tf_same, torch_same])
@pytest.mark.parametrize("kernel, strides", [((7, 7, 7), (2, 2, 2)), ((3, 1, 3), (1, 2, 1)), ((2, 2, 2), (2, 2, 2))])
def test_conv_by_planes_is_xlas_3d_convolution(kernel, strides, padding):
    weights = uniform("kernel", (*kernel, 3, 4))
    pads = padding(VIDEO.shape[1:4], kernel, strides)

    def value_and_gradients(convolve):
        def loss(video, weights):
            outputs = convolve(video, weights, strides, pads, dimension_numbers=("NDHWC", "DHWIO", "NDHWC"))
            return (outputs**2).sum(), outputs

        return jax.jit(jax.grad(loss, (0, 1), has_aux=True))(VIDEO, weights)

    ours, expected = map(value_and_gradients, (conv_by_planes, jax.lax.conv_general_dilated))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max()), ours, expected)


@pytest.mark.parametrize(
    "size, kernel, strides, padding, is_small",
    [
        ((2, 2), (3, 3), (1, 1), torch_same, True),
        ((1, 5), (3, 3), (1, 2), tf_same, True),
        ((3, 3), (3, 3), (2, 2), torch_same, True),  # 2x2 outputs
        ((3, 3), (3, 3), (1, 1), torch_same, False),
        ((1, 1), (1, 1), (1, 1), no_padding, False),
        ((2, 2), (3, 3), (1, 1), no_padding, False),  # no outputs at all
    ],
)
def test_conv_of_frames_is_xlas_2d_convolution(size, kernel, strides, padding, is_small):
    frames, weights = uniform("frames", (4, *size, 5)), uniform("kernel", (*kernel, 5, 6))
    pads = padding(size, kernel, strides)
    assert platforms.has_small_maps(frames, weights, strides, pads) is is_small
    numbers = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}

    def value_and_gradients(convolve):
        def loss(frames, weights):
            outputs = convolve(frames, weights, strides, pads, **numbers)
            return (outputs**2).sum(), outputs

        return jax.jit(jax.grad(loss, (0, 1), has_aux=True))(frames, weights)

    ours, expected = map(value_and_gradients, (platforms.conv_of_frames, jax.lax.conv_general_dilated))
    assert ours[1].shape == expected[1].shape
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), ours, expected)


@pytest.mark.parametrize("dims, ours", [(2, platforms.conv_of_frames), (3, conv_by_planes)])
def test_each_platform_has_its_convolution(dims, ours):
    outside = platforms.convolution(dims)
    with platforms.traced_for("cpu"):
        assert platforms.convolution(dims) is ours
    with platforms.traced_for("cuda", "tpu"):
        assert platforms.convolution(dims) is jax.lax.conv_general_dilated
    with platforms.traced_for("cpu", "tpu"):
        assert platforms.convolution(dims).args == (ours,)
    assert platforms.convolution(dims) is outside


@pytest.mark.parametrize("dims, platform_dependent", [(3, True), (2, True), (2, False)])
def test_one_program_for_all_platforms_computes_the_same(dims, platform_dependent):
    """With two phrasings only where the CPU's is another one."""
    size = 2 if platform_dependent else 8
    inputs = jnp.asarray(uniform("inputs", (2, 5, size, size, 3)[3 - dims :]))
    weights = jnp.asarray(uniform("kernel", (3,) * dims + (3, 4)))
    names = {2: ("NHWC", "HWIO", "NHWC"), 3: ("NDHWC", "DHWIO", "NDHWC")}[dims]
    settings = {"strides": (1,) * dims, "padding": ((1, 1),) * dims, "dimension_numbers": names}
    with platforms.traced_for("cpu", "tpu"):
        both = partial(platforms.convolution(dims), **settings)
    with platforms.traced_for("tpu"):
        plain = jax.lax.conv_general_dilated(inputs, weights, *list(settings.values())[:2], dimension_numbers=names)
    np.testing.assert_allclose(jax.jit(both)(inputs, weights), plain, atol=1e-5)
    assert ("platform_index" in str(jax.make_jaxpr(both)(inputs, weights))) is platform_dependent
