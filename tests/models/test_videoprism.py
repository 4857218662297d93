"""What google-deepmind/videoprism computes, its files, and the laws of time."""

import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import draw_tree, uniform
from vidjax.models import make_model
from vidjax.models.videoprism import capped_attention

GOLDEN = json.loads((Path(__file__).parents[1] / "peers/videoprism.json").read_text())
SMALL = {"dim": 32, "depth": 3, "time_depth": 2, "num_heads": 4, "patch": (6, 6), "positions": (4, 3, 3)}
CASES = {"same": (4, 18, 18), "larger": (6, 30, 30), "smaller": (3, 12, 12)}  # as in make_videoprism.py
MODEL = make_model("videoprism_b", 5, **SMALL)
VIDEO = uniform("video", (2, 4, 18, 18, 3))
VARIABLES = {"params": draw_tree(jax.eval_shape(MODEL.init, jax.random.key(0), VIDEO)["params"])}
apply = jax.jit(MODEL.apply)


@pytest.mark.parametrize("case", CASES)
def test_outputs_are_those_of_the_authors(case):
    """Also where the tables of positions are resized."""
    expected = np.array(GOLDEN[case]["logits"])
    logits, ends = apply(VARIABLES, uniform("video", (2, *CASES[case], 3)))
    np.testing.assert_allclose(logits, expected, atol=2e-5 * np.abs(expected).max())
    np.testing.assert_allclose(ends["tokens"][1, -1, :8], GOLDEN[case]["token"], atol=5e-5)


@pytest.mark.parametrize(
    "network, num_classes, frames, expected",
    [  # init of FactorizedEncoder and FactorizedVideoClassifier with the published settings
        ("videoprism_b", None, 16, 114_365_184),
        ("videoprism_b", 400, 16, 117_037_520),
        ("videoprism_l", None, 8, 353_965_056),
        ("videoprism_l", 400, 8, 358_576_592),
    ],
)
def test_published_numbers_of_parameters(network, num_classes, frames, expected):
    model = make_model(network, num_classes)
    video = jnp.zeros((1, frames, 288, 288, 3))
    (_, ends), shapes = jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), video))
    assert sum(math.prod(x.shape) for x in jax.tree.leaves(shapes)) == expected
    assert ends["tokens"].shape == (1, frames * 256, model.dim)
    assert ends["features"].shape == (1, frames, model.dim)
    assert ends["block0"].shape == ends["time_block3"].shape == (1, frames, 16, 16, model.dim)


def test_logits_of_the_attention_are_capped():
    """One query of width 1; the keys 0, 50 and 1000 have the logits 0, 50 tanh(1) = 38.1 and 50."""
    key = jnp.array([0.0, 50, 1000]).reshape(1, 3, 1, 1)
    value = jnp.array([0.0, 1e5, 0]).reshape(1, 3, 1, 1)
    one = jnp.ones((1, 1, 1, 1))
    weight = capped_attention(one, key, value) / 1e5
    np.testing.assert_allclose(weight.item(), math.exp(50 * math.tanh(1) - 50), rtol=1e-4)
    mask = jnp.array([True, True, False])[None, None, None]
    np.testing.assert_allclose(capped_attention(one, key, value, mask).item(), 1e5, rtol=1e-4)


def test_it_sees_the_order_and_not_the_masked_frames():
    """The table of positions in time has one entry per frame, so the padded clip is not the shorter one."""
    mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], np.float32)
    changed = VIDEO.copy()
    changed[0, 3] = 7
    logits, ends = apply(VARIABLES, VIDEO, frame_mask=mask)
    other, other_ends = apply(VARIABLES, changed, frame_mask=mask)
    np.testing.assert_allclose(other, logits, atol=1e-6)
    np.testing.assert_allclose(other_ends["features"][0, :3], ends["features"][0, :3], atol=1e-6)
    plain, _ = apply(VARIABLES, VIDEO)
    np.testing.assert_allclose(logits[1], plain[1], atol=1e-5)
    assert np.abs(logits[0] - plain[0]).max() > 1e-3
    assert np.abs(apply(VARIABLES, VIDEO[:, ::-1])[0] - plain).max() > 1e-3


def test_gradients_are_finite_with_remat():
    model = make_model("videoprism_b", 5, remat=True, **SMALL)
    gradient = jax.jit(jax.grad(lambda v: model.apply(v, VIDEO, train=True)[0][:, 0].sum()))(VARIABLES)
    assert all(
        np.isfinite(x).all() and np.abs(x).max() > 0 for x in jax.tree.leaves(gradient["params"]["block0"]["mlp"])
    )


def test_frames_that_the_patches_do_not_tile():
    with pytest.raises(ValueError, match="give at least 1 frames, of a height that is a multiple of 6"):
        MODEL.apply(VARIABLES, VIDEO[:, :, :17])
