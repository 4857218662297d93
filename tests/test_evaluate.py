import dataclasses
import errno
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from vidjax import evaluate, metrics, train
from vidjax.data import dataset_info, pipeline, records, tfrecords
from vidjax.data.synthetic import motion
from vidjax.evaluation import predictions, result_file
from vidjax.evaluation.run_outputs import make_evaluator
from vidjax.inference import ensemble, restore


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return tmp_path_factory.mktemp("evaluate")


@pytest.fixture
def run(tiny_config, workdir):
    """A run of three steps."""
    tiny_config.num_epochs = 0.75
    if not (workdir / "result.json").exists():
        train.train(tiny_config, workdir)
    return restore.from_run(workdir)


def logits_with(run):
    source = pipeline.open_records(run.config.dataset, ["test"])
    return make_evaluator(run).outputs(run.params, run.model_state, source)[:2]


def test_the_command_prints_and_writes(run, workdir, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["evaluate", "--workdir", str(workdir), "--num_views", "2", "--splits", "val"])
    evaluate.main()
    out = capsys.readouterr().out
    assert "top1" in out and "8 videos of ['val'], 2 x 1 views, checkpoint of step 3" in out
    result = json.loads((workdir / "result_val.json").read_text())
    assert (result["num_videos"], result["num_views"], result["splits"]) == (8, 2, ["val"])
    assert (workdir / "result_val_predictions.csv").exists()
    assert json.loads((workdir / "result.json").read_text())["splits"] == ["test"]


def test_a_protocol_by_name(run, workdir, monkeypatch, capsys, tmp_path):
    argv = [
        "evaluate",
        "--workdir",
        str(workdir),
        "--protocol",
        "10x3 views, logits",
        "--out",
        str(tmp_path / "m.json"),
    ]
    monkeypatch.setattr(sys, "argv", argv)
    evaluate.main()
    text = f"10 clips of {run.config.clip.num_frames} frames x 3 crops, mean of logits"
    result = json.loads((tmp_path / "m.json").read_text())
    assert (result["protocol"], result["convention"], result["num_crops"]) == ("10x3 views, logits", text, 3)
    assert text in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*argv, "--num_views", "2"])
    with pytest.raises(SystemExit, match="--protocol is for one run, and sets the views"):
        evaluate.main()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--step", "9"], r"No checkpoint of step 9"),
        (["--splits", "holdout"], "No split 'holdout'"),
        (["--protocol", "charades"], "'charades' is for videos with several labels"),
        (["--lake_runs", "omniglot", "--num_views", "3"], "--num_views does not go with --lake_runs"),
        (["--one_shot", "2x1", "--choose_rule"], "exclude each other: give one at a time"),
    ],
)
def test_errors_of_the_command(run, workdir, arguments, message, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["evaluate", "--workdir", str(workdir), *arguments])
    with pytest.raises(SystemExit, match=message):
        evaluate.main()


def test_templates_are_refused_for_weights_with_classes(run, workdir, monkeypatch):
    monkeypatch.setattr(restore, "from_weights", lambda name: run)
    arguments = ["--weights", "i3d_kinetics400_rgb", "--dataset", run.config.dataset, "--templates", "t.txt"]
    monkeypatch.setattr(sys, "argv", ["evaluate", *arguments, "--out", str(workdir / "out.json")])
    with pytest.raises(SystemExit, match="--templates and --tokenizer do not go with .*, which has classes of its own"):
        evaluate.main()


@pytest.fixture
def second(run, workdir, tiny_config):
    """Another run of three steps, with another seed and longer clips."""
    directory = workdir / "second"
    if not (directory / "result.json").exists():
        tiny_config.seed, tiny_config.clip.num_frames = 1, 6
        train.train(tiny_config, directory)
    return directory


def command(monkeypatch, capsys, *arguments):
    """Returns what `evaluate` prints."""
    monkeypatch.setattr(sys, "argv", ["evaluate", *map(str, arguments)])
    evaluate.main()
    return capsys.readouterr().out


def complaint(monkeypatch, capsys, *arguments):
    """Returns the error message of `evaluate`."""
    monkeypatch.setattr(sys, "argv", ["evaluate", *map(str, arguments)])
    with pytest.raises(SystemExit) as raised:
        evaluate.main()
    return f"{raised.value}{capsys.readouterr().err}"  # argparse prints its message itself


