import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.gradients import check_equal, value_and_gradients
from tests.peers.formula import uniform
from vidjax.models import backend, cpu_conv, make_model
from vidjax.models.backend import traced_for
from vidjax.models.layers import no_padding, tf_same, torch_same

VIDEO = uniform("video", (2, 5, 8, 7, 3))


@pytest.mark.parametrize("padding", [tf_same, torch_same])
@pytest.mark.parametrize("kernel, strides", [((3, 3, 3), (1, 1, 1)), ((3, 3, 3), (1, 4, 2)), ((1, 3, 2), (2, 2, 3))])
def test_depthwise_conv_is_xlas_grouped_convolution(kernel, strides, padding, float64):
    video, weights = VIDEO.astype(np.float64), uniform("kernel", (*kernel, 1, 3)).astype(np.float64)
    settings = {"strides": strides, "padding": padding(VIDEO.shape[1:4], kernel, strides)}
    ours, theirs = (functools.partial(f, **settings) for f in (cpu_conv.depthwise_conv, backend._grouped_conv))
    check_equal(value_and_gradients(ours, video, weights), value_and_gradients(theirs, video, weights))


@pytest.mark.parametrize("many_places", [1, 10**6], ids=["products", "convolution"])
@pytest.mark.parametrize("padding", [tf_same, torch_same])
@pytest.mark.parametrize(
    "kernel, strides",
    [
        ((7, 7, 7), (2, 2, 2)),
        ((3, 1, 3), (1, 2, 1)),
        ((2, 2, 2), (2, 2, 2)),
        ((1, 3, 3), (1, 2, 2)),
        ((3, 1, 1), (2, 1, 1)),
        ((3, 1, 1), (1, 2, 2)),
        ((1, 1, 1), (2, 2, 2)),
    ],
)
def test_conv_is_xlas_3d_convolution(kernel, strides, padding, many_places, float64, monkeypatch):
    monkeypatch.setattr(cpu_conv, "MANY_PLACES", many_places)
    video, weights = VIDEO.astype(np.float64), uniform("kernel", (*kernel, 3, 4)).astype(np.float64)
    settings = {"padding": padding(VIDEO.shape[1:4], kernel, strides), "dimension_numbers": ("NDHWC", "DHWIO", "NDHWC")}
    ours = functools.partial(cpu_conv.conv, strides=strides, **settings)
    theirs = functools.partial(jax.lax.conv_general_dilated, window_strides=strides, **settings)
    check_equal(value_and_gradients(ours, video, weights), value_and_gradients(theirs, video, weights))


def test_a_kernel_of_one_place_sees_the_padding():
    outputs = cpu_conv.conv(jnp.ones((1, 1, 2, 2, 1)), jnp.ones((1, 1, 1, 1, 1)), (1, 1, 1), ((0, 0), (1, 0), (0, 0)))
    np.testing.assert_array_equal(outputs[0, 0, ..., 0], [[0, 0], [1, 1], [1, 1]])


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
def test_conv_is_xlas_2d_convolution(size, kernel, strides, padding, is_small, float64):
    frames = uniform("frames", (4, *size, 5)).astype(np.float64)
    weights = uniform("kernel", (*kernel, 5, 6)).astype(np.float64)
    settings = {"padding": padding(size, kernel, strides), "dimension_numbers": ("NHWC", "HWIO", "NHWC")}
    assert cpu_conv.has_small_maps(frames, weights, strides, settings["padding"]) is is_small
    ours = functools.partial(cpu_conv.conv, strides=strides, **settings)
    theirs = functools.partial(jax.lax.conv_general_dilated, window_strides=strides, **settings)
    check_equal(value_and_gradients(ours, frames, weights), value_and_gradients(theirs, frames, weights))


@pytest.mark.slow
def test_the_gradient_of_a_whole_network_is_that_of_plain_convolutions(float64, monkeypatch):
    monkeypatch.setattr(cpu_conv, "MANY_PLACES", 100)  # so that small maps take each of the ways
    model = make_model("i3d", 3, width=0.0625, dtype=jnp.float64)
    video = jnp.asarray(uniform("video", (2, 16, 32, 32, 3)), jnp.float64)
    variables = jax.tree.map(lambda x: x.astype(jnp.float64), jax.jit(model.init)(jax.random.key(0), video))

    def gradient(platform):
        def loss(params):
            (logits, _), _ = model.apply({**variables, "params": params}, video, train=True, mutable=["batch_stats"])
            return (logits * jnp.arange(6.0).reshape(2, 3)).sum()

        with traced_for(platform):
            return jax.jit(jax.grad(loss))(variables["params"])

    ours, plain = gradient("cpu"), gradient("tpu")
    largest = max(float(jnp.abs(x).max()) for x in jax.tree.leaves(plain))
    assert largest > 1e-3
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * largest), ours, plain)
