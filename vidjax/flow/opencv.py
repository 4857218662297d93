"""OpenCV's optical flow, for offline use: on the CPU, one pair of frames at a time.

Each function takes `first` and `second`, grey frames (..., H, W) with any leading axes, uint8 or float in 0..255. It
returns float32 (..., H, W, 2): `flow[..., 0]` is u, pixels to the right, `flow[..., 1]` is v, pixels down, the
displacement of each point from `first` to `second`. Frames without texture give exactly zero with every method, even if
the second is brighter. The keyword settings have OpenCV's defaults; rarely changed ones are omitted.

Every function raises ValueError for frames of different shapes, of fewer than 2 axes, with a side below 8 pixels, of
another dtype, or with floats outside 0..255.
"""

import cv2
import numpy as np

# Except for DIS, OpenCV 4.12 and 5.0 accept even a single pixel. But tvl1's flow of a single row depends on other
# contents of memory, and a side of 3 is usually a colour axis.
SMALLEST_SIDE = 8
DIS_PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}


def farneback(
    first: np.ndarray,
    second: np.ndarray,
    *,
    pyramid_scale: float = 0.5,
    num_levels: int = 5,
    window: int = 13,
    num_iterations: int = 10,
    poly_n: int = 5,
    poly_sigma: float = 1.1,
) -> np.ndarray:
    """Flow by polynomial expansion (Farneback, "Two-Frame Motion Estimation Based on Polynomial Expansion", SCIA 2003).

    Two equal frames with texture give a few tenths of a pixel along the border, not zero. Floats are not rounded:
    OpenCV documents 8 bits only, but computes in float32 and accepts floats.

    Args:
        first: uint8 or float (..., H, W), 0..255.
        second: like first.
        pyramid_scale: size of a pyramid level relative to the one below, in (0, 1).
        num_levels: pyramid levels; levels below 32 pixels are omitted.
        window: side in pixels of the averaging window; larger is smoother and finds faster motion.
        num_iterations: iterations per level.
        poly_n: radius in pixels of the polynomial fit, usually 5 or 7.
        poly_sigma: standard deviation in pixels of the fit's Gaussian weights: 1.1 for poly_n = 5, 1.5 for 7.

    Returns:
        float32 (..., H, W, 2), pixels.

    Raises:
        ValueError: for invalid frames (see the module), a setting that is not above 0, or a pyramid_scale not below 1.
    """
    _check_settings(
        pyramid_scale=pyramid_scale,
        num_levels=num_levels,
        window=window,
        num_iterations=num_iterations,
        poly_n=poly_n,
        poly_sigma=poly_sigma,
    )
    first, second = _check_frames(first, second)
    fast_pyramids, flags = False, 0
    settings = num_levels, pyramid_scale, fast_pyramids, window, num_iterations, poly_n, poly_sigma, flags
    return _pair_by_pair(lambda: cv2.FarnebackOpticalFlow_create(*settings), first, second)


def tvl1(
    first: np.ndarray,
    second: np.ndarray,
    *,
    tau: float = 0.25,
    weight: float = 0.15,
    theta: float = 0.3,
    num_scales: int = 5,
    num_warps: int = 5,
    epsilon: float = 0.01,
    inner_iterations: int = 30,
    outer_iterations: int = 10,
    scale_step: float = 0.8,
    median: int = 5,
) -> np.ndarray:
    """Dual TV-L1 flow, used by most two-stream networks.

    Zach, Pock & Bischof, "A Duality Based Approach for Realtime TV-L1 Optical Flow", DAGM 2007; Sanchez Perez,
    Meinhardt-Llopis & Facciolo, "TV-L1 Optical Flow Estimation", IPOL 2013.

    Args:
        first: uint8 or float (..., H, W), 0..255.
        second: like first.
        tau: time step of the dual solver.
        weight: lambda, the weight of the brightness term: smaller is smoother.
        theta: coupling of the two halves of the split energy; smaller is tighter.
        num_scales: pyramid levels.
        num_warps: warps per level.
        epsilon: the solver stops when its change is smaller; 0 never stops early.
        inner_iterations: solver iterations between two median filters.
        outer_iterations: median filters per warp.
        scale_step: size of a pyramid level relative to the one below, in (0, 1).
        median: side in pixels of the median filter: 1 (none), 3 or 5.

    Returns:
        float32 (..., H, W, 2), pixels.

    Raises:
        ValueError: for invalid frames (see the module), a setting other than epsilon that is not above 0, a scale_step
            not below 1, or another median.
    """
    _check_settings(
        tau=tau,
        weight=weight,
        theta=theta,
        num_scales=num_scales,
        num_warps=num_warps,
        inner_iterations=inner_iterations,
        outer_iterations=outer_iterations,
        scale_step=scale_step,
    )
    if median not in (1, 3, 5):
        raise ValueError(f"median = {median}: choose 1 (no filter), 3 or 5 pixels.")
    first, second = _check_frames(first, second)
    if first.dtype != np.uint8:
        first, second = first / np.float32(255), second / np.float32(255)  # white is 1 in its float frames
    solver = tau, weight, theta, num_scales, num_warps, epsilon, inner_iterations, outer_iterations, scale_step
    gamma, use_initial_flow = 0.0, False  # gamma is OpenCV's extension for brightness changes, off by default
    return _pair_by_pair(
        lambda: cv2.optflow.DualTVL1OpticalFlow_create(*solver, gamma, median, use_initial_flow), first, second
    )


