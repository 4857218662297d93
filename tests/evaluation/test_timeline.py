import io

import cv2
import numpy as np
import pytest

from vidjax import label_fonts
from vidjax.data import segment_files
from vidjax.data.segment_files import Segment
from vidjax.evaluation import timeline

RED, BLUE = (214, 39, 40), (31, 119, 180)  # the fourth and the first colour of matplotlib's tab10
LABELS = ["walk", "run", "sit", "fall"]


def count(path, colour) -> int:
    """The number of pixels of an RGB colour in a picture."""
    return int((cv2.imread(str(path)) == colour[::-1]).all(axis=-1).sum())


def test_each_class_has_its_colour_in_proportion_to_its_time(tmp_path):
    predicted = {"a.mp4": [Segment(0, 30, "walk"), Segment(30, 40, "fall")]}
    timeline.draw(predicted, tmp_path / "a.png", labels=LABELS, durations={"a.mp4": 80})
    blue, red = count(tmp_path / "a.png", BLUE), count(tmp_path / "a.png", RED)
    assert 2.5 < blue / red < 3.2  # the legend has a patch of each
    timeline.draw(predicted, tmp_path / "long.png", labels=LABELS, durations={"a.mp4": 160})
    assert 0.4 < count(tmp_path / "long.png", BLUE) / blue < 0.6


def test_the_truth_is_above_the_prediction(tmp_path):
    true, predicted = {"a": [Segment(0, 9, "walk")]}, {"a": [Segment(0, 9, "fall")]}
    timeline.draw(predicted, tmp_path / "a.png", truth=true, labels=LABELS)
    rows = cv2.imread(str(tmp_path / "a.png")).astype(int)[:, 700]  # a column through the bars
    of_blue, of_red = (np.flatnonzero((rows == colour[::-1]).all(axis=-1)) for colour in (BLUE, RED))
    assert len(of_blue) and len(of_red) and of_blue[0] < of_red[0]


def test_overlapping_segments_share_the_height():
    assert timeline.lanes([]) == []
    assert timeline.lanes([Segment(0, 2, "a"), Segment(2, 4, "b")]) == [(0, 1), (0, 1)]
    chain = [Segment(0, 3, "a"), Segment(2, 5, "b"), Segment(4, 6, "a"), Segment(6, 7, "a")]
    assert timeline.lanes(chain) == [(0, 2), (1, 2), (0, 2), (0, 1)]
    assert timeline.lanes(chain[::-1]) == [(0, 1), (0, 2), (1, 2), (0, 2)]
    assert timeline.lanes([Segment(0, 9, "a")] * 3) == [(0, 3), (1, 3), (2, 3)]


def test_colours_differ_and_none_is_grey():
    for number in (1, 9, 10, 18, 19, 101):
        colours = timeline.class_colours(number)
        assert len(set(colours)) == number
        assert min(max(rgb) - min(rgb) for rgb in colours) > 0.1


def test_videos_without_segments_or_in_one_of_the_two(tmp_path):
    for name, predicted, true in (
        ("nothing.png", {"a": []}, None),
        ("apart.png", {"a": [Segment(0, 1, 3)]}, {"b": [Segment(1, 2, 4)]}),
        ("many.png", {f"video {i}": [Segment(i, i + 2, f"class {i}")] for i in range(40)}, None),
    ):
        timeline.draw(predicted, tmp_path / name, truth=true)
        assert cv2.imread(str(tmp_path / name)).std() > 0


def test_names_that_fonts_cannot_show_are_numbers_with_a_legend(tmp_path, monkeypatch):
    monkeypatch.setattr(label_fonts, "regular_faces", dict)
    timeline.draw({"视频": [Segment(0, 1, "跑"), Segment(1, 2, "$x^2$")]}, tmp_path / "a.png")
    assert (tmp_path / "a_labels.txt").read_text("utf-8") == "0: $x^2$\n1: 跑\n"


def test_a_picture_in_memory_has_no_legend_file_and_another_unit(tmp_path, monkeypatch):
    monkeypatch.setattr(label_fonts, "regular_faces", dict)
    pictures = [io.BytesIO(), io.BytesIO()]
    for picture, unit in zip(pictures, ("seconds", "steps"), strict=True):
        timeline.draw({"a": [Segment(0, 1, "跑")]}, picture, unit=unit)
    assert pictures[0].getvalue()[:4] == b"\x89PNG" and pictures[0].getvalue() != pictures[1].getvalue()


@pytest.mark.parametrize(
    ("predicted", "message"),
    [
        ({}, "shows 1 to 40 videos, not 0; choose some"),
        ({str(i): [] for i in range(41)}, "shows 1 to 40 videos, not 41; choose some"),
        ({"a": [Segment(0, 1, "jump")]}, "Unknown labels jump; choose from walk, run, sit, fall"),
    ],
)
def test_errors(predicted, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        timeline.draw(predicted, tmp_path / "a.png", labels=LABELS)


def test_real_annotations(shared_data, tmp_path):
    columns = {"path": "video", "start": "start_s", "end": "end_s"}
    true = segment_files.read_csv(shared_data / "fir/segments.csv", columns=columns, say=lambda line: None)
    timeline.draw(true, tmp_path / "fir.png")
    assert cv2.imread(str(tmp_path / "fir.png")).std() > 0
