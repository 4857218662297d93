import dataclasses
import shutil
import sys

import numpy as np
import pytest

from tests.conftest import write_numbered
from vidjax.data import dataset_info
from vidjax.evaluation import segment_baselines
from vidjax.evaluation.segment_baselines import cuts_only, durations_only, find_cuts, measure, moved, run_lengths


def test_runs_have_the_median_length_and_the_share_of_their_class():
    lengths = run_lengths([np.array([0, 0, 0, 1, 0, 0, 2]), np.array([0, 0, 1])])
    assert lengths == {0: [3, 2, 2], 1: [1, 1], 2: [1]}
    # Three of six runs are of class 0, two of class 1, one of class 2
    assert durations_only(lengths, 12).tolist() == [0, 0, 1, 0, 0, 2, 1, 0, 0, 1, 0, 0]
    assert durations_only({3: [2]}, 5).tolist() == [3] * 5


def test_cuts_are_found_and_stretches_get_the_class_of_their_length():
    changes = np.array([1.0, 1.1, 0.9, 9.0, 1.0, 1.1, 1.0, 1.2, 8.0, 1.0])
    assert find_cuts(changes).tolist() == [4, 9]
    assert find_cuts(np.ones(5)).tolist() == []
    lengths = {0: [5], 1: [2]}
    assert cuts_only(lengths, np.array([4, 9]), 11).tolist() == [0] * 9 + [1] * 2


def test_boundaries_move_together_or_each_by_its_own():
    labels, rng = np.repeat([0, 1, 2], 20), np.random.default_rng(0)
    together = moved(labels, 5, rng, together=True)
    changes = np.flatnonzero(np.diff(together)) + 1
    assert changes[1] - changes[0] == 20 and 15 <= changes[0] <= 25
    apart = moved(labels, 5, rng, together=False)
    changes = np.flatnonzero(np.diff(apart)) + 1
    assert all(abs(changes - [20, 40]) <= 5) and changes[1] - changes[0] != 20
    assert (moved(labels, 0, rng, together=True) == labels).all()
    assert len(moved(labels, 1000, rng, together=False)) == 60  # boundaries that meet


def test_metrics_of_the_truth_are_perfect():
    true = [np.array([0, 0, 1, 1, 0, 2, 2]), np.array([0, 2, 2, 0])]
    found = measure(true, true, ["background", "a", "b"])
    assert all(found[name] == 1 for name in ("frame_accuracy", "edit", "f1_50", "mAP", "over_segmentation"))


@pytest.fixture
def folded(frame_labels, tmp_path):
    """The features of `frame_labels` with one fold."""
    directory = shutil.copytree(frame_labels, tmp_path / "folded")
    info = dataclasses.replace(dataset_info.read(directory), folds={"a": [{"train": ["train"], "test": ["test"]}]})
    dataset_info.write(directory, info, complete=True)
    return directory


def test_the_command(folded, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["segment_baselines", str(folded), "--folds", "a"])
    segment_baselines.main()
    assert [line.split(" | ")[0] for line in capsys.readouterr().out.splitlines()[2:]] == ["| durations"]
    monkeypatch.setattr(sys, "argv", ["segment_baselines", str(folded), "--folds", "a", "--uncertainty", "1"])
    with pytest.raises(SystemExit, match="segment_baselines: .* does not hold the times of its features"):
        segment_baselines.main()


def test_ceilings_of_uncertain_annotations(folded, monkeypatch):
    monkeypatch.setattr(segment_baselines.split_detections, "steps_per_second", lambda source: [1.0] * len(source))
    found = segment_baselines.baselines(folded, "a", uncertainty=3.0, seeds=2)
    assert list(found) == ["durations", "uncertainty, per video", "uncertainty, per boundary"]
    assert 0 < found["uncertainty, per video"]["frame_accuracy"] < 1
    assert "| uncertainty, per video | " in segment_baselines.table(found)


def test_records_without_labels_per_frame(tmp_path):
    write_numbered(tmp_path, "test", 2, 3)
    dataset_info.write(tmp_path, dataset_info.DatasetInfo(["a", "b"], "unchanged"), complete=True)
    with pytest.raises(ValueError, match="has no label per frame: make the records with --untrimmed"):
        segment_baselines.read(segment_baselines.pipeline.open_records(tmp_path, ["test"]), with_cuts=True)