def dis(first: np.ndarray, second: np.ndarray, *, preset: str = "medium") -> np.ndarray:
    """Flow by dense inverse search (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016).

    The fastest of the four methods. It computes on 8-bit frames: floats are rounded.

    Args:
        first: uint8 or float (..., H, W), 0..255. The longer side must have 12 pixels or more. Frames lower than 32
            pixels (16 for medium) must be at most 2.5 times as wide as high: OpenCV can crash on wider ones.
        second: like first.
        preset: ultrafast, fast (OpenCV's default) or medium (the most accurate).

    Returns:
        float32 (..., H, W, 2), pixels.

    Raises:
        ValueError: for invalid frames (see the module), frames that are too small for DIS, or an unknown preset.
    """
    if preset not in DIS_PRESETS:
        raise ValueError(f"Unknown preset {preset!r}; choose one of {', '.join(DIS_PRESETS)}.")
    first, second = _check_frames(first, second)
    height, width = first.shape[-2:]
    engine = cv2.DISOpticalFlow_create(DIS_PRESETS[preset])
    # If the finest level cannot hold a patch, OpenCV chooses another pyramid, from the width alone. In low, wide frames
    # (W / H above 2.5 at the worst) the coarsest level is then lower than a patch, and OpenCV reads beyond it.
    lowest = engine.getPatchSize() << engine.getFinestScale()
    if max(height, width) < 12 or (height < lowest and width > 2.5 * height):
        raise ValueError(
            f"Frames of {height}x{width} pixels are too small for DIS: the longer side must have 12 pixels or more, "
            f"and frames lower than {lowest} pixels must be at most 2.5 times as wide as high."
        )
    if first.dtype != np.uint8:
        first, second = np.rint(first).astype(np.uint8), np.rint(second).astype(np.uint8)
    return _pair_by_pair(lambda: cv2.DISOpticalFlow_create(DIS_PRESETS[preset]), first, second)


def deepflow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """DeepFlow's variational part (Weinzaepfel et al., "DeepFlow: Large Displacement Optical Flow with Deep Matching",
    ICCV 2013).

    The slowest of the four methods. OpenCV omits the deep matching and offers no settings.

    Args:
        first: uint8 or float (..., H, W), 0..255.
        second: like first.

    Returns:
        float32 (..., H, W, 2), pixels.

    Raises:
        ValueError: for invalid frames (see the module).
    """
    first, second = _check_frames(first, second)
    return _pair_by_pair(cv2.optflow.createOptFlow_DeepFlow, first, second)


METHODS = {"opencv_farneback": farneback, "opencv_tvl1": tvl1, "opencv_dis": dis, "opencv_deepflow": deepflow}


def _pair_by_pair(make_engine, first, second):
    flow = np.empty((*first.shape, 2), np.float32)  # (..., H, W, 2)
    height, width = first.shape[-2:]
    pairs = zip(
        first.reshape(-1, height, width),
        second.reshape(-1, height, width),
        flow.reshape(-1, height, width, 2),
        strict=True,
    )
    for one, two, result in pairs:
        # One engine per pair: DIS keeps the pyramid of the last pair and would give another flow the second time
        result[...] = make_engine().calc(np.ascontiguousarray(one), np.ascontiguousarray(two), None)
    return flow


def _check_frames(first, second):
    """Validates both frames; returns both as uint8 if they are, else both as float32."""
    first, second = np.asarray(first), np.asarray(second)
    if first.shape != second.shape:
        raise ValueError(f"The frames have different shapes: first is {first.shape}, second is {second.shape}.")
    if first.ndim < 2:
        raise ValueError(f"Frames must be (..., height, width), not {first.shape}.")
    height, width = first.shape[-2:]
    if min(height, width) < SMALLEST_SIDE:
        raise ValueError(
            f"Frames of {height}x{width} pixels are too small for optical flow: each side must have at least "
            f"{SMALLEST_SIDE}. Frames must be grey, (..., height, width), without a colour axis."
        )
    for frames in (first, second):
        if frames.dtype == np.uint8:
            continue
        if not np.issubdtype(frames.dtype, np.floating):
            raise ValueError(f"Frames must be uint8, or float in 0..255, not {frames.dtype}.")
        if frames.size and not (frames.min() >= 0 and frames.max() <= 255):  # NaN fails too
            raise ValueError(f"Float frames must be in 0..255; these are in {frames.min()}..{frames.max()}.")
    if first.dtype == second.dtype == np.uint8:
        return first, second
    return first.astype(np.float32), second.astype(np.float32)


def _check_settings(**settings):
    """Raises a ValueError for settings for which OpenCV returns NaN, zeros or a C++ error."""
    for name, value in settings.items():
        if not value > 0:
            raise ValueError(f"{name} = {value} must be above 0.")
        if name in ("pyramid_scale", "scale_step") and not value < 1:
            raise ValueError(f"{name} = {value} must be below 1.")
