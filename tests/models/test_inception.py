import json
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from tests.peers import tf_index
from tests.peers.formula import draw_tree, uniform
from vidjax.models.inception import I3D, S3D, GoogLeNet, InceptionV1

GOLDEN = json.loads((Path(__file__).parents[1] / "peers/i3d.json").read_text())
ENDPOINTS = """Conv3d_1a_7x7 MaxPool3d_2a_3x3 Conv3d_2b_1x1 Conv3d_2c_3x3 MaxPool3d_3a_3x3 Mixed_3b Mixed_3c
    MaxPool3d_4a_3x3 Mixed_4b Mixed_4c Mixed_4d Mixed_4e Mixed_4f MaxPool3d_5a_2x2 Mixed_5b Mixed_5c Logits""".split()


@cache
def shapes_of(model, video=(1, 8, 32, 32, 3)):
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(video))


def drawn(model):
    return {collection: draw_tree(tree) for collection, tree in shapes_of(model).items()}


@pytest.fixture(scope="module")
def small():
    """A narrow I3D's variables, and (variables, video, frame_mask) -> (outputs, endpoints)."""
    model = I3D(num_classes=5, width=0.125)
    run = jax.jit(lambda variables, video, mask=None: model.apply(variables, video, frame_mask=mask))
    return drawn(model), run


@pytest.fixture(scope="module")
def full():
    """The published I3D with drawn parameters and 10 classes."""
    model = I3D(num_classes=10)
    return drawn(model), jax.jit(model.apply)


# --- DeepMind's checkpoints ------------------------------------------------------------------------------------------


def tensorflow_names(variables) -> dict[str, tuple[int, ...]]:
    kinds = {"kernel": "w", "bias": "b", "mean": "moving_mean", "var": "moving_variance"}
    names = {}
    for collection in ("params", "batch_stats"):
        for (*path, kind), leaf in traverse_util.flatten_dict(variables[collection]).items():
            kind = "beta" if (path[-1], kind) == ("batch_norm", "bias") else kinds[kind]
            names["/".join([*path, kind])] = leaf.shape
    return names


@pytest.mark.parametrize("stream, channels", [("rgb", 3), ("flow", 2)])
def test_names_and_shapes_are_those_of_deepminds_checkpoint(shared_data, stream, channels):
    variables = tf_index.read(shared_data / f"i3d/{stream}_imagenet.model.ckpt.index")
    prefix = f"{stream.upper() if stream == 'rgb' else 'Flow'}/inception_i3d/"
    expected = {name.removeprefix(prefix): shape for name, shape in variables.items()}
    shapes = shapes_of(I3D(num_classes=400), (1, 8, 32, 32, channels))
    assert tensorflow_names(shapes) == expected
    trained = [np.prod(shape) for name, shape in expected.items() if "/moving_" not in name]
    assert sum(x.size for x in jax.tree.leaves(shapes["params"])) == sum(trained)


def test_names_and_shapes_are_those_of_the_checkpoint_for_kinetics_600(shared_data):
    """Its BatchNorm variables are (1, 1, 1, 1, C), and the optimizer's momentum is in it."""
    variables = tf_index.read(shared_data / "i3d/rgb_scratch_kin600.model.ckpt.index")
    variables = {name: shape for name, shape in variables.items() if "Momentum" not in name}
    ours = tensorflow_names(shapes_of(I3D(num_classes=600)))
    squeezed = {name: shape[-1:] if "batch_norm" in name else shape for name, shape in variables.items()}
    assert {name: shape for name, shape in squeezed.items() if name in ours} == ours
    assert all(len(shape) == 0 for name, shape in squeezed.items() if name not in ours)


def test_parameters_are_as_many_as_published():
    """12.69 M trained parameters with 400 classes: summed over the index of the published checkpoints (test above)."""
    for channels, count in [(3, 12689984), (2, 12668032)]:
        params = shapes_of(I3D(num_classes=400), (1, 8, 32, 32, channels))["params"]
        assert sum(x.size for x in jax.tree.leaves(params)) == count


# --- pytorch-i3d -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", GOLDEN["features"])
def test_features_are_pytorch_i3ds(full, case):
    variables, run = full
    clip = uniform("clip", (1, *map(int, case.split("x")), 3))
    _, ends = run(variables, clip)
    expected = np.array(GOLDEN["features"][case])  # (T', 64): every 16th channel
    features = ends["features"][0, :, ::16]
    assert features.shape == expected.shape
    np.testing.assert_allclose(features, expected, atol=2e-5 * expected.max(), rtol=0)


@pytest.mark.parametrize("case", GOLDEN["logits"])
def test_logits_are_pytorch_i3ds(full, case):
    variables, run = full
    logits, _ = run(variables, uniform("clip", (1, *map(int, case.split("x")), 3)))
    expected = np.array(GOLDEN["logits"][case])
    np.testing.assert_allclose(logits, expected, atol=2e-5 * np.abs(expected).max(), rtol=0)


