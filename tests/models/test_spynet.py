import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from tests import flow_networks
from vidjax.models import make_model
from vidjax.weights import importers, load


def test_flow_is_pytorch_spynets():
    flow_networks.check_flows("spynet", (1e-4,), every=8)


def test_number_of_parameters():
    flow_networks.check_number_of_parameters("spynet", 1_440_300)


def test_names_are_read_and_written_and_a_file_is_recognised(tmp_path, monkeypatch):
    theirs = flow_networks.check_names("pytorch_spynet", importers.SPYNET, "spynet")
    published = {name.replace("net", "module"): x for name, x in theirs.items()}  # as run.py renames them
    assert published["moduleBasic.5.moduleBasic.8.bias"].shape == (2,)
    safetensors.numpy.save_file(published, tmp_path / "spynet.safetensors")
    monkeypatch.setattr(load, "WEIGHTS", {})  # to be quick
    entry, variables = load.load(str(tmp_path / "spynet.safetensors"))
    assert entry.model == {"name": "spynet"}
    kernel = variables["params"]["level3"]["conv2"]["kernel"]
    np.testing.assert_array_equal(kernel, theirs["netBasic.3.netBasic.2.weight"].transpose(2, 3, 1, 0))


def test_levels_follow_the_size_and_all_have_parameters():
    model = make_model("spynet", num_levels=3)
    for size, levels in (((20, 30), 1), ((33, 50), 2), ((64, 130), 3)):
        video = jnp.zeros((1, 3, *size, 3))
        variables = jax.eval_shape(model.init, jax.random.key(0), video)
        assert set(variables["params"]) == {"level0", "level1", "level2"}
        flows, ends = jax.eval_shape(lambda v, x: model.apply(v, x, train=True), variables, video)
        scales = [2**i for i in reversed(range(levels))]
        assert [x.shape[2:4] for x in flows] == [(-(-size[0] // s), -(-size[1] // s)) for s in scales]
        assert flows[-1].shape == ends["flow"].shape == (1, 2, *size, 2) and ends["features"].shape == (1, 2, 16)


def test_a_gradient_in_bfloat16():
    video = np.random.default_rng(0).uniform(-1, 1, (1, 2, 40, 60, 3)).astype(np.float32)
    model = make_model("spynet", num_levels=2, dtype="bfloat16")
    variables = jax.jit(model.init)(jax.random.key(0), video)

    def loss(params):
        flows, _ = model.apply({"params": params}, video, train=True)
        assert [x.dtype for x in flows] == [jnp.float32] * 2
        return sum(jnp.abs(x).mean() for x in flows)

    gradients = jax.jit(jax.grad(loss))(variables["params"])
    assert all(jnp.isfinite(x).all() and jnp.abs(x).max() > 0 for x in jax.tree.leaves(gradients))


def test_wrong_inputs():
    flow_networks.check_wrong_inputs("spynet")
