"""ViT, VideoMAE, TimeSformer, ViViT, Swin and MViT: what torchvision and transformers compute, and the laws of time."""

import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import draw_tree, uniform
from vidjax.export import torch_names
from vidjax.models import make_model
from vidjax.models.videomae import Encoder
from vidjax.weights import importers

GOLDEN = json.loads((Path(__file__).parents[1] / "peers/transformers.json").read_text())["logits"]
SMALL = {"dim": 32, "depth": 3, "num_heads": 4}
TABLES = {**SMALL, "patch": (8, 8), "positions": (4, 4, 4)}
SWIN = {"dim": 16, "depths": (2, 2, 1, 1), "num_heads": (1, 2, 4, 8)}
MVIT = {"dims": (8, 16, 32, 64), "depths": (1, 2, 2, 1), "num_heads": (1, 2, 4, 8), "positions": (4, 16, 16)}
CASES = {  # as in make_transformers.py
    "vit": ("vit_b", {**SMALL, "patch": (8, 8), "positions": (4, 4)}, (1, 32, 32)),
    "videomae": ("videomae_b", {**SMALL, "patch": (2, 8, 8)}, (6, 32, 24)),
    "timesformer": ("timesformer", TABLES, (4, 32, 32)),
    "timesformer, joint": ("timesformer", {**TABLES, "attention": "joint"}, (4, 32, 32)),
    "timesformer, larger": ("timesformer", {**TABLES, "attention": "joint"}, (6, 40, 40)),
    "vivit": ("vivit", {**SMALL, "patch": (2, 8, 8), "positions": (3, 4, 4)}, (6, 32, 32)),
    "swin": ("video_swin_t", SWIN, (18, 76, 66)),  # padded windows, and shifted ones
    "mvit_v2": ("mvit_v2_s", MVIT, (8, 64, 64)),
    "mvit_v1": ("mvit_v1_b", MVIT, (8, 64, 64)),
}
LAYOUTS = {"vit": importers.VIT, "videomae": importers.VIDEOMAE, "vivit": importers.VIVIT, "swin": importers.SWIN}
LAYOUTS |= {"mvit_v2": importers.MVIT, "mvit_v1": importers.MVIT}


def drawn(network: str, arguments: dict, shape: tuple[int, ...], num_classes=5):
    model, video = make_model(network, num_classes, **arguments), uniform("video", (2, *shape, 3))
    shapes = jax.eval_shape(model.init, jax.random.key(0), video)["params"]
    return model, {"params": draw_tree(shapes)}, video


@pytest.mark.parametrize("case", CASES)
def test_logits_are_those_of_the_originals(case):
    model, variables, video = drawn(*CASES[case])
    expected = np.array(GOLDEN[case])
    logits, _ = jax.jit(model.apply)(variables, video)
    np.testing.assert_allclose(logits, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    "network, num_classes, arguments, frames, expected",
    [
        ("vit_b", 1000, {}, 1, 86_567_656),
        ("videomae_s", 400, {}, 16, 22_033_936),
        ("videomae_b", 400, {}, 16, 86_534_800),
        ("videomae_l", 400, {}, 16, 304_270_736),
        ("videomae_b", 174, {}, 16, 86_361_006),
        ("timesformer", 400, {}, 8, 121_566_352),
        ("timesformer", 600, {}, 8, 121_720_152),
        ("timesformer", 400, {"positions": (16, 28, 28)}, 16, 122_024_080),
        ("timesformer", 400, {"positions": (96, 14, 14)}, 96, 121_633_936),
        ("vivit", 400, {}, 32, 88_954_000),
        ("video_swin_t", 400, {}, 16, 28_158_070),
        ("video_swin_s", 400, {}, 16, 49_816_678),
        ("video_swin_b", 400, {}, 16, 88_048_984),
        ("mvit_v1_b", 400, {}, 16, 36_610_672),
        ("mvit_v2_s", 400, {}, 16, 34_537_744),
    ],
)
def test_published_numbers_of_parameters(network, num_classes, arguments, frames, expected):
    model = make_model(network, num_classes, **arguments)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, frames, 224, 224, 3)))
    assert sum(math.prod(x.shape) for x in jax.tree.leaves(shapes)) == expected


