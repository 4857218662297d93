import jax
import numpy as np
import pytest

from tests import networks
from vidjax import models, step
from vidjax.inference import gradcam

SPEC = {"mean": [127.5] * 3, "std": [127.5] * 3}


def network(name, size=32, **arguments):
    """A model of 3 classes, its variables, and a clip of 4 frames."""
    model = models.make_model(name, 3, **arguments)
    batch = {"video": np.random.default_rng(0).integers(0, 256, (1, 4, size, size, 3), np.uint8)}
    params, state = jax.jit(lambda: step.init_variables(0, batch, model=model, spec=SPEC))()
    return model, params, state, batch


def layers_of(model, batch):
    """The layers, from shapes alone: nothing is compiled."""
    variables = jax.eval_shape(lambda: step.init_variables(0, batch, model=model, spec=SPEC))
    return gradcam.find_layers(
        lambda *arguments: step.apply_model(*arguments, model=model, spec=SPEC), *variables, batch
    )


def test_of_a_linear_classifier_of_mean_maps_it_is_the_class_activation_map():
    """Selvaraju et al., section 3.1: there, Grad-CAM is CAM, the maps weighted by the classifier's kernel."""
    arguments = {"backbone": {"name": "resnet18", "width": 1 / 16}}
    model, params, state, batch = network("frame_pool", size=128, **arguments)  # layer4 is 4x4
    _, ends = step.apply_model(params, state, batch, model=model, spec=SPEC)
    grad_cam = gradcam.make_grad_cam(params, state, batch, model=model, spec=SPEC)
    for label, kernel in enumerate(params["classifier"]["kernel"].T):
        heat, is_used = grad_cam.heat_of(batch, label)[""]
        assert is_used.all()
        expected = np.maximum(np.asarray(ends["layer4"] @ kernel)[0], 0)
        expected = np.asarray(jax.image.resize(expected, (4, 128, 128), "linear"))
        np.testing.assert_allclose(heat, expected / max(expected.max(), 1e-9), atol=1e-5)

    params["classifier"]["kernel"] = -np.ones_like(params["classifier"]["kernel"])
    grad_cam = gradcam.make_grad_cam(params, state, batch, model=model, spec=SPEC)
    assert grad_cam.layers == {"": "backbone/layer4_1"} and not grad_cam.heat_of(batch, 0)[""].level.any()


@pytest.mark.parametrize(
    ("name", "arguments", "layer"),
    [
        ("inception_v1", {"width": 1 / 16}, "Mixed_3c"),  # 4x4; later maps are 2x2 and 1x1
        ("r2plus1d_18", {"width": 1 / 16}, "layer3_1"),
        ("conv_lstm", {"channels": (4, 6), "patch_size": 2}, "conv_lstm_1"),  # not its gates
        ("clip_rnn", {"network": {"name": "c3d", "width": 1 / 16}, "clip_frames": 2}, "network/conv4_2"),
        ("frame_rnn", {"backbone": {"name": "resnet18", "width": 1 / 16}}, "backbone/layer2_1"),
    ],
)
def test_the_last_layer_with_room(name, arguments, layer):
    model, batch = models.make_model(name, 3, **arguments), {"video": np.zeros((1, 4, 32, 32, 3), np.uint8)}
    found = layers_of(model, batch)
    assert found[""].path == layer and list(found) == [""]
    assert layers_of(model, batch) == found  # again


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("conv_lstm", {"channels": (4, 6), "patch_size": 2}),
        ("clip_rnn", {"network": {"name": "c3d", "width": 1 / 16}, "clip_frames": 2}),
    ],
)
def test_heat_is_of_the_size_of_the_clip(name, arguments):
    model, params, state, batch = network(name, **arguments)
    grad_cam = gradcam.make_grad_cam(params, state, batch, model=model, spec=SPEC)
    heat = grad_cam.heat_of(batch, 1)[""].level
    assert heat.shape == (4, 32, 32) and heat.min() >= 0
    assert heat.max() == pytest.approx(1) or not heat.any()  # all 0 if nothing speaks for the class


