import dataclasses
import re

import pytest

from vidjax.data import class_batches, few_labels, pipeline
from vidjax.data.sources.items import Item


@pytest.fixture
def source(numbered_records):
    return pipeline.open_records(numbered_records, ["train"])  # 6 videos of "a", 5 of "b"


@pytest.mark.parametrize("fraction, counts", [(1.0, [6, 5]), (0.5, [3, 3]), (0.2, [2, 1]), (0.01, [1, 1])])
def test_every_class_keeps_its_share_rounded_up(source, fraction, counts):
    kept = class_batches.rows_by_class(few_labels.subset(source, fraction, 0))
    assert [len(rows) for rows in kept.values()] == counts


def test_a_smaller_share_is_part_of_a_larger_one_and_depends_on_the_seed():
    rows = [list(range(100)), list(range(100, 300))]
    small, large, other = (few_labels.rows_to_keep(rows, *x) for x in ((0.05, 0), (0.2, 0), (0.05, 1)))
    assert set(small) < set(large) and len(small) == 15 and small == sorted(small) and small != other


def test_videos_of_several_classes(source, tmp_path):
    unreadable = dataclasses.replace(source, places=[(tmp_path / "none.tfrecord", 0)])
    with pytest.raises(ValueError, match="none.tfrecord"):
        few_labels.subset(unreadable, 0.5, 0)


def test_videos_before_they_are_read():
    items = [Item(f"{split}{i}.mp4", ("a" if i % 2 else "b",), split) for split in ("test", "train") for i in range(20)]
    kept = few_labels.of_items(items, 0.3, 0)
    assert [item.split for item in kept].count("test") == 20
    assert sorted(item.labels[0] for item in kept if item.split == "train") == ["a"] * 3 + ["b"] * 3


@pytest.mark.parametrize(
    "item, fraction, message",
    [
        (Item("x.mp4", ("a",), "train"), 0.0, "--label_fraction 0 must be in (0, 1], and needs a split train"),
        (Item("x.mp4", ("a",), "train"), 1.5, "--label_fraction 1.5 must be in"),
        (Item("x.mp4", ("a",), "sequence_1"), 0.5, "the splits are sequence_1"),
        (Item("x.mp4", ("a", "b"), "train"), 0.5, "needs one class per video, but one has a, b"),
    ],
)
def test_shares_and_videos_that_cannot_be_used(item, fraction, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        few_labels.of_items([item], fraction, 0)
