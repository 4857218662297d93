import functools
import os
import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.peers.formula import uniform
from vidjax.models import backend, make_model
from vidjax.models.backend import traced_for
from vidjax.models.layers import no_padding, tf_same, torch_same

VIDEO = uniform("video", (2, 5, 8, 7, 3))


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def value_and_gradients(function, *arrays):
    """Outputs, and the gradients of a sum of which each output has a part of its own."""

    def loss(*arrays):
        outputs = function(*arrays)
        return (outputs * np.sin(np.arange(outputs.size)).reshape(outputs.shape)).sum(), outputs

    gradients, outputs = jax.grad(loss, tuple(range(len(arrays))), has_aux=True)(*map(jnp.asarray, arrays))
    return outputs, *gradients


def check_equal(ours, theirs):
    assert [x.shape for x in ours] == [x.shape for x in theirs]
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-12), ours, theirs)


@pytest.mark.parametrize("padding", [tf_same, torch_same])
@pytest.mark.parametrize("kernel, strides", [((3, 3, 3), (1, 1, 1)), ((3, 3, 3), (1, 4, 2)), ((1, 3, 2), (2, 2, 3))])
def test_depthwise_conv_is_xlas_grouped_convolution(kernel, strides, padding, float64):
    video, weights = VIDEO.astype(np.float64), uniform("kernel", (*kernel, 1, 3)).astype(np.float64)
    settings = {"strides": strides, "padding": padding(VIDEO.shape[1:4], kernel, strides)}
    ours, theirs = (functools.partial(f, **settings) for f in (backend.depthwise_conv, backend._grouped_conv))
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
    monkeypatch.setattr(backend, "MANY_PLACES", many_places)
    video, weights = VIDEO.astype(np.float64), uniform("kernel", (*kernel, 3, 4)).astype(np.float64)
    settings = {"padding": padding(VIDEO.shape[1:4], kernel, strides), "dimension_numbers": ("NDHWC", "DHWIO", "NDHWC")}
    ours = functools.partial(backend.conv, strides=strides, **settings)
    theirs = functools.partial(jax.lax.conv_general_dilated, window_strides=strides, **settings)
    check_equal(value_and_gradients(ours, video, weights), value_and_gradients(theirs, video, weights))


def test_a_kernel_of_one_place_sees_the_padding():
    outputs = backend.conv(jnp.ones((1, 1, 2, 2, 1)), jnp.ones((1, 1, 1, 1, 1)), (1, 1, 1), ((0, 0), (1, 0), (0, 0)))
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
    assert backend.has_small_maps(frames, weights, strides, settings["padding"]) is is_small
    ours = functools.partial(backend.conv, strides=strides, **settings)
    theirs = functools.partial(jax.lax.conv_general_dilated, window_strides=strides, **settings)
    check_equal(value_and_gradients(ours, frames, weights), value_and_gradients(theirs, frames, weights))


@pytest.mark.parametrize(
    "window, strides",
    [((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (2, 2, 2)), ((3, 3, 3), (1, 1, 1)), ((2, 2, 2), (2, 2, 2))],
)
def test_max_pool_is_flaxs(window, strides, float64):
    video = np.round(4 * VIDEO.astype(np.float64))  # with many equal maxima
    assert len(np.unique(video)) < 10
    padding = tf_same(VIDEO.shape[1:4], window, strides)
    ours = value_and_gradients(lambda x: backend.max_pool(x, window, strides, padding), video)
    theirs = value_and_gradients(lambda x: nn.max_pool(x, window, strides, padding), video)
    check_equal(ours, theirs)


def test_the_gradient_goes_to_the_first_of_equal_maxima():
    image = jnp.asarray([[1.0, 5.0], [5.0, 5.0]]).reshape(1, 1, 2, 2, 1)
    gradient = jax.grad(lambda x: backend.max_pool(x, (1, 2, 2), (1, 2, 2), ((0, 0),) * 3).sum())(image)
    np.testing.assert_array_equal(gradient[0, 0, ..., 0], [[0, 1], [0, 0]])


@pytest.mark.slow
def test_the_gradient_of_a_whole_network_is_that_of_plain_convolutions(float64, monkeypatch):
    monkeypatch.setattr(backend, "MANY_PLACES", 100)  # so that small maps take each of the ways
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


def test_each_platform_has_its_own():
    outside = backend.convolution(), backend.max_pooling()
    with backend.traced_for("cpu"):
        assert (backend.convolution(), backend.max_pooling()) == (backend.conv, backend.max_pool)
    with backend.traced_for("cuda", "tpu"):
        assert (backend.convolution(), backend.max_pooling()) == (jax.lax.conv_general_dilated, nn.max_pool)
    with backend.traced_for("cpu", "tpu"):
        assert backend.convolution() not in (backend.conv, jax.lax.conv_general_dilated)
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


# ------------------------------------------------------------------------------------------------------------ attention


@pytest.mark.parametrize("kind", ["plain", "bias", "tokens", "pairs", "bias and pairs"])
def test_attention_by_head_equals_attention(kind, monkeypatch):
    """Outputs and gradients; the mask hides all keys of one query."""
    monkeypatch.setattr(backend, "MANY_PAIRS", 0)
    draw = np.random.default_rng(0)
    query, key, value = (jnp.asarray(draw.normal(size=(2, n, 3, 4)), jnp.float32) for n in (5, 7, 7))
    bias = jnp.asarray(draw.normal(size=(1, 3, 5, 7)), jnp.float32) if "bias" in kind else None
    mask = None
    if kind == "tokens":
        mask = jnp.asarray(draw.random((2, 1, 1, 7)) < 0.5)
    if "pairs" in kind:
        mask = jnp.asarray(draw.random((2, 1, 5, 7)) < 0.5).at[0, 0, 2].set(False)

    def loss(attend, query, key, value, bias):
        outputs = attend(query, key, value, bias, mask)
        return (outputs**2).sum(), outputs

    of = (0, 1, 2) if bias is None else (0, 1, 2, 3)
    ours, theirs = (
        jax.jit(jax.grad(functools.partial(loss, attend), of, has_aux=True))(query, key, value, bias)
        for attend in (backend.attention_by_head, jax.nn.dot_product_attention)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), ours, theirs)


ON_8_DEVICES = """
import jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from vidjax.models import backend

rng = np.random.default_rng(0)
arrays = [rng.normal(size=(16, 130, 2, 4)).astype(np.float32) for _ in range(3)]
by_row = NamedSharding(Mesh(jax.devices(), "data"), PartitionSpec("data"))
attend = jax.jit(backend.attention_by_head, in_shardings=by_row, out_shardings=by_row).lower(*arrays).compile()
np.testing.assert_allclose(attend(*jax.device_put(arrays, by_row)), jax.nn.dot_product_attention(*arrays), atol=1e-5)
text = attend.as_text()
print(jax.device_count(), "while" in text, "all-gather" in text or "all-reduce" in text)
"""


def test_each_device_attends_to_its_own_rows():
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    environment = {**os.environ, "XLA_FLAGS": flags}
    run = [sys.executable, "-c", ON_8_DEVICES]
    found = subprocess.run(run, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["8", "True", "False"]


def test_attention_is_that_of_the_platform():
    assert backend.attention() is backend.attention_by_head
    with backend.traced_for("cpu", "cuda", "tpu"):
        assert backend.attention() is jax.nn.dot_product_attention
