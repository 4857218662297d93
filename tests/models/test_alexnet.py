import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import draw_tree, uniform
from vidjax.models.alexnet import CNNM2048, AlexNet

GOLDEN = json.loads((Path(__file__).parents[1] / "peers/vgg.json").read_text())
NETWORKS = [AlexNet, CNNM2048]


def shapes_of(model, video=(1, 1, 64, 64, 3)):
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(video))


def drawn(model, video=(1, 1, 64, 64, 3)):
    return {collection: draw_tree(tree) for collection, tree in shapes_of(model, video).items()}


def count(model, video=(1, 1, 64, 64, 3)):
    return sum(x.size for x in jax.tree.leaves(shapes_of(model, video)))


def check_logits(model, variables, size, channels, expected):
    images = uniform("images", (2, size, size, channels))[:, None]
    logits, _ = jax.jit(model.apply)(variables, images)
    np.testing.assert_allclose(logits, expected, atol=2e-5 * np.abs(expected).max(), rtol=0)


# --- The published networks ------------------------------------------------------------------------------------------


def test_parameters_of_alexnet_are_as_many_as_torchvision_says():
    """Count: `num_params` of the weights at docs.pytorch.org/vision/stable/models.html."""
    assert count(AlexNet(num_classes=1000)) == 61100840


@pytest.mark.parametrize(("channels", "num_classes"), [(3, 1000), (20, 101)])
def test_parameters_of_cnn_m_2048(channels, num_classes):
    """By hand from table 1 of Chatfield et al.: (inputs of a unit + its bias) * units of each layer."""
    expected = (
        (7 * 7 * channels + 1) * 96
        + (5 * 5 * 96 + 1) * 256
        + (3 * 3 * 256 + 1) * 512
        + (3 * 3 * 512 + 1) * 512
        + (3 * 3 * 512 + 1) * 512
        + (6 * 6 * 512 + 1) * 4096  # 224 -> 109 -> 54 -> 26 -> 13 -> 6
        + (4096 + 1) * 2048
        + (2048 + 1) * num_classes
    )
    assert expected == {3: 92469864, 20: 90707781}[channels]
    assert count(CNNM2048(num_classes=num_classes), (1, 1, 224, 224, channels)) == expected


def test_logits_are_torchvisions():
    """At the published size, which the adaptive average leaves as it is, and at one where it spreads 2x2 over 6x6."""
    model = AlexNet(num_classes=10)
    variables = drawn(model)
    for size in (224, 100):
        check_logits(model, variables, size, 3, np.array(GOLDEN["logits"][f"alexnet/{size}"]))


def test_logits_of_cnn_m_2048_are_torchs():
    model = CNNM2048(num_classes=10, width=1 / 8)
    variables = drawn(model, (1, 1, 64, 64, 20))
    check_logits(model, variables, 101, 20, np.array(GOLDEN["logits"]["cnn_m_2048_eighth/101"]))


def test_endpoints_at_the_published_size():
    names = ["pool1", "pool2", "conv3", "conv4", "pool5", "fc1", "fc2", "features"]
    sizes = {AlexNet: (27, 13, 13, 13, 6), CNNM2048: (54, 13, 13, 13, 6)}
    for network in NETWORKS:
        model = network(num_classes=10)
        _, ends = jax.eval_shape(model.apply, shapes_of(model), jnp.zeros((1, 2, 224, 224, 3)))
        assert set(ends) == set(names)
        assert tuple(ends[name].shape[2] for name in names[:5]) == sizes[network]
        assert ends["fc1"].shape == (1, 2, 4096)
        assert ends["features"].shape == (1, 2, 4096 if network is AlexNet else 2048)


# --- Local response normalisation ------------------------------------------------------------------------------------


def test_the_temporal_stream_lacks_the_second_norm():
    """Activations of a thousand times the size: a norm divides them by more than the constant."""
    video = 1e3 * uniform("video", (1, 1, 64, 64, 3))

    def pools(num_norms):
        model = CNNM2048(num_classes=0, width=1 / 16, num_norms=num_norms)
        _, ends = jax.jit(model.apply)(drawn(model), video)
        return ends["pool1"], ends["pool2"]

    none, temporal, spatial = map(pools, (0, 1, 2))
    assert temporal[0].max() < 0.5 * none[0].max()
    np.testing.assert_array_equal(temporal[0], spatial[0])
    assert np.abs(temporal[1] - spatial[1]).max() > 1e-2


