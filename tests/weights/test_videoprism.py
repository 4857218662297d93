"""Layers stacked and one by one, in the layout of google-deepmind/videoprism."""

import jax
import numpy as np
import pytest
from flax import traverse_util

from tests.lvt_files import GOLDEN, SIZES, VIDEO, small_lvt
from tests.peers.formula import draw_tree, uniform
from vidjax import trees
from vidjax.export import torch_names
from vidjax.models import make_model
from vidjax.models.videoprism_lvt import VideoPrismText
from vidjax.weights import files, importers, videoprism
from vidjax.weights import load as weights

LAYER = "params/spatial_encoder/transformers_stack/x_layers"


def test_a_stack_becomes_layers_shaped_as_ours():
    """Two layers, three inputs, two heads of width two."""
    query, post = uniform("query", (2, 3, 2, 2)), uniform("post", (2, 3, 2, 2))
    arrays = {
        f"{LAYER}/self_attention/query/w": query,
        f"{LAYER}/self_attention/post/w": post,
        f"{LAYER}/layer_norm/scale": np.array([[0, 0.5, -0.5]] * 2, np.float32),
        "params/patch_projection/linear/kernel": np.arange(24.0).reshape(12, 2),
    }
    ours, names = importers.translate(arrays, importers.VIDEOPRISM)
    assert ours["params/block1/attention/query/kernel"][2, 3] == query[1, 2, 1, 1]
    assert ours["params/block0/attention/out/kernel"][3, 2] == post[0, 2, 1, 1]  # (heads * width, outputs)
    assert ours["params/block0/norm1/scale"].tolist() == [1, 1.5, 0.5]
    assert ours["params/patches/kernel"][1, 0, 2].tolist() == [16, 17]  # row 1, column 0, blue: 6 + 2 of 12
    assert names["params/block1/norm1/scale"].endswith("spatial_encoder/transformers_stack/x_layers_1/layer_norm/scale")


@pytest.mark.parametrize("num_classes", [None, 5])
def test_a_file_comes_back(num_classes, tmp_path):
    """Ours -> their stacked arrays in a file -> ours, with and without a classifier."""
    model = make_model("videoprism_b", num_classes, dim=128, depth=3, time_depth=2, num_heads=2, patch=(6, 6))
    shapes = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, 2, 12, 12, 3), np.float32))
    flat = traverse_util.flatten_dict(draw_tree(shapes), sep="/")
    layout, name_of = torch_names.NAMES["videoprism"][0]
    theirs = torch_names.to_torch(flat, layout, name_of)
    root = "params/encoder" if num_classes else "params"
    assert theirs[f"{root}/temporal_encoder/transformers_stack/x_layers/self_attention/key/w"].shape == (2, 128, 2, 64)
    assert theirs[f"{root}/patch_projection/linear/kernel"].shape == (108, 128)
    np.savez(tmp_path / "x.npz", **theirs)
    back, names = importers.translate(files.read(tmp_path / "x.npz"), layout)
    fitted = importers.fit(back, names, {path: x.shape for path, x in flat.items()})
    fitted = traverse_util.flatten_dict(fitted, sep="/")
    for path, x in flat.items():
        np.testing.assert_allclose(fitted[path], x, rtol=0, atol=1e-7 if path.endswith("/scale") else 0)


def test_every_array_of_the_published_video_text_network_has_a_place():
    """Names and shapes of init of the authors' network with the published settings, both ways."""
    published = {name: np.zeros(shape, np.float32) for name, shape in GOLDEN["published"]["arrays"].items()}
    entry = weights.WEIGHTS["videoprism_lvt_b"]
    tower = entry.text.tower(**entry.text.sizes)
    text = jax.eval_shape(tower.init, jax.random.key(0), np.zeros((1, 4), int))
    back, name_of = {}, dict(torch_names.NAMES["videoprism"])
    for layout, shapes in ((entry.layout, weights.shapes_of(entry, 0)), (entry.text.layout, trees.shapes(dict(text)))):
        arrays, names = importers.translate(published, layout)
        fitted = traverse_util.flatten_dict(importers.fit(arrays, names, shapes), sep="/")
        assert trees.shapes(fitted) == shapes
        back |= {name: x.shape for name, x in torch_names.to_torch(fitted, layout, name_of[layout]).items()}
    assert back == {name: x.shape for name, x in published.items()}


def test_both_towers_come_back_from_a_file(tmp_path):
    np.savez(tmp_path / "x.npz", **(theirs := small_lvt()))
    query = "params/contrastive_vision_pooler/pooling_attention/query/w"
    assert theirs[query].shape == (128, 2, 256) and theirs["params/text_encoder/cls_emb"].shape == (1, 1, 128)
    video, text = make_model("videoprism_lvt_b", **VIDEO), VideoPrismText(**SIZES)
    for model, layout, given in (
        (video, importers.LVT_VIDEO, np.zeros((1, 2, 48, 48, 3), np.float32)),
        (text, importers.LVT_TEXT, np.zeros((1, 4), int)),
    ):
        shapes = jax.eval_shape(model.init, jax.random.key(0), given)
        arrays, names = importers.translate(files.read(tmp_path / "x.npz"), layout)
        fitted = importers.fit(arrays, names, trees.shapes(dict(shapes)))
        drawn = {"params": draw_tree(shapes["params"])}
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=1e-7), fitted, drawn)


def test_arrays_of_an_imported_file_are_written_as_they_were_read():
    """Our scales are exactly what the authors' norms multiply by: float32(1 + their scale)."""
    scale = np.linspace(-1.5, 4, 1001, dtype=np.float32)
    ours = videoprism.unpack({"params/spatial_ln/scale": scale})
    again = videoprism.unpack(videoprism.pack(ours))
    np.testing.assert_array_equal(again["spatial_ln/scale"], ours["spatial_ln/scale"])


def test_pickled_objects_in_an_archive_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.array([{}], object))
    with pytest.raises(ValueError, match="x.npz: Object arrays cannot be loaded when allow_pickle=False"):
        files.read(tmp_path / "x.npz")
