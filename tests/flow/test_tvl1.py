import cv2
import numpy as np

from tests.peers.flow_accuracy import MARGIN, moved_pair
from tests.peers.formula import uniform
from vidjax.flow import opencv
from vidjax.flow.tvl1 import _ascend, _divergence, tvl1


def test_is_near_opencvs():
    noise = cv2.GaussianBlur(uniform("picture", (64 + 2 * MARGIN, 72 + 2 * MARGIN)), (0, 0), 2)
    picture = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    turn_and_grow = np.array([[0.02, -0.03], [0.03, 0.02]])
    first, second, truth = moved_pair(picture, turn_and_grow, np.array([0.7, -0.5]))
    theirs = opencv.tvl1(first, second, num_scales=3)
    ours = np.asarray(tvl1(first.astype(np.float32), second.astype(np.float32), num_scales=3))
    assert np.linalg.norm(ours - theirs, axis=-1).mean() < 0.05
    errors = [np.linalg.norm(flow - truth, axis=-1).mean() for flow in (ours, theirs)]
    assert errors[0] < errors[1] + 0.02 and errors[1] < 0.3


def test_divergence_is_minus_the_adjoint_of_the_differences():
    x, y, u = (uniform(name, (2, 7, 9)) for name in "xyu")
    # From 0 at rate 1 the dual fields are the differences / (1 + their length), so that length / (1 - length) undoes it
    along_x, along_y = (np.asarray(field, np.float64) for field in _ascend(0 * u, 0 * u, u, 1.0))
    length = np.hypot(along_x, along_y)
    along_x, along_y = along_x / (1 - length), along_y / (1 - length)
    np.testing.assert_allclose(along_x[..., :-1], np.diff(u, axis=-1), atol=1e-5)
    np.testing.assert_allclose(along_y[..., :-1, :], np.diff(u, axis=-2), atol=1e-5)
    assert (along_x[..., -1] == 0).all() and (along_y[..., -1, :] == 0).all()
    x[..., -1], y[..., -1, :] = 0, 0  # as they stay from 0
    inner = (along_x * x + along_y * y).sum()
    np.testing.assert_allclose((np.asarray(_divergence(x, y), np.float64) * u).sum(), -inner, atol=1e-4)
