import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import c3d
from tests.peers.formula import draw_tree, uniform
from vidjax import config as configs
from vidjax import config_checks
from vidjax.models.vgg import C3D, VGG16, VGG16_3D

GOLDEN = json.loads((Path(__file__).parents[1] / "peers/vgg.json").read_text())


def shapes_of(model, video=(1, 16, 32, 32, 3)):
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(video))


def drawn(model):
    return {collection: draw_tree(tree) for collection, tree in shapes_of(model).items()}


def count(model):
    return sum(x.size for x in jax.tree.leaves(shapes_of(model)["params"]))


def check_logits(model, case):
    shape = (2, *map(int, case.split("/")[1].split("x")), 3)
    inputs = uniform("video", shape) if len(shape) == 5 else uniform("images", (2, *shape[1:2] * 2, 3))[:, None]
    logits, _ = jax.jit(model.apply)(drawn(model), inputs)
    expected = np.array(GOLDEN["logits"][case])
    np.testing.assert_allclose(logits, expected, atol=2e-5 * np.abs(expected).max(), rtol=0)


@pytest.fixture(scope="module")
def narrow():
    """The narrow networks by name, their variables, and (variables, video, frame_mask) -> (outputs, endpoints)."""
    models = {"vgg16": VGG16, "vgg16_3d": VGG16_3D, "c3d": C3D}
    models = {name: model(num_classes=5, width=1 / 16) for name, model in models.items()}

    def made(model):
        run = jax.jit(lambda variables, video, mask=None: model.apply(variables, video, frame_mask=mask))
        return drawn(model), run

    return {name: made(model) for name, model in models.items()}


# --- The published networks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("batch_norm", "number"), [(False, 138357544), (True, 138365992)])
def test_parameters_of_vgg16_are_as_many_as_torchvision_says(batch_norm, number):
    """Counts: `num_params` of the weights of vgg16 and vgg16_bn at docs.pytorch.org/vision/stable/models.html."""
    assert count(VGG16(num_classes=1000, batch_norm=batch_norm)) == number


def test_parameters_of_c3d():
    """78.4 million; by hand from figure 3 of the paper, with 101 classes."""
    channels = [3, 64, 128, 256, 256, 512, 512, 512, 512]
    convolutions = sum((27 * a + 1) * b for a, b in zip(channels, channels[1:], strict=False))
    connected = sum((a + 1) * b for a, b in [(4 * 4 * 512, 4096), (4096, 4096), (4096, 101)])
    assert count(C3D(num_classes=101)) == convolutions + connected == 78409573


@pytest.mark.slow
def test_logits_are_torchvisions():
    check_logits(VGG16(num_classes=10), "vgg16/96")


def test_logits_with_batch_norm_are_torchvisions():
    check_logits(VGG16(num_classes=10, width=1 / 8, batch_norm=True), "vgg16_bn_eighth/75")


@pytest.mark.parametrize("case", [case for case in GOLDEN["logits"] if case.startswith("c3d")])
def test_logits_of_c3d_are_torchs(case):
    check_logits(C3D(num_classes=10, width=1 / 8), case)


def test_endpoints_at_the_published_size():
    model = VGG16(num_classes=1000)
    _, ends = jax.eval_shape(model.apply, shapes_of(model), jnp.zeros((1, 3, 224, 224, 3)))
    assert set(ends) == {"pool1", "pool2", "pool3", "pool4", "pool5", "fc1", "fc2", "features"}
    assert ends["pool1"].shape == (1, 3, 112, 112, 64)
    assert ends["pool5"].shape == (1, 3, 7, 7, 512)
    assert ends["fc1"].shape == ends["features"].shape == (1, 3, 4096)
    model = C3D(num_classes=101)
    _, ends = jax.eval_shape(model.apply, shapes_of(model), jnp.zeros((1, 16, 112, 112, 3)))
    shapes = [ends[f"pool{i}"].shape for i in range(1, 6)]
    assert shapes == [
        (1, 16, 56, 56, 64),
        (1, 8, 28, 28, 128),
        (1, 4, 14, 14, 256),
        (1, 2, 7, 7, 512),
        (1, 1, 4, 4, 512),
    ]
    assert ends["features"].shape == (1, 1, 4096)


