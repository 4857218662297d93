import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.networks import two_streams
from tests.peers.formula import draw_tree, uniform
from vidjax.models import make_model
from vidjax.models.inception import I3D
from vidjax.models.two_stream import middle_frames, sum_of_streams

SMALL = {"name": "small_cnn", "width": 1 / 8}
NARROW = two_streams(SMALL)


def shapes_of(model, **inputs):
    return jax.eval_shape(lambda batch: model.init(jax.random.key(0), **batch), inputs)


def drawn(model, **inputs):
    return {name: draw_tree(tree) for name, tree in shapes_of(model, **inputs).items()}


def streams(num_frames, num_fields, size=32, batch=1):
    video = uniform("video", (batch, num_frames, size, size, 3))
    flow = uniform("flow", (batch, num_fields, size, size, 2))
    return {"video": jnp.asarray(video), "flow": jnp.asarray(flow)}


# --- What the streams see --------------------------------------------------------------------------------------------


def test_frames_are_those_in_the_middle_of_the_stacks():
    video = np.arange(30)[None, :, None, None, None]
    assert middle_frames(video, 2, 10).ravel().tolist() == [5, 15]
    assert middle_frames(video, 30, 1).ravel().tolist() == list(range(30))


# --- The sum of two streams ------------------------------------------------------------------------------------------


def test_the_joint_logits_are_the_sum_of_those_of_the_two_runs():
    """The parameters of each stream are those of the network that is trained by itself."""
    model, inputs = make_model("two_stream", 5, **NARROW), streams(4, 4)
    variables = drawn(model, **inputs)
    joint, ends = model.apply(variables, **inputs)
    spatial, temporal = ({name: tree[stream] for name, tree in variables.items()} for stream in ("spatial", "temporal"))
    frames = inputs["video"][:, jnp.array([1, 3])]
    one, of_frames = make_model("frame_pool", 5, backbone=SMALL).apply(spatial, frames)
    other, of_flow = make_model("stacked_flow", 5, backbone=SMALL, num_fields=2).apply(temporal, inputs["flow"])
    np.testing.assert_allclose(joint, one + other, atol=1e-5)
    np.testing.assert_allclose(ends["spatial/logits"], one, atol=1e-6)
    both = jnp.concatenate([of_frames["features"], of_flow["features"]], -1)  # (1, 2, 2 D)
    np.testing.assert_allclose(ends["features"], both.mean(1, keepdims=True), atol=1e-6)


def test_two_stream_i3d_is_two_i3d():
    """Of frames and of flow, each with the tree of I3D. Computed flow has a field fewer than there are frames."""
    model = make_model("two_stream", 400, spatial={"name": "i3d"}, temporal={"name": "i3d"})
    inputs = {"video": jnp.zeros((1, 16, 224, 224, 3)), "flow": jnp.zeros((1, 15, 224, 224, 2))}
    variables = shapes_of(model, **inputs)
    for stream, x in zip(("spatial", "temporal"), inputs.values(), strict=True):
        assert {name: tree[stream] for name, tree in variables.items()} == shapes_of(I3D(num_classes=400), video=x)
    logits, ends = jax.eval_shape(lambda v: model.apply(v, **inputs), variables)
    assert logits.shape == ends["spatial/logits"].shape == ends["temporal/logits"].shape == (1, 400)
    assert ends["features"].shape == (1, 1, 2 * 1024)


def test_published_joint_logits_are_the_sum_of_the_two_streams(shared_data):
    """DeepMind's of the cricket clip: the classes that the 20 best of both streams and of the two together share."""

    def logits(name):
        lines = (shared_data / "i3d" / f"imagenet_{name}.txt").read_text().splitlines()
        rows = [line.split(" ", 2) for line in lines[3:] if line]
        return {label: float(logit) for _, logit, label in rows}

    rgb, flow, joint = (logits(name) for name in ("rgb", "flow", "joint"))
    shared = sorted(set(rgb) & set(flow) & set(joint))
    assert len(shared) >= 5 and "playing cricket" in shared
    np.testing.assert_allclose([joint[x] for x in shared], [rgb[x] + flow[x] for x in shared], atol=2e-5)


