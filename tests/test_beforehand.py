import collections
import errno
import tempfile

import jax
import numpy as np
import pytest

from tests.conftest import write_numbered
from vidjax import beforehand
from vidjax.data import records


def write(directory, splits, labels=("a", "b")):
    """A dataset of 6 videos in each split; those of the classes that a split's function says."""
    for split, of_video in splits.items():
        write_numbered(directory, split, 6, 9, labels=of_video)
    records.write_info(directory, records.DatasetInfo(list(labels), "forbidden"), complete=True)


@pytest.fixture
def config(tiny_config, tmp_path):
    """A run on three splits of `numbered_video`s of 12x16."""
    right = lambda v: [v % 2]  # noqa: E731
    write(tmp_path, {"train": right, "val": right, "test": right})
    tiny_config.dataset, tiny_config.clip.size = str(tmp_path), 8
    return tiny_config


def test_the_splits_of_a_run(config):
    found = beforehand.open_splits(config)
    assert [len(source) for source in found[:3]] == [6, 6, 6]
    assert found.clip_arguments["size"] == 8 and found.clip_arguments["crop"] == "random"
    config.val_splits = ()
    assert beforehand.open_splits(config).val is None


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize(
    ("label", "loss", "message"),
    [
        ([2], "softmax", "class index 2, but labels.txt names 2 classes"),
        ([-1], "sigmoid", "class index -1, but labels.txt names 2 classes"),
        ([], "softmax", "has no label, but the loss softmax needs one"),
        ([0, 1], "softmax", r"has the labels \[0, 1\]"),
    ],
)
def test_a_wrong_label_is_found_in_any_split(config, tmp_path, split, label, loss, message):
    write_numbered(tmp_path, split, 6, 9, labels=lambda v: label if v == 4 else [0])
    config.loss.name = loss
    with pytest.raises(ValueError, match=rf"{split}-00000-of-00001.tfrecord, record 4 .*{message}"):
        beforehand.open_splits(config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_splits": ("tset",)}, r"No split 'tset' in .*; it has \['test', 'train', 'val'\]"),
        ({"clip.size": 20}, "crop of 20 pixels does not fit"),
        ({"target": "frame"}, "'video .' has no frame labels"),
        ({"flow": "stored"}, "holds no optical flow"),
        ({"augment.flip": True}, "forbids horizontal flips"),
    ],
)
def test_what_no_clip_can_be_cut_for(config, change, message):
    for key, value in change.items():
        part, _, name = key.rpartition(".")
        (config[part] if part else config)[name] = value
    with pytest.raises(ValueError, match=message):
        beforehand.open_splits(config)


def test_test_videos_without_flow_are_found_before_training(config, tmp_path):
    """Nobody said what these records hold, and only those to be tested hold no flow."""
    for split in ("train", "val"):
        shard = records.shard_path(tmp_path, split, 0, 1)
        examples = [records.decode(records.read_record(shard, offset)) for offset in records.read_index(shard)]
        with_flow = [records.Example([*x.images], x.labels, flow=[x.images[0]] * 8) for x in examples]
        records.write_shard(shard, map(records.encode, with_flow))
    config.flow, config.model = "stored", {"name": "stacked_flow"}
    with pytest.raises(ValueError, match="The record of 'video 0' holds no optical flow"):
        beforehand.open_splits(config)


def test_directories_that_cannot_be_written_to(tmp_path, monkeypatch):
    beforehand.check_writable(tmp_path / "new" / "run", "--workdir")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="--workdir .*/file/run cannot be written to .*file: Not a directory.: name"):
        beforehand.check_writable(tmp_path / "file/run", "--workdir")
    with pytest.raises(ValueError, match="--out .*/file/x.json: .*/file is not a directory; make it first"):
        beforehand.check_out(tmp_path / "file/x.json")
    with pytest.raises(ValueError, match="--out .* is a directory: name a file in it"):
        beforehand.check_out(tmp_path)
    beforehand.check_out(tmp_path / "x.json")

    def refusing(**given):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refusing)
    with pytest.raises(ValueError, match=r"cannot be written to \(.*: Read-only file system\): free it"):
        beforehand.check_writable(tmp_path, "--workdir", "free it")


def test_what_stands_in_the_way_of_a_file(tmp_path):
    (tmp_path / "confusion.csv").mkdir()
    with pytest.raises(ValueError, match="confusion.csv cannot be written: remove it"):
        beforehand.check_replaceable([tmp_path / "none", tmp_path / "confusion.csv"], "remove it")


@pytest.mark.parametrize(
    ("steps", "total", "free", "needed"),
    [
        ([], 100, 2, 3),
        ([], 100, 3, 0),
        ([10, 20], 100, 0.5, 1),
        ([10, 20], 100, 1, 0),
        ([], 15, 1, 2),
        ([90, 100], 100, 0, 0),
    ],
)
def test_space_for_checkpoints(steps, total, free, needed, tmp_path, monkeypatch):
    """A checkpoint of 1 GiB every 10 steps; two are kept, and a third is there while it is written."""
    usage = collections.namedtuple("usage", "free")(int(free * 2**30))
    monkeypatch.setattr(beforehand.shutil, "disk_usage", lambda path: usage)
    state = {"params": jax.ShapeDtypeStruct((2**27,), np.float32), "ema": jax.ShapeDtypeStruct((2**28,), np.float16)}
    if not needed:
        beforehand.check_space(tmp_path, state, steps, total, every=10)
        return
    with pytest.raises(ValueError, match=f"need {needed} x 1.00 GiB in .*, where {free:.2f} GiB are free"):
        beforehand.check_space(tmp_path, state, steps, total, every=10)