# --- One definition for images and videos ----------------------------------------------------------------------------


def test_image_and_video_network_differ_by_one_kernel_axis():
    image = shapes_of(InceptionV1(num_classes=7, width=0.25))
    video = shapes_of(I3D(num_classes=7, width=0.25))
    assert jax.tree.structure(image) == jax.tree.structure(video)

    def compare(path, a, b):
        is_kernel = path[-1].key == "kernel"
        assert a.shape == (b.shape[1:] if is_kernel else b.shape), path
        assert not is_kernel or b.shape[0] == b.shape[1], path

    jax.tree_util.tree_map_with_path(compare, image, video)


def test_video_network_with_the_image_networks_kernels_sees_a_still_as_the_image_network_does(small):
    """With each 2-D kernel at the centre of the 3-D one and zeros around it, time changes nothing about a still."""
    _, run = small
    model = InceptionV1(num_classes=5, width=0.125)
    image_variables = drawn(model)

    def inflate(path, x):
        if path[-1].key != "kernel":
            return x
        kernel = np.zeros((x.shape[0], *x.shape), x.dtype)
        kernel[x.shape[0] // 2] = x
        return kernel

    image = uniform("image", (2, 1, 32, 32, 3))
    expected, expected_ends = jax.jit(model.apply)(image_variables, image)
    still = np.repeat(image, 32, axis=1)
    logits, ends = run(jax.tree_util.tree_map_with_path(inflate, image_variables), still)
    np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())
    for step in range(3):
        np.testing.assert_allclose(ends["features"][:, step], expected_ends["features"][:, 0], atol=1e-4)


def test_image_network_sees_each_frame_by_itself():
    model = InceptionV1(num_classes=5, width=0.125)
    variables, video = drawn(model), uniform("video", (2, 3, 32, 32, 3))
    run = jax.jit(lambda video, mask: model.apply(variables, video, frame_mask=mask))
    logits, ends = run(video, jnp.ones((2, 3)))
    assert ends["features"].shape == (2, 3, 128)
    frames = [run(video, jnp.zeros((2, 3)).at[:, t].set(1))[0] for t in range(3)]
    np.testing.assert_allclose(logits, np.mean(frames, 0), atol=1e-5)
    other = run(np.stack([video[:, 2], video[:, 1], video[:, 0]], 1), jnp.zeros((2, 3)).at[:, 0].set(1))[0]
    np.testing.assert_allclose(other, frames[2], atol=1e-5)


# --- Behaviour -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [I3D, InceptionV1])
def test_endpoints_have_the_names_of_kinetics_i3d(model):
    model = model(num_classes=400)
    video = jnp.zeros((2, 32, 224, 224, 3))
    _, ends = jax.eval_shape(model.apply, shapes_of(model), video)
    assert set(ends) == {*ENDPOINTS, "features"}
    if model.dims == 3:
        assert ends["Conv3d_1a_7x7"].shape == (2, 16, 112, 112, 64)
        assert ends["Mixed_3c"].shape == (2, 16, 28, 28, 480)
        assert ends["Mixed_4f"].shape == (2, 8, 14, 14, 832)
        assert ends["Mixed_5c"].shape == (2, 4, 7, 7, 1024)
        assert ends["features"].shape == (2, 3, 1024)
    else:
        assert ends["Mixed_5c"].shape == (2, 32, 7, 7, 1024)
        assert ends["features"].shape == (2, 32, 1024)
    assert ends["Logits"].shape == (2, 400)


@pytest.mark.parametrize("frames, steps", [(1, 1), (8, 1), (9, 1), (16, 1), (17, 2), (64, 7)])
def test_steps_in_time(frames, steps):
    model = I3D(num_classes=0, width=0.125)
    features, _ = jax.eval_shape(model.apply, shapes_of(model), jnp.zeros((2, frames, 32, 32, 3)))
    assert features.shape == (2, steps, 128)


def test_order_of_frames_matters(small):
    variables, run = small
    video = uniform("video", (2, 32, 32, 32, 3))
    logits, ends = run(variables, video)
    assert logits.shape == (2, 5) and ends["features"].shape == (2, 3, 128)
    assert np.abs(logits - run(variables, video[:, ::-1])[0]).max() > 1e-2


def test_masked_frames_do_not_count(small):
    variables, run = small
    video = uniform("video", (2, 32, 32, 32, 3))
    mask = np.ones((2, 32), bool)
    np.testing.assert_allclose(run(variables, video, mask)[0], run(variables, video)[0], atol=1e-5)
    mask[1, 16:] = False  # leaves the first two of the windows of two steps of 8 frames
    logits, ends = run(variables, video, mask)
    other = video.copy()
    other[1, 16:] += 1
    np.testing.assert_allclose(logits, run(variables, other, mask)[0], atol=1e-6)
    head = variables["params"]["Logits"]["Conv3d_0c_1x1"]["conv_3d"]
    steps = ends["features"] @ head["kernel"][0, 0, 0] + head["bias"]  # (2, 3, 5)
    np.testing.assert_allclose(logits[0], steps[0].mean(0), atol=1e-5)
    np.testing.assert_allclose(logits[1], steps[1, :2].mean(0), atol=1e-5)


