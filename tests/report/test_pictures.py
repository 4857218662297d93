import base64
import re

import numpy as np

from tests import ladder_files
from tests.frame_runs import write_run
from vidjax.data.segment_files import Segment
from vidjax.evaluation import result_file, timeline
from vidjax.report import pictures, segments
from vidjax.report.entries import Entry


def test_the_confusions_of_each_part_are_summed(tmp_path):
    """Two sets of two folds and two seeds: set1 is all correct, set2 all wrong. A classifier has its own confusion."""
    for part, counts in (("set1", [[1, 0], [0, 2]]), ("set2", [[0, 1], [2, 0]])):
        for fold in ("seed_0/fold_0", "seed_0/fold_1", "seed_1/fold_0", "seed_1/fold_1"):
            place = tmp_path / part / fold
            place.mkdir(parents=True)
            content = {"top1": 1.0, "per_class": [None, None], "confusion": counts}
            result_file.write(place / "result.json", content, ["0", "1"])
    ladder_files.write_result(tmp_path / "svm/set1", 1.0, confusion=[[3, 1], [0, 4]], labels=["a", "b"])
    entry = Entry({}, [tmp_path / "set1", tmp_path / "set2"])
    counts, labels, num_runs = pictures.confusion_of(entry.places_of("set1"))
    assert counts.tolist() == [[4, 0], [0, 8]] and labels == ["0", "1"] and num_runs == 4
    assert pictures.confusion_of(entry.places_of("set2"))[0].tolist() == [[0, 4], [8, 0]]
    assert pictures.confusion_of(entry.places_of(""))[0].tolist() == [[4, 4], [8, 8]]
    counts, labels, num_runs = pictures.confusion_of([tmp_path / "svm/set1"])
    assert counts.tolist() == [[3, 1], [0, 4]] and labels == ["a", "b"] and num_runs == 1
    assert np.size(pictures.confusion_of([tmp_path / "svm"])[0]) == 0

    captions = [picture.caption for picture in pictures.pictures_of(entry, ["set1", "set2", "set3"])]
    assert captions == ["set1: sum of the confusions of 4 runs", "set2: sum of the confusions of 4 runs"]
    assert [x.caption for x in pictures.pictures_of(Entry({}, [tmp_path / "svm/set1"]), [""])] == [
        "confusion of one run"
    ]


def test_the_one_shot_picture_of_a_run(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "one_shot.png").write_bytes(b"picture")
    (picture,) = pictures.pictures_of(Entry({}, [tmp_path]), [])
    assert base64.b64decode(picture.png) == b"picture" and "one-shot confusion" in picture.caption


def test_timelines_of_the_same_videos_for_each_run(tmp_path, monkeypatch):
    names = [f"{x}/{x}.mp4" for x in "edcba"]
    write_run(tmp_path / "run", {name: ("bwwrr", "wwwrr") for name in names})
    found, _ = segments.segments_of(Entry({}, [tmp_path / "run"]))
    drawn = []
    monkeypatch.setattr(timeline, "draw", lambda predicted, file, **more: drawn.append((predicted, more)))
    (picture,) = pictures.timeline_of(found, 3)
    assert picture.caption == "3 of 5 test videos, truth above prediction; grey is background"
    predicted, more = drawn[0]
    assert list(predicted) == ["a.mp4", "c.mp4", "e.mp4"] and more["labels"] == ["run", "walk"]
    assert predicted["a.mp4"] == [Segment(0, 3, "walk"), Segment(3, 5, "run")]
    assert more["truth"]["a.mp4"] == [Segment(1, 3, "walk"), Segment(3, 5, "run")]
    assert more["durations"]["a.mp4"] == 5 and more["unit"] == "seconds"
    assert pictures.timeline_of(found, 0) == [] and "5 of 5" in pictures.timeline_of(found, 99)[0].caption


