import cv2
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from tests.peers.formula import uniform
from vidjax.flow import images

IMAGE = 128 + 127 * uniform("image", (31, 42))  # noise, so that every error shows
STACK = 128 + 127 * uniform("stack", (3, 17, 23))


def of_each(function, *arguments, **settings) -> np.ndarray:
    """A function of OpenCV or scipy, applied to each image of STACK."""
    return np.stack([function(image, *arguments, **settings) for image in STACK])


@pytest.mark.parametrize("shape", [(31, 42), (62, 30)])
def test_resize_is_opencvs(shape):
    expected = cv2.resize(IMAGE, shape[::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(images.resize(IMAGE, shape), expected, atol=0.01)


def test_resize_takes_a_stack():
    expected = of_each(cv2.resize, (40, 11), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(images.resize(STACK, (11, 40)), expected, atol=0.01)


@pytest.mark.parametrize(("mode", "theirs"), [("edge", "nearest"), ("reflect", "mirror"), ("constant", "constant")])
@pytest.mark.parametrize("axis", [-2, -1])
def test_correlate_is_scipys(mode, theirs, axis):
    kernel = np.array([0.5, -1, 0, 2, 3])  # neither symmetric nor of sum 1
    expected = ndimage.correlate1d(IMAGE, kernel, axis, mode=theirs)
    np.testing.assert_allclose(images.correlate(IMAGE, kernel, axis, mode), expected, atol=1e-3)
    expected = of_each(ndimage.correlate1d, kernel, axis, mode=theirs)
    np.testing.assert_allclose(images.correlate(STACK, kernel, axis, mode), expected, atol=1e-3)


def test_gaussian_and_smooth_are_opencvs():
    for sigma, reach in ((0.5, 1), (3.5, 8), (1.5, 2)):
        kernel = images.gaussian(sigma, reach)
        np.testing.assert_allclose(kernel, cv2.getGaussianKernel(2 * reach + 1, sigma)[:, 0], atol=1e-7)
    expected = cv2.GaussianBlur(IMAGE, (5, 5), 1.5)  # its border, "reflect 101", is numpy's reflect
    np.testing.assert_allclose(images.smooth(IMAGE, kernel), expected, atol=1e-3)
    expected = cv2.blur(IMAGE, (5, 5), borderType=cv2.BORDER_REPLICATE)
    np.testing.assert_allclose(images.smooth(IMAGE, np.full(5, 0.2), "edge"), expected, atol=1e-3)


def test_central_differences():
    x, y = images.central_differences(jnp.asarray([[0.0, 1, 4, 9], [0, 2, 8, 18], [5, 5, 5, 5]]))
    assert x.tolist() == [[0.5, 2, 4, 2.5], [1, 4, 8, 5], [0, 0, 0, 0]]
    assert y.tolist() == [[0, 0.5, 2, 4.5], [2.5, 2, 0.5, -2], [2.5, 1.5, -1.5, -6.5]]


def grid_of_positions(height: int, width: int, outside: float):
    """Positions over the image and `outside` pixels around it, in multiples of 1/32, to which OpenCV rounds."""
    x = np.arange(-outside, width - 1 + outside, 21 / 32, np.float32)
    y = np.arange(-outside, height - 1 + outside, 19 / 32, np.float32)
    corners = np.float32([0, width - 1, -1, width, 0.5, width - 1.5]), np.float32([0, height - 1, -1, height, 0.5, 1])
    return np.meshgrid(np.concatenate([x, corners[0]]), np.concatenate([y, corners[1]]))


def test_positions():
    x, y = images.positions(np.float32([[[0, 1, 0.5], [0, 0, -3]], [[0, 0, 2], [0.25, 0, 0]]]))
    assert x.tolist() == [[0, 2, 2.5], [0, 1, -1]]
    assert y.tolist() == [[0, 0, 2], [1.25, 1, 1]]


def test_bilinear_is_opencvs_with_the_border_beyond():
    x, y = grid_of_positions(17, 23, 3)
    expected = of_each(cv2.remap, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    np.testing.assert_allclose(images.bilinear(STACK, x, y), expected, atol=1e-3)
    far = images.bilinear(STACK, np.float32([-1e6, 1e6]), np.float32([1e6, -1e6]))
    np.testing.assert_array_equal(far, np.stack([STACK[:, -1, 0], STACK[:, 0, -1]], axis=-1))


def test_bicubic_is_opencvs_with_zeros_beyond():
    x, y = grid_of_positions(17, 23, 4)
    expected = of_each(cv2.remap, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    ours = np.asarray(images.bicubic(STACK, x, y))
    np.testing.assert_allclose(ours, expected, atol=2e-3)
    is_far = (x < -2) | (x > 24) | (y < -2) | (y > 18)
    assert is_far.any() and (ours[:, is_far] == 0).all()
    far = images.bicubic(STACK, np.float32([-1e6, 1e6, 5]), np.float32([5, -1e6, 1e6]))
    np.testing.assert_array_equal(far, 0)


def test_at_whole_pixels_interpolation_changes_nothing():
    y, x = np.indices((17, 23)).astype(np.float32)
    np.testing.assert_array_equal(images.bilinear(STACK, x, y), STACK)
    np.testing.assert_array_equal(images.bicubic(STACK, x, y), STACK)


@pytest.mark.parametrize("size", [3, 5])
def test_median_is_opencvs(size):
    noise = IMAGE[:12, :17]
    steps = noise.round(-2)  # with many equal pixels
    for image in (noise, steps):
        expected = cv2.medianBlur(image, size)
        np.testing.assert_array_equal(images.median(np.stack([image, -image]), size), [expected, -expected])


def test_settings():
    images.check_settings(scale_step=0.5, window=3, num_warps=1)
    for name, value, message in (
        ("scale_step", 1.5, "scale_step = 1.5 must be below 1"),
        ("window", 20, "window = 20 must be odd"),
        ("num_scales", 0, "num_scales = 0 must be above 0"),
    ):
        with pytest.raises(ValueError, match=message):
            images.check_settings(**{name: value})


def test_pyramid():
    levels = images.pyramid(IMAGE, num_scales=9, scale_step=0.8, smallest=22)
    assert [level.shape for level in levels] == [(31, 42), (25, 34)]
    np.testing.assert_array_equal(levels[0], IMAGE)
    # 0.8 of 31 is 24.8, of 42 is 33.6: the shape is rounded, the scale is not
    expected = cv2.resize(IMAGE, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(levels[1], expected, atol=0.01)
    kernel = np.array([1, 2, 1]) / 4
    smoothed = images.pyramid(IMAGE, num_scales=2, scale_step=0.5, smallest=2, kernel=kernel)
    assert [level.shape for level in smoothed] == [(31, 42), (16, 21)]
    kernel = np.outer(kernel, kernel)
    expected = cv2.resize(cv2.filter2D(IMAGE, -1, kernel), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(smoothed[1], expected, atol=0.01)
    assert len(images.pyramid(IMAGE, num_scales=1, scale_step=0.5, smallest=2)) == 1
    assert len(images.pyramid(IMAGE, num_scales=5, scale_step=0.5, smallest=40)) == 1


def test_over_pairs():
    def mean_and_difference(first, second):
        assert first.shape == second.shape == (8, 9)
        return jnp.stack([(first + second) / 2, second - first])  # (2, H, W)

    first, second = np.random.default_rng(0).integers(0, 255, (2, 3, 4, 8, 9)).astype(np.uint8)
    flow = images.over_pairs(mean_and_difference, first, second)
    assert flow.shape == (3, 4, 8, 9, 2) and flow.dtype == jnp.float32
    np.testing.assert_array_equal(flow[..., 0], (first.astype(float) + second) / 2)
    np.testing.assert_array_equal(flow[..., 1], second.astype(float) - first)
    single = images.over_pairs(mean_and_difference, first[2, 1], second[2, 1])
    np.testing.assert_array_equal(single, flow[2, 1])
    for shapes, message in {
        ((8, 9), (9, 8)): r"different sizes: \(8, 9\) and \(9, 8\)",
        ((2, 8, 9), (8, 9)): r"different sizes: \(2, 8, 9\) and \(8, 9\)",
        ((7, 9), (7, 9)): r"at least 8x8 pixels, not \(7, 9\)",
        ((8, 9, 3), (8, 9, 3)): r"at least 8x8 pixels, not \(8, 9, 3\)",
        ((9,), (9,)): r"at least 8x8 pixels, not \(9,\)",
    }.items():
        with pytest.raises(ValueError, match=message):
            images.over_pairs(mean_and_difference, *map(np.zeros, shapes))
