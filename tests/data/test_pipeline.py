import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest

from vidjax.data import clips, dataset_info, pipeline, records

CLIP = {"num_frames": 4, "frame_stride": 2, "size": 8}


@pytest.fixture(scope="module")
def source(numbered_records):
    return pipeline.open_records(numbered_records, ["train"])


def train(source, clip=None, **changes):
    arguments = {"batch_size": 4, "num_steps": 8, "seed": 3, "num_threads": 2, **changes}
    return list(pipeline.train_batches(source, clip or CLIP, **arguments))


def videos_of(batches):
    return [int(video[0, 0, 0, 0]) // 10 for batch in batches for video in batch["video"]]


def assert_equal(batches, others):
    for batch, other in itertools.zip_longest(batches, others):
        assert batch.keys() == other.keys()
        for name in batch:
            np.testing.assert_array_equal(batch[name], other[name])


def test_a_batch(source):
    batch = train(source)[0]
    assert batch["video"].shape == (4, 4, 8, 8, 3)
    assert batch["video"].dtype == np.uint8
    assert batch["target"].dtype == np.int32
    assert batch["weight"].tolist() == [1, 1, 1, 1]
    assert batch["target"].tolist() == [video % 2 for video in videos_of([batch])]


def test_clips_are_cut_as_sampling_and_augment_say(source):
    for batch in train(source):
        for video in batch["video"]:
            times, columns = video[:, 0, 0, 1], video[0, 0, :, 2]
            assert np.diff(times).tolist() == [2, 2, 2]  # frame_stride
            assert np.diff(columns).tolist() == [1] * 7  # a crop, not a resize
            assert (video[..., 2] == columns).all()  # the same crop in every frame


def test_each_epoch_is_a_permutation_and_epochs_differ(source):
    order = videos_of(train(source, num_steps=11))  # 44 clips are four epochs of 11 videos
    epochs = [order[i : i + 11] for i in range(0, 44, 11)]
    assert all(sorted(epoch) == list(range(11)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_resuming_gives_the_batches_that_were_still_to_come(source):
    assert_equal(train(source)[5:], train(source, start_step=5))


def test_two_processes_share_the_batches_of_one(source):
    halves = [train(source, process=(p, 2)) for p in (0, 1)]
    joined = [{name: np.concatenate([a[name], b[name]]) for name in a} for a, b in zip(*halves, strict=True)]
    assert_equal(train(source), joined)


def test_threads_do_not_change_the_batches(source):
    assert_equal(train(source, num_threads=1), train(source, num_threads=8))


def test_seeds_change_the_order_and_the_clips(source):
    assert videos_of(train(source, seed=1)) != videos_of(train(source, seed=2))


def test_batch_must_divide_over_processes(source):
    with pytest.raises(ValueError, match="batch_size = 4 does not divide over 3 processes"):
        train(source, process=(0, 3))


def test_flips_mirror_video_and_label(source):
    batches = train(source, {**CLIP, "flip": True}, num_steps=11)
    flipped = 0
    for batch in batches:
        for video, target in zip(batch["video"], batch["target"], strict=True):
            mirrored = video[0, 0, 0, 2] > video[0, 0, 1, 2]
            flipped += mirrored
            assert target == (video[0, 0, 0, 0] // 10 + mirrored) % 2
    assert 10 < flipped < 34  # of 44


def test_flips_are_refused_where_the_dataset_forbids_them(source):
    forbidding = pipeline.Records(dataset_info.DatasetInfo(["a", "b"], "forbidden"), source.places)
    with pytest.raises(ValueError, match="forbids horizontal flips"):
        train(forbidding, {**CLIP, "flip": True})


def test_resized_crops_and_colour_keep_the_shape(source):
    batch = train(source, {**CLIP, "crop": "resized", "colour": 0.3, "resize": 20, "sampling": "segments"})[0]
    assert batch["video"].shape == (4, 4, 8, 8, 3)


def evaluated(source, **changes):
    arguments = {"batch_size": 4, "num_threads": 2}
    clip = {**CLIP, **{name: changes.pop(name) for name in ("num_views", "num_crops") if name in changes}}
    return list(pipeline.eval_batches(source, clip, **{**arguments, **changes}))


def test_evaluation_counts_every_video_once(source):
    batches = evaluated(source)
    weights = np.concatenate([batch["weight"] for batch in batches])
    assert weights.tolist() == [1] * 11 + [0]
    assert [int(video[0, 0, 0, 0, 0]) // 10 for batch in batches for video in batch["video"]][:11] == list(range(11))


def test_evaluation_on_three_processes_sees_the_same_videos(source):
    whole = evaluated(source, batch_size=6)
    thirds = [evaluated(source, batch_size=6, process=(p, 3)) for p in range(3)]
    joined = [
        {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        for parts in zip(*thirds, strict=True)
    ]
    assert_equal(whole, joined)


def test_views_are_crops_times_clips(source):
    video = evaluated(source, num_views=2, num_crops=3)[0]["video"]
    assert video.shape == (4, 6, 4, 8, 8, 3)
    assert video[0, :, 0, 0, 0, 1].tolist() == [0, 2] * 3  # first frames: in 9 frames a span of 7 starts at 0 or 2
    assert video[0, :, 0, 0, 0, 2].tolist() == [0, 0, 4, 4, 8, 8]  # left, centre, right


def test_a_damaged_record_stops_training_and_is_named(source, tmp_path):
    shard, offset = source.places[2]
    copy = Path(tmp_path) / shard.name
    data = bytearray(shard.read_bytes())
    data[offset + 100] ^= 1
    copy.write_bytes(data)
    damaged = pipeline.Records(source.info, [(copy, offset) for _, offset in source.places])
    with pytest.raises(ValueError, match=f"{copy.name}: the record at byte {offset} is damaged"):
        train(damaged, num_steps=3)


# ------------------------------------------------------------------------------------------------------------ features


@pytest.fixture(scope="module")
def features(numbered_features):
    return pipeline.open_records(numbered_features, ["train"])


def test_a_batch_of_features(features):
    clip = {"num_frames": 4, "crop": "random", "size": 8, "flip": False}  # features ignore the arguments of videos
    batches = train(features, clip)
    batch = batches[0]
    assert {name: (array.shape, str(array.dtype)) for name, array in batch.items()} == {
        "features": ((4, 4, 3), "float32"),
        "frame_mask": ((4, 4), "float32"),
        "target": ((4,), "int32"),
        "weight": ((4,), "float32"),
    }
    assert_equal(batches[5:], train(features, clip, start_step=5))
    video = batch["features"][:, 0, 0].astype(int)
    np.testing.assert_array_equal(batch["frame_mask"].sum(axis=1), np.minimum(video + 1, 4))  # video v has v + 1 steps


def test_features_are_evaluated_once_each(features):
    batches = list(pipeline.eval_batches(features, {"num_frames": 2, "num_views": 3}, batch_size=4))
    assert batches[0]["features"].shape == (4, 3, 2, 3)
    assert batches[0]["frame_mask"].shape == (4, 3, 2)
    assert np.concatenate([batch["weight"] for batch in batches]).tolist() == [1] * 6 + [0] * 2


def test_features_have_no_picture_to_change(features):
    with pytest.raises(ValueError, match="Features cannot be flipped or recoloured"):
        train(features, {"num_frames": 4, "flip": True})


# ------------------------------------------------------------------------------------------ one label a frame, chunks


def chunked(directory, clip=None, **changes):
    source = pipeline.open_records(directory, ["train"])
    clip = {"num_frames": 4, "sampling": "chunks", "num_chunks": 3, **(clip or {})}
    arguments = {"batch_size": 2, "num_steps": 18, "seed": 3, "num_threads": 2, **changes}
    return list(pipeline.train_batches(source, clip, **arguments))


def test_one_label_per_frame(frame_labels):
    batch = chunked(frame_labels, {"num_frames": 12, "sampling": "clip", "num_chunks": 1, "per_frame": True})[0]
    assert batch["target"].shape == batch["weight"].shape == (2, 12) and batch["target"].dtype == np.int32
    np.testing.assert_array_equal(batch["weight"], batch["frame_mask"])
    own = batch["weight"] > 0
    np.testing.assert_array_equal(batch["target"][own], batch["features"][..., :2].sum(-1)[own] % 2)
    assert (own.sum(1) == 10 - batch["features"][:, 0, 0]).all()


def test_the_next_batch_holds_the_next_chunk_of_the_same_videos(frame_labels):
    batches = chunked(frame_labels, {"per_frame": True})
    for first in range(0, 18, 3):
        parts = batches[first : first + 3]
        assert [part["sequence_start"].tolist() for part in parts] == [[1, 1], [0, 0], [0, 0]]
        features, mask, target = (
            np.concatenate([part[n] for part in parts], 1) for n in ("features", "frame_mask", "target")
        )
        for row in range(2):
            video, steps = features[row, 0, 0], features[row, mask[row] > 0]
            assert (steps[:, 0] == video).all() and steps[:, 1].tolist() == list(range(int(10 - video)))
            np.testing.assert_array_equal(target[row, mask[row] > 0], steps[:, :2].sum(-1) % 2)
    videos = [int(part["features"][row, 0, 0]) for part in batches[::3] for row in range(2)]
    assert sorted(videos[:6]) == sorted(videos[6:]) == list(range(6)) and videos[:6] != videos[6:]  # two epochs


def test_a_longer_video_gives_one_random_stretch(frame_labels):
    batches = chunked(frame_labels, {"num_chunks": 2, "num_frames": 2}, num_steps=60)
    starts = set()
    for first, second in zip(batches[::2], batches[1::2], strict=True):
        steps = np.concatenate([first["features"], second["features"]], 1)[..., 1]
        assert (np.diff(steps) == 1).all()
        starts |= set(steps[:, 0].tolist())
    assert starts == set(range(7))


def test_chunks_resume_and_are_shared_by_processes(frame_labels):
    batches = chunked(frame_labels)
    for start in (4, 6, 8):
        assert_equal(batches[start:], chunked(frame_labels, start_step=start))
    halves = [chunked(frame_labels, process=(i, 2)) for i in range(2)]
    for batch, *parts in zip(batches, *halves, strict=True):
        assert_equal([batch], [{name: np.concatenate([part[name] for part in parts]) for name in batch}])


def test_chunks_of_videos_draw_alike(source):
    batches = train(source, {**CLIP, "frame_stride": 1, "sampling": "chunks", "num_chunks": 3})
    for first in (0, 3):
        videos = np.concatenate([batch["video"] for batch in batches[first : first + 3]], 1)
        mask = np.concatenate([batch["frame_mask"] for batch in batches[first : first + 3]], 1)
        assert mask.tolist() == [[1] * 9 + [0] * 3] * 4
        assert (videos[:, :9, 0, 0, 1] == np.arange(9)).all()
        assert (videos[..., 2] == videos[:, :1, :1, :, 2]).all()  # one crop


def test_evaluation_in_chunks(frame_labels):
    source = pipeline.open_records(frame_labels, ["test"])
    clip = {"num_frames": 4, "sampling": "chunks", "num_chunks": 3, "per_frame": True}
    batches = list(pipeline.eval_batches(source, clip, batch_size=4, num_threads=2))
    assert batches[0]["features"].shape == (4, 3, 4, 3) and batches[0]["target"].shape == (4, 3, 4)
    assert [batch["weight"].sum((1, 2)).tolist() for batch in batches] == [[10, 9, 8, 7], [6, 5, 0, 0]]
    with pytest.raises(ValueError, match="Chunks cover a video once: set eval.num_views and eval.num_crops to 1"):
        pipeline.eval_batches(source, {**clip, "num_views": 2}, batch_size=4)


def test_what_is_wrong_with_chunks_and_frame_labels(source, frame_labels):
    with pytest.raises(ValueError, match="num_chunks = 2: at least 1 is needed, and more than 1 needs clip.sampling"):
        chunked(frame_labels, {"sampling": "clip", "num_chunks": 2})
    with pytest.raises(ValueError, match=r"has 0 frame labels \(image/label/index\) for 9 frames or steps"):
        train(source, {**CLIP, "per_frame": True})


def test_labels_are_read_without_spaces_and_carriage_returns(numbered_records, tmp_path):
    shutil.copytree(numbered_records, tmp_path / "copy")
    (tmp_path / "copy/labels.txt").write_bytes(b"a \r\n b\r\n")
    assert pipeline.open_records(tmp_path / "copy", ["train"]).info.labels == ["a", "b"]
    (tmp_path / "copy/labels.txt").write_text("a\n")
    with pytest.raises(ValueError, match="horizontal_flip has 2 indices for 1 classes"):
        pipeline.open_records(tmp_path / "copy", ["train"])
    (tmp_path / "copy/dataset.json").unlink()
    with pytest.raises(ValueError, match="'video 1' holds the class index 1, but labels.txt names 1 classes"):
        pipeline.open_records(tmp_path / "copy", ["train"])[1]


def test_a_flip_does_not_take_an_index_from_the_end(source):
    example = records.Example(source[0].images, [-1])
    for seed in range(4):  # two of these seeds flip
        with pytest.raises(ValueError, match="holds the class index -1"):
            clips.train_clip(example, np.random.default_rng(seed), source.info, **CLIP, flip=True)
