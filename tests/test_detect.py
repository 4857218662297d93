import dataclasses
import json
import sys

import numpy as np
import pytest

from tests.inference.test_frame_scores import CNN, LABELS, film, run_of  # noqa: F401  # a fixture
from vidjax import detect
from vidjax.data import segment_files, subtitles, video
from vidjax.evaluation import segment_rule
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
    network = [] if {"--workdir", "--weights"} & {*arguments} else ["--workdir", "w"]
    monkeypatch.setattr(sys, "argv", ["vidjax detect", *map(str, arguments), *network])
    detect.main()


def printed(capsys):
    """The printed lines without the first, the name of the film; segments as (start, end, score, label)."""
    return [line if line.startswith("Rule") else tuple(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_arguments_override_the_rule_of_the_run(known, film, tmp_path, monkeypatch, capsys):  # noqa: F811
    def lines(*arguments):
        command(monkeypatch, film, "--workdir", tmp_path, *arguments)
        return [line for line in printed(capsys) if line[0] != f"{film}:"]

    both = [("0.50", "1.90", "0.56", "a"), ("0.50", "1.90", "0.31", "b")]
    assert lines("--threshold", 0.2) == ["Rule: threshold 0.2", *both]
    assert lines("--min_seconds", 0.5) == ["Rule: argmax, at least 0.5 s", ("0.50", "1.50", "0.70", "a")]
    assert lines("--rule", "montes") == ["Rule: montes 0.2", both[0]]
    segment_rule.write(tmp_path, segment_rule.Rule("threshold", 0.2))
    assert lines() == [f"Rule: threshold 0.2, from {tmp_path}/segment_rule.json", *both]
    assert lines("--threshold", 0.65) == ["Rule: threshold 0.65", ("0.50", "1.50", "0.70", "a")]
    assert [line[-1] for line in lines("--rule", "argmax")[1:]] == ["a", "b"]
    segment_rule.write(tmp_path, segment_rule.Rule("montes", 0.85))
    assert lines()[1:] == lines("--rule", "montes")[1:] == [("0.50", "1.50", "0.70", "a")]


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


def test_the_truth_of_two_videos_with_one_file_name(tmp_path):
    (tmp_path / "truth.csv").write_text("path,start,end,label\na/1.mp4,0,1,wave\nb/1.mp4,2,3,clap\n")
    found = detect.truth_of(tmp_path / "truth.csv", ["a/1.mp4", "data/b/1.mp4", "a/2.mp4"])
    labels = {video: segments[0].label for video, segments in found.items()}
    assert labels == {"a/1.mp4": "wave", "data/b/1.mp4": "clap"}
    with pytest.raises(ValueError, match="truth.csv names none of the videos, but a/1.mp4, b/1.mp4: correct its paths"):
        detect.truth_of(tmp_path / "truth.csv", ["a/1.avi"])


def test_a_stream_prints_each_segment_when_it_ends(known, film, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setattr(frame_scores, "of_stream", lambda run, frames: (x for x, _ in zip(SCORES, frames)))  # noqa: B905
    command(monkeypatch, "--stream", film)
    assert capsys.readouterr().out.splitlines() == ["     0.50      1.50  0.70  a", "     1.50      1.90  0.60  b"]
    monkeypatch.setattr(restore, "from_run", lambda _: dataclasses.replace(known, inputs={"prefix": "RGB"}))
    with pytest.raises(SystemExit, match="sees stored features: --stream needs a network that sees frames"):
        command(monkeypatch, "--stream", film)


def test_a_stream_of_a_damaged_file_ends_with_a_warning(known, monkeypatch, capsys):
    def frames(*_):
        yield from ((np.zeros((32, 32, 3), np.uint8), i / 10) for i in range(7))
        raise video.DamagedVideo("a.mp4: cut short.")

    monkeypatch.setattr(detect.stream, "read_frames", frames)
    monkeypatch.setattr(frame_scores, "of_stream", lambda run, frames: (SCORES[i] for i, _ in enumerate(frames)))
    command(monkeypatch, "--stream", "a.mp4", "--min_seconds", 0.2)
    assert capsys.readouterr() == ("     0.50      0.70  0.70  a\n", "warning: a.mp4: cut short.\n")


def test_ctrl_c_ends_a_stream(known, monkeypatch, capsys):
    def segments(*_):
        yield segment_files.Segment(0.5, 1.5, "a", 0.7)
        raise KeyboardInterrupt

    monkeypatch.setattr(detect, "streamed", segments)
    command(monkeypatch, "--stream", "camera")
    assert capsys.readouterr().out == "     0.50      1.50  0.70  a\n"


def test_several_labels_per_frame_give_segments_that_overlap(known, film, monkeypatch, capsys):  # noqa: F811
    scores = np.repeat([[0.9, 0.1, 0.1], [0.9, 0.6, 0.1], [0.9, 0.6, 0.7], [0.1, 0.4, 0.7]], [5, 5, 5, 4], 0)
    monkeypatch.setattr(frame_scores, "of_video", lambda *_: (scores, 10.0))
    monkeypatch.setattr(restore, "from_run", lambda _: dataclasses.replace(known, multi_label=True))
    command(monkeypatch, film)
    assert printed(capsys)[::2] == ["Rule: threshold 0.5", ("0.50", "1.50", "0.60", "a")]
    with pytest.raises(SystemExit, match="--rule argmax does not go with the classes of w, step 1: choose threshold"):
        command(monkeypatch, film, "--rule", "argmax")
    with pytest.raises(SystemExit, match="gives a frame several labels: --stream needs exclusive classes"):
        command(monkeypatch, "--stream", film)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give videos, or --stream with one"),
        (["a.mp4", "--stream", "camera"], "give videos, or --stream with one"),
        (["--stream", "camera", "--out", "a.csv"], "--stream prints segments only"),
        (["a.mp4", "--rule", "argmax", "--threshold", "0.5"], "--threshold is for --rule threshold and montes"),
        (["a.mp4", "--threshold", "1.5"], "--threshold 1.5 must be in [0, 1]"),
        (["a.mp4", "--threshold", "nan"], "--threshold nan must be in [0, 1]"),
        (["a.mp4", "--smooth", "-1"], "--smooth -1 must be 0 or more seconds"),
        (["a.mp4", "--out", "a.xyz"], "must end in .json, .csv, .txt, .srt, .vtt, .mp4"),
        (["a.mp4", "b.mp4", "--out", "a.srt"], "--out a.srt is for one video"),
        (["a.mp4", "--truth", "a.csv"], "--truth needs --picture"),
        (["a.mp4", "--out", "b/../a.mp4"], "a.mp4 would be replaced by the result: name another file"),
        (["a.mp4", "--truth", "a.csv", "--picture", "a.png", "--out", "a.csv"], "a.csv would be replaced"),
    ],
)
def test_arguments_that_are_refused(arguments, message, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        command(monkeypatch, *arguments)
    assert message in capsys.readouterr().err


def test_a_network_that_classifies_clips(tiny_run, monkeypatch, capsys):
    command(monkeypatch, tiny_run.videos["test"][0], "--workdir", tiny_run.workdir, "--threshold", 0)
    rule, film, *segments = printed(capsys)  # noqa: F811
    assert rule == "Rule: threshold 0" and len(segments) == 8 and len({line[:2] for line in segments}) == 1
    with pytest.raises(SystemExit, match="classifies clips: use vidjax predict --stream"):
        command(monkeypatch, "--stream", film, "--workdir", tiny_run.workdir)


def test_published_weights(known, film, monkeypatch, capsys):  # noqa: F811
    published = dataclasses.replace(known, config=None, labels=["x", "a", "b"])
    monkeypatch.setattr(restore, "from_weights", {"NAME": published}.get)
    command(monkeypatch, film, "--weights", "NAME")
    assert printed(capsys) == [
        "Rule: threshold 0.3",
        (f"{film}:", "3", "segments", "in", "1.9", "s"),
        ("0.00", "0.50", "0.80", "x"),
        ("0.50", "1.50", "0.70", "a"),
        ("1.50", "1.90", "0.60", "b"),
    ]
