import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import draw_tree, uniform
from vidjax.export import torch_names
from vidjax.models import make_model
from vidjax.models.clip import CLIPText, unit
from vidjax.weights import importers
from vidjax.weights.table import WEIGHTS

GOLDEN = json.loads((Path(__file__).parents[1] / "peers/clip.json").read_text())
IMAGE = {"dim": 32, "depth": 3, "num_heads": 4, "embedding": 24, "patch": (8, 8), "positions": (4, 4)}
TEXT = {"vocabulary": 60, "length": 12, "dim": 16, "depth": 2, "num_heads": 2, "embedding": 24}  # as in make_clip.py
TOKENS = np.array([[58, 3, 7, 59, 0, 0, 0], [58, 40, 2, 2, 9, 11, 59]])


def drawn(model, given):
    return {"params": draw_tree(jax.eval_shape(model.init, jax.random.key(0), given)["params"])}


def test_embeddings_and_similarities_are_those_of_the_transformers_library():
    video, image, text = uniform("video", (2, 1, 32, 32, 3)), make_model("clip_b32", **IMAGE), CLIPText(**TEXT)
    images, ends = jax.jit(image.apply)(drawn(image, video), video)
    texts, scale = jax.jit(text.apply)(drawn(text, TOKENS), TOKENS)
    np.testing.assert_allclose(images[:, 0], GOLDEN["images"], atol=2e-5)
    np.testing.assert_allclose(texts, GOLDEN["texts"], atol=2e-5)
    similarities = scale * unit(images[:, 0]) @ unit(texts).T
    np.testing.assert_allclose(similarities, GOLDEN["similarities"], atol=2e-5)
    np.testing.assert_array_equal(ends["features"], images)


@pytest.mark.parametrize(
    "weights, expected",
    [("clip_vit_b32", 151_277_313), ("clip_vit_b16", 149_620_737), ("clip_vit_l14", 427_616_513)],
)
def test_number_of_parameters(weights, expected):
    """The published ones, of both towers."""
    entry = WEIGHTS[weights]
    image, text = make_model(**entry.model), CLIPText(**entry.text.sizes)
    shapes = [jax.eval_shape(image.init, jax.random.key(0), jnp.zeros((1, 1, 224, 224, 3)))]
    shapes += [jax.eval_shape(text.init, jax.random.key(0), jnp.zeros((1, 4), int))]
    assert sum(np.prod(x.shape) for x in jax.tree.leaves(shapes)) == expected


@pytest.mark.parametrize("layout", [importers.CLIP_IMAGE, importers.OPEN_CLIP_IMAGE])
def test_names_of_other_libraries(layout):
    """Ours -> theirs -> ours keeps every array, a square projection too."""
    model, video = make_model("clip_b32", **IMAGE | {"dim": 24, "embedding": 24}), uniform("video", (1, 1, 32, 32, 3))
    flat = {"/".join(key.key for key in path): x for path, x in jax.tree.leaves_with_path(drawn(model, video))}
    name_of = next(name for of in torch_names.NAMES.values() for other, name in of if other is layout)
    theirs = torch_names.to_torch(flat, layout, name_of)
    back, _ = importers.translate(theirs, layout)
    assert back.keys() == flat.keys() and all(np.array_equal(back[path], flat[path]) for path in flat)
    kernel = flat["params/projection/kernel"]
    if layout is importers.OPEN_CLIP_IMAGE:
        np.testing.assert_array_equal(theirs["visual.proj"], kernel)  # (in, out), unlike the kernels of its layers
    else:
        np.testing.assert_array_equal(theirs["visual_projection.weight"], kernel.T)


def test_padding_after_the_end_does_not_matter():
    text = CLIPText(**TEXT)
    variables, longer = drawn(text, TOKENS), np.pad(TOKENS, ((0, 0), (0, 3)))
    np.testing.assert_allclose(text.apply(variables, longer)[0], text.apply(variables, TOKENS)[0], atol=1e-6)
    other = TOKENS.copy()
    other[0, 5] = 30  # after the end of the first text
    np.testing.assert_allclose(text.apply(variables, other)[0][0], text.apply(variables, TOKENS)[0][0], atol=1e-6)


def test_logits_are_cosines_of_the_mean_of_the_frames_with_the_classes():
    video, model = uniform("video", (2, 3, 32, 32, 3)), make_model("clip_b32", 5, **IMAGE)
    variables = drawn(model, video)
    logits, ends = model.apply(variables, video)
    mean = unit(unit(ends["features"]).mean(1))
    np.testing.assert_allclose(logits, mean @ variables["params"]["classifier"]["kernel"], atol=1e-5)
    mask = np.array([[1, 1, 0], [1, 1, 1]], np.float32)
    masked = model.apply(variables, video, frame_mask=mask)[0]
    np.testing.assert_allclose(masked[0], model.apply(variables, video[:1, :2])[0][0], atol=1e-5)


def test_attention_over_its_frames():
    model = make_model("attentive_pooler", 5, backbone={"name": "clip_b32", **IMAGE}, num_heads=2)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 3, 32, 32, 3)))["params"]
    assert "backbone" in shapes and "pooler" in shapes
