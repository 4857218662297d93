import csv
import sys

import numpy as np
import pytest

from vidjax.data import video
from vidjax.data.synthetic import composed


def clip(first: int, length: int) -> np.ndarray:
    """Frame i has the value first + i."""
    return np.uint8(first + np.arange(length))[:, None, None, None] * np.ones((1, 16, 16, 3), np.uint8)


def test_background_plays_the_tail_then_the_head_and_ends_where_the_clip_starts():
    tail, head = clip(10, 4), clip(200, 4)
    values = composed.background(tail, head, 20)[:, 0, 0, 0].tolist()
    assert values[:6] == [13, 12, 11, 10, 11, 12]  # from the last frame of the clip before, backwards and on
    assert values[-4:] == [203, 202, 201, 200]  # up to the first frame of the clip after
    assert all(13 < value < 200 for value in values[8:12])  # the fade
    assert composed.background(None, head, 3)[:, 0, 0, 0].tolist() == [202, 201, 200]
    assert composed.background(tail, None, 2)[:, 0, 0, 0].tolist() == [13, 12]


def test_a_video_is_its_clips_with_background_around_them():
    clips = [clip(10, 6), clip(100, 9)]
    frames = [frame[0, 0, 0] for frame in composed.compose(clips, [8, 16, 10])]
    assert len(frames) == 8 + 6 + 16 + 9 + 10
    assert frames[8:14] == [*range(10, 16)] and frames[30:39] == [*range(100, 109)]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Two groups of two clips of 6 and 9 frames at 10 frames per second."""
    folder = tmp_path_factory.mktemp("clips")
    rows = []
    for number, (label, group) in enumerate([("wave", "a"), ("clap", "a"), ("wave", "b"), ("clap", "b")]):
        video.write_video(folder / f"{number}.mp4", clip(40 * number, 6 + 3 * (number % 2)), 10)
        rows.append(f"{number}.mp4,{label},{group}")
    path = folder / "labels.csv"
    path.write_text("path,label,scene\n" + "\n".join(rows) + "\n")
    return path


def test_the_command(table, tmp_path, monkeypatch, capsys):
    arguments = [table, "--group", "scene", "--out", tmp_path / "out", "--size", 16, "--background", 16]
    monkeypatch.setattr(sys, "argv", ["composed", *map(str, arguments)])
    composed.main()
    assert "Wrote 2 videos and 4 segments" in capsys.readouterr().out
    with open(tmp_path / "out/segments.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["path"], row["group"]) for row in rows] == [("a.mp4", "a")] * 2 + [("b.mp4", "b")] * 2
    lengths = {row["label"]: round(10 * (float(row["end"]) - float(row["start"]))) for row in rows[:2]}
    assert lengths == {"wave": 6, "clap": 9}
    first = rows[0]
    found = video.read_video(tmp_path / "out/a.mp4").frames
    before = [frame[8, 8, 0] for frame in found[: round(10 * float(first["start"]))]]
    assert 8 <= len(before) <= 24 and len(found) > 15 + 3 * 8
    command = list(map(str, arguments))
    assert composed.parse_args(command).seed == 0


@pytest.mark.parametrize(
    "text, message",
    [
        ("path,label,scene\n0.mp4,wave,a\n1.mp4,clap,b\n", "The group a has one clip"),
        ("path,label\n0.mp4,wave\n1.mp4,clap\n", "--group scene: no such column"),
        ("path,label,scene\n0.mp4,wave|clap,a\n1.mp4,clap,a\n", "has no label or several"),
    ],
)
def test_tables_that_are_refused(text, message, table, tmp_path):
    wrong = table.with_name("wrong.csv")
    wrong.write_text(text)
    with pytest.raises(ValueError, match=message):
        composed.write(wrong, "scene", tmp_path / "out", size=16, mean_background=16, seed=0)
