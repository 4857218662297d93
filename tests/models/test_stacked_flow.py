import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import draw_tree, uniform
from vidjax.models import make_model
from vidjax.models.stacked_flow import StackedFlow, stack_fields


def test_stacks_are_of_consecutive_fields_u_and_v_by_turns():
    """Field t is u = t, v = 100 + t in the left half and the negative of it in the right half: the mean is zero."""
    half = np.array([1.0, -1.0])[:, None]
    flow = np.stack([half * (t, 100 + t) for t in range(7)])[None, :, None]  # (1, 7, 1, 2, 2)
    stacks = stack_fields(flow, 3)
    assert stacks.shape == (1, 2, 1, 2, 6)  # the seventh field is left over
    assert stacks[0, :, 0, 0].tolist() == [[0, 100, 1, 101, 2, 102], [3, 103, 4, 104, 5, 105]]


def test_what_a_moving_camera_adds_is_taken_out():
    flow = uniform("flow", (2, 4, 8, 8, 2))
    panned = flow + np.array([0.3, -0.1])
    np.testing.assert_allclose(stack_fields(panned, 2), stack_fields(flow, 2), atol=1e-6)
    np.testing.assert_allclose(stack_fields(jnp.full((1, 2, 4, 4, 2), 0.7), 2), 0, atol=1e-6)


def test_the_mean_is_kept_if_wanted():
    flow = uniform("flow", (1, 4, 8, 8, 2))
    stacks = stack_fields(flow, 2, subtract_mean=False)
    np.testing.assert_array_equal(stacks[0, 1], np.concatenate((flow[0, 2], flow[0, 3]), axis=-1))


def test_the_temporal_stream_is_the_papers():
    """Layers of figure 1 and channels of section 3.1; the count is by hand, see test_alexnet."""
    model = make_model("stacked_flow", 101, backbone={"name": "cnn_m_2048", "num_norms": 1})
    video = jnp.zeros((1, 10, 224, 224, 2))
    variables = jax.eval_shape(model.init, jax.random.key(0), video)
    kernels = {name: layer["kernel"].shape for name, layer in variables["params"]["backbone"].items()}
    assert kernels == {
        "conv1": (7, 7, 20, 96),
        "conv2": (5, 5, 96, 256),
        "conv3": (3, 3, 256, 512),
        "conv4": (3, 3, 512, 512),
        "conv5": (3, 3, 512, 512),
        "fc1": (6 * 6 * 512, 4096),
        "fc2": (4096, 2048),
    }
    assert variables["params"]["classifier"]["kernel"].shape == (2048, 101)
    assert sum(x.size for x in jax.tree.leaves(variables)) == 90707781
    logits, ends = jax.eval_shape(lambda v: model.apply(v, video), variables)
    assert logits.shape == (1, 101)
    sizes = {name: ends[name].shape[2:] for name in ("pool1", "pool2", "pool5", "fc1", "features")}
    assert sizes == {
        "pool1": (54, 54, 96),
        "pool2": (13, 13, 256),
        "pool5": (6, 6, 512),
        "fc1": (4096,),
        "features": (2048,),
    }


def test_logits_are_averaged_over_the_stacks_that_count():
    model = make_model("stacked_flow", 5, backbone={"name": "small_cnn", "width": 1 / 8}, num_fields=2)
    flow = jnp.asarray(uniform("flow", (1, 6, 32, 32, 2)))
    variables = draw_tree(jax.eval_shape(model.init, jax.random.key(0), flow))
    alone = [model.apply(variables, flow[:, i : i + 2])[0] for i in (0, 2, 4)]
    np.testing.assert_allclose(model.apply(variables, flow)[0], sum(alone) / 3, atol=1e-5)
    mask = jnp.array([[1, 1, 1, 0, 0, 0]])  # of the third stack nothing is left
    np.testing.assert_allclose(model.apply(variables, flow, frame_mask=mask)[0], (alone[0] + alone[1]) / 2, atol=1e-5)


def test_what_cannot_work_is_told():
    flow = jnp.zeros((1, 9, 32, 32, 2))
    with pytest.raises(ValueError, match="A stack is of 10 fields of optical flow, which 11 frames give; there are 9"):
        stack_fields(flow)
    with pytest.raises(ValueError, match=r"sees optical flow, \(B, T, H, W, 2\), not \(1, 9, 32, 32, 3\)"):
        StackedFlow(num_classes=2).init(jax.random.key(0), jnp.zeros((1, 9, 32, 32, 3)))
