import numpy as np
import pytest

from vidjax.data import records, shards, sources, video

AS_THEY_ARE = shards.Encoding(fps=0, short_side=0, format="png", quality=90)


def test_plan_is_contiguous_and_even_within_a_split(tmp_path):
    items = [sources.Item(name, (), "train") for name in "abcde"] + [sources.Item("f", (), "val")]
    tasks = shards.plan(items, tmp_path, num_shards=2)
    assert {path.name: "".join(item.path for item in group) for path, group in tasks.items()} == {
        "train-00000-of-00002.tfrecord": "ab",
        "train-00001-of-00002.tfrecord": "cde",
        "val-00000-of-00001.tfrecord": "f",
    }


def test_what_exists_is_not_missing(tmp_path):
    tasks = {tmp_path / "a.tfrecord": [], tmp_path / "b.tfrecord": [], tmp_path / "none/c.tfrecord": []}
    (tmp_path / "a.tfrecord").touch()
    (tmp_path / "b.tfrecord.0.partial").touch()
    assert list(shards.missing_of(tasks)) == [tmp_path / "b.tfrecord", tmp_path / "none/c.tfrecord"]


def test_a_shard_holds_what_can_be_read_and_names_the_rest(tmp_path):
    video.write_video(tmp_path / "good.mp4", np.full((3, 32, 48, 3), 50, np.uint8), 10)
    (tmp_path / "empty.mp4").touch()
    items = [sources.Item(str(tmp_path / name), ("b",)) for name in ("empty.mp4", "good.mp4")]
    counted = []
    path = tmp_path / "train-00000-of-00001.tfrecord"
    shards.write_shard(path, items, AS_THEY_ARE, ["a", "b"], lambda: counted.append(1))
    (offset,) = records.read_index(path)
    example = records.decode(records.read_record(path, offset))
    assert (len(example.images), example.labels, example.media_id) == (3, [1], str(tmp_path / "good.mp4"))
    problems = records.read_problems(path)
    assert problems["damaged"] == [] and problems["skipped"][0][0] == str(tmp_path / "empty.mp4")
    assert len(counted) == 2


def test_what_cannot_be_read_as_asked(tmp_path):
    video.write_video(tmp_path / "video.mp4", np.full((3, 32, 48, 3), 50, np.uint8), 10)
    path = str(tmp_path / "video.mp4")
    with pytest.raises(ValueError, match="no frame between 5 s and None s"):
        shards.read_example(sources.Item(path, ("a",), start=5), AS_THEY_ARE, ["a"])
    with pytest.raises(ValueError, match="2 frame labels for 3 frames"):
        shards.read_example(sources.Item(path, ("a",), frame_labels=("a", "a")), AS_THEY_ARE, ["a"])
