"""Optical flow in JAX: jitted, batched and differentiable, on the device of the model.

    flow = METHODS["tvl1"](first, second)    # grey frames (..., H, W) -> (..., H, W, 2), pixels
    flow = of_video(video, "farneback")      # uint8 (B, T, H, W, 3) -> (B, T - 1, H, W, 2)
    flow = of_video(video, learned)          # the same, by a trained network: see `restore.find_flow`

flow[..., 0] is u, to the right, flow[..., 1] is v, down: the displacement of a point from the first frame to the
second. There is one file per method. `vidjax.flow.opencv` has OpenCV's methods with the same calls. The command is
`python -m vidjax.flow --help`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from vidjax.flow.farneback import farneback
from vidjax.flow.horn_schunck import horn_schunck
from vidjax.flow.lucas_kanade import lucas_kanade
from vidjax.flow.tvl1 import tvl1

METHODS = {"farneback": farneback, "horn_schunck": horn_schunck, "lucas_kanade": lucas_kanade, "tvl1": tvl1}
NORMALISED = {"mean": [127.5] * 2, "std": [127.5] * 2}  # of levels; networks see -1..1
LARGEST = 20.0  # pixels; 8-bit flow clips u and v to this, as MediaPipe, DMVR and I3D do


def of_video(video: jax.Array, method: str | Callable = "tvl1", **settings) -> jax.Array:
    """Optical flow from each frame of a video to the next.

    Args:
        video: (..., T, H, W, 3), RGB, 0..255, uint8 or float.
        method: a name in METHODS, which sees grey frames; or a function of the video that returns its flow.
        settings: keyword settings of the method.

    Returns:
        float (..., T - 1, H, W, 2), pixels per frame.

    Raises:
        ValueError: for an unknown method, a video of one frame, or one that is not RGB.
    """
    if not callable(method) and method not in METHODS:
        raise ValueError(f"Unknown optical flow {method!r}; choose one of {', '.join(METHODS)}.")
    if video.ndim < 4 or video.shape[-1] != 3:
        raise ValueError(f"A video must have the shape (..., T, H, W, 3), not {video.shape}.")
    if video.shape[-4] < 2:
        raise ValueError("Optical flow needs two frames or more; the video has one.")
    if callable(method):
        return method(video, **settings)
    grey = to_grey(video)
    return METHODS[method](grey[..., :-1, :, :], grey[..., 1:, :, :], **settings)


def to_grey(video: jax.Array) -> jax.Array:
    """RGB (..., 3) -> luma (...) by ITU-R BT.601, float, in the same range."""
    video = video.astype(jnp.promote_types(video.dtype, jnp.float32))
    return 0.299 * video[..., 0] + 0.587 * video[..., 1] + 0.114 * video[..., 2]


def to_levels(flow: jax.Array) -> jax.Array:
    """Pixels -> 0..255, the range of 8-bit flow and of network inputs: -20 or less is 0, 20 or more is 255."""
    return 127.5 + 127.5 / LARGEST * flow.clip(-LARGEST, LARGEST)


def from_levels(levels: jax.Array) -> jax.Array:
    """0..255 -> pixels, the inverse of `to_levels` within 20 pixels."""
    return (levels - 127.5) * (LARGEST / 127.5)
