import json
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.peers.formula import draw_tree, uniform
from vidjax.models.layers import conv, torch_same
from vidjax.models.resnet import (
    MC318,
    R3D18,
    BasicBlock,
    Bottleneck,
    R2Plus1D18,
    R2Plus1D34,
    ResNet18,
    ResNet34,
    ResNet50,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "peers/resnet.json").read_text())
NETWORKS = {"resnet18": ResNet18, "resnet34": ResNet34, "resnet50": ResNet50}
VIDEO_NETWORKS = {"r3d_18": R3D18, "mc3_18": MC318, "r2plus1d_18": R2Plus1D18}


def shapes_of(model, video=(1, 1, 64, 64, 3)):
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(video))


def drawn(model):
    return {collection: draw_tree(tree) for collection, tree in shapes_of(model).items()}


@pytest.fixture(scope="module")
def small():
    """A narrow ResNet-18, its variables, and (variables, video, frame_mask) -> (outputs, endpoints)."""
    model = ResNet18(num_classes=5, width=0.125)
    run = jax.jit(lambda variables, video, mask=None: model.apply(variables, video, frame_mask=mask))
    return model, drawn(model), run


@pytest.mark.parametrize("name, count", [("resnet18", 11689512), ("resnet34", 21797672), ("resnet50", 25557032)])
def test_parameters_are_as_many_as_torchvision_says(name, count):
    """Counts: `num_params` of the weights at docs.pytorch.org/vision/stable/models.html."""
    params = shapes_of(NETWORKS[name](num_classes=1000))["params"]
    assert sum(x.size for x in jax.tree.leaves(params)) == count


@pytest.mark.parametrize("name, count", [("r3d_18", 33371472), ("mc3_18", 11695440), ("r2plus1d_18", 31505325)])
def test_parameters_of_video_networks_are_as_many_as_torchvision_says(name, count):
    params = shapes_of(VIDEO_NETWORKS[name](num_classes=400))["params"]
    assert sum(x.size for x in jax.tree.leaves(params)) == count


@pytest.mark.parametrize("case", GOLDEN["logits"])
def test_logits_are_torchvisions(case):
    name, size = case.split("/")
    model = {**NETWORKS, **VIDEO_NETWORKS}[name](num_classes=10)
    if name in NETWORKS:
        video = uniform("images", (2, int(size), int(size), 3))[:, None]
    else:
        video = uniform("video", (2, *map(int, size.split("x")), 3))
    logits, _ = jax.jit(model.apply)(drawn(model), video)
    expected = np.array(GOLDEN["logits"][case])
    np.testing.assert_allclose(logits, expected, atol=2e-5 * np.abs(expected).max(), rtol=0)


def test_a_clip_has_the_mean_of_the_logits_of_its_frames(small):
    _, variables, run = small
    video = uniform("video", (2, 3, 40, 32, 3))
    logits, ends = run(variables, video)
    assert logits.shape == (2, 5)
    assert ends["features"].shape == (2, 3, 64)
    assert ends["layer4"].shape == (2, 3, 2, 1, 64)
    frames, _ = run(variables, video.reshape(6, 1, 40, 32, 3))
    np.testing.assert_allclose(logits, frames.reshape(2, 3, 5).mean(1), atol=1e-5)


def test_masked_frames_do_not_count(small):
    _, variables, run = small
    video = uniform("video", (2, 3, 40, 32, 3))
    masked, _ = run(variables, video, jnp.array([[1, 1, 0], [1, 1, 1]]))
    whole, _ = run(variables, video)
    video[0, 2] = video[0, :2].mean(0)  # another third frame
    np.testing.assert_allclose(masked, run(variables, video, jnp.array([[1, 1, 0], [1, 1, 1]]))[0], atol=1e-6)
    np.testing.assert_allclose(masked[1], whole[1], atol=1e-6)
    assert np.abs(masked[0] - whole[0]).max() > 1e-3


def test_without_classes_the_outputs_are_the_features(small):
    _, variables, _ = small
    video = uniform("video", (1, 2, 40, 32, 3))
    for num_classes in (0, None):
        model = ResNet18(num_classes=num_classes, width=0.125)
        assert "fc" not in shapes_of(model)["params"]
    features, ends = jax.eval_shape(model.apply, variables, video)
    assert features.shape == ends["features"].shape == (1, 2, 64)


