"""What the tests of TSM, X3D and SlowFast check: the originals' logits, parameter counts, names and masks."""

import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from tests.peers.formula import draw_tree, uniform
from vidjax.export import torch_names
from vidjax.models import make_model
from vidjax.models.backend import traced_for
from vidjax.weights import importers

GOLDEN = json.loads((Path(__file__).parent / "peers/video_networks.json").read_text())["logits"]


def drawn(network, arguments: dict, shape: tuple[int, int, int]):
    """A network of 5 classes, by name or as it is, its variables, and a batch of two videos of a shape."""
    model = make_model(network, 5, **arguments) if isinstance(network, str) else network
    video = uniform("video", (2, *shape, 3))
    shapes = jax.eval_shape(model.init, jax.random.key(0), video)
    return model, {collection: draw_tree(tree) for collection, tree in shapes.items()}, video


def check_golden(case: str, network, arguments: dict, shape: tuple[int, int, int]):
    """The logits are those of the original, which make_video_networks.py wrote; swapped frames have others."""
    model, variables, video = drawn(network, arguments, shape)
    expected = np.array(GOLDEN[case])
    apply, largest = jax.jit(model.apply), np.abs(expected).max()
    np.testing.assert_allclose(apply(variables, video)[0], expected, atol=2e-6 * largest)
    swapped = apply(variables, video[:, [2, 1, 0, *range(3, shape[0])]])[0]
    assert np.abs(swapped - expected).max() > 1e-2 * largest


def check_number_of_parameters(network: str, expected: int, num_classes=400, **arguments):
    model = make_model(network, num_classes, **arguments)
    with traced_for("tpu"):
        shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8, 64, 64, 3)))
    assert sum(math.prod(x.shape) for x in jax.tree.leaves(shapes["params"])) == expected


def check_names(layout: importers.Layout, network, arguments: dict, shape: tuple[int, int, int]):
    """Ours -> theirs -> ours, by the names of their library, keeps every array."""
    _, variables, _ = drawn(network, arguments, shape)
    name_of = next(name for of in torch_names.NAMES.values() for other, name in of if other is layout)
    flat = traverse_util.flatten_dict(variables, sep="/")
    back, _ = importers.translate(torch_names.to_torch(flat, layout, name_of), layout)
    assert back.keys() == flat.keys() and all(np.array_equal(back[path], flat[path]) for path in flat)


def check_masks(network: str, arguments: dict, frames: int, valid: int):
    """The content of masked frames does not matter, and only valid frames count in the mean over time."""
    model, variables, video = drawn(network, arguments, (frames, 32, 32))
    everything = np.ones((2, frames), np.float32)
    mask = everything.copy()
    mask[0, valid:] = 0
    changed = video.copy()
    changed[0, valid:] = 7
    apply = jax.jit(model.apply)
    logits = apply(variables, video, frame_mask=mask)[0]
    np.testing.assert_array_equal(apply(variables, changed, frame_mask=mask)[0], logits)
    np.testing.assert_allclose(logits[1], apply(variables, video, frame_mask=everything)[0][1], atol=1e-5)
    video[0, valid:] = 0
    assert np.abs(logits[0] - apply(variables, video, frame_mask=everything)[0][0]).max() > 1e-3
