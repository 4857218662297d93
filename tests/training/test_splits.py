import pytest

from tests.conftest import write_numbered
from vidjax.data import dataset_info, records, tfrecords
from vidjax.training.splits import open_splits


def write(directory, splits, labels=("a", "b")):
    """Writes a dataset of 6 videos per split; `splits` maps a split to the function from video to labels."""
    for split, of_video in splits.items():
        write_numbered(directory, split, 6, 9, labels=of_video)
    dataset_info.write(directory, dataset_info.DatasetInfo(list(labels), "forbidden"), complete=True)


@pytest.fixture
def config(tiny_config, tmp_path):
    """A run on three splits of `numbered_video`s of 12x16."""
    right = lambda v: [v % 2]  # noqa: E731
    write(tmp_path, {"train": right, "val": right, "test": right})
    tiny_config.dataset, tiny_config.clip.size = str(tmp_path), 8
    return tiny_config


def test_the_splits_of_a_run(config):
    found = open_splits(config)
    assert [len(source) for source in found[:3]] == [6, 6, 6]
    assert found.clip_arguments["size"] == 8 and found.clip_arguments["crop"] == "random"
    config.val_splits = ()
    assert open_splits(config).val is None


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
        open_splits(config)


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
def test_configs_that_do_not_fit_the_records(config, change, message):
    for key, value in change.items():
        part, _, name = key.rpartition(".")
        (config[part] if part else config)[name] = value
    with pytest.raises(ValueError, match=message):
        open_splits(config)


def test_test_videos_without_flow_are_found_before_training(config, tmp_path):
    """dataset.json does not describe the records, and only the test records hold no flow."""
    for split in ("train", "val"):
        shard = tfrecords.shard_path(tmp_path, split, 0, 1)
        examples = [records.decode(tfrecords.read_record(shard, offset)) for offset in tfrecords.read_index(shard)]
        with_flow = [records.Example([*x.images], x.labels, flow=[x.images[0]] * 8) for x in examples]
        tfrecords.write_shard(shard, map(records.encode, with_flow))
    config.flow, config.model = "stored", {"name": "stacked_flow"}
    with pytest.raises(ValueError, match="The record of 'video 0' holds no optical flow"):
        open_splits(config)
