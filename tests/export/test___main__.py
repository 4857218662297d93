import json
import sys

import numpy as np
import pytest

from vidjax import gallery as gallery_command
from vidjax import predict, step
from vidjax.export import __main__ as export
from vidjax.export import exported, formats
from vidjax.export.__main__ import main
from vidjax.inference import embedding, views

# ------------------------------------------------------------------------------------------------------------- success


def test_the_logits_are_those_of_the_checkpoint(exported_run, tiny_trained):
    network = exported.load(exported_run)
    (batch, *_) = export.record_clips(tiny_trained, 4)
    logits = network({"video": batch["video"]})["logits"]
    run = tiny_trained
    expected = step.eval_step(run.params, run.model_state, batch, model=run.model, spec=run.preprocess)
    np.testing.assert_allclose(logits, expected, atol=1e-5 * np.abs(expected).max())
    manifest = json.loads((exported_run / "model.json").read_text())
    assert manifest["verified"]["clips"] == 8
    assert manifest["verified"]["largest_difference"] <= 1e-5 * manifest["verified"]["largest_logit"]


def test_predict_agrees_with_the_checkpoint(exported_run, tiny_run, monkeypatch, capsys):
    answers = []
    for source in (["--workdir", str(tiny_run.workdir)], ["--exported", str(exported_run)]):
        monkeypatch.setattr(sys, "argv", ["predict", str(tiny_run.videos["test"][0]), "--json", *source])
        with pytest.raises(SystemExit) as end:
            predict.main()
        assert end.value.code == 0
        answers.append(json.loads(capsys.readouterr().out)["top"])
    assert [x["label"] for x in answers[0]] == [x["label"] for x in answers[1]]
    np.testing.assert_allclose(*([x["probability"] for x in answer] for answer in answers), atol=1e-5)


def test_an_exported_embedder_serves_a_gallery_of_its_network(tiny_trained, tiny_run, tmp_path, monkeypatch, capsys):
    arguments = ["--workdir", str(tiny_run.workdir), "--format", "stablehlo", "--num_clips", "2", "--embedder"]
    monkeypatch.setattr(sys, "argv", ["export", *arguments, "--out", str(tmp_path / "out")])
    main()
    assert "the outputs differ" in capsys.readouterr().out
    assert "cosine distance" in (tmp_path / "out/README.md").read_text()
    theirs, ours = exported.make_embedder(exported.load(tmp_path / "out")), embedding.of_run(tiny_trained)
    assert (theirs.digest, theirs.distance) == (ours.digest, "cosine")
    video = str(tiny_run.videos["test"][0])
    clips = views.views_of(theirs.network, video)
    np.testing.assert_allclose(theirs.embed(clips), ours.embed(clips), rtol=1e-4, atol=1e-6)
    made = gallery_command.add(ours, tmp_path / "g", "wave", [video])
    both = gallery_command.add(theirs, tmp_path / "g", "clap", [str(tiny_run.videos["test"][1])])
    assert both.examples["wave"].tobytes() == made.examples["wave"].tobytes()
    with pytest.raises(ValueError, match="is an embedder, which has no classes: predict with a --gallery"):
        exported.make_logits_fn(theirs.network)


def test_a_classifier_is_not_an_embedder(exported_run):
    with pytest.raises(ValueError, match="is not an embedder: export the network with --embedder"):
        exported.make_embedder(exported.load(exported_run))


def test_safetensors_with_our_names(tiny_trained, tmp_path):
    manifest = export.export(tiny_trained, "safetensors", tmp_path / "out", [])
    assert manifest["verified"]["names"] == "vidjax"
    assert (tmp_path / "out/model.safetensors").exists()
    with pytest.raises(ValueError, match="holds weights only"):
        exported.load(tmp_path / "out")


def test_a_link_to_a_directory_stays_one(tiny_trained, tmp_path):
    (tmp_path / "disk/out").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk/out")
    for _ in range(2):  # also over an earlier export
        export.export(tiny_trained, "safetensors", tmp_path / "link", [])
    assert (tmp_path / "link").is_symlink() and (tmp_path / "disk/out/model.json").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "link"]


# ------------------------------------------------------------------------------------------------------------ failures


def test_other_directories_are_not_overwritten(tiny_trained, tmp_path):
    (tmp_path / "thesis.txt").write_text("")
    with pytest.raises(ValueError, match="is not an exported network"):
        export.export(tiny_trained, "stablehlo", tmp_path, [])
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(ValueError, match="is not an exported network"):
        export.export(tiny_trained, "stablehlo", tmp_path, [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "thesis.txt"]


def test_an_export_with_other_logits_is_deleted(tiny_trained, tmp_path, monkeypatch):
    write = formats.write_stablehlo

    def other(writes, directory):
        variables = {path: x + 0.1 for path, x in writes.variables.items()}
        write(writes._replace(variables=variables), directory)

    monkeypatch.setitem(formats.WRITERS, "stablehlo", other)
    with pytest.raises(ValueError, match="differs from its source by .* nothing was written"):
        export.export(tiny_trained, "stablehlo", tmp_path / "out", export.record_clips(tiny_trained, 4))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", [0, 1])
def test_a_network_that_returns_nan_is_not_verified(place, exported_run, tiny_trained, monkeypatch):
    pairs = np.ones((2, 2, 1, 8), np.float32)  # theirs and ours, of two calls
    pairs[place, 0, 0, 3] = np.nan
    monkeypatch.setattr(export, "_over_clips", lambda *_: pairs)
    with pytest.raises(ValueError, match="differs from its source by nan"):
        export.verify(tiny_trained, exported_run, [])


def test_an_export_without_clips_to_compare_on_is_deleted(tiny_trained, tmp_path):
    with pytest.raises(ValueError, match="no clip to compare on"):
        export.export(tiny_trained, "stablehlo", tmp_path / "out", [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--format", "onnx", "--names", "torchvision"], "--names requires --format safetensors"),
        (["--format", "safetensors", "--stream"], "--stream does not apply to --format safetensors"),
        (["--format", "safetensors", "--clips", "a.mp4"], "--clips does not apply to --format safetensors"),
        (["--format", "onnx", "--clips", "a.mp4", "--num_clips", "2"], "--num_clips is for clips of the test split"),
        (["--format", "stablehlo", "--num_clips", "0"], "--num_clips must be 1 or more; got 0"),
        (["--format", "stablehlo", "--stream"], "sees a clip at once"),
        (["--format", "safetensors", "--names", "torchvision"], "torchvision has no network with the parameters"),
    ],
)
def test_errors_of_the_command(arguments, message, tiny_run, tmp_path, monkeypatch):
    command = ["export", "--workdir", str(tiny_run.workdir), "--out", str(tmp_path / "out"), *arguments]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit, match=message):
        main()
    assert not (tmp_path / "out").exists()


def test_weights_have_no_steps(tmp_path, monkeypatch):
    arguments = ["--weights", "i3d_kinetics400_rgb", "--step", "4", "--format", "safetensors", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["export", *arguments])
    with pytest.raises(SystemExit, match="--step is for --workdir"):
        main()


def test_the_command(tiny_run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        sys,
        "argv",
        ["export", "--workdir", str(tiny_run.workdir), "--format", "stablehlo", "--out", str(tmp_path / "out")]
        + ["--clips", *map(str, tiny_run.videos["test"][:2])],
    )
    main()
    assert "on 2 clips the outputs differ" in capsys.readouterr().out
    main()  # an earlier export is replaced
