import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import draw_tree, uniform
from vidjax.models import make_model
from vidjax.models.embedding import unit_length

CONV4 = {"name": "conv4", "width": 0.125, "grey": True}


def drawn(model, video):
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(video))
    return {name: draw_tree(tree) for name, tree in shapes.items()}


def test_frames_are_averaged_then_mapped_to_the_unit_sphere():
    model, video = make_model("embedding", network=CONV4, size=4, normalise=True), uniform("video", (2, 3, 28, 28, 3))
    variables = drawn(model, video.shape)
    found, ends = jax.jit(model.apply)(variables, video, frame_mask=np.array([[1.0, 1, 0], [1, 1, 1]]))
    layer, x = variables["params"]["embedding"], np.asarray(ends["features"])  # (2, 3, 8)
    expected = np.stack([x[0, :2].mean(0), x[1].mean(0)]) @ layer["kernel"] + layer["bias"]
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected, axis=-1, keepdims=True), atol=1e-5)
    np.testing.assert_array_equal(found, ends["embedding"])


@pytest.mark.parametrize(
    "network",
    [
        {"name": "r3d_18", "width": 1 / 16},
        {"name": "frame_rnn", "backbone": CONV4, "hidden": 8},
        {"name": "skip_rnn", "backbone": CONV4, "hidden": 8},
        {"name": "fusion", "width": 0.125},
    ],
    ids=lambda network: network["name"],
)
def test_any_network_gives_one_embedding_per_clip(network):
    for num_classes, width in ((None, 6), (3, 3)):
        model = make_model("embedding", num_classes, network=network, size=6)
        both = lambda video, model=model: model.init_with_output({"params": jax.random.key(0)}, video)[0]  # noqa: E731
        outputs, ends = jax.eval_shape(both, jnp.zeros((2, 17, 64, 64, 3)))
        assert outputs.shape == (2, width) and ends["embedding"].shape == (2, 6)


def test_stored_features():
    model = make_model("embedding", network={"name": "frame_pool"})
    features = uniform("features", (2, 3, 5))
    found, _ = model.apply({}, features=features)
    np.testing.assert_allclose(found, features.mean(1), atol=1e-6)


def test_unit_length_is_finite_at_zero():
    np.testing.assert_allclose(unit_length(jnp.array([3.0, 4.0])), [0.6, 0.8], rtol=1e-6)
    value, gradient = jax.value_and_grad(lambda x: unit_length(x).sum())(jnp.zeros(3))
    assert value == 0 and np.isfinite(gradient).all()
    assert unit_length(jnp.ones(4, jnp.bfloat16)).dtype == jnp.bfloat16


def test_a_network_that_labels_frames_does_not_fit():
    with pytest.raises(ValueError, match="model.network: the network 'ms_tcn' does not fit here; choose one of"):
        make_model("embedding", network={"name": "ms_tcn"})