# --- One definition for images and videos ----------------------------------------------------------------------------


@pytest.mark.parametrize("batch_norm", [False, True])
def test_image_and_video_network_differ_by_one_kernel_axis(batch_norm):
    image = shapes_of(VGG16(num_classes=7, batch_norm=batch_norm))
    video = shapes_of(VGG16_3D(num_classes=7, batch_norm=batch_norm))
    assert jax.tree.structure(image) == jax.tree.structure(video)

    def compare(path, a, b):
        is_kernel = path[1].key.startswith("conv") and path[-1].key == "kernel"
        assert b.shape == ((3, *a.shape) if is_kernel else a.shape), path

    jax.tree_util.tree_map_with_path(compare, image, video)


def test_video_network_with_the_image_networks_kernels_sees_a_still_as_the_image_network_does(narrow):
    """With each 2-D kernel at the centre of the 3-D one and zeros around it, time changes nothing about a still."""
    (variables, run), (_, run_3d) = narrow["vgg16"], narrow["vgg16_3d"]
    image = uniform("image", (2, 1, 40, 32, 3))
    expected, expected_ends = run(variables, image)

    def inflate(x):
        return np.stack([np.zeros_like(x), x, np.zeros_like(x)]) if x.ndim == 4 else x

    logits, ends = run_3d(jax.tree.map(inflate, variables), np.repeat(image, 16, axis=1))
    assert ends["features"].shape == (2, 1, 256)
    np.testing.assert_allclose(ends["pool5"], expected_ends["pool5"], atol=1e-5)
    np.testing.assert_allclose(logits, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "frames", "steps"), [(VGG16_3D, 16, 1), (VGG16_3D, 31, 1), (VGG16_3D, 32, 2), (C3D, 1, 1), (C3D, 17, 2)]
)
def test_steps_in_time(model, frames, steps):
    model = model(num_classes=5, width=1 / 16)
    logits, ends = jax.eval_shape(model.apply, shapes_of(model), jnp.zeros((2, frames, 32, 32, 3)))
    assert logits.shape == (2, 5) and ends["features"].shape == (2, steps, 256)


def test_order_of_frames_matters(narrow):
    variables, run = narrow["c3d"]
    video = uniform("video", (2, 20, 32, 40, 3))
    assert np.abs(run(variables, video)[0] - run(variables, video[:, ::-1])[0]).max() > 1e-2


# --- Masks -----------------------------------------------------------------------------------------------------------


def test_a_clip_has_the_mean_of_the_logits_of_its_frames_that_count(narrow):
    variables, run = narrow["vgg16"]
    video = uniform("video", (2, 3, 40, 32, 3))
    logits, ends = run(variables, video)
    fc3 = variables["params"]["fc3"]
    frames = ends["features"] @ fc3["kernel"] + fc3["bias"]  # (2, 3, 5)
    np.testing.assert_allclose(logits, frames.mean(1), atol=1e-5)
    masked, _ = run(variables, video, np.array([[1, 1, 0], [1, 1, 1]]))
    np.testing.assert_allclose(masked, np.stack([frames[0, :2].mean(0), frames[1].mean(0)]), atol=1e-5)
    assert np.abs(masked[0] - logits[0]).max() > 1e-4


@pytest.mark.parametrize(("name", "frames"), [("c3d", 20), ("vgg16_3d", 36)])
def test_masked_frames_do_not_count(narrow, name, frames):
    variables, run = narrow[name]
    video = uniform("video", (2, frames, 32, 40, 3))
    mask = np.ones((2, frames), bool)
    logits, ends = run(variables, video, mask)
    np.testing.assert_allclose(logits, run(variables, video)[0], atol=1e-5)
    assert ends["features"].shape[1] == 2
    mask[1, 15:] = False  # leaves the first step
    logits, ends = run(variables, video, mask)
    fc3 = variables["params"]["fc3"]
    steps = ends["features"] @ fc3["kernel"] + fc3["bias"]  # (2, 2, 5)
    np.testing.assert_allclose(logits, np.stack([steps[0].mean(0), steps[1, 0]]), atol=1e-5)
    video[1, 15:] += 1
    np.testing.assert_allclose(logits, run(variables, video, mask)[0], atol=1e-6)


