import json

import numpy as np
import pytest

from tests.data.test_make_records import make
from vidjax.data import dataset_info, description, pipeline, records, tfrecords, video


@pytest.fixture(scope="module", params=["jpeg", "mp4"])
def dataset(request, tmp_path_factory):
    """Videos a and b of two lengths and sizes; c is a copy of a in another split, with another class."""
    folder = tmp_path_factory.mktemp("described")
    grey = np.full((6, 16, 24, 3), 90, np.uint8)
    video.write_video(folder / "a.mp4", grey, 12)
    video.write_video(folder / "b.mp4", np.full((12, 24, 16, 3), 30, np.uint8), 24)
    (folder / "c.mp4").write_bytes((folder / "a.mp4").read_bytes())
    (folder / "d.mp4").write_bytes(b"no video")
    rows = "a.mp4,left,train\nb.mp4,right,train\nc.mp4,right,test\nd.mp4,left,test\n"
    (folder / "labels.csv").write_text("path,label,split\n" + rows)
    options = "--short_side", 0, "--horizontal_flip", "left:right", "--max_bad", 0.5, "--format", request.param
    make(folder / "labels.csv", "--out", folder / "out", *options)
    return folder / "out"


def test_facts(dataset):
    found = description.describe(dataset)
    assert [(x.split, x.labels, x.length, x.fps, x.size) for x in found.videos] == [
        ("train", ("left",), 6, 12.0, (24, 16)),
        ("train", ("right",), 12, 24.0, (16, 24)),
        ("test", ("right",), 6, 12.0, (24, 16)),
    ]
    assert {split: counts.tolist() for split, counts in found.counts().items()} == {"test": [0, 1], "train": [1, 1]}
    assert [{x.path[-5] for x in same} for same in found.copies()] == [{"a", "c"}]
    assert [path[-5] for path in found.problems["skipped"]] == ["d"] and "missing" not in found.problems


def test_the_text(dataset):
    lines = description.text(description.describe(dataset)).splitlines()
    assert lines[0].startswith(f"{dataset}: 3 videos, 1.5 s, 2 classes, ")
    for line in (
        "videos per class: 1 to 2, median 1.5",
        "frames per video: 6 to 12, median 6",
        "seconds per video: 0.5",
        "frames per second: 12 (2), 24 (1)",
        "width x height: 24x16 (2), 16x24 (1)",
        "mirroring: swaps left / right",
        "warning: 1 contents are in several splits; accuracy on them does not hold for new videos",
    ):
        assert line in lines
    assert any(line.startswith("copies: 1 videos have the content of another") for line in lines)
    assert any(line.startswith("warning: 1 contents have different labels, like") for line in lines)
    assert any(line.startswith("skipped: 1: ") for line in lines)


def test_a_split_whose_videos_could_not_be_read(tmp_path):
    dataset_info.write(tmp_path, dataset_info.DatasetInfo(["a"], "unchanged"), complete=True)
    example = records.Example([b"jpeg"], [0], ["a"], "v", 12.0, 8, 8)
    tfrecords.write_shard(tfrecords.shard_path(tmp_path, "train", 0, 1), [records.encode(example)])
    tfrecords.write_shard(tfrecords.shard_path(tmp_path, "val", 0, 1), [])
    text = description.text(description.describe(tmp_path))
    assert ": 1 videos, 0.1 s, 1 classes, " in text and text.endswith("splits without videos: 1: val")


def test_features(numbered_features):
    found = description.describe(numbered_features)
    width = pipeline.open_records(numbered_features, ["train"]).info.inputs["width"]
    assert {x.size for x in found.videos} == {(1, width)}
    text = description.text(found)
    assert f"features: {width} ({len(found.videos)}) numbers" in text and "frames per second" not in text


def test_folds_and_problems_of_a_protocol(tmp_path):
    example = records.Example(images=[b"x"], labels=[], media_id="a", fps=25, height=2, width=2)
    tfrecords.write_shard(tfrecords.shard_path(tmp_path, "train", 0, 1), [records.encode(example)])
    info = dataset_info.DatasetInfo(["x"], "unchanged", folds={"published": [{"train": ["train"], "test": ["test"]}]})
    dataset_info.write(tmp_path, info, complete=True, missing=["b"], doubled=["c"], misspelt=[])
    text = description.text(description.describe(tmp_path))
    assert "folds: published (1)" in text and "missing: 1: b" in text and "doubled: 1: c" in text
    assert "misspelt" not in text and "labels per video: 0 (1)" in text and "1 classes have none" in text
    assert "copies: none have the same content" in text


def test_no_records(tmp_path):
    (tmp_path / "labels.txt").write_text("x\n")
    (tmp_path / "dataset.json").write_text(json.dumps({}))
    with pytest.raises(ValueError, match="has no TFRecord shards: make them with vidjax make-records"):
        description.describe(tmp_path)
