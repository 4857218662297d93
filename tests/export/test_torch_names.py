import json
from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors.numpy
from flax import traverse_util

from vidjax import models, sharding
from vidjax.export import torch_names
from vidjax.inference import restore
from vidjax.weights import importers

NAMES = json.loads((Path(__file__).parents[1] / "peers/names.json").read_text())
LAYOUTS = {  # of the networks in NAMES
    "resnet18": (importers.RESNET, torch_names.resnet),
    "resnet50": (importers.RESNET, torch_names.resnet),
    "googlenet": (importers.GOOGLENET, torch_names.googlenet),
    "vgg16": torch_names.NAMES["torchvision"][5],
    "alexnet": torch_names.NAMES["torchvision"][6],
    "mc3_18": (importers.VIDEO_RESNET, torch_names.video_resnet),
    "r2plus1d_18": (importers.R2PLUS1D, torch_names.r2plus1d),
    "s3d": (importers.S3D, torch_names.s3d),
    "pytorch_i3d": (importers.PYTORCH_I3D, torch_names.pytorch_i3d),
}


@pytest.mark.parametrize("network", LAYOUTS)
def test_the_names_are_those_of_the_library(network):
    layout, name_of = LAYOUTS[network]
    for name in NAMES[network]:
        if path := layout.path_of(name):
            assert name_of(path) == name


@pytest.mark.parametrize("network", ["resnet18", "googlenet", "vgg16", "mc3_18", "pytorch_i3d"])
def test_arrays_have_the_shapes_of_the_library_and_come_back(network):
    layout, name_of = LAYOUTS[network]
    shapes = {name: shape for name, shape in NAMES[network].items() if layout.path_of(name)}
    rng = np.random.default_rng(0)
    theirs = {name: rng.integers(0, 9, shape).astype(np.float32) for name, shape in shapes.items()}
    ours, _ = importers.translate(theirs, layout)
    if network == "googlenet":  # its classifier is a convolution here
        kernel = "params/Logits/Conv3d_0c_1x1/conv_3d/kernel"
        ours[kernel] = ours[kernel][None, None]
    back = torch_names.to_torch(ours, layout, name_of)
    assert set(back) == set(theirs)
    assert all(np.array_equal(back[name], theirs[name]) for name in theirs)


def network_of(name, labels, **arguments) -> restore.Trained:
    """A network with all parameters 1."""
    model = models.make_model(name, len(labels), **arguments)
    shapes = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, 16, 64, 64, 3), np.float32))
    variables = jax.tree.map(lambda x: np.ones(x.shape, np.float32), dict(shapes))
    params = variables.pop("params")
    spec = {"mean": [127.5] * 3, "std": [127.5] * 3}
    clip = {"num_frames": 16, "size": 64}
    return restore.Trained("ones", model, params, variables, sharding.make_mesh(), labels, spec, clip, {})


def flat(run):
    return traverse_util.flatten_dict({"params": run.params, **run.model_state}, sep="/")


def test_i3d_without_scales_becomes_one_with_scales_of_one(tmp_path):
    run = network_of("i3d", ["a", "b"])
    manifest = torch_names.write(run, flat(run), "pytorch_i3d", tmp_path / "model.safetensors")
    arrays = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    assert manifest["network"] == "i3d" and manifest["arrays"] == len(arrays)
    assert arrays["logits.conv3d.weight"].shape == (2, 1024, 1, 1, 1)
    assert arrays["Mixed_5b.b2b.bn.weight"].tolist() == [1.0] * 128


@pytest.mark.parametrize(
    "name, arguments, library",
    [
        ("r3d_18", {"width": 0.125}, "torchvision"),
        ("r3d_18", {"causal": True}, "torchvision"),  # the same shapes, another function
        ("r3d_18", {}, "pytorch_i3d"),
    ],
)
def test_a_network_that_the_library_lacks(name, arguments, library):
    run = network_of(name, ["a", "b"], **arguments)
    with pytest.raises(ValueError, match=f"{library} has no network with the parameters of ones .*published widths"):
        torch_names.find(run, flat(run), library)