@pytest.mark.parametrize("fusion", ["scores", "logits"])
def test_a_run_fused_with_itself_has_its_own_metrics(run, workdir, fusion, tmp_path, monkeypatch, capsys):
    before = (workdir / "result.json").read_text()
    out = tmp_path / "fused.json"
    command(monkeypatch, capsys, "--workdir", workdir, workdir, "--fusion", fusion, "--out", out)
    fused = json.loads(out.read_text())
    alone = fused["runs"][0]
    assert fused["runs"][1] == alone and alone["run"] == run.name
    for name in ("top1", "top5", "top1_within_pairs", "top1_reversed", "per_class", "num_videos"):
        assert fused[name] == alone[name]
    assert fused["confusion"] == "fused_confusion.csv" and "confusion" not in alone
    logits, target = logits_with(run)
    confusion = metrics.single_label(run.probabilities(logits), target)["confusion"]
    assert result_file.read_confusion(out).tolist() == confusion
    assert "top1_clip" not in fused and "loss" not in fused
    assert (fused["fusion"], fused["weights"], fused["splits"]) == (fusion, [1, 1], ["test"])
    rows = predictions.read(tmp_path)
    assert [row["video"] for row in rows] == [row["video"] for row in predictions.read(workdir)]
    assert np.mean([row["true"] == row["predicted"] for row in rows]) == pytest.approx(fused["top1"])
    assert (workdir / "result.json").read_text() == before


def test_two_runs_are_fused_video_by_video(run, second, workdir, tmp_path, monkeypatch, capsys):
    before = (second / "result.json").read_text()
    arguments = ["--workdir", workdir, second, "--out", tmp_path / "fused.json", "--fusion_weights"]
    printed = command(monkeypatch, capsys, *arguments, "1,3")
    fused = json.loads((tmp_path / "fused.json").read_text())
    (one, target), (other, _) = logits_with(run), logits_with(restore.from_run(second))
    scores = 0.25 * run.probabilities(one)[:, 0] + 0.75 * run.probabilities(other)[:, 0]
    assert fused["top1"] == np.mean(metrics.hit_at_k(scores, target, 1))
    confusion = result_file.read_confusion(tmp_path / "fused.json")
    assert confusion.tolist() == metrics.single_label(scores[:, None], target)["confusion"]
    assert fused["runs"][1]["top1"] == json.loads(before)["top1"]
    assert f"{second}, step 3: top1 {100 * fused['runs'][1]['top1']:.2f} %" in printed
    assert "16 videos of ['test'], scores of the runs weighted [1.0, 3.0]" in printed
    assert (second / "result.json").read_text() == before

    command(monkeypatch, capsys, *arguments, "1,0.0000001")
    alone = metrics.single_label(run.probabilities(one), target)["confusion"]
    assert result_file.read_confusion(tmp_path / "fused.json").tolist() == alone


def test_an_svm_is_trained_on_the_training_videos_alone(run, second, workdir, tmp_path, monkeypatch, capsys):
    seen = []
    fit = ensemble.fit_svm
    monkeypatch.setattr(ensemble, "fit_svm", lambda *given: seen.append(given) or fit(*given))
    out = tmp_path / "fused.json"
    printed = command(monkeypatch, capsys, "--workdir", workdir, second, "--fusion", "svm", "--out", out)
    ((logits, target),) = seen
    assert [x.shape for x in logits] == [(32, 1, 8)] * 2 and target.tolist() == list(range(8)) * 4  # the split train
    fused = json.loads(out.read_text())
    assert (fused["fusion"], fused["weights"], fused["num_videos"]) == ("svm", None, 16)
    assert not (tmp_path / "predictions.csv").exists()  # its scores are not probabilities
    assert 0 <= fused["top1_reversed"] <= 1 and "16 videos of ['test'], svm of the runs" in printed


def test_arguments_that_cannot_be_fused(run, workdir, second, monkeypatch, capsys):
    two = ["--workdir", workdir, second]
    assert "2 runs, but 3 weights" in complaint(monkeypatch, capsys, *two, "--fusion_weights", "1,2,3")
    assert "must be positive" in complaint(monkeypatch, capsys, *two, "--fusion_weights", "1,0")
    assert "--step is for one" in complaint(monkeypatch, capsys, *two, "--step", "3")
    assert "--dataset is for one" in complaint(monkeypatch, capsys, *two, "--dataset", "x")
    assert "--fusion needs several runs" in complaint(monkeypatch, capsys, "--workdir", workdir, "--fusion", "logits")
    assert "invalid choice: 'votes'" in complaint(monkeypatch, capsys, *two, "--fusion", "votes")


def with_dataset(workdir, copy, dataset, labels):
    """Copies a run, with another dataset in its config."""
    shutil.copytree(workdir, copy, ignore=shutil.ignore_patterns("second"))
    content = json.loads((copy / "config.json").read_text())
    content["config"]["dataset"], content["labels"] = str(dataset), labels
    (copy / "config.json").write_text(json.dumps(content))
    return copy


# ------------------------------------------------------------------------------- other places, and other records


def files_of(directory):
    """The content of each file that an evaluation writes."""
    return {path.name: path.read_bytes() for path in sorted(directory.glob("*.*")) if path.is_file()}