def test_training_updates_the_statistics_and_dropout_draws():
    model = I3D(num_classes=5, width=0.0625, dropout=0.5, batch_norm_momentum=0.75)
    variables, video = drawn(model), uniform("video", (2, 8, 32, 32, 3))
    run = jax.jit(lambda key: model.apply(variables, video, train=True, mutable=["batch_stats"], rngs={"dropout": key}))
    (logits, ends), updates = run(jax.random.key(0))
    np.testing.assert_array_equal(logits, run(jax.random.key(0))[0][0])
    assert np.abs(logits - run(jax.random.key(1))[0][0]).max() > 1e-3
    kernel = variables["params"]["Conv3d_1a_7x7"]["conv_3d"]["kernel"]
    first = jax.lax.conv_general_dilated(
        video, kernel, (2, 2, 2), "SAME", dimension_numbers=("NDHWC", "DHWIO", "NDHWC")
    )
    old = variables["batch_stats"]["Conv3d_1a_7x7"]["batch_norm"]
    new = updates["batch_stats"]["Conv3d_1a_7x7"]["batch_norm"]
    for name, batch in [("mean", first.mean((0, 1, 2, 3))), ("var", first.var((0, 1, 2, 3)))]:
        np.testing.assert_allclose(new[name], 0.75 * old[name] + 0.25 * batch, atol=1e-5)
    changed = jax.tree.map(lambda a, b: np.abs(a - b).max() > 1e-6, variables["batch_stats"], updates["batch_stats"])
    assert all(jax.tree.leaves(changed))


@pytest.mark.slow
def test_every_parameter_has_a_gradient():
    model = I3D(num_classes=5, width=0.125)
    variables, video = drawn(model), uniform("video", (2, 16, 64, 64, 3))

    @jax.jit
    def gradient(params):
        def loss(params):
            (logits, _), _ = model.apply({**variables, "params": params}, video, train=True, mutable=["batch_stats"])
            return jax.nn.logsumexp(logits, -1).sum() - logits[:, 0].sum()

        return jax.grad(loss)(params)

    norms = jax.tree.map(jnp.linalg.norm, gradient(variables["params"]))
    assert all(jnp.isfinite(norm) and norm > 1e-3 for norm in jax.tree.leaves(norms))


def test_bad_input_is_refused():
    model = I3D(num_classes=5)
    with pytest.raises(ValueError, match="at least 32x32"):
        shapes_of(model, (1, 16, 24, 32, 3))
    with pytest.raises(ValueError, match="batch, time, height, width, channels"):
        shapes_of(model, (16, 64, 64, 3))


# --- torchvision's ----------------------------------------------------------------------------------------------------

TORCHVISION = json.loads((Path(__file__).parents[1] / "peers/inception.json").read_text())["logits"]


@pytest.mark.parametrize("model, count", [(GoogLeNet(num_classes=1000), 6624904), (S3D(num_classes=400), 8320048)])
def test_parameters_are_as_many_as_torchvision_says(model, count):
    """Counts: `num_params` of the weights at docs.pytorch.org/vision/stable/models.html, without auxiliary heads."""
    assert sum(x.size for x in jax.tree.leaves(shapes_of(model)["params"])) == count


@pytest.mark.parametrize("case", TORCHVISION)
def test_logits_are_torchvisions(case):
    name, size = case.split("/")
    if name == "googlenet":
        model, video = GoogLeNet(num_classes=10), uniform("images", (2, int(size), int(size), 3))[:, None]
    else:
        model, video = S3D(num_classes=10), uniform("video", (1, *map(int, size.split("x")), 3))
    logits, _ = jax.jit(model.apply)(drawn(model), video)
    expected = np.array(TORCHVISION[case])
    np.testing.assert_allclose(logits, expected, atol=2e-5 * np.abs(expected).max(), rtol=0)


def test_the_least_number_of_frames_of_s3d():
    model = S3D(num_classes=5, width=0.0625)
    assert jax.eval_shape(model.apply, shapes_of(model), jnp.zeros((1, 5, 32, 32, 3)))[0].shape == (1, 5)
    with pytest.raises(ValueError, match="needs at least 5 frames"):
        shapes_of(model, (1, 4, 32, 32, 3))
    with pytest.raises(ValueError, match="parameters are for 3 channels"):
        model.apply(drawn(model), jnp.zeros((1, 8, 32, 32, 2)))