# --- The contract ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [VGG16, C3D])
def test_without_classes_the_outputs_are_the_features(model):
    for num_classes in (0, None):
        headless = model(num_classes=num_classes, width=1 / 16)
        variables = shapes_of(headless)
        assert "fc2" in variables["params"] and "fc3" not in variables["params"]
    features, ends = jax.eval_shape(headless.apply, variables, jnp.zeros((2, 1, 32, 40, 3)))
    assert features.shape == ends["features"].shape == ends["fc2"].shape == (2, 1, 256)


@pytest.mark.parametrize("model", [VGG16, VGG16_3D, C3D])
def test_computes_in_bfloat16_with_float32_parameters(model):
    model = model(num_classes=5, width=1 / 16, batch_norm=True, dtype=jnp.bfloat16)
    variables, video = shapes_of(model), jnp.zeros((2, 16, 32, 32, 3), jnp.bfloat16)
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    logits, ends = jax.eval_shape(lambda v: model.apply(v, video, frame_mask=jnp.ones((2, 16))), variables)
    assert logits.dtype == jnp.bfloat16 and {x.dtype for x in ends.values()} == {jnp.dtype(jnp.bfloat16)}


def test_training_updates_the_statistics_dropout_draws_and_every_parameter_has_a_gradient():
    model = C3D(num_classes=5, width=1 / 16, batch_norm=True)
    variables, video = drawn(model), uniform("video", (2, 4, 32, 32, 3))
    params, stats = variables["params"], variables["batch_stats"]

    @jax.jit
    def gradient(key):
        def loss(params):
            (logits, _), updates = model.apply(
                {"params": params, "batch_stats": stats},
                video,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": key},
            )
            return jax.nn.logsumexp(logits, -1).sum() - logits[:, 0].sum(), (logits, updates["batch_stats"])

        return jax.grad(loss, has_aux=True)(params)

    gradients, (logits, updates) = gradient(jax.random.key(0))
    np.testing.assert_array_equal(logits, gradient(jax.random.key(0))[1][0])
    assert np.abs(logits - gradient(jax.random.key(1))[1][0]).max() > 1e-3
    changed = jax.tree.map(lambda a, b: np.abs(a - b).max() > 1e-6, stats, updates)
    assert all(jax.tree.leaves(changed))
    for path, x in jax.tree_util.tree_leaves_with_path(gradients):
        before_norm = path[0].key.startswith("conv") and path[1].key == "bias"  # BatchNorm takes such a bias away
        assert jnp.isfinite(jnp.linalg.norm(x)) and (before_norm or jnp.linalg.norm(x) > 1e-6), path


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="at least 32x32"):
        shapes_of(VGG16(num_classes=5), (1, 1, 31, 32, 3))
    with pytest.raises(ValueError, match="needs at least 16 frames"):
        shapes_of(VGG16_3D(num_classes=5), (1, 15, 32, 32, 3))
    with pytest.raises(ValueError, match="a video of the shape"):
        shapes_of(C3D(num_classes=5), (1, 0, 32, 32, 3))
    model = C3D(num_classes=5, width=1 / 16)
    with pytest.raises(ValueError, match="parameters are for 3 channels"):
        jax.eval_shape(model.apply, shapes_of(model), jnp.zeros((1, 16, 32, 32, 2)))


# --- Its config ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("argument", ["", "size=full"])
def test_the_config_of_c3d(argument):
    config = c3d.get_config(argument)
    config_checks.check(config)
    model = configs.model_from(config, 8)
    shape = (1, config.clip.num_frames, config.clip.size, config.clip.size, 3)
    logits, _ = jax.eval_shape(model.apply, shapes_of(model), jnp.zeros(shape))
    assert logits.shape == (1, 8)
