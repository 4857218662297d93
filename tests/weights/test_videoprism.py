"""Layers stacked and one by one, in the layout of google-deepmind/videoprism."""

import jax
import numpy as np
import pytest
from flax import traverse_util

from tests.peers.formula import draw_tree, uniform
from vidjax.export import torch_names
from vidjax.models import make_model
from vidjax.weights import files, importers, videoprism

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
    ((layout, name_of),) = torch_names.NAMES["videoprism"]
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
