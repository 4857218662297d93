import numpy as np
import pytest

from vidjax.data import augment


def numbered(height, width):
    """A frame whose red channel is the row and whose green channel is the column."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, np.zeros_like(rows)], axis=-1).astype(np.uint8)


def test_resized_shape():
    assert augment.resized_shape(256, 340, 128) == (128, 170)
    assert augment.resized_shape(340, 256, 128) == (170, 128)
    assert augment.resized_shape(256, 340, (112, 112)) == (112, 112)
    assert augment.resized_shape(100, 101, 50) == (50, 50)  # never below the short side


def test_resize_averages_when_it_shrinks():
    checkerboard = np.indices((8, 8)).sum(axis=0) % 2 * np.uint8(200)
    small = augment.resize(np.repeat(checkerboard[..., None], 3, axis=-1).astype(np.uint8), 4, 4)
    assert (small == 100).all()


def test_boxes():
    assert augment.centre_box(10, 20, 4) == (3, 8, 4, 4)
    assert augment.three_boxes(10, 20, 10) == [(0, 0, 10, 10), (0, 5, 10, 10), (0, 10, 10, 10)]
    assert augment.three_boxes(20, 10, 10) == [(0, 0, 10, 10), (5, 0, 10, 10), (10, 0, 10, 10)]
    assert augment.five_boxes(10, 20, 4)[:2] == [(0, 0, 4, 4), (0, 16, 4, 4)]
    assert augment.five_boxes(10, 20, 4)[2:] == [(6, 0, 4, 4), (6, 16, 4, 4), (3, 8, 4, 4)]
    crop = augment.crop(numbered(10, 20), (3, 8, 4, 4))
    assert crop[0, 0].tolist() == [3, 8, 0]
    assert crop[-1, -1].tolist() == [6, 11, 0]


def test_random_boxes_reach_every_place_and_stay_inside():
    rng = np.random.default_rng(0)
    boxes = np.array([augment.random_box(rng, 6, 8, 5) for _ in range(200)])
    assert set(boxes[:, 0]) == {0, 1}
    assert set(boxes[:, 1]) == {0, 1, 2, 3}


def test_random_resized_boxes_have_the_given_area_and_aspect():
    rng = np.random.default_rng(0)
    boxes = np.array([augment.random_resized_box(rng, 200, 300, area=(0.2, 0.5)) for _ in range(300)])
    top, left, height, width = boxes.T
    assert (top >= 0).all() and (left >= 0).all()
    assert (top + height <= 200).all() and (left + width <= 300).all()
    assert (0.19 < height * width / 60000).all() and (height * width / 60000 < 0.51).all()
    assert (0.73 < width / height).all() and (width / height < 1.36).all()


def test_crop_that_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match="crop of 64 pixels does not fit in frames of 48x80: set `resize` to 64"):
        augment.centre_box(48, 80, 64)


def test_colour_jitter_of_strength_0_is_the_identity():
    clip = np.stack([numbered(8, 8)] * 2)
    np.testing.assert_array_equal(augment.jitter_colour(np.random.default_rng(0), clip, 0.0), clip)


def test_colour_jitter_is_the_same_for_every_frame_and_keeps_grey_grey():
    clip = np.full((3, 8, 8, 3), 90, np.uint8)
    jittered = augment.jitter_colour(np.random.default_rng(1), clip, 0.4)
    assert (jittered == jittered[0]).all()
    assert np.ptp(jittered) == 0  # one grey level: saturation adds no colour
    assert jittered.flat[0] != 90  # but brightness changes it
