import csv
import json
import os
import shutil

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from tests.conftest import write_numbered
from vidjax.data import dataset_info, pipeline
from vidjax.evaluation import classify

SPLITS = np.repeat(["a", "b", "c"], 10)
LABELS = np.tile([0, 1], 15)
SEPARABLE = LABELS[:, None] + 0.01 * np.random.default_rng(0).normal(size=(30, 4))
FOLDS = [classify.Fold(["a", "b"], ["c"]), classify.Fold(["a", "c"], ["b"])]


def videos(x):
    return classify.Videos(x, np.zeros((30, 3)), LABELS, SPLITS)


@pytest.mark.parametrize("name", classify.CLASSIFIERS)
def test_separable_classes_are_separated(name):
    make = classify.CLASSIFIERS[name]
    scores, target = classify.cross_validate(make, SEPARABLE, videos(SEPARABLE), FOLDS, 3)
    assert target.tolist() == [0, 1] * 10  # of the splits "c" and "b"
    found = classify.metrics_of(scores, target, [1, 0, 2])
    assert (found["right"], found["num_videos"], found["top1"]) == (20, 20, 1)
    assert found["top1_within_pairs"] == 1
    assert (scores[:, 2] < scores[:, :2].min(axis=1)).all()  # a class without training videos
    noise = np.random.default_rng(1).normal(size=(30, 4))
    scores, target = classify.cross_validate(make, noise, videos(noise), FOLDS, 2)
    assert (scores.argmax(1) == target).sum() < 17


