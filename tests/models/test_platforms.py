from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import uniform
from vidjax.models import platforms
from vidjax.models.layers import tf_same, torch_same
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
    "names, expected",
    [
        (("cpu",), conv_by_planes),
        (("cuda", "tpu"), jax.lax.conv_general_dilated),
        (("cpu", "tpu"), platforms.conv_by_platform),
    ],
)
def test_each_platform_has_its_convolution(names, expected):
    outside = platforms.convolution_3d()
    with platforms.traced_for(*names):
        assert platforms.convolution_3d() is expected
    assert platforms.convolution_3d() is outside


def test_one_program_for_all_platforms_computes_the_same():
    weights = jnp.asarray(uniform("kernel", (3, 3, 3, 3, 4)))
    settings = {"strides": (1, 2, 2), "padding": ((1, 1),) * 3, "dimension_numbers": ("NDHWC", "DHWIO", "NDHWC")}
    found = jax.jit(partial(platforms.conv_by_platform, **settings))(VIDEO, weights)
    np.testing.assert_allclose(found, conv_by_planes(VIDEO, weights, **settings), atol=1e-5)
