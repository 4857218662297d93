import dataclasses
import json

import numpy as np
import pytest

from tests.networks import RESNET, clips, network_of
from vidjax import step
from vidjax.export import __main__ as export
from vidjax.export import exported


@pytest.mark.parametrize("format", ["stablehlo", "onnx"])
def test_a_step_over_a_stream(format, tmp_path):
    if format == "onnx":
        pytest.importorskip("onnxruntime")
    run, out = network_of("frame_rnn", hidden=4, **RESNET), tmp_path / "out"
    manifest = export.export(run, format, out, [{"video": clips()}], of_stream=True)
    assert manifest["verified"]["clips"] == 2 * 8  # compared after each frame
    network, video = exported.load(str(out)), clips()
    state = network.first_state(out, 2)
    for t in range(8):
        outputs = network({"video": video[:, t : t + 1], **state})
        state = network.next_state(outputs)
    expected = step.eval_step(run.params, run.model_state, {"video": video}, model=run.model, spec=run.preprocess)
    np.testing.assert_allclose(outputs["logits"], expected, atol=1e-5)


def test_clips_of_another_length(tmp_path):
    run = network_of("frame_rnn", hidden=4, **RESNET)
    export.export(run, "stablehlo", tmp_path / "out", [{"video": clips()}])
    video = clips(1, 5)
    logits = exported.load(tmp_path / "out")({"video": video})["logits"]
    expected = step.eval_step(run.params, run.model_state, {"video": video}, model=run.model, spec=run.preprocess)
    np.testing.assert_allclose(logits, expected, atol=1e-6)


@pytest.mark.parametrize(
    "inputs, message",
    [
        ({"video": np.zeros((1, 4, 40, 40, 3), np.float32)}, "dtype uint8.*got .*float32"),
        ({"video": np.zeros((1, 4, 32, 40, 3), np.uint8)}, r"40, 40, 3\).*got \(1, 4, 32, 40, 3\)"),
        ({"video": np.zeros((4, 40, 40, 3), np.uint8)}, r"got \(4, 40, 40, 3\)"),
        ({"flow": np.zeros((1, 4, 40, 40, 2), np.uint8)}, "takes video; got flow"),
    ],
)
def test_wrong_arrays(exported_run, inputs, message):
    with pytest.raises(ValueError, match=message):
        exported.load(exported_run)(inputs)


def test_an_invalid_length(exported_run):
    network = dataclasses.replace(exported.load(exported_run), time={"multiple_of": 8, "at_least": 16})
    network.arrays["video"]["shape"][1] = "time"
    for length in (8, 20):
        with pytest.raises(ValueError, match="time a multiple of 8, 16 or more"):
            network.check({"video": np.zeros((1, length, 40, 40, 3), np.uint8)})
    network.check({"video": np.zeros((1, 24, 40, 40, 3), np.uint8)})


def test_damaged_and_later_exports(exported_run, tmp_path):
    with pytest.raises(ValueError, match="has no model.json"):
        exported.load(tmp_path)
    manifest = json.loads((exported_run / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(manifest | {"vidjax_export": 99}))
    with pytest.raises(ValueError, match="has version 99"):
        exported.load(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps(manifest))
    for name in ("model.stablehlo", "variables.safetensors", "model.onnx"):
        (tmp_path / name).write_bytes(b"half")
    with pytest.raises(ValueError, match="is damaged"):
        exported.load(tmp_path)
