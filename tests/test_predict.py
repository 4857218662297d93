import dataclasses
import json
import os
import re
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from vidjax import models, predict, sharding, step
from vidjax.data import pipeline, video
from vidjax.evaluation import outputs
from vidjax.inference import embedding, gallery, restore
from vidjax.inference.views import read_views
from vidjax.weights import load as weights

GOLDEN = Path(__file__).parent / "peers/i3d_kinetics.json"


@pytest.fixture(scope="module")
def run(tiny_run):
    return restore.from_run(tiny_run.workdir)


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """A video of 30 frames at 10 per second; frame i has the brightness 8 i."""
    path = tmp_path_factory.mktemp("numbered") / "numbered.mp4"
    frames = np.broadcast_to(8 * np.arange(30, dtype=np.uint8)[:, None, None, None], (30, 32, 32, 3))
    video.write_video(path, frames, 10.0)
    return path


def test_prediction_equals_evaluation(run, tiny_run):
    source = pipeline.open_records(tiny_run.records, ["test"])
    eval_fn = outputs.make_eval_fn(
        run.model, run.preprocess, run.mesh, sharding.shardings_of((run.params, run.model_state))
    )
    batches = pipeline.eval_batches(source, {**run.clip, "num_views": 3}, batch_size=8)
    logits = outputs.clip_logits(eval_fn, run.params, run.model_state, batches, run.mesh).logits
    logits_fn = predict.make_logits_fn(run)
    for path, expected in zip(tiny_run.videos["test"], run.probabilities(logits).mean(axis=1), strict=True):
        np.testing.assert_allclose(predict.predict(run, logits_fn, path, num_views=3), expected, rtol=1e-5)


def command(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["predict", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        predict.main()
    return stopped.value.code


def predict_main(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["predict", *map(str, arguments)])
    predict.main()


def test_videos_may_follow_the_run(tiny_run, monkeypatch, capsys):
    path = tiny_run.videos["test"][0]
    assert command(monkeypatch, "--workdir", tiny_run.workdir, path) == 0
    assert str(path) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stream", "v.mp4", "--num_views", 2], "--num_views is for files"),
        (["--stream", "v.mp4", "--folder_fps", 5], "--folder_fps is for files"),
        (["v.mp4", "--beams", 0], "--beams 0 must be more than 0"),
        (["v.mp4", "--beams", 2], "--beams is for captions, which .* does not write"),
    ],
)
def test_options_that_would_be_ignored_are_refused(arguments, message, tiny_run, monkeypatch, capsys):
    assert command(monkeypatch, *arguments, "--workdir", tiny_run.workdir) == 2
    assert re.search(message, capsys.readouterr().err)


def test_the_command_prints_json(tiny_run, monkeypatch, capsys):
    paths = tiny_run.videos["test"][:2]
    assert command(monkeypatch, *paths, "--workdir", tiny_run.workdir, "--json", "--top", 3) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["video"] for line in lines] == list(map(str, paths))
    for line in lines:
        assert line.keys() == {"video", "top"}
        assert [entry.keys() for entry in line["top"]] == [{"label", "probability"}] * 3
        probabilities = [entry["probability"] for entry in line["top"]]
        assert probabilities == sorted(probabilities, reverse=True)


def test_a_stream_prints_a_line_per_second(run, numbered, monkeypatch, capsys, tmp_path):
    """30 frames at 10 per second, every second one, and a network on single frames."""
    model = models.make_model("resnet18", 8, width=0.0625)
    batch = {"video": np.zeros((1, 1, 40, 40, 3), np.uint8)}
    params, state = step.init_variables(0, batch, model=model, spec=run.preprocess)
    changed = dataclasses.replace(run, model=model, params=params, model_state=state, inputs={})
    monkeypatch.setattr(restore, "from_run", lambda *_: changed)
    arguments = ("--stream", numbered, "--workdir", "w", "--top", 2)
    predict_main(monkeypatch, *arguments, "--json")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    np.testing.assert_allclose([line["seconds"] for line in lines], [1.0, 2.0, 2.8], atol=1e-6)
    video_so_far = read_views(numbered, {**run.clip, "num_frames": 15}, {}, num_views=1)
    logits = step.eval_step(params, state, video_so_far, model=model, spec=run.preprocess)
    np.testing.assert_allclose(lines[-1]["top"][0]["probability"], run.probabilities(logits).max(), rtol=1e-4)
    predict_main(monkeypatch, *arguments)
    assert [line.split(" s")[0] for line in capsys.readouterr().out.splitlines()] == ["1.0", "2.0", "2.8"]
    examples = np.random.default_rng(0).random((2, 32))  # of two classes
    known = gallery.empty(embedding.of_run(changed))
    for name, row in zip("xy", examples, strict=True):
        known = gallery.add(known, name, row[None], [name])
    gallery.write(tmp_path / "g", known)
    predict_main(monkeypatch, *arguments, "--gallery", tmp_path / "g", "--json")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["seconds"] for line in lines] == pytest.approx([1.0, 2.0, 2.8])
    assert all({entry["label"] for entry in line["top"]} == {"x", "y"} for line in lines)


