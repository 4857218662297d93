import cv2
import numpy as np

from vidjax.bench import flow


def test_ours_is_compared_with_opencvs(monkeypatch):
    monkeypatch.setattr(flow, "NUM_PAIRS", 1)
    monkeypatch.setattr(flow, "SIZE", 32)
    threads = cv2.getNumThreads()
    result = flow.bench_flow(2, ["farneback", "opencv_farneback", "opencv_dis"])
    assert set(result) == {"farneback", "opencv_farneback", "opencv_dis", "opencv_farneback / farneback"}
    assert {figures["runs"] for figures in result.values()} == {2}
    assert cv2.getNumThreads() == threads


def test_the_frames_move_by_little_from_one_to_the_next():
    frames = flow.textured_frames()
    assert frames.shape == (17, 256, 256) and frames.dtype == np.uint8
    middle = np.float32([[[128, 128]]])  # the centre of rotation
    after, found, _ = cv2.calcOpticalFlowPyrLK(frames[0], frames[1], middle, None)
    assert found.all()
    np.testing.assert_allclose(after - middle, [[[1.5, -0.75]]], atol=0.05)
