import json

import pytest

from vidjax.data import dataset_info
from vidjax.data.folds import Fold, find_fold, find_folds, leave_one_out, read_folds

FOLDS = {"both": leave_one_out(["a", "b"]), "one": [{"train": ["a", "b"], "test": ["c"]}]}


@pytest.fixture
def dataset(tmp_path):
    info = dataset_info.DatasetInfo(["left", "right"], "forbidden", folds=FOLDS)
    dataset_info.write(tmp_path, info, complete=True)
    return tmp_path


def test_leave_one_out():
    assert leave_one_out(["a", "b", "c"])[1] == {"train": ["a", "c"], "test": ["b"]}


def test_folds_are_stored_with_the_dataset(dataset):
    assert find_folds(dataset, "both") == [Fold(["b"], ["a"]), Fold(["a"], ["b"])]
    assert find_fold(dataset, "both/1") == Fold(train_splits=["a"], test_splits=["b"])
    assert find_fold(dataset, "one") == Fold(["a", "b"], ["c"]) == find_folds(dataset, "one/0")[0]
    with pytest.raises(ValueError, match="has no folds 'set1': it has both, one"):
        find_folds(dataset, "set1")
    for fold in ("both/2", "both", "both/x", "both/"):
        with pytest.raises(ValueError, match=f"has no fold '{fold}': choose both/0 to both/1"):
            find_fold(dataset, fold)
    dataset_info.write(dataset, dataset_info.DatasetInfo(["left"], "forbidden"), complete=True)
    with pytest.raises(ValueError, match="has no folds 'set1': it has none; give make_records --folds FILE"):
        find_folds(dataset, "set1")


def test_a_range_of_names(tmp_path):
    folds = {f"split{number}": [{"train": ["a"], "test": [f"b{number}"]}] for number in (1, 2, 3)}
    dataset_info.write(tmp_path, dataset_info.DatasetInfo(["x"], "forbidden", folds=folds), complete=True)
    assert [fold.test_splits for fold in find_folds(tmp_path, "split1..3")] == [["b1"], ["b2"], ["b3"]]
    assert find_fold(tmp_path, "split2..2") == Fold(["a"], ["b2"])
    with pytest.raises(ValueError, match="has no folds 'split4': it has split1, split2, split3"):
        find_folds(tmp_path, "split3..4")
    with pytest.raises(ValueError, match=r"'split3..1' end before they start; give split1..3"):
        find_folds(tmp_path, "split3..1")


def test_a_file_of_folds(tmp_path):
    path = tmp_path / "folds.json"
    path.write_text(json.dumps(FOLDS))
    assert read_folds(path, ["a", "b", "c"]) == FOLDS
    with pytest.raises(ValueError, match="fold 0 of one names c; the dataset has the splits a, b"):
        read_folds(path, ["a", "b"])
    with pytest.raises(ValueError, match="none.json cannot be read: No such file"):
        read_folds(tmp_path / "none.json", ["a"])
    for content, message in (
        ("{", "is not valid JSON"),
        ("[1]", "must be an object such as"),
        ('{"x": []}', "'x' must be a list of folds"),
        ('{"x": [{"train": ["a"]}]}', "'x' must be a list of folds"),
        ('{"x": [{"train": ["a"], "test": []}]}', "'x' must be a list of folds"),
        ('{"x": [{"train": "a", "test": ["b"]}]}', "'x' must be a list of folds"),
        ('{"x/y": [{"train": ["a"], "test": ["b"]}]}', "must not contain a slash"),
        ('{"x": [{"train": ["a", "b"], "test": ["b"]}]}', "fold 0 of x trains and tests on b"),
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match=message):
            read_folds(path, ["a", "b"])
