import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.bench import device_checks
from vidjax.models import FLOW_NETWORKS, MODELS
from vidjax.models.backend import convolution, traced_for


def test_shares():
    assert device_checks.share([np.array([1.0, 2.0])], [np.array([1.0, 2.5])]) == pytest.approx(0.2)
    assert device_checks.judged({"forward": 2e-4})["right"] is False
    assert device_checks.judged({"forward": 2e-5, "gradient": 9e-4})["right"] is True


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_network_takes_the_inputs(name):
    model, inputs = device_checks.network_of(name), device_checks.inputs_for(name)
    outputs, _ = jax.eval_shape(lambda: model.init_with_output({"params": jax.random.key(0)}, **inputs)[0])
    errors = 112  # of the masked tokens: 14 of 16 places, at 8 times
    channels = 2 if name in FLOW_NETWORKS else errors if name == "videomae_pretrain" else device_checks.NUM_CLASSES
    assert outputs.shape[-1] == channels


def test_a_wrong_network_is_found(monkeypatch):
    assert device_checks.check_network("small_cnn", size=32)["right"]
    wrong = lambda x, *arguments, **settings: 1.01 * jax.lax.conv_general_dilated(x, *arguments, **settings)  # noqa: E731
    monkeypatch.setattr("vidjax.models.cpu_conv.conv", wrong)
    result = device_checks.check_network("small_cnn", size=32)
    assert not result["right"] and result["forward"] > 1e-3


def test_the_reference_does_without_our_convolutions():
    with traced_for("reference"):
        assert convolution() is jax.lax.conv_general_dilated


def test_the_texture_moves():
    frames = device_checks.moving_texture(5, 32, 32)
    np.testing.assert_allclose(frames[4, 3:20, 6:30], frames[0, 6:23, :24], atol=1e-3)  # by (6, -3) in 4 frames
    assert frames.min() >= 0 and frames.max() <= 255 and frames.dtype == np.float32


def test_flow_repeats_and_exports():
    assert device_checks.check_flow("lucas_kanade", 32) == {"flow": 0.0, "right": True}
    repeats = device_checks.check_repeats("small_cnn", 3, 32)
    assert repeats["right"] and repeats["time"] > 0
    exported = device_checks.check_export("small_cnn", 32)
    assert exported["right"] and exported["platforms"] == ["cpu"]


def test_variables_keep_no_default():
    inputs = device_checks.inputs_for("small_cnn", size=32)
    model = device_checks.network_of("small_cnn")
    variables = device_checks.variables_for(model, inputs)
    assert all(np.unique(x).size > 1 for x in jax.tree.leaves(variables) if x.size > 1)
    assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(variables))
