import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from tests.peers.formula import uniform
from tests.video_networks import check_golden, check_masks, check_names, check_number_of_parameters, drawn
from vidjax.models.resnet import SlowOnly50
from vidjax.models.slowfast import SlowFast, mean_of_windows
from vidjax.weights import importers

ONE_EACH = {"stage_sizes": (1, 1, 1, 1)}
ARGUMENTS, SHAPE = {**ONE_EACH, "width": 0.5}, (8, 32, 32)  # as in make_video_networks.py


def test_logits_are_pytorchvideos():
    check_golden("slowfast", "slowfast_r50_8x8", ARGUMENTS, SHAPE)


def test_logits_of_the_slow_pathway_alone_are_pytorchvideos():
    check_golden("slowonly", SlowOnly50(5, **ONE_EACH, width=0.25), {}, (4, 32, 32))


@pytest.mark.parametrize(
    "network, expected",
    [
        ("slowfast_r50_4x16", 34_480_216),
        ("slowfast_r50_8x8", 34_566_488),
        ("slowfast_r101_8x8", 62_826_968),
        ("slowonly_r50", 32_454_096),
    ],
)
def test_number_of_parameters(network, expected):
    """pytorchvideo, docs/source/model_zoo.md, in millions."""
    check_number_of_parameters(network, expected)


def test_names_of_pytorchvideo():
    check_names(importers.SLOWFAST, "slowfast_r50_8x8", ARGUMENTS, SHAPE)
    check_names(importers.SLOW_ONLY, SlowOnly50(5, **ARGUMENTS), {}, (4, 32, 32))


def test_a_padded_clip_has_the_means_of_its_valid_steps():
    check_masks("slowfast_r50_8x8", {**ARGUMENTS, "alpha": 2}, frames=8, valid=4)


def test_two_rates_of_one_clip():
    """The slow pathway sees every `alpha`-th frame; without the joins the others do not reach it."""
    model, variables, video = drawn("slowfast_r50_8x8", ARGUMENTS, SHAPE)
    flat = traverse_util.flatten_dict(variables["params"], sep="/")
    apart = {path: 0 * x if "to_slow" in path else x for path, x in flat.items()}
    apart = {**variables, "params": traverse_util.unflatten_dict(apart, sep="/")}
    changed = video.copy()
    changed[:, [1, 2, 3, 5, 6, 7]] += 1
    apply = jax.jit(model.apply)
    (_, ends), (_, others) = apply(apart, video), apply(apart, changed)
    assert ends["slow_layer4"].shape == (2, 2, 1, 1, 1024) and ends["fast_layer4"].shape == (2, 8, 1, 1, 128)
    np.testing.assert_array_equal(ends["slow_layer4"], others["slow_layer4"])
    assert np.abs(ends["fast_layer4"] - others["fast_layer4"]).max() > 1e-2
    joined, moved = apply(variables, video)[1], apply(variables, changed)[1]
    assert np.abs(joined["slow_layer4"] - moved["slow_layer4"]).max() > 1e-2


def test_clips_of_any_length():
    """The last slow step may have fewer than `alpha` frames."""
    model = SlowFast(**ARGUMENTS)
    variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 9, 32, 32, 3)))
    for frames, steps in ((1, 1), (9, 3)):
        features, ends = jax.eval_shape(model.apply, variables, jnp.zeros((2, frames, 32, 32, 3)))
        assert features.shape == ends["features"].shape == (2, steps, 1152)


def test_means_of_windows():
    x = jnp.arange(1.0, 6).reshape(1, 5, 1)
    assert mean_of_windows(x, 2)[0, :, 0].tolist() == [1.5, 3.5, 5]
    assert mean_of_windows(x, 2, jnp.array([[0, 1, 1, 1, 0]]))[0, :, 0].tolist() == [2, 3.5, 0]


def test_computes_in_bfloat16_with_float32_parameters():
    model, video = SlowFast(5, **ARGUMENTS, dtype=jnp.bfloat16), jnp.asarray(uniform("video", (1, 8, 32, 32, 3)))
    variables = jax.eval_shape(model.init, jax.random.key(0), video)
    logits, _ = jax.eval_shape(model.apply, variables, video)
    assert logits.dtype == jnp.bfloat16
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
