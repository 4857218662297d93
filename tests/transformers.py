"""What the tests of every video transformer check: the originals' logits, parameter counts, names and masks."""

import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from tests.peers.formula import draw_tree, uniform
from vidjax.export import torch_names
from vidjax.models import make_model
from vidjax.weights import importers

GOLDEN = json.loads((Path(__file__).parent / "peers/transformers.json").read_text())["logits"]
SMALL = {"dim": 32, "depth": 3, "num_heads": 4}  # as in make_transformers.py


def drawn(network: str, arguments: dict, shape: tuple[int, ...]):
    """A network of 5 classes, its variables, and a batch of two videos of a shape."""
    model, video = make_model(network, 5, **arguments), uniform("video", (2, *shape, 3))
    shapes = jax.eval_shape(model.init, jax.random.key(0), video)["params"]
    return model, {"params": draw_tree(shapes)}, video


def check_logits(case: str, network: str, arguments: dict, shape: tuple[int, ...]):
    """The logits are those of the original, which make_transformers.py wrote."""
    model, variables, video = drawn(network, arguments, shape)
    expected = np.array(GOLDEN[case])
    logits, _ = jax.jit(model.apply)(variables, video)
    np.testing.assert_allclose(logits, expected, atol=2e-5 * np.abs(expected).max())


def check_number_of_parameters(network: str, expected: int, num_classes=400, frames=16, **arguments):
    model = make_model(network, num_classes, **arguments)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, frames, 224, 224, 3)))
    assert sum(math.prod(x.shape) for x in jax.tree.leaves(shapes)) == expected


def check_names(layout: importers.Layout, network: str, arguments: dict, shape: tuple[int, ...]):
    """Ours -> theirs -> ours, by the names of their library, keeps every array."""
    _, variables, _ = drawn(network, arguments, shape)
    name_of = next(name for of in torch_names.NAMES.values() for other, name in of if other is layout)
    flat = {"/".join(key.key for key in path): x for path, x in jax.tree.leaves_with_path(variables)}
    back, _ = importers.translate(torch_names.to_torch(flat, layout, name_of), layout)
    assert back.keys() == flat.keys() and all(np.array_equal(back[path], flat[path]) for path in flat)


def check_blind_to_order(network: str, arguments: dict):
    model, variables, video = drawn(network, arguments, (4, 32, 32))
    apply = jax.jit(model.apply)
    np.testing.assert_allclose(apply(variables, video)[0], apply(variables, video[:, [2, 0, 3, 1]])[0], atol=1e-5)


def check_order_and_mask(network: str, arguments: dict, *, is_the_shorter_clip: bool):
    """Masked frames do not matter, the order of the others does.

    Args:
        arguments: with one step per frame.
        is_the_shorter_clip: whether a padded clip has the logits of the shorter clip. Networks that resize their table
            of positions to the length of the clip do not have this.
    """
    model, variables, video = drawn(network, arguments, (4, 32, 32))
    mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], np.float32)
    changed = video.copy()
    changed[0, 3] = 7
    apply = jax.jit(model.apply)
    logits = apply(variables, video, frame_mask=mask)[0]
    np.testing.assert_allclose(apply(variables, changed, frame_mask=mask)[0], logits, atol=1e-6)
    np.testing.assert_allclose(logits[1], apply(variables, video)[0][1], atol=1e-5)
    if is_the_shorter_clip:
        np.testing.assert_allclose(logits[0], apply(variables, video[:, :3])[0][0], atol=1e-5)
    difference = np.abs(logits - apply(variables, video[:, ::-1], frame_mask=mask[:, ::-1])[0])
    assert difference.max() > 1e-2
