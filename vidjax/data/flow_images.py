"""Optical flow of grey frames by the name of its method, and as the pictures that records keep."""

from collections.abc import Callable

import cv2
import numpy as np

from vidjax import flow
from vidjax.data import augment, flow_opencv

METHODS = {**flow.METHODS, **flow_opencv.METHODS}


def find_method(name: str) -> Callable:
    """The function from grey frames (..., H, W), twice, to flow (..., H, W, 2).

    Raises:
        ValueError: for an unknown name; lists the methods.
    """
    if name not in METHODS:
        raise ValueError(f"There is no optical flow {name!r}; choose one of {', '.join(METHODS)}.")
    return METHODS[name]


def to_grey(frame: np.ndarray, short_side: int = 0) -> np.ndarray:
    """RGB uint8 (H, W, 3) -> grey uint8 (H, W), ITU-R BT.601, and then resized, 0 for as it is.

    Grey, then resized, then flow, as Kinetics' I3D does (https://github.com/google-deepmind/kinetics-i3d).
    """
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    return augment.resize(grey, *augment.resized_shape(*grey.shape, short_side)) if short_side else grey


def between(first: np.ndarray, second: np.ndarray, method: str) -> np.ndarray:
    """The flow from a grey frame (H, W) to another in 8 bits, uint8 (H, W, 2), see `flow.to_levels`."""
    return np.rint(flow.to_levels(np.asarray(find_method(method)(first, second)))).astype(np.uint8)


def to_png(levels: np.ndarray) -> bytes:
    """Levels, uint8 (H, W, 2) -> a PNG of u in red, v in green and 0 in blue. JPEG would lose 0.05 pixels more."""
    zeros = np.zeros_like(levels[..., :1])
    return cv2.imencode(".png", np.concatenate([zeros, levels[..., ::-1]], axis=-1))[1].tobytes()
