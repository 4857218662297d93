from vidjax.data.sources import published_folds as folds


def test_videos_with_equal_roles_are_one_split():
    roles = {
        "a": {1: "test", 2: "train"},
        "b": {1: "train", 2: "test"},
        "c": {1: "train"},
        "d": {1: "train", 2: "train"},
    }
    split_of, of_numbers = folds.from_roles(roles, (1, 2))
    assert split_of == {"a": "split1", "b": "split2", "c": "untested_not_in_2", "d": "untested"}
    assert of_numbers == [
        {"train": ["split2", "untested", "untested_not_in_2"], "test": ["split1"]},
        {"train": ["split1", "untested"], "test": ["split2"]},
    ]
    kept = folds.by_name(of_numbers, {"split1", "split2", "untested"})
    assert kept["published"][0]["train"] == ["split2", "untested"] and kept["split2"] == [of_numbers[1]]


def test_one_official_split():
    assert list(folds.by_name([{"train": ["train"], "test": ["val"]}], {"train", "val"})) == ["published"]
    assert folds.train_and_test({"train", "val", "test"}, "test") == {
        "published": [{"train": ["train"], "test": ["test"]}]
    }
    assert folds.train_and_test({"val", "test"}, "test") == {"published": [{"train": ["val"], "test": ["test"]}]}
    assert folds.train_and_test({"test"}, "test") == {} == folds.train_and_test({"train"}, "test")
