import dataclasses

import cv2
import numpy as np
import pytest

from vidjax.data import clips, mp4, records, shards, tfrecords, video
from vidjax.data.sources.items import Item

AS_THEY_ARE = shards.Encoding(fps=0, short_side=0, format="png", quality=90)


def plan(items, out, num_shards=None, encoding=AS_THEY_ARE, labels=("a", "b"), **more):
    return shards.plan(items, out, num_shards, encoding, list(labels), **more)


def test_plan_is_contiguous_and_even_within_a_split(tmp_path):
    items = [Item(name, (), "train") for name in "abcde"] + [Item("f", (), "val")]
    assert {task.path.name: "".join(item.path for item in task.items) for task in plan(items, tmp_path, 2)} == {
        "train-00000-of-00002.tfrecord": "ab",
        "train-00001-of-00002.tfrecord": "cde",
        "val-00000-of-00001.tfrecord": "f",
    }


@pytest.fixture
def items(tmp_path):
    """A video and a file that is not a video, both of class b."""
    video.write_video(tmp_path / "good.mp4", np.full((3, 32, 48, 3), 50, np.uint8), 10)
    (tmp_path / "bad.mp4").write_text("not a video")
    return [Item(str(tmp_path / name), ("b",), "train") for name in ("bad.mp4", "good.mp4")]


def write(task, labels=("a", "b")):
    counted = []
    shards.write_shard(task, AS_THEY_ARE, list(labels), lambda: counted.append(1))
    return len(counted)


def test_a_shard_holds_what_can_be_read_and_names_the_rest(items, tmp_path):
    (task,) = plan(items, tmp_path / "out")
    assert write(task) == 2
    (offset,) = tfrecords.read_index(task.path)
    example = records.decode(tfrecords.read_record(task.path, offset))
    assert (len(example.images), example.labels, example.media_id) == (3, [1], str(tmp_path / "good.mp4"))
    problems = tfrecords.read_details(task.path)["problems"]
    assert problems["damaged"] == [] and problems["skipped"][0][0] == str(tmp_path / "bad.mp4")


def test_encoded_videos_with_stored_flow(tmp_path):
    frames = np.random.default_rng(0).integers(60, 90, (14, 33, 48, 1), dtype=np.uint8).repeat(3, -1)
    for name, length in (("long", 14), ("one", 1)):
        video.write_video(tmp_path / f"{name}.mp4", frames[:length], 10)
    encoding = dataclasses.replace(AS_THEY_ARE, format="mp4", quality=mp4.QUALITY, short_side=25)
    item = Item(str(tmp_path / "long.mp4"), ("a",))
    example, warning = shards.read_example(item, dataclasses.replace(encoding, flow="opencv_dis"), ["a"])
    assert (len(example.images), len(example.flow), warning) == (14, 13, None)
    assert isinstance(example.images, records.EncodedVideo) and example.flow[0].startswith(b"\x89PNG")
    for stream, channels in (("video", 3), ("flow", 2)):
        assert clips.decoder(example, stream)(12).shape == (25, 35, channels)
    example, _ = shards.read_example(Item(str(tmp_path / "one.mp4"), ("a",)), encoding, ["a"])
    assert abs(clips.decoder(example)(0).astype(int).mean() - frames[0].mean()) < 2


def test_a_shard_is_done_until_something_that_it_is_made_from_changes(items, tmp_path):
    (task,) = plan(items, tmp_path / "out")
    assert shards.missing_of([task]) == [task]
    write(task)
    assert shards.missing_of(plan(items, tmp_path / "out")) == []
    (tmp_path / "bad.mp4").write_bytes((tmp_path / "good.mp4").read_bytes())  # repaired
    (mended,) = shards.missing_of(plan(items, tmp_path / "out"))
    write(mended)
    assert len(tfrecords.read_index(task.path)) == 2
    for change in ({"items": items[1:]}, {"labels": ("b",)}, {"encoding": dataclasses.replace(AS_THEY_ARE, fps=5)}):
        assert shards.missing_of(plan(**{"items": items, "out": tmp_path / "out", **change}))


def test_a_changed_image_of_a_frame_folder_is_seen(tmp_path):
    (tmp_path / "v").mkdir()
    for name in ("1.png", "2.png"):
        cv2.imwrite(str(tmp_path / "v" / name), np.zeros((32, 32, 3), np.uint8))
    items = [Item(str(tmp_path / "v"), ("a",), "train")]
    (task,) = plan(items, tmp_path / "out")
    write(task)
    (offset,) = tfrecords.read_index(task.path)
    example = records.decode(tfrecords.read_record(task.path, offset))
    assert (len(example.images), example.fps, example.end) == (2, 25, 0.08)
    slow = dataclasses.replace(AS_THEY_ARE, folder_fps=5)
    assert shards.read_example(items[0], slow, ["a"])[0].fps == 5
    assert not shards.missing_of(plan(items, tmp_path / "out"))
    cv2.imwrite(str(tmp_path / "v/2.png"), np.full((32, 32, 3), 9, np.uint8))
    assert shards.missing_of(plan(items, tmp_path / "out"))


def test_rendered_videos_do_not_depend_on_times(tmp_path):
    path = tmp_path / "out/videos/a.mp4"
    path.parent.mkdir(parents=True)
    items = [Item(str(path), ("a",), "train")]
    (before,) = plan(items, tmp_path / "out", are_made=True)
    path.touch()
    assert plan(items, tmp_path / "out", are_made=True) == [before]
    (given,) = plan(items, tmp_path / "out")  # videos of the user that are kept beside the records
    path.write_bytes(b"another video")
    assert plan(items, tmp_path / "out") != [given]


def test_a_video_that_does_not_fit_in_a_record_costs_itself_only(items, tmp_path, monkeypatch):
    video.write_video(tmp_path / "long.mp4", np.full((30, 32, 48, 3), 50, np.uint8), 10)
    (task,) = plan([Item(str(tmp_path / "long.mp4"), ("a",), "train"), *items], tmp_path / "out")
    monkeypatch.setattr(shards, "MOST_BYTES", 1000)
    assert write(task) == 3
    assert len(tfrecords.read_index(task.path)) == 1
    (path, why), _ = tfrecords.read_details(task.path)["problems"]["skipped"]
    assert path.endswith("long.mp4") and "take more than the 2 GiB that a record holds; lower --short_side" in why


def test_parts_that_cannot_be_read(tmp_path):
    video.write_video(tmp_path / "video.mp4", np.full((3, 32, 48, 3), 50, np.uint8), 10)
    path = str(tmp_path / "video.mp4")
    with pytest.raises(ValueError, match="no frame between 5 s and None s"):
        shards.read_example(Item(path, ("a",), start=5), AS_THEY_ARE, ["a"])
    with pytest.raises(ValueError, match="video.mp4: the segment 'a' begins at 2 s, but the video ends at 0.3 s"):
        shards.read_example(Item(path, ("a",), segments=((2.0, 3.0, "a"),)), AS_THEY_ARE, ["a"])
