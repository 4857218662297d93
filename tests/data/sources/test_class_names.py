import pytest

from vidjax.data.sources import class_names
from vidjax.data.sources.class_names import Labelled


def write(tmp_path, text):
    (tmp_path / "classes.txt").write_text(text)
    return tmp_path / "classes.txt"


def named(file, *videos):
    """The names of (path, label), and what was said."""
    said = []
    rows = [Labelled(f"list.txt, line {i}", *video) for i, video in enumerate(videos, 1)]
    return class_names.name_labels(rows, file, said.append), said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("run\nplaying guitar\n", ({0: "run", 1: "playing guitar"}, False)),
        ("1 run\n2 playing guitar\n", ({1: "run", 2: "playing guitar"}, True)),
        ("0,run\n1,walk\n", ({0: "run", 1: "walk"}, True)),
        ("4 legs\nrun\n", ({0: "4 legs", 1: "run"}, False)),
    ],
)
def test_class_files(text, expected, tmp_path):
    assert class_names.read_class_file(write(tmp_path, text)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [("\n", "is empty: write one class name per line"), ("a\nb\na\n", "line 3: 'a' repeats"), ("1 a\n1 b\n", "line 2")],
)
def test_invalid_class_files(text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        class_names.read_class_file(write(tmp_path, text))


def test_numbers_from_zero_and_from_one(tmp_path):
    file = write(tmp_path, "run\nwalk\njump\n")
    assert named(file, ("a", "0"), ("b", "1"))[0] == ["run", "walk"]
    assert named(file, ("a", "1"), ("b", "3"))[0] == ["run", "jump"]
    with pytest.raises(ValueError, match="may count from 0 or from 1: neither 0 nor 3 occurs. Write the number before"):
        named(file, ("a", "1"), ("b", "2"))
    assert named(file, ("run/a", "1"), ("walk/b", "2")) == (
        ["run", "walk"], ["note: the number 1 of the list is the class run."],
    )  # fmt: skip
    assert named(file, ("walk/a", "1"), ("jump/b", "2"))[0] == ["walk", "jump"]
    numbered = write(tmp_path, "1 run\n2 walk\n3 jump\n")
    assert named(numbered, ("a", "1"), ("b", "2"))[0] == ["run", "walk"]
    assert named(numbered, ("a", "0"), ("b", "2"))[0] == ["run", "jump"]
    assert named(numbered, ("walk/a", "1"), ("jump/b", "2"))[0] == ["walk", "jump"]  # a list from 0, by its folders


def test_names_and_class_folders(tmp_path):
    file = write(tmp_path, "run\nwalk\n")
    assert named(file, ("walk/a.avi", None), ("data/run/b.avi", None), ("c.avi", "run"))[0] == ["walk", "run", "run"]
    _, said = named(file, ("walk/a.avi", "0"), ("run/b.avi", "0"), ("run/c.avi", "0"))
    assert "1 videos are in the folder of a class that is not that of their number, like list.txt, line 1" in said[0]


@pytest.mark.parametrize(
    ("video", "message"),
    [
        (("a.avi", "5"), "line 1: the numbers of the list are 5 to 5; .*classes.txt has 2 classes, 0 to 1"),
        (("a.avi", "-1"), "line 1: the numbers of the list are -1 to -1"),
        (("a.avi", "jump"), "line 1: 'jump' is not one of the 2 classes of .*classes.txt"),
        (("a/b.avi", None), "line 1: no label, and no folder of a/b.avi is a class of .*classes.txt"),
    ],
)
def test_labels_that_have_no_name(video, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        named(write(tmp_path, "run\nwalk\n"), video)
