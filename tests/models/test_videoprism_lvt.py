"""What the video-text network of google-deepmind/videoprism computes, its files, and the laws of time and padding."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import draw_tree, uniform
from vidjax.models import make_model
from vidjax.models.clip import unit
from vidjax.models.videoprism_lvt import VideoPrismText, waves
from vidjax.weights.table import WEIGHTS

GOLDEN = json.loads((Path(__file__).parents[1] / "peers/videoprism_lvt.json").read_text())
SMALL = {"dim": 32, "depth": 3, "time_depth": 2, "num_heads": 4, "patch": (6, 6), "positions": (4, 3, 3)}
TEXT = {"vocabulary": 60, "length": 12, "dim": 32, "depth": 3, "num_heads": 4}
CASES = {"same": (4, 18, 18), "larger": (6, 30, 30), "smaller": (3, 12, 12)}  # as in make_videoprism_lvt.py
TOKENS = np.array([[3, 7, 59, 0, -1, -1, -1, -1], [40, 2, 2, 9, 11, 0, 58, 5], [1] + [-1] * 7])


def drawn(model, given):
    return {"params": draw_tree(jax.eval_shape(model.init, jax.random.key(0), given)["params"])}


MODEL, TOWER = make_model("videoprism_lvt_b", **SMALL), VideoPrismText(**TEXT)
VIDEO = uniform("video", (2, 4, 18, 18, 3))
VARIABLES, OF_TEXT = drawn(MODEL, VIDEO), drawn(TOWER, TOKENS)
apply, embed = jax.jit(MODEL.apply), jax.jit(TOWER.apply)


@pytest.mark.parametrize("case", CASES)
def test_embeddings_and_cosines_are_those_of_the_authors(case):
    """Also where the tables of positions are resized."""
    videos, ends = apply(VARIABLES, uniform("video", (2, *CASES[case], 3)))
    texts, scale = embed(OF_TEXT, TOKENS)
    texts = unit(texts)
    expected = {name: np.array(x) for name, x in GOLDEN[case].items()}
    for name, x in {"videos": videos[:, 0], "texts": texts, "cosines": videos[:, 0] @ texts.T}.items():
        np.testing.assert_allclose(x, expected[name], atol=1e-5 * np.abs(expected[name]).max(), err_msg=name)
    np.testing.assert_array_equal(ends["features"], videos)
    assert scale == 100


def test_published_number_of_parameters():
    """Of init of the authors' network with the published settings, both towers."""
    entry = WEIGHTS["videoprism_lvt_b"]
    video, text = make_model(**entry.model), entry.text.tower(**entry.text.sizes)
    given = jnp.zeros((1, 16, 288, 288, 3))
    (_, ends), shapes = jax.eval_shape(lambda: video.init_with_output(jax.random.key(0), given))
    shapes = [shapes, jax.eval_shape(text.init, jax.random.key(0), jnp.zeros((1, 64), int))]
    assert sum(np.prod(x.shape) for x in jax.tree.leaves(shapes)) == GOLDEN["published"]["parameters"] == 247_623_424
    assert ends["features"].shape == (1, 1, 768) and ends["joint_block1"].shape == (1, 16, 16, 16, 768)


def test_padding_and_later_tokens():
    """The embedding does not see the padding, but an order; 0 is a token like the others."""
    texts = embed(OF_TEXT, TOKENS)[0]
    shorter = embed(OF_TEXT, TOKENS[:1, :4])[0]
    np.testing.assert_allclose(shorter[0], texts[0], atol=1e-5)
    cut, other = TOKENS.copy(), TOKENS.copy()
    cut[0, 3], other[1, [0, 1]] = -1, other[1, [1, 0]]
    assert np.abs(embed(OF_TEXT, cut)[0][0] - texts[0]).max() > 1e-3
    assert np.abs(embed(OF_TEXT, other)[0][1] - texts[1]).max() > 1e-3


def test_it_sees_the_order_and_not_the_masked_frames():
    mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], np.float32)
    changed = VIDEO.copy()
    changed[0, 3] = 7
    masked = apply(VARIABLES, VIDEO, frame_mask=mask)[0]
    np.testing.assert_allclose(apply(VARIABLES, changed, frame_mask=mask)[0], masked, atol=1e-6)
    plain = apply(VARIABLES, VIDEO)[0]
    np.testing.assert_allclose(masked[1], plain[1], atol=1e-5)
    assert np.abs(masked[0] - plain[0]).max() > 1e-4
    assert np.abs(apply(VARIABLES, VIDEO[:, ::-1])[0] - plain).max() > 1e-4


def test_logits_are_products_of_the_embedding_with_the_kernel():
    kernel = uniform("kernel", (32, 5))
    variables = {"params": {**VARIABLES["params"], "classifier": {"kernel": kernel}}}
    logits, ends = jax.jit(MODEL.clone(num_classes=5).apply)(variables, VIDEO)
    np.testing.assert_allclose(logits, ends["features"][:, 0] @ kernel, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(ends["features"], axis=-1), 1, rtol=1e-5)


def test_waves():
    """Four waves: the fastest has the angle p, the slowest p / 10000."""
    table = waves(3, 8)
    np.testing.assert_allclose(table[2, [0, 3, 4, 7]], [np.sin(2), np.sin(2e-4), np.cos(2), 1], atol=1e-6)