def test_training_updates_statistics_and_every_parameter_has_a_gradient(small):
    model, variables, _ = small
    params, stats = variables["params"], variables["batch_stats"]
    video = uniform("video", (2, 2, 32, 32, 3))

    @jax.jit
    def gradient(params):
        def loss(params):
            (logits, ends), updates = model.apply(
                {"params": params, "batch_stats": stats}, video, train=True, mutable=["batch_stats"]
            )
            return jax.nn.logsumexp(logits, -1).sum() - logits[:, 0].sum(), (ends, updates["batch_stats"])

        return jax.grad(loss, has_aux=True)(params)

    gradients, (_, updates) = gradient(params)
    norms = jax.tree.map(jnp.linalg.norm, gradients)
    assert all(jnp.isfinite(norm) and norm > 1e-6 for norm in jax.tree.leaves(norms))
    kernel = params["conv1"]["kernel"]
    first = jax.lax.conv_general_dilated(
        video.reshape(4, 32, 32, 3), kernel, (2, 2), [(3, 3), (3, 3)], dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    for name, batch in [("mean", first.mean((0, 1, 2))), ("var", first.var((0, 1, 2)))]:
        np.testing.assert_allclose(updates["bn1"][name], 0.9 * stats["bn1"][name] + 0.1 * batch, atol=1e-5)


@pytest.mark.parametrize("block, last", [(BasicBlock, "bn2"), (Bottleneck, "bn3")])
def test_zero_init_starts_a_block_as_the_identity(block, last):
    norm = partial(nn.BatchNorm, use_running_average=True)
    x = abs(uniform("x", (2, 1, 4, 4, 4 * block.expansion)))
    for zero_init in (False, True):
        model = block(4, 1, partial(conv, padding=torch_same, dims=2), norm, zero_init)
        outputs, variables = jax.jit(model.init_with_output)(jax.random.key(0), x)
        np.testing.assert_array_equal(variables["params"][last]["scale"], 0 if zero_init else 1)
        assert np.array_equal(outputs, x) == zero_init


def test_computes_in_bfloat16_with_float32_parameters():
    model = ResNet50(num_classes=5, width=0.125, dtype=jnp.bfloat16)
    variables, video = shapes_of(model), jnp.zeros((2, 2, 64, 64, 3), jnp.bfloat16)
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    logits, ends = jax.eval_shape(model.apply, variables, video)
    assert logits.dtype == jnp.bfloat16 and ends["features"].dtype == jnp.bfloat16


def test_too_small_frames_are_refused():
    with pytest.raises(ValueError, match="at least 32x32"):
        shapes_of(ResNet18(num_classes=5), (1, 1, 28, 28, 3))


# --- Over space and time ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, steps", [("r3d_18", 3), ("mc3_18", 17), ("r2plus1d_18", 3)])
def test_steps_in_time_of_video_networks(name, steps):
    model = VIDEO_NETWORKS[name](num_classes=None, width=0.125)
    video = jnp.zeros((2, 17, 16, 24, 3))
    features, ends = jax.eval_shape(model.apply, shapes_of(model, video.shape), video)
    assert features.shape == (2, steps, 64)
    assert ends["stem"].shape == (2, 17, 8, 12, 8)


def test_masked_frames_do_not_count_in_3d():
    model = R3D18(num_classes=5, width=0.0625)
    variables, run = drawn(model), jax.jit(model.apply)
    video = uniform("video", (2, 24, 16, 16, 3))
    mask = np.ones((2, 24))
    mask[0, 8:] = 0  # one of three steps counts
    masked = run(variables, video, frame_mask=mask)[0]
    np.testing.assert_allclose(masked[1], run(variables, video)[0][1], atol=1e-5)
    video[0, 8:] = 7
    np.testing.assert_array_equal(run(variables, video, frame_mask=mask)[0], masked)


@pytest.mark.parametrize("network", [R2Plus1D18, R2Plus1D34, R3D18])
def test_causal_networks_do_not_see_the_future(network):
    model = network(num_classes=None, width=0.0625, causal=True)
    variables, run = drawn(model), jax.jit(model.apply)
    video = uniform("video", (1, 32, 16, 16, 3))
    features, _ = run(variables, video)
    assert features.shape[:2] == (1, 4)
    for frame, first in [(0, 0), (8, 1), (9, 2), (16, 2), (24, 3), (25, 4)]:  # step i sees frames up to 8 i
        changed = video.copy()
        changed[:, frame:] += 1
        differs = np.abs(run(variables, changed)[0] - features).max(axis=(0, 2)) > 0
        assert differs.tolist() == [i >= first for i in range(4)], frame


def test_other_channels_than_the_parameters_are_for():
    model = R3D18(num_classes=5, width=0.0625)
    with pytest.raises(ValueError, match="parameters are for 3 channels .* got a video of the shape .1, 8, 16, 16, 2."):
        model.apply(drawn(model), jnp.zeros((1, 8, 16, 16, 2)))
