import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import draw_tree, uniform
from vidjax.models import FRAME_NETWORKS, make_model
from vidjax.models.frame_pool import POOLS, FramePool, pool_over_time

FEATURES = uniform("features", (2, 6, 4))
MASK = np.array([[1, 1, 1, 1, 1, 1], [0, 1, 0, 1, 1, 0]])


def make(pool="mean", backbone="resnet18", **arguments):
    return make_model("frame_pool", 5, backbone={"name": backbone, "width": 0.0625}, pool=pool, **arguments)


def drawn(model):
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 2, 32, 32, 3)))
    return {collection: draw_tree(tree) for collection, tree in shapes.items()}


@pytest.mark.parametrize("pool", POOLS)
def test_pool_of_masked_is_that_of_filtered(pool):
    pooled = pool_over_time(FEATURES, pool, MASK)
    assert pooled.shape == (2, 8 if pool == "max_min" else 4)
    for i in range(2):
        filtered = FEATURES[i][MASK[i] == 1]
        kinds = {"mean": filtered.mean(0), "max": filtered.max(0), "min": filtered.min(0)}
        kinds["max_min"] = np.concatenate([kinds["max"], kinds["min"]])
        np.testing.assert_allclose(pooled[i], kinds[pool], atol=1e-6)
    np.testing.assert_allclose(pool_over_time(FEATURES, pool)[0], pooled[0], atol=1e-6)


@pytest.mark.parametrize("pool", POOLS)
def test_a_clip_of_padding_gives_zeros_and_finite_gradients(pool):
    def loss(features):
        return pool_over_time(features, pool, jnp.zeros((2, 6), bool)).sum()

    value, gradient = jax.value_and_grad(loss)(FEATURES)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


def test_order_of_frames_does_not_matter():
    video = uniform("video", (2, 4, 32, 32, 3))
    order = np.array([2, 0, 3, 1])
    variables, mask = drawn(make()), jnp.array([[1, 1, 1, 1], [1, 1, 1, 0]])
    for pool in ("mean", "max"):
        run = jax.jit(make(pool).apply)
        logits, ends = run(variables, video, frame_mask=mask)
        shuffled, _ = run(variables, video[:, order], frame_mask=mask[:, order])
        np.testing.assert_allclose(logits, shuffled, atol=1e-5)
        filtered, _ = run(variables, video[1:, :3], frame_mask=mask[1:, :3])
        np.testing.assert_allclose(logits[1:], filtered, atol=1e-5)
        assert ends["features"].shape == (2, 4, 32)
        assert ends["pooled"].shape == (2, 32)


def test_on_features_it_is_the_classifier_alone():
    model = FramePool(num_classes=5)
    shapes = jax.eval_shape(lambda x: model.init(jax.random.key(0), features=x), FEATURES)
    variables = {collection: draw_tree(tree) for collection, tree in shapes.items()}
    assert set(variables) == {"params"} and set(variables["params"]) == {"classifier"}
    logits, ends = model.apply(variables, features=FEATURES)
    kernel, bias = (variables["params"]["classifier"][name] for name in ("kernel", "bias"))
    np.testing.assert_allclose(logits, FEATURES.mean(1) @ kernel + bias, atol=1e-5)
    assert ends["pooled"].shape == FEATURES[:, 0].shape
    for inputs in ({}, {"video": jnp.zeros((1, 2, 32, 32, 3)), "features": FEATURES}):
        with pytest.raises(ValueError, match="either a video or features"):
            model.init(jax.random.key(0), **inputs)


def test_max_min_doubles_the_classifiers_inputs():
    model = make("max_min")
    variables = drawn(model)
    assert variables["params"]["classifier"]["kernel"].shape == (64, 5)
    logits, ends = jax.eval_shape(model.apply, variables, jnp.zeros((2, 4, 32, 32, 3)))
    assert logits.shape == (2, 5) and ends["pooled"].shape == (2, 64)


@pytest.mark.parametrize("backbone", FRAME_NETWORKS)
def test_every_backbone_runs(backbone):
    width = {} if backbone.startswith(("vit", "clip")) else {"width": 0.0625}
    model, size = make_model("frame_pool", 5, backbone={"name": backbone, **width}), 70 if "14" in backbone else 64
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 2, size, size, 3)))
    logits, ends = jax.eval_shape(model.apply, shapes, jnp.zeros((2, 4, size, size, 3)))
    assert logits.shape == (2, 5)
    assert ends["features"].shape[:2] == (2, 4)


def test_without_classes_the_outputs_are_the_pooled_features():
    model = make_model("frame_pool", 0, backbone={"name": "resnet18", "width": 0.0625}, pool="max_min")
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 2, 32, 32, 3)))
    assert set(shapes["params"]) == {"backbone"}
    outputs, _ = jax.eval_shape(model.apply, shapes, jnp.zeros((2, 4, 32, 32, 3)))
    assert outputs.shape == (2, 64)


def test_unknown_pools_are_refused():
    with pytest.raises(ValueError, match="'median'; choose one of mean, max, min, max_min"):
        FramePool(num_classes=5, pool="median")
    with pytest.raises(ValueError, match="median"):
        pool_over_time(FEATURES, "median")


def test_a_video_needs_a_backbone():
    with pytest.raises(ValueError, match="no backbone for videos: set model.backbone, such as {'name': 'resnet18'}"):
        FramePool(num_classes=5).init(jax.random.key(0), jnp.zeros((1, 2, 32, 32, 3)))