# --- The contract ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", NETWORKS)
def test_a_clip_has_the_mean_of_the_logits_of_its_frames_that_count(network):
    model = network(num_classes=5, width=1 / 16)
    variables, video = drawn(model), uniform("video", (2, 3, 70, 64, 3))
    run = jax.jit(lambda mask: model.apply(variables, video, frame_mask=mask))
    logits, ends = run(np.ones((2, 3)))
    fc3 = variables["params"]["fc3"]
    frames = ends["features"] @ fc3["kernel"] + fc3["bias"]  # (2, 3, 5)
    np.testing.assert_allclose(logits, frames.mean(1), atol=1e-5)
    masked, _ = run(np.array([[1.0, 1, 0], [1, 1, 1]]))
    np.testing.assert_allclose(masked, np.stack([frames[0, :2].mean(0), frames[1].mean(0)]), atol=1e-5)
    assert np.abs(masked[0] - logits[0]).max() > 1e-4


@pytest.mark.parametrize("network", NETWORKS)
def test_without_classes_the_outputs_are_the_features(network):
    for num_classes in (0, None):
        model = network(num_classes=num_classes, width=1 / 16)
        variables = shapes_of(model)
        assert "fc2" in variables["params"] and "fc3" not in variables["params"]
    features, ends = jax.eval_shape(model.apply, variables, jnp.zeros((2, 3, 64, 64, 3)))
    assert features.shape == ends["features"].shape == (2, 3, 256 if network is AlexNet else 128)


@pytest.mark.parametrize("network", NETWORKS)
def test_computes_in_bfloat16_with_float32_parameters(network):
    model = network(num_classes=5, width=1 / 16, dtype=jnp.bfloat16)
    variables, video = shapes_of(model), jnp.zeros((2, 3, 64, 64, 3), jnp.bfloat16)
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    logits, ends = jax.eval_shape(lambda v: model.apply(v, video, frame_mask=jnp.ones((2, 3))), variables)
    assert logits.dtype == jnp.bfloat16 and {x.dtype for x in ends.values()} == {jnp.dtype(jnp.bfloat16)}


@pytest.mark.parametrize("network", NETWORKS)
def test_dropout_draws_and_every_parameter_has_a_gradient(network):
    model = network(num_classes=5, width=1 / 16, dropout=0.5)
    params, video = drawn(model)["params"], uniform("video", (4, 1, 64, 64, 3))

    @jax.jit
    def gradient(key):
        def loss(params):
            logits, _ = model.apply({"params": params}, video, train=True, rngs={"dropout": key})
            return jax.nn.logsumexp(logits, -1).sum() - logits[:, 0].sum(), logits

        return jax.grad(loss, has_aux=True)(params)

    gradients, logits = gradient(jax.random.key(0))
    np.testing.assert_array_equal(logits, gradient(jax.random.key(0))[1])
    assert np.abs(logits - gradient(jax.random.key(1))[1]).max() > 1e-3
    norms = jax.tree.map(jnp.linalg.norm, gradients)
    assert all(jnp.isfinite(norm) and norm > 1e-6 for norm in jax.tree.leaves(norms))


@pytest.mark.parametrize(("network", "least"), [(AlexNet, 63), (CNNM2048, 41)])
def test_bad_input_is_refused(network, least):
    model = network(num_classes=5, width=1 / 16)
    variables = shapes_of(model, (1, 1, least, least, 3))
    _, ends = jax.eval_shape(model.apply, variables, jnp.zeros((1, 1, least, least, 3)))
    assert ends["pool5"].shape[2:4] == (1, 1)
    with pytest.raises(ValueError, match=f"at least {least}x{least}"):
        shapes_of(model, (1, 1, least - 1, least, 3))
    with pytest.raises(ValueError, match="parameters are for 3 channels"):
        jax.eval_shape(model.apply, variables, jnp.zeros((1, 1, 64, 64, 20)))
    with pytest.raises(ValueError, match="batch, time, height, width, channels"):
        shapes_of(model, (1, 64, 64, 3))
