import inspect

import cv2
import numpy as np
import pytest

from vidjax.flow import opencv

METHODS = opencv.METHODS


def moving_texture(right, down, height=64, width=84):
    """Two windows on a smooth texture: (x, y) in the first is (x + right, y + down) in the second."""
    noise = np.random.default_rng(0).normal(size=(height + 16, width + 16))
    texture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX).round().astype(np.uint8)
    first = texture[8 : 8 + height, 8 : 8 + width]
    second = texture[8 - down : 8 - down + height, 8 - right : 8 - right + width]
    return first, second


def test_moving_texture_moves_by_the_shift():
    first, second = moving_texture(3, 2)
    np.testing.assert_array_equal(first[10:20, 10:20], second[12:22, 13:23])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("right", "down"), [(3, 2), (-2, 0)])
def test_flow_is_the_shift(method, right, down):
    flow = METHODS[method](*moving_texture(right, down))
    assert flow.shape == (64, 84, 2)
    assert flow.dtype == np.float32
    np.testing.assert_allclose(np.median(flow, axis=(0, 1)), [right, down], atol=0.05)


@pytest.mark.parametrize("preset", ["ultrafast", "fast", "medium"])
def test_dis_presets(preset):
    flow = opencv.dis(*moving_texture(3, 2), preset=preset)
    np.testing.assert_allclose(np.median(flow, axis=(0, 1)), [3, 2], atol=0.05)


@pytest.mark.parametrize("method", METHODS)
def test_batched_equals_single(method):
    function = METHODS[method]
    pairs = [moving_texture(2, 1, 32, 40), moving_texture(-1, 0, 32, 40), moving_texture(2, 1, 32, 40)]
    first, second = (np.stack(frames) for frames in zip(*pairs, strict=True))
    single = np.stack([function(*pair) for pair in pairs])
    np.testing.assert_array_equal(function(first, second), single)
    np.testing.assert_array_equal(function(first[:, None], second[:, None]), single[:, None])
    assert function(first[:0], second[:0]).shape == (0, 32, 40, 2)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("height", "width"), [(8, 12), (24, 33), (60, 80)])
def test_constant_frames_do_not_move(method, height, width):
    for one, two in [(0, 0), (90, 90), (255, 255), (50, 200), (255, 0)]:
        flow = METHODS[method](np.full((height, width), one, np.uint8), np.full((height, width), two, np.uint8))
        assert (flow == 0).all()  # NaN is not 0


@pytest.mark.parametrize("method", METHODS)
def test_floats_in_0_to_255_are_the_same_frames(method):
    first, second = moving_texture(3, 2)
    flow = METHODS[method](first, second)
    np.testing.assert_allclose(METHODS[method](first.astype(np.float64), second.astype(np.float32)), flow, atol=2e-3)
    np.testing.assert_allclose(METHODS[method](first, second.astype(np.float32)), flow, atol=2e-3)


def test_dis_rounds_floats():
    first, second = moving_texture(3, 2)
    nudged = np.clip(first + 0.4, 0, 255)
    np.testing.assert_array_equal(opencv.dis(nudged, second), opencv.dis(first, second))


def test_defaults_are_those_of_opencv():
    def defaults(function):
        parameters = inspect.signature(function).parameters.values()
        return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}

    farneback = cv2.FarnebackOpticalFlow_create()
    assert defaults(opencv.farneback) == {
        "pyramid_scale": farneback.getPyrScale(),
        "num_levels": farneback.getNumLevels(),
        "window": farneback.getWinSize(),
        "num_iterations": farneback.getNumIters(),
        "poly_n": farneback.getPolyN(),
        "poly_sigma": farneback.getPolySigma(),
    }
    tvl1 = cv2.optflow.createOptFlow_DualTVL1()
    assert defaults(opencv.tvl1) == {
        "tau": tvl1.getTau(),
        "weight": tvl1.getLambda(),
        "theta": tvl1.getTheta(),
        "num_scales": tvl1.getScalesNumber(),
        "num_warps": tvl1.getWarpingsNumber(),
        "epsilon": tvl1.getEpsilon(),
        "inner_iterations": tvl1.getInnerIterations(),
        "outer_iterations": tvl1.getOuterIterations(),
        "scale_step": tvl1.getScaleStep(),
        "median": tvl1.getMedianFiltering(),
    }


