import dataclasses

import numpy as np
import pytest

from tests.networks import RESNET, clips, network_of
from vidjax import step
from vidjax.export import program


def test_the_free_lengths_of_networks():
    assert program.of_clips(network_of("frame_pool", **RESNET)).length == (1, 1)
    assert program.of_clips(network_of("i3d", 16, width=1 / 16)).length == (8, 16)
    assert program.of_clips(network_of("fusion", fusion="early", width=1 / 16)).length is None


def test_the_program_is_the_network_with_its_preprocessing():
    run = network_of("frame_rnn", hidden=4, **RESNET)
    found = program.of_clips(run)
    video = clips()
    logits = found.function(found.variables, {"video": video})["logits"]
    expected = step.eval_step(run.params, run.model_state, {"video": video}, model=run.model, spec=run.preprocess)
    np.testing.assert_allclose(logits, expected, atol=1e-6)


def test_free_sizes_in_jax_notation():
    found = program.of_clips(network_of("i3d", 16, width=1 / 16))
    assert found.polynomials() == {"video": "batch, 8*n + 8, 32, 32, 3"}
    assert str(found.shapes()["video"].shape[1]) == "8*n + 8"
    assert found._replace(length=None).polynomials() == {"video": "batch, 16, 32, 32, 3"}


def test_the_state_of_a_stream_is_an_input_and_an_output():
    found = program.of_stream(network_of("frame_rnn", hidden=4, cell="gru", **RESNET))
    outputs = found.function(found.variables, {"video": clips(1, 1), **found.state})
    assert set(outputs) == {"logits", *(f"next_{name}" for name in found.state)}
    assert all(outputs[f"next_{name}"].shape == x.shape for name, x in found.state.items())
    assert not all(np.array_equal(outputs[f"next_{name}"], x) for name, x in found.state.items())


def test_networks_that_cannot_be_exported():
    run = network_of("frame_pool", **RESNET)
    with pytest.raises(ValueError, match="writes captions word by word"):
        program.of_clips(dataclasses.replace(run, inputs={"caption_length": 5}))
    with pytest.raises(ValueError, match="sees features"):
        program.of_stream(dataclasses.replace(run, inputs={"prefix": "RGB"}))
    with pytest.raises(ValueError, match="sees the future"):
        program.of_stream(network_of("r3d_18", width=1 / 16))
