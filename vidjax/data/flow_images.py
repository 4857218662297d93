"""Optical flow between grey frames, by name of the method, and its encoding as the pictures of records."""

from collections.abc import Callable

import cv2
import numpy as np

from vidjax.data import augment

METHODS = (
    *("farneback", "horn_schunck", "lucas_kanade", "tvl1"),  # of `vidjax.flow`, on the accelerator
    *("opencv_farneback", "opencv_tvl1", "opencv_dis", "opencv_deepflow"),  # of `vidjax.flow.opencv`
)


def find_method(name: str) -> Callable:
    """Returns a method as a function of two grey frames (..., H, W) that returns flow (..., H, W, 2).

    Raises:
        ValueError: for an unknown name; lists the methods.
    """
    if name not in METHODS:
        raise ValueError(f"Unknown optical flow {name!r}; choose one of {', '.join(METHODS)}.")
    from vidjax import flow  # only here: records without flow need neither JAX nor these methods
    from vidjax.flow import opencv

    return {**flow.METHODS, **opencv.METHODS}[name]


def to_grey(frame: np.ndarray, short_side: int = 0) -> np.ndarray:
    """Converts RGB uint8 (H, W, 3) to grey uint8 (H, W), ITU-R BT.601, then resizes it; `short_side` 0 keeps the size.

    Grey, resize, flow is the order of Kinetics' I3D (https://github.com/google-deepmind/kinetics-i3d).
    """
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    return augment.resize(grey, *augment.resized_shape(*grey.shape, short_side)) if short_side else grey


def between(first: np.ndarray, second: np.ndarray, method: str) -> np.ndarray:
    """Computes flow from one grey frame (H, W) to another in 8-bit levels, uint8 (H, W, 2), see `flow.to_levels`."""
    from vidjax import flow

    return np.rint(flow.to_levels(np.asarray(find_method(method)(first, second)))).astype(np.uint8)


def to_png(levels: np.ndarray) -> bytes:
    """Encodes levels, uint8 (H, W, 2), as PNG: u in red, v in green, 0 in blue. JPEG would lose 0.05 pixels more."""
    zeros = np.zeros_like(levels[..., :1])
    return cv2.imencode(".png", np.concatenate([zeros, levels[..., ::-1]], axis=-1))[1].tobytes()
