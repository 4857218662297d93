import dataclasses
import json
import sys

import jax
import numpy as np
import pytest

from vidjax import export, exported, formats, models, predict, program, sharding, step, trained
from vidjax.export import main


@pytest.fixture(scope="module")
def run(tiny_run):
    return trained.from_run(tiny_run.workdir)


@pytest.fixture(scope="module", params=["stablehlo", "onnx"])
def directory(request, run, tmp_path_factory):
    if request.param == "onnx":
        pytest.importorskip("onnxruntime")
    out = tmp_path_factory.mktemp("exported") / request.param
    export.export(run, request.param, out, export.record_clips(run, 8), command="python -m vidjax.export ...")
    return out


def network_of(name, num_frames=8, **arguments) -> trained.Trained:
    """With numbers around 0 for parameters; classes a, b and c; clips of 32x32."""
    model = models.make_model(name, 3, **arguments)
    spec = {"mean": [127.5] * 3, "std": [127.5] * 3}
    blank = {"video": np.zeros((1, num_frames, 32, 32, 3), np.uint8)}
    shapes = trained.abstract_variables(model, blank, spec)
    rng = np.random.default_rng(0)
    params, model_state = jax.tree.map(
        lambda x: np.float32(rng.normal(scale=0.1, size=x.shape) + (x.ndim == 1)), shapes
    )
    clip = {"num_frames": num_frames, "size": 32, "resize": 0}
    return trained.Trained("drawn", model, params, model_state, sharding.make_mesh(), list("abc"), spec, clip, {})


def clips(count=2, num_frames=8):
    return np.random.default_rng(0).integers(0, 256, (count, num_frames, 32, 32, 3), np.uint8)


RESNET = {"backbone": "resnet18", "backbone_arguments": {"width": 1 / 16}}


# --------------------------------------------------------------------------------------------------- what is written


def test_the_logits_are_those_of_the_checkpoint(directory, run):
    network = exported.load(directory)
    (batch, *_) = export.record_clips(run, 4)
    logits = network({"video": batch["video"]})["logits"]
    expected = step.eval_step(run.params, run.model_state, batch, model=run.model, spec=run.preprocess)
    np.testing.assert_allclose(logits, expected, atol=1e-5 * np.abs(expected).max())
    said = json.loads((directory / "model.json").read_text())
    assert said["verified"]["clips"] == 8
    assert said["verified"]["largest_difference"] <= 1e-5 * said["verified"]["largest_logit"]


def test_labels_and_card_lie_beside_it(directory, run):
    assert (directory / "labels.txt").read_text().split() == run.labels
    card = (directory / "README.md").read_text()
    assert "of 8 videos (95 % interval" in card and "python -m vidjax.export ..." in card
    assert "(1, 4, 40, 40, 3)" in card  # how to call it
    assert [path.name for path in directory.parent.iterdir()] == [directory.name]


def test_the_code_of_the_card_runs(directory, monkeypatch):
    card = (directory / "README.md").read_text()
    code = [line.strip() for line in card.split("## Use")[1].split("With vidjax")[0].splitlines() if line[:4] == "    "]
    monkeypatch.chdir(directory)
    seen = {}
    exec("\n".join(code), seen)
    assert np.shape(seen["logits"]) == (1, 8)


def test_predict_says_the_same(directory, tiny_run, monkeypatch, capsys):
    answers = []
    for source in (["--workdir", str(tiny_run.workdir)], ["--exported", str(directory)]):
        monkeypatch.setattr(sys, "argv", ["predict", str(tiny_run.videos["test"][0]), "--json", *source])
        with pytest.raises(SystemExit) as end:
            predict.main()
        assert end.value.code == 0
        answers.append(json.loads(capsys.readouterr().out)["top"])
    assert [x["label"] for x in answers[0]] == [x["label"] for x in answers[1]]
    np.testing.assert_allclose(*([x["probability"] for x in answer] for answer in answers), atol=1e-5)


def test_any_length_where_the_network_allows_it():
    assert program.of_clips(network_of("frame_pool", **RESNET)).length == (1, 1)
    assert program.of_clips(network_of("i3d", 16, width=1 / 16)).length == (8, 16)
    assert program.of_clips(network_of("fusion", fusion="early", width=1 / 16)).length is None


def test_other_lengths_are_right(tmp_path):
    run = network_of("frame_rnn", hidden=4, **RESNET)
    export.export(run, "stablehlo", tmp_path / "out", [{"video": clips()}])
    video = clips(1, 5)
    logits = exported.load(tmp_path / "out")({"video": video})["logits"]
    expected = step.eval_step(run.params, run.model_state, {"video": video}, model=run.model, spec=run.preprocess)
    np.testing.assert_allclose(logits, expected, atol=1e-6)


@pytest.mark.parametrize("format", ["stablehlo", "onnx"])
def test_a_step_over_a_stream(format, tmp_path):
    if format == "onnx":
        pytest.importorskip("onnxruntime")
    run, out = network_of("frame_rnn", hidden=4, **RESNET), tmp_path / "out"
    said = export.export(run, format, out, [{"video": clips()}], of_stream=True)
    assert said["verified"]["clips"] == 2 * 8  # compared after each frame
    network, video = exported.load(out), clips()
    state = network.first_state(out, 2)
    for t in range(8):
        outputs = network({"video": video[:, t : t + 1], **state})
        state = network.next_state(outputs)
    expected = step.eval_step(run.params, run.model_state, {"video": video}, model=run.model, spec=run.preprocess)
    np.testing.assert_allclose(outputs["logits"], expected, atol=1e-5)


