"""Frames of one colour, and lengths that sum to a total."""

import numpy as np

from vidjax.data.synthetic.sight import flashes


def test_frames_have_one_colour_each_and_vary_in_brightness():
    frames = flashes.frames(np.random.default_rng(0), flashes.COLOURS["red"], 50, 8)
    assert frames.shape == (50, 8, 8, 3) and frames.dtype == np.uint8
    assert (frames == frames[:, :1, :1]).all() and len(np.unique(frames[:, 0, 0, 0])) > 10
    np.testing.assert_allclose(frames.mean(axis=(0, 1, 2)), flashes.COLOURS["red"], atol=5)


def test_lengths_sum_to_the_total_and_are_never_too_short():
    rng = np.random.default_rng(0)
    drawn = np.array([flashes.lengths(rng, 12, [1, 4, 2]) for _ in range(200)])
    assert (drawn.sum(axis=1) == 12).all() and (drawn.min(axis=0) == [1, 4, 2]).all()
    assert flashes.lengths(rng, 7, [3, 4]).tolist() == [3, 4]  # nothing to spare
