"""Frames of one colour, whose brightness varies a little: empty ones and flashes."""

from collections.abc import Sequence

import numpy as np

COLOURS = {"blue": (70, 90, 220), "green": (60, 190, 80), "red": (220, 70, 60), "yellow": (215, 200, 50)}
EMPTY = (110, 110, 110)


def frames(rng: np.random.Generator, colour: tuple[int, int, int], count: int, size: int) -> np.ndarray:
    """Returns frames of one colour, each a little brighter or darker: uint8 (count, size, size, 3)."""
    brightness = rng.normal(scale=8.0, size=(count, 1, 1, 1))
    found = np.clip(np.round(colour + brightness), 0, 255).astype(np.uint8)  # (count, 1, 1, 3)
    return np.tile(found, (1, size, size, 1))


def lengths(rng: np.random.Generator, total: int, least: Sequence[int]) -> np.ndarray:
    """Draws how a total is divided into parts that are at least so long: int (parts,)."""
    spare = total - sum(least)
    cuts = np.sort(rng.integers(spare + 1, size=len(least) - 1))
    return np.diff(cuts, prepend=0, append=spare) + least
