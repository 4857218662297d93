import numpy as np
import pytest

from vidjax.data import dataset_info, feature_clips, records

INFO = dataset_info.DatasetInfo(["a", "b"], "unchanged", inputs={"prefix": "RGB", "width": 1})


def sequence(length):
    return records.Example(images=[], labels=[1], features={"RGB": np.arange(1.0, length + 1)[:, None]}, media_id="v")


@pytest.mark.parametrize(
    ("length", "clip", "expected"),
    [
        (6, {"num_frames": 4}, [2, 3, 4, 5]),  # the centre
        (6, {"num_frames": 3, "frame_stride": 2}, [1, 3, 5]),
        (3, {"num_frames": 5}, [1, 2, 3, 0, 0]),  # too short: padded with masked zeros
        (5, {"num_frames": 3, "frame_stride": 6}, [1, 0, 0]),
        (6, {"num_frames": 3, "sampling": "segments"}, [2, 4, 6]),
        (2, {"num_frames": 4, "sampling": "segments"}, [1, 1, 2, 2]),
    ],
)
def test_features_are_cut_as_videos_are(length, clip, expected):
    cut = feature_clips.eval_features(sequence(length), INFO, **clip)
    assert cut["features"][0, :, 0].tolist() == expected
    assert cut["frame_mask"][0].tolist() == [float(value > 0) for value in expected]
    assert cut["target"] == 1


def test_views_of_features_are_evenly_spaced():
    cut = feature_clips.eval_features(sequence(6), INFO, num_frames=2, num_views=3)
    assert cut["features"][..., 0].tolist() == [[1, 2], [3, 4], [5, 6]]


def test_random_stretches_of_features():
    drawn = {
        tuple(feature_clips.train_features(sequence(6), np.random.default_rng(i), INFO, num_frames=4)["features"][:, 0])
        for i in range(30)
    }
    assert drawn == {(1, 2, 3, 4), (2, 3, 4, 5), (3, 4, 5, 6)}


def test_features_that_do_not_match_the_dataset():
    wide = dataset_info.DatasetInfo(["a", "b"], "unchanged", inputs={"prefix": "RGB", "width": 7})
    with pytest.raises(ValueError, match=r"record of 'v' holds {'RGB': \(6, 1\)}; expected RGB of width 7"):
        feature_clips.eval_features(sequence(6), wide, num_frames=2)
    with pytest.raises(ValueError, match="no space to crop"):
        feature_clips.eval_features(sequence(6), INFO, num_frames=2, num_crops=3)
