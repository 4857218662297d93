"""Parameters and videos from a formula, so that two libraries can compute with the same ones and none is stored.

Every array is a function of its name, its shape and nothing else. Names and shapes are those of the Flax side: a peer
draws an array here, then turns it into its own layout.
"""

import zlib

import numpy as np


def uniform(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers that look drawn from U(-1, 1): the fraction of a large multiple of a sine, float32."""
    phase = zlib.crc32(name.encode()) % 1000 / 1000
    numbers = np.sin(np.arange(np.prod(shape, dtype=np.int64)) * 12.9898 + phase) * 43758.5453
    return (2 * (numbers - np.floor(numbers)) - 1).reshape(shape).astype(np.float32)


OTHERS = ("bias", "mean", "class_token", "mask_token", "tokens", "logit_scale", "query", "head_scale")


def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A parameter or a statistic by the last part of its name, such that activations neither fade nor explode."""
    numbers = uniform(name, shape)
    kind = name.rsplit("/", 1)[-1]
    if kind == "kernel":  # the variance of He et al. (2015), 2 / fan-in; that of U(-1, 1) is 1 / 3
        return numbers * np.float32(np.sqrt(6 / np.prod(shape[:-1])))
    if kind == "scale":  # below 1, since every residual block adds to the variance
        return np.float32(0.7) + numbers / 4
    if kind == "var":
        return 1 + numbers / 4
    if kind in OTHERS or kind.endswith("positions"):
        return numbers / 4
    raise ValueError(f"{name} ends in none of kernel, scale, var, positions, {', '.join(OTHERS)}.")


def draw_as_torch(shapes: dict[str, tuple[int, ...]], flax_name) -> dict[str, np.ndarray]:
    """Draws arrays for torch's names and shapes, each under its Flax name, laid out as torch does.

    Args:
        flax_name: torch's name -> ours; None for what Flax does not have, which is left out.
    """
    arrays = {}
    for name, shape in shapes.items():
        path, shape = flax_name(name), tuple(shape)
        if path is None:
            continue
        if len(shape) > 1:  # (out, in, *window) <- (*window, in, out)
            array = np.moveaxis(draw(path, (*shape[2:], shape[1], shape[0])), (-1, -2), (0, 1))
        else:
            array = draw(path, shape)
        arrays[name] = np.ascontiguousarray(array)
    return arrays


def draw_tree(shapes: dict, prefix: str = "") -> dict:
    """Draws each leaf of a nested dict of things with a shape; a leaf's name is its path, joined by slashes."""
    return {
        key: draw_tree(value, f"{prefix}{key}/") if isinstance(value, dict) else draw(prefix + key, value.shape)
        for key, value in shapes.items()
    }