def test_the_scaler_sees_the_training_splits_only():
    seen = []

    class Spy(BaseEstimator):
        def fit(self, x, y):
            seen.append(x)
            self.classes_ = [0, 1]
            return self

        def predict_proba(self, x):
            return np.full((len(x), 2), 0.5)

    x = SEPARABLE.copy()
    x[20:] += 1000  # the split "c", which is tested
    classify.cross_validate(Spy, x, videos(x), FOLDS[:1], 2)
    np.testing.assert_allclose(seen[0].mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(seen[0].std(axis=0), 1, rtol=1e-9)
    assert len(seen[0]) == 20


def test_folds_that_cannot_be():
    with pytest.raises(ValueError, match="A fold trains and tests on a"):
        classify.cross_validate(
            classify.CLASSIFIERS["svm"], SEPARABLE, videos(SEPARABLE), [classify.Fold(["a"], ["a"])], 2
        )
    with pytest.raises(ValueError, match="No videos to test on in the fold .*; there are a, b, c"):
        classify.cross_validate(
            classify.CLASSIFIERS["svm"], SEPARABLE, videos(SEPARABLE), [classify.Fold(["a"], ["d"])], 2
        )


def test_the_report_writes_descriptors_and_videos(numbered_features, tmp_path, capsys):
    source = pipeline.open_records(numbered_features, ["train"])
    classify.report(source, tmp_path, "max_min", None, [])
    descriptors = np.load(tmp_path / "descriptors_max_min.npy")
    # video v has the vectors (v, 0, 1), ..., (v, v, 1): their maxima, then their minima
    assert descriptors.tolist() == [[v, v, 1, v, 0, 1] for v in range(6)]
    rows = list(csv.reader(open(tmp_path / "videos.csv")))
    assert rows[0] == ["path", "label", "split"]
    assert [row[1:] for row in rows[1:]] == [["a" if v % 2 == 0 else "b", "train"] for v in range(6)]
    assert "6 x 6" in capsys.readouterr().out


def test_the_report_keeps_the_bytes_of_paths(numbered_features, tmp_path, monkeypatch):
    source, describe = pipeline.open_records(numbered_features, ["train"]), classify.describe
    monkeypatch.setattr(classify, "describe", lambda *a: (describe(*a)[0], [os.fsdecode(b"caf\xe9.mp4")] * 6))
    classify.report(source, tmp_path, "mean", None, [])
    assert (tmp_path / "videos.csv").read_bytes().count(b"caf\xe9.mp4,") == 6


def test_the_report_of_a_classifier(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(classify, "describe", lambda source, pool: (videos(SEPARABLE), [f"{i}.mp4" for i in range(30)]))
    info = type("Info", (), {"labels": ["yes", "no"], "time_reversal": None})
    classify.report(type("Records", (), {"info": info}), tmp_path, "mean", "svm", FOLDS)
    lines = capsys.readouterr().out.splitlines()
    assert lines[4].startswith("| nearest neighbour by size and length")  # the baseline comes first
    assert "| mean svm                             |    20 |     20 |  100.0 |  83.9 - 100.0 |" in lines
    result = json.loads((tmp_path / "result_mean_svm.json").read_text())
    assert result["mean svm"]["top1"] == 1 and result["mean svm"]["num_videos"] == 20


@pytest.fixture
def two_splits(numbered_features, tmp_path):
    """The numbered features twice: as the splits train and test."""
    shutil.copytree(numbered_features, tmp_path / "features")
    (shard,) = (tmp_path / "features").glob("train-*.tfrecord")
    shutil.copy(shard, shard.with_name(shard.name.replace("train", "test")))
    return tmp_path / "features"


def command(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["classify", *map(str, arguments)])
    classify.main()


def test_the_command(two_splits, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(classify, "cross_validate", lambda make, x, *rest: (np.eye(2)[[0, 1, 1]], np.array([0, 1, 0])))
    command(monkeypatch, two_splits, "--pool", "size", "--out", tmp_path / "new/r.json")
    assert "size svm: top1 66.7 %, 2 of 3 videos [20.8, 93.9]" in capsys.readouterr().out
    result = json.loads((tmp_path / "new/r.json").read_text())
    assert (result["right"], result["pool"], result["classifier"]) == (2, "size", "svm")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--test_splits", "train"], "vidjax.evaluation.classify: A fold trains and tests on train"),
        (
            ["--train_splits", "fold_0", "fold_1"],
            "No videos to train on in the fold .*has no split fold_0, fold_1; there are test, train. Name some with "
            "--train_splits and --test_splits, or --folds",
        ),
        (["--test_splits", "val"], "No videos to test on in the fold .*has no split val; there are test, train"),
        (["--folds", "set1", "--test_splits", "test"], "--folds names all splits: remove --train_splits"),
        (["--folds", "set1"], "has no folds 'set1': it has none"),
        (["--out", "/tmp"], "--out /tmp is a directory: name a file"),
        (["--out", "/dev/null/r.json"], "--out /dev/null/r.json: the directory .*cannot be written"),
    ],
)
def test_errors_come_before_the_features_are_read(arguments, message, two_splits, monkeypatch):
    monkeypatch.setattr(classify, "describe", lambda *_: pytest.fail("was reached"))
    with pytest.raises(SystemExit, match=message):
        command(monkeypatch, two_splits, *arguments)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (lambda v: [0, 1] if v == 3 else [v % 2], "train-00000-of-00001.*'video 3' has 2 labels: a classifier"),
        (lambda v: [] if v == 3 else [v % 2], "'video 3' has 0 labels"),
        (lambda v: [2] if v == 3 else [v % 2], "'video 3' holds the class index 2.* 0 to 1"),
        (lambda v: [-1], "'video 0' holds the class index -1"),
        (lambda v: [1], r"All training videos of the fold \['train'\] are 'b': train on two classes"),
    ],
)
def test_labels_that_cannot_be_classified(labels, message, tmp_path):
    for split in ("train", "test"):
        write_numbered(tmp_path, split, 4, 1, labels)
    dataset_info.write(tmp_path, dataset_info.DatasetInfo(["a", "b"], "forbidden"), complete=True)
    with pytest.raises(ValueError, match=message):
        classify.check_folds(tmp_path, [classify.Fold(["train"], ["test"])])


def test_labels_are_read_by_split(tmp_path):
    write_numbered(tmp_path, "train", 3, 1)
    write_numbered(tmp_path, "test", 0, 1)
    dataset_info.write(tmp_path, dataset_info.DatasetInfo(["a", "b"], "forbidden"), complete=True)
    assert classify.labels_of(tmp_path, ["train", "test"]) == {"train": [0, 1, 0], "test": []}
    with pytest.raises(ValueError, match="No videos to test on .*they are empty"):
        classify.check_folds(tmp_path, [classify.Fold(["train"], ["test"])])


def test_records_of_videos_are_refused(numbered_records, monkeypatch):
    monkeypatch.setattr("sys.argv", ["classify", str(numbered_records), "--test_splits", "train"])
    with pytest.raises(SystemExit, match="holds no features: store some with vidjax.features"):
        classify.main()
