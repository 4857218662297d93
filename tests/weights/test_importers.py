import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers import tf_index
from tests.peers.formula import uniform
from vidjax import models, trees
from vidjax.weights import importers
from vidjax.weights.table import WEIGHTS

NAMES = json.loads((Path(__file__).parents[1] / "peers/names.json").read_text())
NETWORKS = {  # network in NAMES: (arguments of our model, layout)
    "resnet18": ({"name": "resnet18", "num_classes": 1000}, importers.RESNET),
    "resnet34": ({"name": "resnet34", "num_classes": 1000}, importers.RESNET),
    "resnet50": ({"name": "resnet50", "num_classes": 1000}, importers.RESNET),
    "googlenet": ({"name": "googlenet", "num_classes": 1000}, importers.GOOGLENET),
    "vgg16": ({"name": "vgg16", "num_classes": 1000}, importers.VGG16),
    "alexnet": ({"name": "alexnet", "num_classes": 1000}, importers.ALEXNET),
    "r3d_18": ({"name": "r3d_18", "num_classes": 400}, importers.VIDEO_RESNET),
    "mc3_18": ({"name": "mc3_18", "num_classes": 400}, importers.VIDEO_RESNET),
    "r2plus1d_18": ({"name": "r2plus1d_18", "num_classes": 400}, importers.R2PLUS1D),
    "s3d": ({"name": "s3d", "num_classes": 400}, importers.S3D),
    "pytorch_i3d": ({"name": "i3d", "num_classes": 400, "use_scale": True}, importers.PYTORCH_I3D),
    "keras vgg16.h5": ({"name": "vgg16", "num_classes": 1000}, importers.KERAS_VGG16),
    "keras vgg16.weights.h5": ({"name": "vgg16", "num_classes": 1000}, importers.KERAS_VGG16),
}


def check_names(shapes: dict[str, tuple[int, ...]], layout: importers.Layout, model: dict, channels: int = 3):
    """Checks that arrays of a file and variables of a model correspond one to one, with the same shapes."""
    blank = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}  # takes no memory
    arrays, _ = importers.translate(blank, layout)
    assert importers.number_of_classes(arrays) == model["num_classes"]
    video = jnp.zeros((1, 16, 64, 64, channels))
    expected = trees.shapes(dict(jax.eval_shape(models.make_model(**model).init, jax.random.key(0), video)))
    squeezed = {path: tuple(n for n in x.shape if n != 1) for path, x in arrays.items()}
    assert squeezed == {path: tuple(n for n in shape if n != 1) for path, shape in expected.items()}


@pytest.mark.parametrize("name", NAMES)
def test_arrays_of_the_published_networks_fit_the_models(name):
    model, layout = NETWORKS[name]
    check_names(NAMES[name], layout, model)


@pytest.mark.parametrize(
    "file, num_classes, channels", [("rgb_imagenet", 400, 3), ("flow_imagenet", 400, 2), ("rgb_scratch_kin600", 600, 3)]
)
def test_variables_of_deepminds_checkpoints_fit_the_models(shared_data, file, num_classes, channels):
    """The Kinetics-600 checkpoint has BatchNorm arrays of (1, 1, 1, 1, C), and the optimizer's momentum."""
    shapes = tf_index.read(shared_data / f"i3d/{file}.model.ckpt.index")
    check_names(shapes, importers.KINETICS_I3D, {"name": "i3d", "num_classes": num_classes}, channels)


def test_kernels_are_transposed_and_biases_are_not():
    arrays = {"conv1.weight": uniform("x", (8, 3, 7, 5)), "bn1.weight": uniform("y", (8,)), "fc.weight": np.eye(2, 3)}
    ours, names = importers.translate(arrays, importers.RESNET)
    assert ours["params/conv1/kernel"][6, 4, 2, 7] == arrays["conv1.weight"][7, 2, 6, 4]
    np.testing.assert_array_equal(ours["params/bn1/scale"], arrays["bn1.weight"])
    np.testing.assert_array_equal(ours["params/fc/kernel"], np.eye(3, 2))
    assert names["params/bn1/scale"] == "bn1.weight"


@pytest.mark.parametrize("layout, name", [(importers.VGG16, "classifier.0"), (importers.ALEXNET, "classifier.1")])
def test_the_first_fully_connected_layer_sees_rows_columns_channels(layout, name):
    grid = {"classifier.0": 7, "classifier.1": 6}[name]
    maps = uniform("maps", (4, grid, grid))  # (C, H, W)
    weight = uniform("weight", (5, maps.size))
    ours, _ = importers.translate({f"{name}.weight": weight}, layout)
    expected = weight @ maps.reshape(-1)
    np.testing.assert_allclose(maps.transpose(1, 2, 0).reshape(-1) @ ours["params/fc1/kernel"], expected, rtol=1e-4)


def test_the_first_kernel_of_keras_sees_blue_green_red():
    kernel = uniform("kernel", (3, 3, 3, 8))
    arrays = {f"block1_conv{i}/kernel:0": kernel for i in (1, 2)}
    ours, _ = importers.translate(arrays, importers.KERAS_VGG16)
    np.testing.assert_array_equal(ours["params/conv1_1/kernel"], kernel[:, :, [2, 1, 0]])
    np.testing.assert_array_equal(ours["params/conv1_2/kernel"], kernel)


def test_two_arrays_with_the_same_path_are_both_kept():
    arrays, names = importers.translate({"features.0.bias": np.ones(1), "conv1_1.bias": np.zeros(1)}, importers.VGG16)
    assert names == {"params/conv1_1/bias": "features.0.bias", "params/conv1_1.bias": "conv1_1.bias"}


def test_differences_are_listed():
    ours = {"params/a/kernel": np.zeros((1, 1, 2, 3)), "params/b/kernel": np.zeros(3), "params/c/bias": np.ones((1, 4))}
    names = {path: path.upper() for path in ours}
    shapes = {"params/a/kernel": (2, 3), "params/b/kernel": (4,), "params/d/scale": (5,)}
    with pytest.raises(ValueError) as error:
        importers.fit(ours, names, shapes)
    assert str(error.value).split("\n") == [
        "",
        "  not in the file:",
        "    params/d/scale (5,)",
        "  in the file, but not in the model:",
        "    PARAMS/C/BIAS (1, 4)",
        "  of another shape:",
        "    PARAMS/B/KERNEL (3,), but params/b/kernel is (4,)",
    ]
    fitted = importers.fit(ours, names, {"params/a/kernel": (2, 3), "params/b/kernel": (3,), "params/c/bias": (4,)})
    assert {path: fitted["params"][path[0]][path[2:]].shape for path in ("a/kernel", "b/kernel", "c/bias")} == {
        "a/kernel": (2, 3),
        "b/kernel": (3,),
        "c/bias": (4,),
    }


LAYOUTS = list(dict.fromkeys(entry.layout for entry in WEIGHTS.values()))  # in a fixed order for parallel tests


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda x: x.path_of.__name__)
def test_names_of_other_networks_are_left_to_fit(layout):
    """`translate` accepts them, so that `fit` can list them with the missing variables."""
    names = ["", "weight", "a.b.c.weight", "features.5.branch9.0.1.weight", "inception9z.branch1.conv.weight"]
    names += ["features.3.weight", "layer1.weight", "x/y", "stem", "VGG16_0/Conv_99/kernel", "AlexNet_0/x", "aux1.fc"]
    arrays, _ = importers.translate({name: np.zeros(3) for name in names}, layout)
    assert len(arrays) >= len(names) - 1  # googlenet ignores "aux1.fc"