def test_streams_that_are_refused(tiny_run, numbered, monkeypatch, capsys):
    for arguments, message in (
        ([numbered], "FramePool sees a clip at once, so it cannot be stateful"),
        ([numbered, numbered], "Give either videos or one --stream."),
    ):
        assert command(monkeypatch, "--workdir", tiny_run.workdir, "--stream", *arguments) == 2
        assert message in capsys.readouterr().err


def test_one_bad_video_does_not_stop_the_others(tiny_run, tmp_path, monkeypatch, capsys):
    (tmp_path / "text.mp4").write_text("no video")
    good = tiny_run.videos["test"][0]
    assert command(monkeypatch, tmp_path / "text.mp4", good, "--workdir", tiny_run.workdir) == 1
    out, err = capsys.readouterr()
    assert str(good) in out and "%" in out
    assert "text.mp4 is not a video that FFmpeg can read" in err


def test_a_directory_is_every_video_below_it(tiny_run, tmp_path, monkeypatch, capsys):
    """A name that is not UTF-8, a damaged file, a file that is not a video, and a folder of frames."""
    good = tiny_run.videos["test"][0]
    (tmp_path / "sub").mkdir()
    odd = os.fsdecode(bytes(tmp_path / "sub") + b"/caf\xe9.mp4")
    shutil.copy(good, odd)
    (tmp_path / "broken.mp4").write_text("no video")
    (tmp_path / "notes.txt").write_text("text")
    (tmp_path / "frames").mkdir()
    for i, (frame, _) in enumerate(video.iterate_frames(good)):
        cv2.imwrite(str(tmp_path / f"frames/{i}.png"), frame[:, :, ::-1])
    arguments = (tmp_path, "--workdir", tiny_run.workdir)
    assert command(monkeypatch, *arguments, "--json") == 1
    out, err = capsys.readouterr()
    lines = {line["video"]: line["top"] for line in map(json.loads, out.splitlines())}
    assert list(lines) == [str(tmp_path / "frames"), odd]
    assert lines[odd] == lines[str(tmp_path / "frames")]
    assert "broken.mp4 is not a video that FFmpeg can read" in err
    assert "files without a video: 1 (notes.txt)" in err
    assert command(monkeypatch, odd, "--workdir", tiny_run.workdir) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("caf\\udce9.mp4")


def test_missing_files_are_reported_at_once(tiny_run, tmp_path, monkeypatch, capsys):
    good, order, load = tiny_run.videos["test"][0], [], predict.load
    monkeypatch.setattr(predict, "load", lambda args: order.append(capsys.readouterr()) or load(args))
    (tmp_path / "empty").mkdir()
    arguments = (tmp_path / "a.mp4", good, tmp_path / "empty", "--workdir", tiny_run.workdir)
    assert command(monkeypatch, *arguments) == 1
    assert "a.mp4 does not exist" in order[0].err and "empty holds no video. Looked for" in order[0].err
    assert capsys.readouterr().out.startswith(str(good))


def test_a_video_without_a_frame(tiny_run, tmp_path, monkeypatch, capsys):
    import av

    with av.open(str(tmp_path / "empty.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        container.start_encoding()
    assert command(monkeypatch, tmp_path / "empty.mkv", "--workdir", tiny_run.workdir) == 1
    assert "empty.mkv is not a video that FFmpeg can read: End of file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weights", "i4d"], "'i4d' is neither"),
        (["--workdir", "nowhere"], "it has no config.json"),
        ([], "one of the arguments --workdir --weights --exported is required"),
        (["--workdir", "w", "--top", "0"], "--top 0 must be more than 0"),
        (["--workdir", "w", "--num_views", "-1"], "--num_views -1 must be more than 0"),
        (["--weights", "i3d_kinetics400_rgb", "--step", "4"], "--step is for --workdir"),
        (["--weights", "w", "--classes", "a", "--gallery", "g"], "--gallery and --classes both name the classes"),
        (["--workdir", "w", "--folder_fps", "nan"], "--folder_fps nan must be more than 0"),
    ],
)
def test_errors_of_the_command(arguments, message, monkeypatch, capsys):
    assert command(monkeypatch, "a.mp4", *arguments) == 2
    assert message in capsys.readouterr().err


# -------------------------------------------------------------------------------------------------- the real weights


@pytest.fixture(scope="module")
def i3d():
    if not weights.find("i3d_kinetics400_rgb").files[0].path.exists():
        pytest.skip("the weights are not in the cache: python -m vidjax.weights get i3d_kinetics400_rgb")
    return restore.from_weights("i3d_kinetics400_rgb")


@pytest.mark.slow
def test_real_weights_on_real_clips_equal_pytorch_i3d(i3d, shared_data):
    logits_fn = predict.make_logits_fn(i3d)
    for name, expected in json.loads(GOLDEN.read_text())["logits"].items():
        views = read_views(shared_data / name, i3d.clip, i3d.inputs, num_views=1)
        logits = logits_fn(views)[0]
        error = np.abs(logits - expected).max() / np.abs(expected).max()
        print(f"{name}: largest difference {error:.1e} of the largest logit")
        assert error < 1e-4
    cricket = shared_data / "clips/v_CricketShot_g04_c01_rgb.gif"
    probabilities = predict.predict(i3d, logits_fn, cricket)
    assert i3d.labels[probabilities.argmax()] == "playing cricket"
    assert probabilities.max() > 0.97