def test_frames_that_are_not_used_get_no_heat():
    """Late fusion sees the first and the last frame, but the maps of these two reach over all frames between."""
    model, params, state, batch = network("fusion", fusion="late", width=1 / 16)
    heat, is_used = gradcam.make_grad_cam(params, state, batch, model=model, spec=SPEC).heat_of(batch, 1)[""]
    assert is_used.tolist() == [True, False, False, True]
    assert heat[[0, 3]].max() == pytest.approx(1) and not heat[1:3].any()


def two_streams(name, size=64, num_fields=2, **arguments):
    """A model of 3 classes, and a clip of 4 frames in 2 stacks of 2 fields."""
    streams = networks.two_streams({"name": "resnet18", "width": 1 / 16}, num_fields)
    model = models.make_model(name, 3, **streams, **arguments)
    draw = np.random.default_rng(0).integers
    batch = {x: draw(0, 256, (1, 4, size, size, c), np.uint8) for x, c in (("video", 3), ("flow", 2))}
    return model, batch


def test_both_streams_with_the_frames_that_each_of_them_sees():
    """Stacks of 2 fields, and the frames in their middle: the second and the fourth of four."""
    model, batch = two_streams("two_stream")
    params, state = jax.jit(lambda: step.init_variables(0, batch, model=model, spec=SPEC))()
    grad_cam = gradcam.make_grad_cam(params, state, batch, model=model, spec=SPEC)
    assert grad_cam.layers == {"spatial": "spatial/backbone/layer3_1", "temporal": "temporal/backbone/layer3_1"}
    heat = grad_cam.heat_of(batch, 0)
    assert heat["spatial"].is_used.tolist() == [False, True, False, True] and heat["temporal"].is_used.all()
    assert not heat["spatial"].level[[0, 2]].any()
    for of_stream in heat.values():
        assert of_stream.level.shape == (4, 64, 64) and of_stream.level.max() == pytest.approx(1)


def test_a_layer_that_joins_both_streams_is_the_only_one():
    found = layers_of(*two_streams("two_stream_3d", layer="layer2"))
    assert found == {"": ("fusion", (1, 2, 8, 8))}  # by a convolution


def test_a_network_without_maps():
    model = models.make_model("frame_pool", 3)
    batch = {"features": np.ones((1, 4, 5), np.float32)}
    params, state = step.init_variables(0, batch, model=model, spec=SPEC)
    assert gradcam.make_grad_cam(params, state, batch, model=model, spec=SPEC) is None


# --- Transformers -----------------------------------------------------------------------------------------------------

TOKENS = {"dim": 8, "depth": 2, "num_heads": 2}


@pytest.mark.parametrize(
    ("name", "arguments", "shape"),
    [
        ("videomae_b", {**TOKENS, "patch": (2, 8, 8)}, (1, 2, 4, 4)),
        ("timesformer", {**TOKENS, "patch": (8, 8), "positions": (4, 4, 4)}, (1, 4, 4, 4)),
        ("frame_pool", {"backbone": {"name": "vit_b", **TOKENS, "patch": (8, 8), "positions": (4, 4)}}, (1, 4, 4, 4)),
    ],
)
def test_the_tokens_of_a_transformer_are_maps(name, arguments, shape):
    model, batch = models.make_model(name, 3, **arguments), {"video": np.zeros((1, 4, 32, 32, 3), np.uint8)}
    (layer,) = layers_of(model, batch).values()
    assert layer.path.endswith("block1/norm1") and layer.shape == shape


def test_tokens_as_maps():
    """Of two frames of 2x2 tokens, with class tokens (-1)."""
    expected, shape = np.arange(8.0).reshape(1, 2, 2, 2, 1), (1, 2, 2, 2)
    tokens, frames = expected.reshape(1, 8, 1), expected.reshape(2, 4, 1)
    with_class = [np.pad(x, ((0, 0), (1, 0), (0, 0)), constant_values=-1) for x in (tokens, frames)]
    for given in (tokens, frames, *with_class, with_class[1][None]):
        np.testing.assert_array_equal(gradcam.maps_of_tokens(given, shape), expected)
    assert gradcam.maps_of_tokens(tokens[:, :6], shape) is None
