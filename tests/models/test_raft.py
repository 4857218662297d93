import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import flow_networks
from vidjax.models import make_model
from vidjax.models.raft import convex_upsampled
from vidjax.weights import importers

GENTLE = pytest.param("raft_large, gentle", marks=pytest.mark.slow), "raft_small, gentle"


@pytest.mark.parametrize("case", ["raft_large", pytest.param("raft_small", marks=pytest.mark.slow), *GENTLE])
def test_flow_is_torchvisions_at_the_first_and_the_twelfth_iteration(case):
    """In frames of 136x170, 90x150 and 133x160, none of them a multiple of 8."""
    flow = flow_networks.check_flows(case, (1e-4, 1e-3), every=8)
    if "gentle" not in case:
        assert np.abs(flow).max() > max(flow.shape)  # so most look-ups are outside


@pytest.mark.parametrize("network, expected", [("raft_large", 5_257_536), ("raft_small", 990_162)])
def test_number_of_parameters(network, expected):
    flow_networks.check_number_of_parameters(network, expected)


@pytest.mark.parametrize("network", ["raft_large", "raft_small"])
def test_torchvisions_names_are_read_and_written(network):
    theirs = flow_networks.check_names("torchvision", importers.RAFT, network)
    assert theirs["update_block.recurrent_block.convgru1.convz.weight"].ndim == 4
    assert ("context_encoder.layer3.0.downsample.1.running_var" in theirs) == (network == "raft_large")
    counter = {"context_encoder.convnormrelu.1.num_batches_tracked": np.array(3)}
    assert importers.translate(counter, importers.RAFT) == ({}, {})


def test_without_the_volume_the_flow_is_the_same_and_pairs_do_not_mix():
    video = np.random.default_rng(0).uniform(-1, 1, (2, 3, 40, 70, 3)).astype(np.float32)
    model = make_model("raft_small", iterations=2)
    variables = jax.jit(model.init)(jax.random.key(0), video)
    expected, ends = jax.jit(model.apply)(variables, video)
    assert expected.shape == (2, 2, 40, 70, 2) and ends["features"].shape == (2, 2, 96)
    np.testing.assert_array_equal(ends["flow"], expected)
    without = make_model("raft_small", iterations=2, volume=False)
    found, _ = jax.jit(without.apply)(variables, video)
    np.testing.assert_allclose(found, expected, atol=1e-5 * max(1, np.abs(expected).max()))
    pair, _ = jax.jit(without.apply)(variables, video[1:, 1:])
    np.testing.assert_allclose(pair[0, 0], expected[1, 1], atol=1e-5 * max(1, np.abs(expected).max()))


def test_training_in_bfloat16_returns_every_flow_in_float32_and_a_gradient():
    video = np.random.default_rng(0).uniform(-1, 1, (1, 2, 24, 32, 3)).astype(np.float32)
    model = make_model("raft_small", iterations=2, dtype="bfloat16")
    variables = jax.jit(model.init)(jax.random.key(0), video)

    def loss(params):
        flows, _ = model.apply({"params": params}, video, train=True)
        assert [x.dtype for x in flows] == [jnp.float32] * 2 and flows[0].shape == (1, 1, 24, 32, 2)
        return sum(jnp.abs(x).mean() for x in flows)

    gradients = jax.jit(jax.grad(loss))(variables["params"])
    assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(gradients))
    assert all(jnp.abs(part["out"]["kernel"]).max() > 0 for part in (gradients["features"], gradients["context"]))


def test_statistics_change_in_training_unless_they_are_frozen():
    video = jnp.zeros((1, 2, 32, 32, 3))
    for frozen in (False, True):
        model = make_model("raft_large", iterations=1, frozen_norm=frozen)
        text = str(jax.make_jaxpr(lambda v, m=model: m.init_with_output(jax.random.key(0), v, train=True)[0])(video))
        assert ("0.9" in text) != frozen  # the momentum of the running statistics


def test_upsampling_by_weights_of_old_pixels():
    flow = jnp.asarray(np.random.default_rng(0).normal(size=(1, 3, 4, 2)), jnp.float32)
    mask = jnp.full((1, 3, 4, 9, 64), -1e9).at[..., 5, :].set(0).reshape(1, 3, 4, 576)  # the neighbour on the right
    found = convex_upsampled(flow, mask)
    assert found.shape == (1, 24, 32, 2)
    np.testing.assert_allclose(found[0, 8:16, 8:16], np.broadcast_to(8 * flow[0, 1, 2], (8, 8, 2)), rtol=1e-6)
    assert not found[0, :, -8:].any()  # zeros outside, as in torch's unfold


def test_wrong_inputs():
    flow_networks.check_wrong_inputs("raft_small")
    with pytest.raises(ValueError, match="iterations = 0 must be at least 1"):
        make_model("raft_small", iterations=0).init(jax.random.key(0), jnp.zeros((1, 2, 8, 8, 3)))
