import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import draw_tree, uniform
from tests.transformers import check_names
from vidjax.models import make_model
from vidjax.models.videomae_pretrain import (
    normalise,
    others,
    pixels_of_tokens,
    video_of_tokens,
    visible_tubes,
)
from vidjax.weights import importers

GOLDEN = json.loads((Path(__file__).parents[1] / "peers/videomae_pretrain.json").read_text())
SIZES = {"dim": 32, "depth": 3, "num_heads": 4, "patch": (2, 8, 8)}  # as in make_videomae_pretrain.py
SIZES |= {"decoder_dim": 16, "decoder_depth": 2, "decoder_heads": 2}
VISIBLE = np.tile([place + 16 * step for step in range(3) for place in (1, 4, 14)], (2, 1))


@pytest.fixture(scope="module")
def drawn():
    model, video = make_model("videomae_pretrain", **SIZES), uniform("video", (2, 6, 32, 32, 3))
    return model, {"params": draw_tree(jax.eval_shape(model.init, jax.random.key(0), video)["params"])}, video


def test_errors_and_encoding_are_those_of_the_transformers_library(drawn):
    model, variables, video = drawn
    errors, ends = jax.jit(lambda visible: model.apply(variables, video, visible=visible))(VISIBLE)
    assert errors.shape == (2, 39)
    np.testing.assert_allclose(errors.mean(), GOLDEN["loss"], rtol=1e-5)
    np.testing.assert_allclose(ends["features"], GOLDEN["encoded"], atol=2e-5)
    np.testing.assert_allclose(ends["predicted"][:, ::13], GOLDEN["predicted"], atol=2e-5)


def test_number_of_parameters():
    model = make_model("videomae_pretrain")
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 16, 224, 224, 3)))
    assert sum(math.prod(x.shape) for x in jax.tree.leaves(shapes)) == 94_210_944


def test_names_of_the_transformers_library():
    check_names(importers.VIDEOMAE_PRETRAIN, "videomae_pretrain", SIZES, (6, 32, 32))


def test_masked_pixels_are_not_seen(drawn):
    """Other pixels in masked places change the targets, not the predictions."""
    model, variables, video = drawn
    _, ends = model.apply(variables, video, visible=VISIBLE)
    pixels = np.array(pixels_of_tokens(video, model.patch))
    np.put_along_axis(pixels, np.asarray(ends["masked"])[..., None, None], 7, axis=1)
    changed = video_of_tokens(pixels, model.patch, (3, 4, 4))
    _, after = model.apply(variables, changed, visible=VISIBLE)
    np.testing.assert_array_equal(after["predicted"], ends["predicted"])
    assert not np.allclose(after["target"], ends["target"])


def test_masks_are_tubes_drawn_per_clip():
    visible = np.asarray(visible_tubes(jax.random.key(1), 50, (3, 4, 5), 0.9))  # 18 of 20 places masked
    assert visible.shape == (50, 6)
    places = visible.reshape(50, 3, 2)
    np.testing.assert_array_equal(places[:, 1], places[:, 0] + 20)  # the same places at the next time
    np.testing.assert_array_equal(places[:, 2], places[:, 0] + 40)
    assert len(np.unique(places[:, 0], axis=0)) > 30 and set(places[:, 0].flat) == set(range(20))
    masked = np.asarray(others(visible, 60))
    assert all(sorted([*a, *b]) == list(range(60)) for a, b in zip(visible, masked, strict=True))


def test_without_a_key_every_clip_has_the_same_mask():
    visible = visible_tubes(None, 3, (2, 4, 4), 0.75)
    np.testing.assert_array_equal(visible, jnp.broadcast_to(visible[:1], (3, 8)))
    np.testing.assert_array_equal(visible[0], visible_tubes(None, 1, (2, 4, 4), 0.75)[0])


@pytest.mark.parametrize("mask_ratio", [1.0, 0.0, -0.5, 0.05])
def test_a_mask_that_leaves_nothing_to_see_or_to_predict(mask_ratio):
    with pytest.raises(ValueError, match=r"masks -?\d+ of the 16 places of a frame: choose a ratio in \[0.0625, 1\)"):
        visible_tubes(None, 1, (2, 4, 4), mask_ratio)


@pytest.mark.parametrize("shape", [(1, 1, 32, 32, 3), (1, 6, 30, 32, 3)])
def test_a_video_that_is_shorter_than_a_tubelet_or_does_not_divide(shape):
    model = make_model("videomae_pretrain", **SIZES)
    with pytest.raises(ValueError, match="Patches of 2 frames of 8x8 do not fit a video of the shape"):
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(shape))


def test_tokens_and_video():
    video = jnp.arange(2 * 4 * 4 * 6 * 3.0).reshape(2, 4, 4, 6, 3)
    pixels = pixels_of_tokens(video, (2, 2, 3))
    assert pixels.shape == (2, 8, 12, 3)
    np.testing.assert_array_equal(pixels[0, 1, :3], video[0, 0, 0, 3:6])  # the second token: first row, right half
    np.testing.assert_array_equal(video_of_tokens(pixels, (2, 2, 3), (2, 2, 2)), video)


def test_targets_have_mean_0_and_deviation_1_per_token_and_channel():
    target = normalise(5 + 3 * uniform("pixels", (2, 4, 50, 3)))
    np.testing.assert_allclose(target.mean(2), 0, atol=1e-5)
    np.testing.assert_allclose(np.std(target, axis=2, ddof=1), 1, atol=1e-5)
    np.testing.assert_array_equal(normalise(jnp.ones((1, 1, 8, 3))), 0)  # a token of one colour


def test_the_network_of_whole_clips_has_the_same_encoder(drawn):
    model, variables, video = drawn
    encoder = model.of_whole_clips()
    features, _ = encoder.apply({"params": {"encoder": variables["params"]["encoder"]}}, video)
    assert features.shape == (2, 3, 32)
    everything = np.tile(np.arange(48), (2, 1))
    _, ends = model.apply(variables, video, visible=everything[:, :47])
    assert not np.allclose(ends["features"][:, :16].mean(1), features[:, 0])  # a norm, and a token that is missing