def test_a_program_has_a_convolution_for_each_platform(tmp_path):
    run = network_of("r3d_18", width=1 / 16)
    formats.write_stablehlo(program.of_clips(run), tmp_path)
    text = jax.export.deserialize(bytearray((tmp_path / "model.stablehlo").read_bytes())).mlir_module()
    assert "[b, 0, 1, 2, f]x[0, 1, 2, i, o]" in text  # over time and space, of GPUs and TPUs
    assert "[b, 0, 1, f]x[0, 1, i, o]" in text  # over planes, of CPUs


def test_weights_by_our_names(run, tmp_path):
    said = export.export(run, "safetensors", tmp_path / "out", [])
    assert said["verified"]["names"] == "vidjax"
    assert (tmp_path / "out/model.safetensors").exists()
    with pytest.raises(ValueError, match="holds weights alone"):
        exported.load(tmp_path / "out")


def test_tensorflow_agrees(run, tmp_path):
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    said = export.export(run, "savedmodel", tmp_path / "out", export.record_clips(run, 4))
    assert said["time"] == {"multiple_of": 1, "at_least": 1}


# --------------------------------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    "inputs, message",
    [
        ({"video": np.zeros((1, 4, 40, 40, 3), np.float32)}, "dtype uint8.*got .*float32"),
        ({"video": np.zeros((1, 4, 32, 40, 3), np.uint8)}, r"40, 40, 3\).*got \(1, 4, 32, 40, 3\)"),
        ({"video": np.zeros((4, 40, 40, 3), np.uint8)}, r"got \(4, 40, 40, 3\)"),
        ({"flow": np.zeros((1, 4, 40, 40, 2), np.uint8)}, "takes video; got flow"),
    ],
)
def test_wrong_arrays(directory, inputs, message):
    with pytest.raises(ValueError, match=message):
        exported.load(directory)(inputs)


def test_a_length_that_does_not_fit(directory):
    network = dataclasses.replace(exported.load(directory), time={"multiple_of": 8, "at_least": 16})
    network.arrays["video"]["shape"][1] = "time"
    for length in (8, 20):
        with pytest.raises(ValueError, match="time a multiple of 8, 16 or more"):
            network.check({"video": np.zeros((1, length, 40, 40, 3), np.uint8)})
    network.check({"video": np.zeros((1, 24, 40, 40, 3), np.uint8)})


def test_a_directory_that_holds_something_else_is_left_alone(run, tmp_path):
    (tmp_path / "thesis.txt").write_text("")
    with pytest.raises(ValueError, match="holds something else"):
        export.export(run, "stablehlo", tmp_path, [])
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(ValueError, match="holds something else"):
        export.export(run, "stablehlo", tmp_path, [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "thesis.txt"]


def test_nothing_is_left_where_the_logits_differ(run, tmp_path, monkeypatch):
    write = formats.write_stablehlo

    def other(writes, directory):
        variables = {path: x + 0.1 for path, x in writes.variables.items()}
        write(writes._replace(variables=variables), directory)

    monkeypatch.setitem(formats.WRITERS, "stablehlo", other)
    with pytest.raises(ValueError, match="differs from its source by .* nothing was written"):
        export.export(run, "stablehlo", tmp_path / "out", export.record_clips(run, 4))
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_where_there_is_nothing_to_compare_on(run, tmp_path):
    with pytest.raises(ValueError, match="no clip to compare on"):
        export.export(run, "stablehlo", tmp_path / "out", [])
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_the_format_cannot_hold(run, tmp_path, monkeypatch):
    onnx_ops = pytest.importorskip("vidjax.onnx_ops")
    monkeypatch.delitem(onnx_ops.LOWERINGS, "conv_general_dilated")
    with pytest.raises(ValueError, match="the operation 'conv_general_dilated', on .*stablehlo and savedmodel can"):
        export.export(run, "onnx", tmp_path / "out", [])
    assert list(tmp_path.iterdir()) == []


def test_damaged_and_later_exports(directory, tmp_path):
    with pytest.raises(ValueError, match="has no model.json"):
        exported.load(tmp_path)
    said = json.loads((directory / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(said | {"vidjax_export": 99}))
    with pytest.raises(ValueError, match="version 99"):
        exported.load(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps(said))
    for name in ("model.stablehlo", "variables.safetensors", "model.onnx"):
        (tmp_path / name).write_bytes(b"half")
    with pytest.raises(ValueError, match="is damaged"):
        exported.load(tmp_path)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--format", "onnx", "--names", "torchvision"], "--names is for --format safetensors"),
        (["--format", "safetensors", "--stream"], "--stream is for the formats that hold a program"),
        (["--format", "stablehlo", "--num_clips", "0"], "--num_clips is 1 or more"),
        (["--format", "stablehlo", "--stream"], "sees a clip at once"),
        (["--format", "safetensors", "--names", "torchvision"], "torchvision has no network of the parameters"),
    ],
)
def test_the_command_says_what_is_wrong(arguments, message, tiny_run, tmp_path, monkeypatch):
    command = ["export", "--workdir", str(tiny_run.workdir), "--out", str(tmp_path / "out"), *arguments]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit, match=message):
        main()
    assert not (tmp_path / "out").exists()


def test_the_command(tiny_run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        sys,
        "argv",
        ["export", "--workdir", str(tiny_run.workdir), "--format", "stablehlo", "--out", str(tmp_path / "out")]
        + ["--clips", *map(str, tiny_run.videos["test"][:2])],
    )
    main()
    assert "on 2 clips the logits differ" in capsys.readouterr().out
    main()  # an earlier export is replaced
