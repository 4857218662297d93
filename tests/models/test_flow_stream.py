import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import draw_tree, uniform
from vidjax import flow
from vidjax.models import flow_stream, make_model

STREAM = {"name": "stacked_flow", "num_fields": 2, "backbone": {"name": "small_cnn", "width": 1 / 8}}
NETWORK = {"name": "flownet_s", "width": 1 / 16}


@pytest.fixture(scope="module")
def model():
    return make_model("flow_stream", 5, network=NETWORK, stream=STREAM)


@pytest.fixture(scope="module")
def video():
    return uniform("flow_stream", (2, 5, 32, 32, 3))


@pytest.fixture(scope="module")
def variables(model, video):
    return {name: draw_tree(x) for name, x in jax.eval_shape(model.init, jax.random.key(0), video).items()}


def test_it_is_the_stream_on_the_flow_of_the_network(model, video, variables):
    logits, ends = model.apply(variables, video)
    of_network, of_stream = (
        {name: x[part] for name, x in variables.items() if part in x} for part in ("network", "stream")
    )
    fields, _ = make_model(**NETWORK).apply(of_network, video)
    np.testing.assert_allclose(ends["flow"], fields, atol=1e-5)
    assert ends["flow"].shape == (2, 4, 32, 32, 2)
    seen = (flow.to_levels(fields) - 127.5) / 127.5  # as a temporal stream sees the flow of records
    expected, _ = make_model(num_classes=5, **STREAM).apply(of_stream, seen)
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    assert flow_stream.LARGEST == flow.LARGEST


def test_the_loss_of_the_classes_trains_the_flow(model, video, variables):
    def loss(params):
        return model.apply({**variables, "params": params}, video)[0].std()

    gradient = jax.grad(loss)(variables["params"])
    assert all(np.abs(x).max() > 0 for x in jax.tree.leaves(gradient["network"]["conv1"]))


def test_a_field_counts_if_both_of_its_frames_do(model, video, variables):
    """Of two stacks of two fields, the second begins with the field from the last valid frame to a masked one."""
    mask = jnp.array([[1, 1, 1, 0, 0]] * 2, bool)
    other = np.where(np.arange(5)[:, None, None, None] > 2, 0.5, video)
    logits, other = (model.apply(variables, x, frame_mask=mask)[0] for x in (video, other))
    np.testing.assert_allclose(logits, other, atol=1e-6)


def test_frames_that_are_too_few_or_not_of_colour(model, variables):
    with pytest.raises(ValueError, match="A stack is of 2 fields of optical flow, which 3 frames give"):
        model.apply(variables, jnp.zeros((1, 2, 32, 32, 3)))
    with pytest.raises(ValueError, match="Optical flow is computed from red, green and blue"):
        model.apply(variables, jnp.zeros((1, 4, 32, 32, 2)))
    with pytest.raises(ValueError, match="model.network: the network .i3d. does not fit here; choose one of raft"):
        make_model("flow_stream", 5, network={"name": "i3d"}, stream=STREAM)
