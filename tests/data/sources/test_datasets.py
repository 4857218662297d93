import shutil

import pytest

from vidjax.data import make_records
from vidjax.data.sources import datasets


def find(*arguments):
    return datasets.find(make_records.parse_args([*map(str, arguments), "--out", "out"]))


def test_kinds_of_sources(tmp_path):
    names = ("motion", "tfds:cifar10", "a.CSV", "a.txt", "videos")
    assert [datasets.kind_of([name]) for name in names] == ["motion", "tfds", "table", "table", "folder"]
    assert datasets.kind_of(["train.txt", "test.list"]) == "table"
    (tmp_path / "folder.csv").mkdir()
    assert datasets.kind_of([str(tmp_path / "folder.csv")]) == "folder"
    with pytest.raises(ValueError, match="Several sources must be CSVs or lists .*; motion is not"):
        datasets.kind_of(["a.csv", "motion"])


def test_what_a_flip_does():
    assert datasets.parse_flip("left:right, up:down", ["down", "left", "right", "up"]) == [3, 2, 1, 0]
    with pytest.raises(ValueError, match="give unchanged, forbidden or CLASS:CLASS,... of a, b"):
        datasets.parse_flip("left:right", ["a", "b"])
    with pytest.raises(ValueError, match="a and c: each class swaps with one other class"):
        datasets.parse_flip("a:b,a:c", ["a", "b", "c"])


def test_captions_check_the_flip_before_they_are_rendered(tmp_path):
    with pytest.raises(ValueError, match="--horizontal_flip purple:red: give unchanged"):
        datasets.find(make_records.parse_args(
            ["captions", "--out", str(tmp_path / "out"), "--horizontal_flip", "purple:red"]))  # fmt: skip
    assert not (tmp_path / "out").exists()


def write_videos(directory):
    """Two classes of six files of different bytes, and a copy of one of them in each class."""
    for label in "ab":
        (directory / label).mkdir(parents=True)
        for i in range(6):
            (directory / label / f"{i}.mp4").write_text(f"{label}{i}")
        shutil.copy(directory / label / "0.mp4", directory / label / "copy.mp4")


def test_copies_stay_in_one_split(tmp_path, capsys):
    write_videos(tmp_path)
    for seed in range(5):
        split_of = {item.path: item.split for item in find(tmp_path, "--seed", seed).items}
        assert len(split_of) == 14 and set(split_of.values()) == {"train", "val", "test"}
        assert all(split_of[f"{tmp_path}/{x}/0.mp4"] == split_of[f"{tmp_path}/{x}/copy.mp4"] for x in "ab")
    assert "2 of 14 videos are copies of others (the same bytes)" in capsys.readouterr().out


def test_copies_in_given_splits_are_warned_of(tmp_path, capsys):
    write_videos(tmp_path / "train")
    shutil.copytree(tmp_path / "train", tmp_path / "test")
    find(tmp_path)
    assert "12 videos are in several splits" in capsys.readouterr().out


def test_parts_of_a_file_and_groups_stay_together(tmp_path):
    rows = []
    for i in range(8):
        (tmp_path / f"{i}.mp4").write_text(str(i))
        rows += [f"{i}.mp4,{label},{start},{start + 1},p{i // 2}" for start, label in enumerate("abab")]
    (tmp_path / "videos.csv").write_text("\n".join(["path,label,start,end,person", *rows]))

    def splits_of(key, *options):
        found = {}
        for item in find(tmp_path / "videos.csv", *options).items:
            found.setdefault(key(item), set()).add(item.split)
        return found

    assert all(len(names) == 1 for names in splits_of(lambda item: item.path).values())
    persons = splits_of(lambda item: item.columns["person"], "--group", "person")
    assert len(persons) == 4 and all(len(names) == 1 for names in persons.values())
    with pytest.raises(ValueError, match="--group camera: no such column"):
        find(tmp_path / "videos.csv", "--group", "camera")


def test_a_group_for_given_splits(tmp_path):
    (tmp_path / "a.mp4").write_text("a")
    (tmp_path / "videos.csv").write_text("path,label,split,person\na.mp4,a,train,p\n")
    with pytest.raises(ValueError, match="--group person is for a random split, but .*videos.csv gives the splits"):
        find(tmp_path / "videos.csv", "--group", "person")


def test_a_single_split_is_warned_of(tmp_path, capsys):
    write_videos(tmp_path / "train")
    (tmp_path / "test/a").mkdir(parents=True)
    find(tmp_path)
    out = capsys.readouterr().out
    assert "no videos in test of" in out and "warning: the only split is train; training needs train and test." in out


def test_names_that_are_not_utf8_are_printed_escaped(capsys):
    datasets.say("skipped: caf\udce9.mp4")
    assert capsys.readouterr().out == "skipped: caf\\udce9.mp4\n"


def test_published_datasets_are_known_by_name():
    assert [datasets.kind_of([name]) for name in ("thumos14", "./thumos14")] == ["protocol", "folder"]
