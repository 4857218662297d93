"""Frames with a sensor's noise: empty ones, and flashes of one colour that fill the frame."""

from collections.abc import Sequence

import numpy as np

COLOURS = {"blue": (70, 90, 220), "green": (60, 190, 80), "red": (220, 70, 60), "yellow": (215, 200, 50)}
EMPTY = (110, 110, 110)


def frames(rng: np.random.Generator, colour: tuple[int, int, int], count: int, size: int) -> np.ndarray:
    """Returns frames of one colour with new noise each: uint8 (count, size, size, 3)."""
    noise = rng.normal(scale=8.0, size=(count, size, size, 1))
    return np.clip(np.round(colour + noise), 0, 255).astype(np.uint8)


def lengths(rng: np.random.Generator, total: int, least: Sequence[int]) -> np.ndarray:
    """Draws how a total is divided into parts that are at least so long: int (parts,)."""
    spare = total - sum(least)
    cuts = np.sort(rng.integers(spare + 1, size=len(least) - 1))
    return np.diff(cuts, prepend=0, append=spare) + least
