import cv2
import numpy as np
import pytest

from vidjax import flow
from vidjax.data import flow_images
from vidjax.flow import opencv


def test_methods_are_ours_and_opencvs():
    assert list(flow_images.METHODS) == [*flow.METHODS, *opencv.METHODS]
    assert flow_images.find_method("tvl1") is flow.tvl1
    with pytest.raises(ValueError, match="Unknown optical flow 'raft'; choose one of farneback, .*opencv_tvl1"):
        flow_images.find_method("raft")


def test_grey_is_made_before_it_is_resized():
    frame = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    np.testing.assert_array_equal(flow_images.to_grey(frame), cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY))
    small = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), (24, 16), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(flow_images.to_grey(frame, 16), small)


def test_levels_between_frames_and_their_png():
    flat = np.full((16, 16), 90, np.uint8)
    levels = flow_images.between(flat, flat, "farneback")
    assert levels.dtype == np.uint8 and (levels == 128).all()  # 127.5, rounded
    levels = np.arange(512, dtype=np.uint8).reshape(16, 16, 2)
    decoded = cv2.imdecode(np.frombuffer(flow_images.to_png(levels), np.uint8), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(decoded[..., :2], levels)
    assert not decoded[..., 2].any()


def test_a_method_may_be_a_function_of_rgb_frames():
    frames = np.random.default_rng(0).integers(0, 256, (2, 12, 16, 3), np.uint8)

    def reds(video):
        assert video.shape == (2, 12, 16, 3)
        return np.stack([video[:1, ..., 0], video[1:, ..., 0]], -1) / 100.0

    first, second = (flow_images.seen_by(reds, frame) for frame in frames)
    levels = flow_images.between(first, second, reds)
    np.testing.assert_allclose(levels, 127.5 + 127.5 / 20 * frames[..., 0].transpose(1, 2, 0) / 100, atol=0.51)
    assert flow_images.seen_by(reds, frames[0], 6).shape == (6, 8, 3)
    assert flow_images.seen_by("opencv_dis", frames[0], 6).shape == (6, 8)
    with pytest.raises(ValueError, match=r"frames of one size, not \(12, 16\) and \(6, 8\)"):
        flow_images.between(first, flow_images.seen_by(reds, frames[0], 6), reds)
    with pytest.raises(ValueError, match="raft_small is of a network: give its weights too"):
        flow_images.find_method("raft_small")