def refuse_writing_to(directory, monkeypatch):
    """Simulates a read-only file system for a directory."""
    make = tempfile.TemporaryFile

    def refusing(*, dir):
        if Path(dir) == directory:
            raise OSError(errno.EROFS, "Read-only file system")
        return make(dir=dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", refusing)


def test_a_read_only_run_is_an_error_before_any_work(run, workdir, tmp_path, monkeypatch, capsys):
    refuse_writing_to(workdir, monkeypatch)
    before, restored = files_of(workdir), restore.from_run
    monkeypatch.setattr(restore, "from_run", lambda *given: pytest.fail("it has begun"))
    message = complaint(monkeypatch, capsys, "--workdir", workdir)
    assert f"--workdir {workdir} cannot be written to ({workdir}: Read-only file system)" in message
    assert "--out FILE" in message
    for out, message in [
        (workdir / "x.json", "Read-only file system"),
        (tmp_path, "is a directory: name a file in it"),
        (tmp_path / "none" / "x.json", "none is not a directory; create it first"),
    ]:
        for task in ((), ("--one_shot", "2x1")):
            assert message in complaint(monkeypatch, capsys, "--workdir", workdir, "--out", out, *task)

    monkeypatch.setattr(restore, "from_run", restored)
    printed = command(monkeypatch, capsys, "--workdir", workdir, "--out", tmp_path / "figures.json")
    assert "16 videos of ['test']" in printed and files_of(workdir) == before
    assert sorted(files_of(tmp_path)) == [
        *("figures.json", "figures_confusion.csv", "figures_confusion.png", "figures_predictions.csv")
    ]
    assert json.loads((tmp_path / "figures.json").read_text())["num_videos"] == 16


def test_from_another_directory(run, workdir, tiny_motion, tmp_path, monkeypatch, capsys):
    """The run was started beside its dataset, which it names by a relative path."""
    copy = with_dataset(workdir, tmp_path / "run", "motion", list(motion.CLASSES))
    content = json.loads((copy / "config.json").read_text())
    (tmp_path / "motion").symlink_to(tiny_motion)
    content["started_in"] = str(tmp_path)
    (copy / "config.json").write_text(json.dumps(content))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert "16 videos of ['test']" in command(monkeypatch, capsys, "--workdir", copy)

    (tmp_path / "motion").unlink()
    message = complaint(monkeypatch, capsys, "--workdir", copy)
    assert f"No dataset at {tmp_path}/motion and {elsewhere}/motion" in message and "--dataset DIR" in message
    (elsewhere / "motion").symlink_to(tiny_motion)  # moved with the run
    assert "16 videos of ['test']" in command(monkeypatch, capsys, "--workdir", copy)


def test_other_records(run, workdir, tiny_motion, tmp_path, monkeypatch, capsys):
    """Four of the eight classes, one in capitals, and two unknown ones."""
    names = [*motion.CLASSES[:3], motion.CLASSES[3].upper(), "dance", "sing"]
    source = pipeline.open_records(tiny_motion, ["test"])
    order = {0: 2, 1: 1, 2: 0, 3: 3, 4: 4, 5: 5}  # index there -> class of the video
    examples = [
        dataclasses.replace(source[video], labels=[index], media_id=f"{index}.mp4") for index, video in order.items()
    ]
    other = tmp_path / "other"
    other.mkdir()
    tfrecords.write_shard(tfrecords.shard_path(other, "all", 0, 1), map(records.encode, examples))
    labels = [names[2], names[1], names[0], *names[3:]]
    dataset_info.write(other, dataset_info.DatasetInfo(labels, "forbidden"), complete=True)
    before = files_of(workdir)
    assert "No split 'test'" in complaint(monkeypatch, capsys, "--workdir", workdir, "--dataset", other)
    printed = command(monkeypatch, capsys, "--workdir", workdir, "--dataset", other, "--splits", "all")
    assert "4 videos of ['all']" in printed
    assert f"Matched except for upper and lower case: {names[3]} is {motion.CLASSES[3]}" in printed
    assert "because the run does not know the class: dance, 1 video (4.mp4)" in printed
    assert f"without a video in {other}: {', '.join(motion.CLASSES[4:])}" in printed
    written = {name: content for name, content in files_of(workdir).items() if before.get(name) != content}
    assert sorted(written) == [f"result_other{end}" for end in (".json", "_confusion.csv", "_confusion.png")] + [
        "result_other_predictions.csv"
    ]
    result = json.loads((workdir / "result_other.json").read_text())
    assert (result["left_out"], result["absent"]) == ({"dance": ["4.mp4"], "sing": ["5.mp4"]}, [*motion.CLASSES[4:]])

    logits, _ = logits_with(run)  # test video i has class i
    expected = metrics.single_label(run.probabilities(logits[[2, 1, 0, 3]]), np.array([2, 1, 0, 3]))
    confusion = result_file.read_confusion(workdir / "result_other.json")
    assert confusion.tolist() == expected["confusion"] and result["top1"] == expected["top1"]
