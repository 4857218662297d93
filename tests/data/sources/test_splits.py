import dataclasses
from collections import Counter

import pytest

from vidjax.data.sources import splits
from vidjax.data.sources.items import Item


def test_split_by_column():
    items = [Item(f"{i}.mp4", ("a",), columns={"sequence": str(i)}) for i in (1, 2, 2)]
    assert [item.split for item in splits.split_by(items, "sequence")] == ["sequence_1", "sequence_2", "sequence_2"]
    with pytest.raises(ValueError, match=r"--split_by camera: no such column; there are \['sequence'\]"):
        splits.split_by(items, "camera")
    items.append(Item("3.mp4", ("a",), columns={"sequence": " "}))
    with pytest.raises(ValueError, match="--split_by sequence: 1 videos have no value, like 3.mp4; fill in the column"):
        splits.split_by(items, "sequence")


@pytest.mark.parametrize("values", [("张伟", "王芳"), ("a-b", "a b"), ("Ann", "ann"), ("a!", "a?"), ("é", "e\u0301")])
def test_split_by_never_merges(values, tmp_path):
    items = [Item(f"{value}.mp4", ("a",), columns={"person": value}) for value in values]
    names = [item.split for item in splits.split_by(items, "person", lambda _: None)]
    assert len({name.casefold() for name in names}) == 2
    for name in names:
        (tmp_path / name).touch()  # a name for a file


def test_random_split_is_stratified_complete_and_repeatable():
    items = [Item(f"{label}{i}.mp4", (label,)) for label in "ab" for i in range(10)]
    split = splits.split_randomly(items, test_fraction=0.2, val_fraction=0.1, seed=0)
    counts = {(item.labels[0], item.split): 0 for item in split}
    for item in split:
        counts[item.labels[0], item.split] += 1
    assert counts == {(label, name): n for label in "ab" for name, n in (("test", 2), ("train", 7), ("val", 1))}
    assert sorted(dataclasses.replace(item, split="").path for item in split) == sorted(item.path for item in items)
    assert split == splits.split_randomly(reversed(items[::-1]), 0.2, 0.1, 0)
    assert split != splits.split_randomly(items, 0.2, 0.1, seed=1)


@pytest.mark.parametrize(("count", "fractions"), [(3, (0.5, 0.25)), (4, (0.4, 0.4)), (5, (0.7, 0.25)), (2, (0.9, 0))])
def test_a_random_split_leaves_videos_of_each_class_to_train_on(count, fractions):
    items = [Item(f"{label}{i}.mp4", (label,)) for label in "ab" for i in range(count)]
    found = {(item.labels[0], item.split) for item in splits.split_randomly(items, *fractions, seed=0)}
    assert len(found) == 2 * (2 + bool(fractions[1]))


def test_the_random_split_of_published_tables_stays():
    items = [Item(f"{label}{i}", (label,)) for label in "ab" for i in range(6)]
    split = splits.split_randomly(items, 0.2, 0.1, 0, groups=range(12))
    found = [item.path for item in split if item.split != "train"]
    assert found == ["a2", "b0", "a5", "b1"]  # test, then val


def test_a_class_with_one_video_cannot_be_split():
    items = [Item("a1.mp4", ("a",)), *(Item(f"b{i}.mp4", ("b",)) for i in range(5))]
    with pytest.raises(ValueError, match=r"Too few videos to split into train, test, val: a \(1\)"):
        splits.split_randomly(items, 0.2, 0.1, 0)
    with pytest.raises(ValueError, match="leave nothing to train on"):
        splits.split_randomly(items, 0.9, 0.1, 0)


