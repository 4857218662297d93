import numpy as np
import pytest

from vidjax.data import sampling


def test_the_centre_clip():
    # like DMVR's sample_sequence: 10 frames at stride 2 of 100 are frames 40, 42, ..., 58
    assert sampling.spaced_clips(100, 10, 2).tolist() == [list(range(40, 60, 2))]


def test_evenly_spaced_clips_reach_from_start_to_end():
    assert sampling.spaced_clips(10, 4, 1, num_views=3).tolist() == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]


def test_short_videos_wrap_around():
    assert sampling.spaced_clips(3, 5).tolist() == [[0, 1, 2, 0, 1]]
    assert sampling.random_clip(np.random.default_rng(0), 3, 5).tolist() == [0, 1, 2, 0, 1]
    assert sampling.spaced_clips(1, 4, 2, num_views=2).tolist() == [[0] * 4] * 2


def test_random_clips_start_everywhere_equally_often():
    rng = np.random.default_rng(0)
    clips = np.stack([sampling.random_clip(rng, 8, 3, 2) for _ in range(4000)])
    assert (np.diff(clips) == 2).all()
    starts, counts = np.unique(clips[:, 0], return_counts=True)
    assert starts.tolist() == [0, 1, 2, 3]  # 3 + 4 = 7 is the last frame
    assert counts.min() > 900


def test_segments():
    assert sampling.segments(30, 3).tolist() == [5, 15, 25]
    rng = np.random.default_rng(0)
    drawn = np.stack([sampling.segments(30, 3, rng) for _ in range(1000)])
    assert drawn.min(axis=0).tolist() == [0, 10, 20]
    assert drawn.max(axis=0).tolist() == [9, 19, 29]
    assert sampling.segments(2, 4).tolist() == [0, 0, 1, 1]  # fewer frames than segments


@pytest.mark.parametrize("length", [1, 5, 16, 17, 100])
def test_indices_are_always_of_the_video(length):
    rng = np.random.default_rng(length)
    drawn = [sampling.random_clip(rng, length, 16, 2), sampling.spaced_clips(length, 16, 2, 10).ravel()]
    drawn += [sampling.segments(length, 8, rng), sampling.segments(length, 8)]
    for indices in drawn:
        assert indices.min() >= 0
        assert indices.max() < length


def test_the_kinds_of_sampling():
    rng = np.random.default_rng(0)
    assert np.diff(sampling.train_indices(rng, 100, num_frames=5, frame_stride=3)).tolist() == [3] * 4
    assert (sampling.train_indices(rng, 100, num_frames=5, sampling="segments") // 20).tolist() == [0, 1, 2, 3, 4]
    assert sampling.eval_indices(100, num_frames=2, num_views=2).tolist() == [[0, 1], [98, 99]]
    assert sampling.eval_indices(100, num_frames=2, num_views=2, sampling="segments").tolist() == [[25, 75]]
    for sample in (sampling.eval_indices, lambda *a, **k: sampling.train_indices(rng, *a, **k)):
        with pytest.raises(ValueError, match="Unknown sampling 'dense'; choose clip, segments or chunks"):
            sample(10, num_frames=2, sampling="dense")


@pytest.mark.parametrize(
    ("length", "stride", "expected"),
    [
        (7, 1, [[0, 1, 2], [3, 4, 5], [4, 5, 6]]),  # the last clip moves back to end with the video
        (6, 1, [[0, 1, 2], [3, 4, 5]]),
        (3, 1, [[0, 1, 2]]),
        (2, 1, [[0, 1, 0]]),
        (12, 2, [[0, 2, 4], [6, 8, 10], [7, 9, 11]]),
    ],
)
def test_covering_clips_show_the_whole_video(length, stride, expected):
    assert sampling.covering_clips(length, 3, stride).tolist() == expected


def test_chunks():
    indices, mask = sampling.chunks(10, 4, num_chunks=3)
    assert indices.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 9, 9]]
    assert mask.tolist() == [[True] * 4, [True] * 4, [True, True, False, False]]
    assert sampling.chunks(10, 2, 2, 2)[0].tolist() == [[1, 3], [5, 7]]  # from the middle
    rng = np.random.default_rng(0)
    assert {sampling.chunks(10, 4, 1, 2, rng)[0][0, 0] for _ in range(50)} == {0, 1, 2}
