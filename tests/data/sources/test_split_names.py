import pytest

from vidjax.data.sources import split_names


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *((name, "train") for name in ("train", "Train", "TRAINING", "train_set", "trainSet", "TrainData", "train1")),
        *((name, "val") for name in ("val", "valid", "Validation", "validate", "dev", "val set")),
        *((name, "test") for name in ("test", "testing", "TEST", "eval", "Evaluation", "test-videos")),
        *((name, None) for name in ("trainer", "train_station", "testify", "run", "trainval", "train test", "", "1")),
    ],
)
def test_usual_names(name, split):
    assert split_names.usual_name(name) == split


def test_names_within_file_names():
    names = (
        "trainlist01",
        "testlist03",
        "kinetics_val_list",
        "ucf101_train_split_1_rawframes",
        "all",
        "train_and_test",
    )
    assert [split_names.name_within(name) for name in names] == ["train", "test", "val", "train", None, None]


def test_safe_names_keep_what_is_different_apart():
    assert split_names.safe_names(["1", "a b", "x"], "set_") == {"1": "set_1", "a b": "set_a_b", "x": "set_x"}
    assert split_names.safe_names(["张伟", "王芳", "é"]) == {name: name for name in ("张伟", "王芳", "é")}
    names = split_names.safe_names(["a-b", "a b", "A_B", "other", "../x"])
    assert (names["a-b"], names["a b"]) == ("a_b_d44362d6", "a_b_c8687a08")
    assert len({name.lower() for name in names.values()}) == 5 and names["other"] == "other"
    assert all(set(name) <= set("abABotherx_.0123456789cdf") and not name.startswith(".") for name in names.values())
    assert names == split_names.safe_names(reversed(["a-b", "a b", "A_B", "other", "../x"]))


def test_safe_names_are_short_and_never_empty():
    long = split_names.safe_names(["长" * 100 + "1", "长" * 100 + "2"])
    assert len(set(long.values())) == 2 and max(len(name.encode()) for name in long.values()) < 140
    with pytest.raises(ValueError, match="The name of a split is empty"):
        split_names.safe_names(["a", " "])
