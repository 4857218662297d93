"""Optical flow on the device, against OpenCV on all CPU cores: 16 pairs of 256x256."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from vidjax import flow
from vidjax.bench import alternate, compare, summary
from vidjax.data import flow_images

NUM_PAIRS, SIZE = 16, 256
PEERS = {
    "farneback": "opencv_farneback",
    "tvl1": "opencv_tvl1",
}  # ours -> the same algorithm of OpenCV


def textured_frames() -> np.ndarray:
    """Returns frames of a moving and rotating texture with several scales: uint8 (17, 256, 256)."""
    rng, wide = np.random.default_rng(0), SIZE + 64
    layers = [cv2.resize(rng.normal(size=(wide >> s, wide >> s)) * 2.0**s, (wide, wide)) for s in range(6)]
    texture = np.clip(128 + 3 * sum(layers), 0, 255).astype(np.float32)
    frames = []
    for t in range(NUM_PAIRS + 1):
        matrix = cv2.getRotationMatrix2D((wide / 2, wide / 2), 0.5 * t, 1.0)
        matrix[:, 2] += 1.5 * t - 32, -0.75 * t - 32
        frames.append(
            cv2.warpAffine(texture, matrix, (SIZE, SIZE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        )
    return np.clip(frames, 0, 255).astype(np.uint8)


def bench_flow(rounds: int, names: list[str] | None = None) -> dict:
    """Returns the milliseconds of each method for all pairs, and our speed relative to the same algorithm in OpenCV.

    Args:
        names: methods of `flow_images.METHODS`; None for all.

    Raises:
        ValueError: for an unknown method.
    """
    functions = {name: flow_images.find_method(name) for name in names or flow_images.METHODS}
    frames = textured_frames()
    first, second = frames[:-1], frames[1:]
    on_device = jnp.asarray(first), jnp.asarray(second)
    contestants = {}
    for name, function in functions.items():
        if name in flow.METHODS:
            contestants[name] = lambda f=function: jax.block_until_ready(f(*on_device))
        else:
            contestants[name] = lambda f=function: f(first, second)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(-1)  # all cores
    times = alternate(contestants, rounds)
    cv2.setNumThreads(threads)
    result = {name: summary(values) for name, values in times.items()}
    for ours, theirs in PEERS.items():
        if {ours, theirs} <= set(functions):
            result[f"{theirs} / {ours}"] = compare(times[theirs], times[ours])
    return result