ORDERED = {
    "videomae_b": {**SMALL, "patch": (1, 8, 8)},
    "timesformer": TABLES,
    "vivit": {**SMALL, "patch": (1, 8, 8), "positions": (4, 4, 4)},
    "vivit_factorised": {**SMALL, "patch": (1, 8, 8), "positions": (4, 4, 4)},
    "video_swin_t": {**SWIN, "patch": (1, 4, 4)},
}
BLIND = {"vit_b": {**SMALL, "patch": (8, 8), "positions": (4, 4)}, "timesformer": {**TABLES, "attention": "space"}}


@pytest.mark.parametrize("network", BLIND)
def test_attention_in_space_does_not_see_the_order_of_frames(network):
    model, variables, video = drawn(network, BLIND[network], (4, 32, 32))
    apply = jax.jit(model.apply)
    np.testing.assert_allclose(apply(variables, video)[0], apply(variables, video[:, [2, 0, 3, 1]])[0], atol=1e-5)


@pytest.mark.parametrize("network", ORDERED)
def test_other_networks_see_the_order_and_do_not_see_masked_frames(network):
    """The tables of positions have one entry per frame, so that the shorter clip sees the first ones."""
    model, variables, video = drawn(network, ORDERED[network], (4, 32, 32))
    mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], np.float32)
    changed = video.copy()
    changed[0, 3] = 7
    apply = jax.jit(model.apply)
    logits = apply(variables, video, frame_mask=mask)[0]
    np.testing.assert_allclose(apply(variables, changed, frame_mask=mask)[0], logits, atol=1e-6)
    np.testing.assert_allclose(logits[1], apply(variables, video)[0][1], atol=1e-5)
    if network in ("videomae_b", "video_swin_t"):  # the others resize their tables for three frames
        np.testing.assert_allclose(logits[0], apply(variables, video[:, :3])[0][0], atol=1e-5)
    difference = np.abs(logits - apply(variables, video[:, ::-1], frame_mask=mask[:, ::-1])[0])
    assert difference.max() > 1e-2


def test_videomae_encodes_the_visible_tokens_only():
    """With all tokens visible, in order, the encoder does what the classifier does."""
    model, variables, video = drawn("videomae_b", CASES["videomae"][1], (6, 32, 24))
    encoder = Encoder(32, 3, 4, (2, 8, 8), 4.0, 0.0, model.block, model.dtype)
    variables = {"params": variables["params"]["encoder"]}
    visible = jnp.broadcast_to(jnp.array([1, 4, 30]), (2, 3))
    outputs, grid = encoder.apply(variables, video, visible=visible)
    assert outputs[-1].shape == (2, 3, 32) and grid == (3, 4, 3)
    everything, _ = encoder.apply(variables, video, visible=jnp.broadcast_to(jnp.arange(36), (2, 36)))
    np.testing.assert_allclose(everything[-1], encoder.apply(variables, video)[0][-1], atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_their_arrays_come_back(case):
    """Ours -> theirs -> ours, by the names of their library."""
    _, variables, _ = drawn(*CASES[case])
    layout = LAYOUTS.get(case, importers.TIMESFORMER)
    name_of = next(name for of in torch_names.NAMES.values() for other, name in of if other is layout)
    flat = {"/".join(key.key for key in path): x for path, x in jax.tree.leaves_with_path(variables)}
    back, _ = importers.translate(torch_names.to_torch(flat, layout, name_of), layout)
    assert back.keys() == flat.keys() and all(np.array_equal(back[path], flat[path]) for path in flat)


def test_what_is_refused():
    with pytest.raises(ValueError, match="Unknown attention 'time'; choose one of divided, joint, space"):
        make_model("timesformer", 5, attention="time")
    model = make_model("videomae_b", 5, **CASES["videomae"][1])
    with pytest.raises(ValueError, match="Patches of 2 frames of 8x8 do not fit a video of the shape"):
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 1, 32, 24, 3)))