def test_timelines_of_videos_with_one_name_show_their_paths(tmp_path, monkeypatch):
    write_run(tmp_path / "run", {f"{x}/x.mp4": ("wr", "wr") for x in "ab"})
    found, _ = segments.segments_of(Entry({}, [tmp_path / "run"]))
    monkeypatch.setattr(timeline, "draw", lambda predicted, file, **more: file.write(",".join(predicted).encode()))
    assert base64.b64decode(pictures.timeline_of(found._replace(unit="steps"), 2)[0].png) == b"a/x.mp4,b/x.mp4"


def test_pictures_of_a_run_that_labels_frames(tmp_path):
    write_run(tmp_path / "run", {"a.mp4": ("bwr", "wwr")})
    entry = Entry({"segments": {"": {"edit %": [1.0]}}}, [tmp_path / "run"])
    assert [x.caption for x in pictures.pictures_of(entry, [""])] == [
        "confusion of one run: % of the frames of each true class"
    ]
    assert pictures.classes_of([], "s") == []
    assert "bars end at 4" in pictures.classes_of([segments.OfClass("walk", 1, 1, [])], "s")[0].caption


def chart_row(top1: dict, clip=None, on_features=False, **more):
    figures = {part: {"top1": {"mean": mean}} for part, mean in top1.items()}
    return {"figures": figures, "multiply-adds": clip, "on_features": on_features, "group": "g", **more}


def test_points_of_the_chart():
    """The second row has no network, the third is on features, and the fourth has no result."""
    rows = [chart_row({"": 0.5}, 100), chart_row({"": 0.6}), chart_row({"": 0.7}, 5, True), chart_row({}, 7)]
    rows += [chart_row({"": 0.25}, 200)]
    assert pictures.chart_points(rows, "") == ("multiply-adds", [(1, 100, 50.0, "g"), (5, 200, 25.0, "g")])
    assert "multiply-adds per clip" in label_of(pictures.charts_of(rows, [""]))
    for row in rows:  # four clips per video
        row["multiply-adds a video"] = 4 * row["multiply-adds"] if row["multiply-adds"] else None
    assert pictures.chart_points(rows, "") == ("multiply-adds a video", [(1, 400, 50.0, "g"), (5, 800, 25.0, "g")])
    assert "multiply-adds per video" in label_of(pictures.charts_of(rows, [""]))


def test_names_in_pictures_are_literal(tmp_path):
    """Matplotlib would read groups as mathtext or hide them; no installed font can show the last class."""
    rows = [{**chart_row({"$1": 0.5}, 100), "group": group} for group in ("$x^", "_hidden", "a\U000e0fff")]
    chart = label_of(pictures.charts_of(rows[:2], ["$1"]))
    assert "$x^" in chart and "_hidden" in chart and "top1 %, $1" in chart
    assert "<figcaption>0: $x^, 1: a\U000e0fff</figcaption>" in pictures.charts_of(rows[::2], ["$1"])[0]
    content = {"top1": 1.0, "per_class": [1.0, 1.0], "confusion": np.eye(2, dtype=int), "labels": ["a", "\U000e0fff"]}
    result_file.write(tmp_path / "result.json", content, content["labels"])
    (picture,) = pictures.pictures_of(Entry({}, [tmp_path]), [""])
    assert picture.caption == "confusion of one run; 0: a, 1: \U000e0fff"


def label_of(charts):
    """Returns all texts of the first chart: Matplotlib writes each in a comment beside its outline."""
    return "\n".join(re.findall("<!-- (.*?) -->", charts[0]))


def test_only_parts_with_points_have_charts():
    parts, end_to_end = ["set1", "set2", "whole"], chart_row({"whole": 0.5}, 100)
    on_features = chart_row({"set1": 0.5, "set2": 0.5}, 100, True)
    assert pictures.charts_of([on_features], parts) == []
    charts = pictures.charts_of([on_features, end_to_end], parts)
    assert len(charts) == 1 and "top1 %, whole" in label_of(charts)
    both = [chart_row({"set1": 0.5, "whole": 0.5}, 100), end_to_end, chart_row({"set1": 0.1}, 10)]
    assert [label_of([chart]).count("top1 %, set1") for chart in pictures.charts_of(both, parts)] == [1, 0]
