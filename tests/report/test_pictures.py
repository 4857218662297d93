import re

import numpy as np

from tests import ladder_files
from vidjax.evaluation import result_file
from vidjax.report import pictures
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