def test_settings_of_farneback_reach_opencv():
    first, second = moving_texture(3, 2)
    flow = opencv.farneback(
        first, second, pyramid_scale=0.6, num_levels=2, window=21, num_iterations=4, poly_n=7, poly_sigma=1.5
    )
    peer = cv2.calcOpticalFlowFarneback(first, second, None, 0.6, 2, 21, 4, 7, 1.5, 0)
    np.testing.assert_array_equal(flow, peer)


def test_settings_of_tvl1_reach_opencv():
    first, second = moving_texture(3, 2)
    peer = cv2.optflow.createOptFlow_DualTVL1()
    peer.setTau(0.2)
    peer.setLambda(0.1)
    peer.setTheta(0.4)
    peer.setScalesNumber(3)
    peer.setWarpingsNumber(4)
    peer.setEpsilon(0.02)
    peer.setInnerIterations(8)
    peer.setOuterIterations(6)
    peer.setScaleStep(0.7)
    peer.setMedianFiltering(3)
    flow = opencv.tvl1(
        first,
        second,
        tau=0.2,
        weight=0.1,
        theta=0.4,
        num_scales=3,
        num_warps=4,
        epsilon=0.02,
        inner_iterations=8,
        outer_iterations=6,
        scale_step=0.7,
        median=3,
    )
    np.testing.assert_array_equal(flow, peer.calc(first, second, None))


@pytest.mark.parametrize("method", METHODS)
def test_invalid_frames(method):
    function, frame = METHODS[method], np.zeros((16, 20), np.uint8)
    with pytest.raises(ValueError, match=r"different shapes: first is \(16, 20\), second is \(2, 16, 20\)"):
        function(frame, np.stack([frame] * 2))
    with pytest.raises(ValueError, match=r"Frames must be \(\.\.\., height, width\), not \(20,\)"):
        function(frame[0], frame[0])
    with pytest.raises(ValueError, match="7x20 pixels are too small for optical flow: each side must have at least 8"):
        function(frame[:7], frame[:7])
    with pytest.raises(ValueError, match="20x3 pixels are too small .* without a colour axis"):
        function(np.zeros((16, 20, 3), np.uint8), np.zeros((16, 20, 3), np.uint8))
    with pytest.raises(ValueError, match="uint8, or float in 0..255, not int64"):
        function(frame, frame.astype(np.int64))
    with pytest.raises(ValueError, match=r"must be in 0..255; these are in -1\.0\.\.-1\.0"):
        function(frame, frame - 1.0)
    with pytest.raises(ValueError, match="must be in 0..255; these are in nan"):
        function(frame, frame * np.nan)


@pytest.mark.parametrize(("height", "width"), [(8, 12), (12, 8), (8, 20), (100, 8), (31, 77), (32, 200)])
@pytest.mark.parametrize("preset", ["ultrafast", "fast", "medium"])
def test_dis_of_small_frames(preset, height, width):
    first, second = np.random.default_rng(0).integers(0, 256, (2, height, width), dtype=np.uint8)
    assert np.isfinite(opencv.dis(first, second, preset=preset)).all()


@pytest.mark.parametrize(("height", "width"), [(11, 11), (8, 64), (15, 64)])
@pytest.mark.parametrize("preset", ["ultrafast", "fast", "medium"])
def test_dis_refuses_frames_that_crash_opencv(preset, height, width):
    frame = np.zeros((height, width), np.uint8)
    with pytest.raises(ValueError, match=f"{height}x{width} pixels are too small for DIS"):
        opencv.dis(frame, frame, preset=preset)


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("opencv_dis", {"preset": "slow"}, "Unknown preset 'slow'; choose one of ultrafast, fast, medium"),
        ("opencv_farneback", {"window": 0}, "window = 0 must be above 0"),
        ("opencv_farneback", {"pyramid_scale": 1.0}, "pyramid_scale = 1.0 must be below 1"),
        ("opencv_tvl1", {"theta": 0.0}, "theta = 0.0 must be above 0"),
        ("opencv_tvl1", {"scale_step": 2}, "scale_step = 2 must be below 1"),
        ("opencv_tvl1", {"median": 7}, r"median = 7: choose 1 \(no filter\), 3 or 5"),
    ],
)
def test_invalid_settings(method, settings, message):
    frame = np.zeros((16, 20), np.uint8)
    with pytest.raises(ValueError, match=message):
        METHODS[method](frame, frame, **settings)
