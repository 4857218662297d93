import cv2
import numpy as np

from tests.peers.flow_accuracy import MARGIN, moved_pair, pyrlk
from tests.peers.formula import uniform
from vidjax.flow.lucas_kanade import lucas_kanade


def test_is_as_near_to_the_truth_as_opencvs():
    noise = cv2.GaussianBlur(uniform("picture", (64 + 2 * MARGIN, 72 + 2 * MARGIN)), (0, 0), 2)
    picture = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    first, second, truth = moved_pair(picture, np.array([[0.02, -0.03], [0.03, 0.02]]), np.array([2.2, -1.4]))
    ours = np.asarray(lucas_kanade(first.astype(np.float32), second.astype(np.float32)))[::4, ::4]
    theirs, is_found = pyrlk(first, second)
    assert is_found.mean() > 0.9
    ours, theirs = (np.linalg.norm(flow - truth[::4, ::4], axis=-1)[is_found].mean() for flow in (ours, theirs))
    assert ours < theirs + 0.05 and theirs < 0.5
