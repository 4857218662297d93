import numpy as np
import pytest

from tests.frame_runs import LABELS, write_run
from vidjax.data.segment_files import Segment
from vidjax.evaluation import segments as metrics
from vidjax.report import segments
from vidjax.report.entries import Entry

SPLIT = {"a.mp4": ("bwwwwrr", "bwbwwrr")}  # one walk is predicted as two: the second has IoU 1 / 2
RIGHT = {"b.mp4": ("wwr", "wwr")}


def test_the_columns_of_a_cross_validation_are_means_over_its_folds(tmp_path):
    for seed in ("seed_0", "seed_1"):
        write_run(tmp_path / seed / "fold_0", SPLIT)
        write_run(tmp_path / seed / "fold_1", RIGHT if seed == "seed_0" else SPLIT)
    found = segments.figures_of([tmp_path])
    assert found["over-segmentation"] == [(5 / 3 + 1) / 2, 5 / 3]
    assert found["frame accuracy %"] == pytest.approx([(6 / 7 + 1) / 2, 6 / 7])
    assert found["F1@50 %, no background"] == pytest.approx([(4 / 5 + 1) / 2, 4 / 5])
    assert found["frame accuracy %, no background"] == pytest.approx([(5 / 6 + 1) / 2, 5 / 6])
    assert found["F1@10 %"] == pytest.approx([(6 / 8 + 1) / 2, 6 / 8])
    assert segments.text("edit %", [0.5]) == "50.0" and segments.text("edit %", []) == ""
    assert segments.text("over-segmentation", [1.0, 2.0]) == "1.50 ± 0.71"


def test_columns_replace_top1_only_for_runs_that_label_frames(tmp_path):
    write_run(tmp_path / "frames", RIGHT)
    summary = {"mean": 0.25, "deviation": None, "interval": [0.0, 0.5]}
    row = {"title": "x", "figures": {"": {"top1": summary}}, "group": "", "parameters": 5, "multiply-adds": None}
    row |= {"on_features": False, "speed": {}, "seconds": 0.0, "note": ""}
    rows = [{**row, "segments": {"": segments.figures_of([tmp_path / "frames"])}}, {**row, "segments": {}}]
    found = segments.columns({"rungs": rows, "parts": [""]})
    assert list(found) == ["rung", *segments.HEADS, "top1 % [95 %]", "parameters"]
    assert found["F1@50 %"] == ["100.0", ""] and found["top1 % [95 %]"] == ["", "25.0 [0.0, 50.0]"]
    assert "top1 % [95 %]" not in segments.columns({"rungs": rows[:1], "parts": [""]})
    assert list(segments.columns({"rungs": rows[1:], "parts": [""]})) == ["rung", "top1 % [95 %]", "parameters"]


def test_segments_of_the_folds_of_the_first_seed(tmp_path):
    for seed, videos in (("seed_0", SPLIT), ("seed_1", RIGHT)):
        write_run(tmp_path / seed / "fold_0", videos)
        write_run(tmp_path / seed / "fold_1", RIGHT)
    found, notes = segments.segments_of(Entry({}, [tmp_path]))
    assert list(found.videos) == ["a.mp4", "b.mp4"] and found.unit == "s" and found.labels == LABELS
    assert found.who == f"2 of 2 folds of {tmp_path}/seed_0" and notes == []
    (tmp_path / "seed_0/fold_1/segments.csv").unlink()
    found, (note,) = segments.segments_of(Entry({}, [tmp_path]))
    assert list(found.videos) == ["a.mp4"] and "seed_0/fold_1 has no segments.csv: evaluate again, vidjax eval" in note
    (tmp_path / "seed_0/fold_0/segments.csv").unlink()
    assert segments.segments_of(Entry({}, [tmp_path]))[0] is None


def test_numbers_of_each_class(tmp_path):
    write_run(tmp_path / "run", SPLIT | RIGHT)
    found, _ = segments.segments_of(Entry({}, [tmp_path / "run"]))
    everything, background, running, walk = segments.of_classes(found)
    assert background == ("background", 1, 2, [0.0]) and running == ("run", 2, 2, [0.0, 0.0])
    assert walk == ("walk", 2, 3, [-2.0, 0.0])
    assert everything == ("all classes", 5, 7, [0.0, 0.0, 0.0, -2.0, 0.0])
    table = segments.class_columns([walk, segments.OfClass("fall", 0, 1, [])], "s")
    assert {head: cells[0] for head, cells in table.items()} == {
        **{"class": "walk", "true segments": "2", "predicted": "3", "predicted / true": "1.50", "matched": "2"},
        **{"duration error, median (s)": "-1", "quartiles": "-1.5 to -0.5"},
    }
    assert [cells[1] for cells in table.values()] == ["fall", "0", "1", "", "0", "", ""]


def test_as_many_segments_match_as_f1_counts():
    rng = np.random.default_rng(0)
    for _ in range(50):
        sides = [metrics.find_segments(np.repeat(rng.integers(0, 2, 12), rng.integers(1, 9, 12))[:40]) for _ in "ab"]
        matched = 0
        for label in (0, 1):
            of_label = [[Segment(s, e, k) for k, s, e in zip(*side, strict=True) if k == label] for side in sides]
            matched += len(segments.duration_errors(*of_label))
        assert matched == metrics.count_matches(*sides, segments.OVERLAP)[0]


def test_a_true_segment_is_matched_by_the_best_prediction():
    true = [Segment(0, 10, "a"), Segment(20, 30, "a")]
    predicted = [Segment(0, 2, "a"), Segment(2, 9, "a"), Segment(29.5, 40, "a")]  # the last has IoU 1 / 40
    assert segments.duration_errors(predicted, true) == [-3]
    assert segments.duration_errors([], true) == segments.duration_errors(predicted, []) == []
