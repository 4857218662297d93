import numpy as np
import pytest

from vidjax.data import clips, pipeline, records

CLIP = {"num_frames": 4, "frame_stride": 2, "size": 8}


@pytest.fixture(scope="module")
def source(numbered_records):
    return pipeline.open_records(numbered_records, ["train"])


def test_multi_label_targets(source):
    example = records.Example(images=source[0].images, labels=[0, 1])
    clip = clips.eval_clips(example, source.info, **CLIP, multi_label=True)
    assert clip["target"].tolist() == [1, 1]
    with pytest.raises(ValueError, match="multi_label"):
        clips.eval_clips(example, source.info, **CLIP)


def test_only_the_frames_of_the_clip_are_decoded(source):
    images = [b"never decoded"] * 9
    images[1:8:2] = list(source[0].images)[1:8:2]  # the centre clip of 9 frames
    clip = clips.eval_clips(records.Example(images=images, labels=[0]), source.info, **CLIP)
    assert clip["video"][0, :, 0, 0, 1].tolist() == [1, 3, 5, 7]


def test_bad_frames_are_named(source):
    broken = records.Example(images=[b"no picture"] * 9, labels=[0], media_id="a.mp4")
    with pytest.raises(ValueError, match="of 'a.mp4' is not a JPEG or PNG"):
        clips.eval_clips(broken, source.info, **CLIP)
    with pytest.raises(ValueError, match="'a.mp4' holds no frames"):
        clips.eval_clips(records.Example(images=[], labels=[0], media_id="a.mp4"), source.info, **CLIP)


def test_a_blank_batch_has_the_shapes_of_a_real_one():
    assert clips.blank_batch({"fps": 25.0}, CLIP, 2)["video"].shape == (2, 4, 8, 8, 3)
    blank = clips.blank_batch({"prefix": "RGB", "width": 5}, {"num_frames": 4}, 2)
    assert {name: array.shape for name, array in blank.items()} == {"features": (2, 4, 5), "frame_mask": (2, 4)}
    with pytest.raises(ValueError, match="records of videos, but the config is one for features"):
        clips.blank_batch({"fps": 25.0}, {"num_frames": 4}, 2)


# ------------------------------------------------------------------------------------------------------------ features

INFO = records.DatasetInfo(["a", "b"], "unchanged", inputs={"prefix": "RGB", "width": 1})


def sequence(length):
    return records.Example(images=[], labels=[1], features={"RGB": np.arange(1.0, length + 1)[:, None]}, media_id="v")


@pytest.mark.parametrize(
    ("length", "clip", "expected"),
    [
        (6, {"num_frames": 4}, [2, 3, 4, 5]),  # the centre
        (6, {"num_frames": 3, "frame_stride": 2}, [1, 3, 5]),
        (3, {"num_frames": 5}, [1, 2, 3, 0, 0]),  # too short: filled up with zeros that do not count
        (5, {"num_frames": 3, "frame_stride": 6}, [1, 0, 0]),
        (6, {"num_frames": 3, "sampling": "segments"}, [2, 4, 6]),
        (2, {"num_frames": 4, "sampling": "segments"}, [1, 1, 2, 2]),
    ],
)
def test_features_are_cut_as_videos_are(length, clip, expected):
    cut = clips.eval_features(sequence(length), INFO, **clip)
    assert cut["features"][0, :, 0].tolist() == expected
    assert cut["frame_mask"][0].tolist() == [float(value > 0) for value in expected]
    assert cut["target"] == 1


def test_views_of_features_are_evenly_spaced():
    cut = clips.eval_features(sequence(6), INFO, num_frames=2, num_views=3)
    assert cut["features"][..., 0].tolist() == [[1, 2], [3, 4], [5, 6]]


def test_random_stretches_of_features():
    drawn = {
        tuple(clips.train_features(sequence(6), np.random.default_rng(i), INFO, num_frames=4)["features"][:, 0])
        for i in range(30)
    }
    assert drawn == {(1, 2, 3, 4), (2, 3, 4, 5), (3, 4, 5, 6)}


def test_features_that_are_not_what_the_dataset_says():
    wide = records.DatasetInfo(["a", "b"], "unchanged", inputs={"prefix": "RGB", "width": 7})
    with pytest.raises(ValueError, match=r"record of 'v' holds {'RGB': \(6, 1\)}; expected RGB of width 7"):
        clips.eval_features(sequence(6), wide, num_frames=2)
    with pytest.raises(ValueError, match="no space to crop"):
        clips.eval_features(sequence(6), INFO, num_frames=2, num_crops=3)
