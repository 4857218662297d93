import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import flow_networks
from vidjax.models import make_model
from vidjax.weights import importers


@pytest.mark.parametrize("network", ["flownet_s", "flownet_c"])
def test_flow_of_every_scale_is_flownet_pytorchs(network):
    flow_networks.check_flows(network, (1e-4,) * 5)


@pytest.mark.parametrize("network, expected", [("flownet_s", 38_675_536), ("flownet_c", 39_174_320)])
def test_number_of_parameters(network, expected):
    flow_networks.check_number_of_parameters(network, expected)


@pytest.mark.parametrize("network", ["flownet_s", "flownet_c"])
def test_flownet_pytorchs_names_are_read_and_written(network):
    theirs = flow_networks.check_names("flownet_pytorch", importers.FLOWNET, network)
    assert theirs["deconv5.0.weight"].shape == (1024, 512, 4, 4)  # a transposed convolution: inputs first


def test_other_sizes_and_a_gradient_in_bfloat16():
    video = np.random.default_rng(0).uniform(-1, 1, (2, 3, 40, 70, 3)).astype(np.float32)
    model = make_model("flownet_c", width=1 / 16, dtype="bfloat16")
    variables = jax.jit(model.init)(jax.random.key(0), video)
    shapes = [(2, 2, -(-40 // s), -(-70 // s), 2) for s in (64, 32, 16, 8, 4)]

    def loss(params):
        flows, ends = model.apply({"params": params}, video, train=True)
        assert [x.shape for x in flows] == shapes and {x.dtype for x in flows} == {jnp.dtype(jnp.float32)}
        assert ends["features"].shape == (2, 2, 64) and ends["flow"].shape == (2, 2, 40, 70, 2)
        return sum(jnp.abs(x).mean() for x in flows)

    gradients = jax.jit(jax.grad(loss))(variables["params"])
    assert all(jnp.isfinite(x).all() and jnp.abs(x).max() > 0 for x in jax.tree.leaves(gradients))
    whole, ends = jax.eval_shape(model.apply, variables, video)
    assert whole.shape == ends["flow"].shape == (2, 2, 40, 70, 2) and whole.dtype == jnp.float32


def test_wrong_inputs():
    flow_networks.check_wrong_inputs("flownet_c")
