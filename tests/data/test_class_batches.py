import numpy as np
import pytest

from tests.conftest import write_numbered
from vidjax.data import class_batches, dataset_info, pipeline

CLIP = {"num_frames": 2, "frame_stride": 2, "size": 8}


def dataset(directory, labels, num_videos=20):
    """Records whose video v has the labels `labels(v)` out of a, b, c, d and e."""
    write_numbered(directory, "train", num_videos, 4, labels=labels)
    dataset_info.write(directory, dataset_info.DatasetInfo(list("abcde"), "unchanged"), complete=True)
    return pipeline.open_records(directory, ["train"])


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return dataset(tmp_path_factory.mktemp("classes"), lambda v: [v % 5])  # five classes of four videos


def batches(source, num_classes=2, batch_size=6, **changes):
    order = class_batches.make_order(source, num_classes, batch_size, seed=3)
    arguments = {"batch_size": batch_size, "num_steps": 12, "seed": 3, "num_threads": 2, "order": order, **changes}
    return list(pipeline.train_batches(source, CLIP, **arguments))


def videos_of(batch):
    return [int(video[0, 0, 0, 0]) // 10 for video in batch["video"]]


def test_a_batch_has_two_classes_of_three_different_clips(source):
    pairs = []
    for batch in batches(source):
        videos, targets = videos_of(batch), batch["target"].tolist()
        assert targets == [video % 5 for video in videos] and len(set(videos)) == 6
        assert len(set(targets[:3])) == len(set(targets[3:])) == 1 and targets[0] != targets[3]
        pairs.append({targets[0], targets[3]})
    for first, second in zip(pairs[::2], pairs[1::2], strict=True):  # an epoch: 2 of 5 classes, 2 others, 1 sits out
        assert not first & second
    assert len({frozenset(pair) for pair in pairs}) > 4


def test_all_clips_come_and_other_clips_each_time(source):
    seen = np.bincount([video for batch in batches(source, num_steps=60) for video in videos_of(batch)], minlength=20)
    assert seen.min() >= 10 and seen.max() <= 26  # 360 / 20 = 18 on average


def test_resuming_and_two_processes_give_the_same_batches(source):
    whole = batches(source)
    for a, b in zip(whole[5:], batches(source, start_step=5), strict=True):
        np.testing.assert_array_equal(a["video"], b["video"])
    for batch, *halves in zip(whole, *(batches(source, process=(p, 2)) for p in (0, 1)), strict=True):
        np.testing.assert_array_equal(batch["video"], np.concatenate([half["video"] for half in halves]))


def test_the_order_follows_the_seed(source):
    orders = [class_batches.make_order(source, 2, 6, seed)(epoch).tolist() for seed in (3, 3, 4) for epoch in (0, 1)]
    assert orders[:2] == orders[2:4] and len({tuple(order) for order in orders}) == 4


def test_batches_that_are_impossible(source, tmp_path):
    for num_classes, batch_size in ((1, 4), (2, 2), (3, 8), (-1, 8)):
        with pytest.raises(
            ValueError, match=f"batch_classes = {num_classes} with config.batch_size = {batch_size}: a "
        ):
            class_batches.make_order(source, num_classes, batch_size, 0)
    with pytest.raises(ValueError, match="config.batch_classes = 6, but the training splits have 5 classes"):
        class_batches.make_order(source, 6, 12, 0)
    rare = dataset(tmp_path, lambda v: [3 if v == 7 else v % 2])
    with pytest.raises(ValueError, match="1 of 3 classes have fewer than the 2 clips .* 'd' has 1: lower"):
        class_batches.make_order(rare, 2, 4, 0)
    both = dataset(tmp_path, lambda v: [0, 1] if v == 2 else [v % 2], num_videos=4)
    with pytest.raises(ValueError, match=r"record 2 .*A record has the labels \[0, 1\]"):
        class_batches.make_order(both, 2, 4, 0)
