"""Optical flow between two frames, by name of the method, and its encoding as the pictures of records."""

from collections.abc import Callable

import cv2
import numpy as np

from vidjax.data import augment

METHODS = (
    *("farneback", "horn_schunck", "lucas_kanade", "tvl1"),  # of `vidjax.flow`, on the accelerator
    *("opencv_farneback", "opencv_tvl1", "opencv_dis", "opencv_deepflow"),  # of `vidjax.flow.opencv`
)
NETWORKS = ("raft_large", "raft_small", "flownet_s", "flownet_c", "spynet")  # of `vidjax.models`
# A name in METHODS; or a function of RGB frames (T, H, W, 3) that returns their flow (T - 1, H, W, 2), like a network
Method = str | Callable[[np.ndarray], np.ndarray]


def find_method(name: str) -> Callable:
    """Returns a method as a function of two grey frames (..., H, W) that returns flow (..., H, W, 2).

    Raises:
        ValueError: for an unknown name; lists the methods. Also for a network, which is more than its name.
    """
    if name in NETWORKS:
        raise ValueError(f"The optical flow {name} is of a network: give its weights too.")
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


def seen_by(method: Method, frame: np.ndarray, short_side: int = 0) -> np.ndarray:
    """Returns what a method sees of an RGB frame (H, W, 3), resized: itself, or grey (H, W), see `to_grey`."""
    if not callable(method):
        return to_grey(frame, short_side)
    return augment.resize(frame, *augment.resized_shape(*frame.shape[:2], short_side)) if short_side else frame


def of_pairs(method: Method) -> Callable:
    """Returns the function (first, second) -> flow (H, W, 2) of two frames as `seen_by` returns them."""
    if not callable(method):
        return find_method(method)

    def of_pair(first, second):
        if first.shape != second.shape:
            raise ValueError(f"Optical flow needs frames of one size, not {first.shape[:2]} and {second.shape[:2]}.")
        return method(np.stack([first, second]))[0]

    return of_pair


def between(first: np.ndarray, second: np.ndarray, method: Method) -> np.ndarray:
    """Computes flow between two frames of `seen_by` in 8-bit levels, uint8 (H, W, 2), see `flow.to_levels`."""
    from vidjax import flow

    return np.rint(flow.to_levels(np.asarray(of_pairs(method)(first, second)))).astype(np.uint8)


def to_png(levels: np.ndarray) -> bytes:
    """Encodes levels, uint8 (H, W, 2), as PNG: u in red, v in green, 0 in blue. JPEG would lose 0.05 pixels more."""
    zeros = np.zeros_like(levels[..., :1])
    return cv2.imencode(".png", np.concatenate([zeros, levels[..., ::-1]], axis=-1))[1].tobytes()
