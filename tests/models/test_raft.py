import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import flow_networks
from tests.peers.formula import draw_tree
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


NARROW = {"channels": (8, 12, 16), "features": 16, "hidden": 16, "context": 16}
NARROW |= {"of_correlation": (16,), "of_flow": (16, 8), "motion": 18, "head": 16}


def test_without_the_volume_the_flow_is_the_same_and_pairs_do_not_mix():
    video = np.random.default_rng(0).uniform(-1, 1, (1, 3, 40, 70, 3)).astype(np.float32)
    model, without = (make_model("raft_large", iterations=2, volume=volume, **NARROW) for volume in (True, False))
    shapes = jax.eval_shape(model.init, jax.random.key(0), video)
    variables = {collection: draw_tree(tree) for collection, tree in shapes.items()}
    expected, ends = jax.jit(model.apply)(variables, video)
    assert expected.shape == (1, 2, 40, 70, 2) and ends["features"].shape == (1, 2, 16)
    np.testing.assert_array_equal(ends["flow"], expected)
    apply = jax.jit(without.apply)
    np.testing.assert_allclose(apply(variables, video)[0], expected, atol=1e-5 * np.abs(expected).max())
    changed = video.copy()
    changed[0, 0] = 0
    other = apply(variables, changed)[0]
    np.testing.assert_allclose(other[:, 1], expected[:, 1], atol=1e-5 * np.abs(expected).max())
    assert np.abs(other[:, 0] - expected[:, 0]).max() > 0.1


def test_training_returns_every_flow_in_float32_and_a_gradient():
    video = np.random.default_rng(0).uniform(-1, 1, (1, 2, 24, 32, 3)).astype(np.float32)
    half = make_model("raft_large", iterations=2, dtype="bfloat16", frozen_norm=True, **NARROW)
    model = half.clone(dtype="float32")
    shapes = jax.eval_shape(model.init, jax.random.key(0), video)
    variables = {collection: draw_tree(tree) for collection, tree in shapes.items()}

    def loss(params, model=model):
        flows, _ = model.apply({**variables, "params": params}, video, train=True)
        assert [x.dtype for x in flows] == [jnp.float32] * 2 and flows[0].shape == (1, 1, 24, 32, 2)
        return sum(jnp.abs(x).mean() for x in flows)

    gradients = jax.jit(jax.grad(loss))(variables["params"])
    assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(gradients))
    assert jax.eval_shape(lambda params: loss(params, half), variables["params"]).dtype == jnp.float32
    assert all(jnp.abs(part["out"]["kernel"]).max() > 0 for part in (gradients["features"], gradients["context"]))


@pytest.mark.parametrize("frozen", [False, True])
def test_statistics_change_in_training_unless_they_are_frozen(frozen):
    video = jnp.zeros((1, 2, 32, 32, 3))
    model = make_model("raft_large", iterations=1, frozen_norm=frozen, **NARROW)
    shapes = jax.eval_shape(model.init, jax.random.key(0), video)
    params = jax.tree.map(lambda x: jnp.zeros(x.shape), shapes["params"])

    def updated(stats):
        state = {"params": params, "batch_stats": stats}
        return model.apply(state, video, train=True, mutable=["batch_stats"])[1]["batch_stats"]

    jaxpr = jax.make_jaxpr(updated)(shapes["batch_stats"]).jaxpr
    assert [new is old for new, old in zip(jaxpr.outvars, jaxpr.invars, strict=True)] == [frozen] * len(jaxpr.invars)


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