def test_groups_stay_together_and_classes_are_balanced():
    """20 persons who each do two of four things, three times."""
    items, groups = [], []
    for person in range(20):
        for label in ("abcd"[person % 4], "abcd"[(person + 1) % 4]):
            items += [Item(f"{person}{label}{i}", (label,)) for i in range(3)]
            groups += [person] * 3
    split = splits.split_randomly(items, 0.2, 0.2, 0, groups)
    by_person = {}
    person_of = {item.path: group for item, group in zip(items, groups, strict=True)}
    for item in split:
        by_person.setdefault(person_of[item.path], set()).add(item.split)
    assert len(split) == 120 and all(len(names) == 1 for names in by_person.values())
    counts = Counter((item.split, item.labels[0]) for item in split)
    assert counts.keys() == {(name, label) for name in ("train", "val", "test") for label in "abcd"}
    assert all(3 <= counts[name, label] <= 9 for name in ("val", "test") for label in "abcd")  # 6 are wanted
    assert split == splits.split_randomly(items, 0.2, 0.2, 0, groups)
    assert split != splits.split_randomly(items, 0.2, 0.2, 1, groups)


def test_too_few_groups():
    items = [Item(f"{label}{i}", (label,)) for label in "ab" for i in range(6)]
    groups = [0, 0, 0, 1, 1, 1, *range(2, 8)]
    with pytest.raises(ValueError, match=r"Too few groups to split into train, test, val: a \(6 videos in 2\)"):
        splits.split_randomly(items, 0.2, 0.1, 0, groups)
    assert len(splits.split_randomly(items, 0.2, 0, 0, groups)) == 12
    items = [Item(f"{i}{label}", (label,)) for i, pair in enumerate(("ab", "ac", "bc")) for label in pair]
    with pytest.raises(ValueError, match="No split into train, test was found that keeps groups together"):
        splits.split_randomly(items, 0.4, 0, 0, [item.path[0] for item in items])


def test_join():
    a, b, c, d = splits.join(["x", "x", "y", "z"], [None, "p", "p", None])
    assert a == b == c != d
    assert len(set(splits.join([1, 2, 3], [None] * 3))) == 3


def test_captions_are_drawn_together():
    items = [Item(str(i), (f"word{i}", "b"), columns={"caption": "x"}) for i in range(10)]
    split = splits.split_randomly(items, 0.2, 0.1, 0, groups=[0, 0, *range(8)])
    assert Counter(item.split for item in split).keys() == {"train", "val", "test"}


def test_a_hint_at_sources():
    said = []
    names = [("v_Run_g01_c01.avi", "train"), ("v_Run_g01_c02.avi", "test"), ("v_Run_g02_c01.avi", "test")]
    splits.hint_at_sources([Item(name, ("Run",), split) for name, split in names], said.append)
    assert "clips of one source are in several splits (1 of 2 sources, like v_Run_g01)" in said[0]
    splits.hint_at_sources([Item(name, ("Run",), "train") for name, _ in names], said.append)
    splits.hint_at_sources([Item("run_1.avi", ("Run",), "train"), Item("run_2.avi", ("Run",), "test")], said.append)
    assert len(said) == 1


def test_folds_keep_groups_together_and_classes_balanced():
    items = [Item(f"{label}{i}.mp4", (label,)) for label in "ab" for i in range(15)]
    groups = [i // 3 for _ in "ab" for i in range(15)]  # five groups of three videos of each class
    folds = splits.split_into_folds(items, 5, 0, groups)
    assert Counter((item.split, item.labels[0]) for item in folds) == {
        (f"fold_{k}", label): 3 for k in range(1, 6) for label in "ab"
    }
    split_of = {item.path: item.split for item in folds}
    assert all(split_of[f"{label}{i}.mp4"] == split_of[f"a{i // 3 * 3}.mp4"] for label in "ab" for i in range(15))
    assert folds == splits.split_into_folds(items, 5, 0, groups)
    assert folds != splits.split_into_folds(items, 5, 1, range(30))
    with pytest.raises(ValueError, match=r"Too few groups for --num_folds 6: a \(5\), b \(5\)\. .* Give fewer folds"):
        splits.split_into_folds(items, 6, 0, groups)