# --- Joined streams --------------------------------------------------------------------------------------------------


def test_the_joining_convolution_starts_as_the_sum_of_the_streams():
    kernel = sum_of_streams(None, (3, 3, 3, 6, 3))
    assert kernel.sum() == 6 and kernel[1, 1, 1].tolist() == [*np.eye(3).tolist(), *np.eye(3).tolist()]
    model, inputs = make_model("two_stream_3d", 5, **NARROW, layer="pool2"), streams(8, 8)
    variables = drawn(model, **inputs)
    fusion = variables["params"]["fusion"]
    fusion["kernel"], fusion["bias"] = sum_of_streams(None, fusion["kernel"].shape), jnp.zeros(4)
    logits, ends = model.apply(variables, **inputs)
    total = ends["spatial/pool2"] + ends["temporal/pool2"]
    np.testing.assert_allclose(ends["fused"], jnp.maximum(total, 0), atol=1e-5)
    assert logits.shape == (1, 5) and ends["fused"].shape[1] == 4 and ends["features"].shape[:2] == (1, 2)


@pytest.mark.parametrize("name, extra", [("two_stream_3d", {"layer": "pool2"}), ("two_stream_rnn", {"hidden": 8})])
def test_order_matters_and_padding_does_not(name, extra):
    model, inputs = make_model(name, 5, **NARROW, **extra), streams(10, 10)
    variables = drawn(model, **inputs)
    logits, _ = model.apply(variables, **inputs)
    turned = {name: x.reshape(1, 5, 2, *x.shape[2:])[:, ::-1].reshape(x.shape) for name, x in inputs.items()}
    assert np.abs(model.apply(variables, **turned)[0] - logits).max() > 1e-3  # the same stacks in reverse order
    mask = jnp.array([[1] * 6 + [0] * 4])
    padded = model.apply(variables, **inputs, frame_mask=mask)[0]
    other = {name: x.at[:, 6:].set(0.5) for name, x in inputs.items()}
    np.testing.assert_allclose(model.apply(variables, **other, frame_mask=mask)[0], padded, atol=1e-6)
    first = {name: x[:, :6] for name, x in inputs.items()}  # three stacks: the last shares a window with none
    np.testing.assert_allclose(model.apply(variables, **first)[0], padded, atol=1e-5)


def test_without_a_classifier_there_are_features():
    for name, extra in (("two_stream", {}), ("two_stream_3d", {"layer": "pool2"}), ("two_stream_rnn", {})):
        model = make_model(name, 0, **NARROW, **extra)
        inputs = streams(4, 4)
        run = lambda batch, m=model: m.init_with_output(jax.random.key(0), **batch)[0]  # noqa: E731
        outputs, ends = jax.eval_shape(run, inputs)
        assert outputs.shape == ends["last" if name == "two_stream_rnn" else "features"].shape
        assert not any("classifier" in path for path in shapes_of(model, **inputs)["params"])


# --- What cannot work ------------------------------------------------------------------------------------------------


def test_inputs_that_cannot_work():
    flow = jnp.zeros((1, 9, 32, 32, 2))
    with pytest.raises(ValueError, match=r"sees optical flow, \(B, T, H, W, 2\), not \(1, 9, 32, 32, 3\)"):
        frames, r3d = jnp.zeros((1, 9, 32, 32, 3)), {"name": "r3d_18"}
        make_model("two_stream", 2, spatial=r3d, temporal=r3d).init(jax.random.key(0), frames, frames)
    with pytest.raises(ValueError, match="A stack is of 10 fields"):
        model = make_model("two_stream", 2, **two_streams(SMALL, num_fields=10))
        model.init(jax.random.key(0), jnp.zeros((1, 10, 32, 32, 3)), flow)
    with pytest.raises(ValueError, match="no maps 'pool5'; choose model.layer from pool1"):
        make_model("two_stream_3d", 2, **NARROW).init(jax.random.key(0), **streams(4, 4))
    with pytest.raises(ValueError, match="Unknown cell 'gated'"):
        make_model("two_stream_rnn", 2, **NARROW, cell="gated")
