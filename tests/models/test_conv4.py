import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import draw_tree, uniform
from vidjax.models import make_model
from vidjax.models.conv4 import Conv4

PEER = json.loads((Path(__file__).parents[1] / "peers" / "embedding_losses.json").read_text())


def shapes_of(model, video):
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(video))


@pytest.mark.parametrize(("grey", "count"), [(True, 111936), (False, 111936 + 2 * 9 * 64)])
def test_as_many_parameters_as_published(grey, count):
    params = shapes_of(Conv4(grey=grey), (1, 1, 28, 28, 3))["params"]
    assert sum(x.size for x in jax.tree.leaves(params)) == count


@pytest.mark.parametrize(("size", "width"), [(28, 64), (84, 1600)])
def test_endpoints(size, width):
    model = Conv4()
    features, ends = jax.eval_shape(
        model.apply, shapes_of(model, (1, 1, size, size, 3)), jnp.zeros((2, 3, size, size, 3))
    )
    assert features.shape == ends["features"].shape == (2, 3, width)
    assert set(ends) == {"pool1", "pool2", "pool3", "pool4", "features"}


def test_features_are_those_of_torch():
    model, frames = Conv4(), uniform("frames", (2, 1, 34, 34)).transpose(0, 2, 3, 1)[:, None]  # (2, 1, 34, 34, 1)
    variables = {name: draw_tree(tree) for name, tree in shapes_of(model, frames.shape).items()}
    found, _ = jax.jit(model.apply)(variables, frames)
    np.testing.assert_allclose(found[:, 0], PEER["conv4"], atol=2e-5)
    grey, _ = jax.jit(Conv4(grey=True).apply)(variables, np.repeat(frames, 3, -1))
    np.testing.assert_allclose(grey, found, atol=1e-5)


def test_a_backbone_on_frames():
    model = make_model("frame_rnn", 5, backbone={"name": "conv4", "width": 0.125}, hidden=16)
    outputs, _ = jax.eval_shape(model.apply, shapes_of(model, (1, 3, 28, 28, 3)), jnp.zeros((2, 3, 28, 28, 3)))
    assert outputs.shape == (2, 5)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="at least 16x16"):
        shapes_of(Conv4(), (1, 1, 15, 28, 3))
    with pytest.raises(ValueError, match="parameters are for 1 channels"):
        jax.eval_shape(Conv4().apply, shapes_of(Conv4(), (1, 1, 28, 28, 1)), jnp.zeros((1, 1, 28, 28, 3)))
