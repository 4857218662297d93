import argparse
import dataclasses
import json
import sys

import numpy as np
import pytest

from tests.inference.test_frame_scores import CNN, LABELS, film, run_of  # noqa: F401  # a fixture
from vidjax import detect
from vidjax.data import segment_files, subtitles, video
from vidjax.inference import frame_scores, restore

SCORES = np.array([[0.8, 0.1, 0.1]] * 5 + [[0.1, 0.7, 0.2]] * 10 + [[0.2, 0.2, 0.6]] * 4)


@pytest.fixture
def known(monkeypatch):
    """A run whose scores are `SCORES`, for a video of 19 frames at 10 frames per second."""
    run = run_of("frame_pool", per_frame=True, **CNN)
    monkeypatch.setattr(restore, "from_run", lambda workdir: run)
    monkeypatch.setattr(frame_scores, "of_video", lambda *_: (SCORES, 10.0))
    return run


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["vidjax detect", *map(str, arguments), "--workdir", "w"])
    detect.main()


def settings(**changes):
    return argparse.Namespace(**{"smooth": 0.0, "threshold": None, "min_seconds": 0.0, **changes})


def test_segments_of_scores():
    assert detect.segments_of(SCORES, 10.0, LABELS, settings()) == [
        (0.5, 1.5, "a", pytest.approx(0.7)),
        (1.5, 1.9, "b", pytest.approx(0.6)),
    ]
    assert [x.label for x in detect.segments_of(SCORES, 10.0, LABELS, settings(min_seconds=0.5))] == ["a"]
    assert [x.label for x in detect.segments_of(SCORES, 10.0, LABELS, settings(threshold=0.65))] == ["a"]
    overlapping = detect.segments_of(SCORES, 10.0, LABELS, settings(threshold=0.2))
    assert [(x.start, x.end, x.label) for x in overlapping] == [(0.5, 1.9, "a"), (0.5, 1.9, "b")]


def test_the_command_prints_and_writes(known, film, tmp_path, monkeypatch, capsys):  # noqa: F811
    command(monkeypatch, film)
    out = capsys.readouterr().out.splitlines()
    assert out == [f"{film}: 2 segments in 1.9 s", "     0.50      1.50  0.70  a", "     1.50      1.90  0.60  b"]
    for name in ("a.json", "a.csv", "a.txt", "a.srt", "a.vtt", "a.mp4"):
        command(monkeypatch, film, "--out", tmp_path / name)
    assert "a" in {x["label"] for x in json.loads((tmp_path / "a.json").read_text())["results"][str(film)]}
    for found in (
        segment_files.read_csv(tmp_path / "a.csv")[str(film)],
        segment_files.read_text(tmp_path / "a.txt"),
        subtitles.read_subtitles(tmp_path / "a.srt"),
        subtitles.read_subtitles(tmp_path / "a.vtt"),
    ):
        assert [(x.start, x.end, x.label) for x in found] == [(0.5, 1.5, "a"), (1.5, 1.9, "b")]
    assert len(video.read_video(tmp_path / "a.mp4").frames) == 19


def test_a_timeline_with_the_truth(known, film, tmp_path, monkeypatch, capsys):  # noqa: F811
    (tmp_path / "truth.csv").write_text(f"path,start,end,label\nelsewhere/{film.name},0.4,1.6,a\n")
    command(monkeypatch, film, "--truth", tmp_path / "truth.csv", "--picture", tmp_path / "t.png")
    assert (tmp_path / "t.png").stat().st_size > 1000 and f"Wrote {tmp_path / 't.png'}" in capsys.readouterr().out


def test_a_stream_prints_each_segment_when_it_ends(known, film, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setattr(frame_scores, "of_stream", lambda run, frames: (x for x, _ in zip(SCORES, frames)))  # noqa: B905
    command(monkeypatch, "--stream", film)
    assert capsys.readouterr().out.splitlines() == ["     0.50      1.50  0.70  a", "     1.50      1.80  0.60  b"]
    monkeypatch.setattr(restore, "from_run", lambda _: dataclasses.replace(known, inputs={"prefix": "RGB"}))
    with pytest.raises(SystemExit, match="sees stored features: --stream needs a network that sees frames"):
        command(monkeypatch, "--stream", film)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give videos, or --stream with one"),
        (["a.mp4", "--stream", "camera"], "give videos, or --stream with one"),
        (["--stream", "camera", "--out", "a.csv"], "--stream prints segments only"),
        (["a.mp4", "--threshold", "1.5"], "--threshold 1.5 must be in [0, 1]"),
        (["a.mp4", "--threshold", "nan"], "--threshold nan must be in [0, 1]"),
        (["a.mp4", "--smooth", "-1"], "--smooth -1 must be 0 or more seconds"),
        (["a.mp4", "--out", "a.xyz"], "must end in .json, .csv, .txt, .srt, .vtt, .mp4"),
        (["a.mp4", "b.mp4", "--out", "a.srt"], "--out a.srt is for one video"),
        (["a.mp4", "--truth", "a.csv"], "--truth needs --picture"),
    ],
)
def test_arguments_that_are_refused(arguments, message, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        command(monkeypatch, *arguments)
    assert message in capsys.readouterr().err


def test_a_run_that_labels_whole_videos(tiny_run, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["detect", str(tiny_run.videos["test"][0]), "--workdir", str(tiny_run.workdir)])
    with pytest.raises(SystemExit, match="does not label every frame"):
        detect.main()
