import cv2
import jax
import numpy as np
import pytest

from tests.peers.flow_accuracy import MARGIN, moved_pair
from tests.peers.formula import uniform
from vidjax.flow import opencv
from vidjax.flow.farneback import expand, farneback


@pytest.fixture(scope="module", autouse=True)
def quick_to_compile():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def test_equals_opencv():
    noise = cv2.GaussianBlur(uniform("picture", (93 + 2 * MARGIN, 120 + 2 * MARGIN)), (0, 0), 1.5)
    picture = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    turn_and_grow = np.array([[0.03, -0.04], [0.04, 0.03]])
    first, second, truth = moved_pair(picture, turn_and_grow, np.array([1.5, -1]))
    theirs = opencv.farneback(first, second)
    np.testing.assert_allclose(farneback(first, second), theirs, atol=1e-3)
    assert np.linalg.norm(theirs - truth, axis=-1)[16:-16, 16:-16].mean() < 0.2  # else the equality would prove little
    shared = {"num_levels": 1, "window": 9, "num_iterations": 3, "poly_n": 7, "poly_sigma": 1.5}
    ours = farneback(first, second, scale_step=0.7, **shared)
    np.testing.assert_allclose(ours, opencv.farneback(first, second, pyramid_scale=0.7, **shared), atol=1e-3)


def test_expansion_of_a_parabola():
    y, x = np.indices((21, 26)).astype(np.float32) - np.array([10, 12], np.float32)[:, None, None]
    parabola = 0.3 * x**2 - 0.2 * y**2 + 0.5 * x * y + 2 * x - 3 * y + 7
    b_x, b_y, a_xx, a_yy, a_xy = np.asarray(expand(parabola, 5, 1.1))[:, 5:-5, 5:-5]  # without the border
    x, y = x[5:-5, 5:-5], y[5:-5, 5:-5]
    np.testing.assert_allclose(b_x, 2 + 0.6 * x + 0.5 * y, atol=1e-3)
    np.testing.assert_allclose(b_y, -3 - 0.4 * y + 0.5 * x, atol=1e-3)
    np.testing.assert_allclose(a_xx, 0.3, atol=1e-3)
    np.testing.assert_allclose(a_yy, -0.2, atol=1e-3)
    np.testing.assert_allclose(a_xy, 0.5, atol=1e-3)
