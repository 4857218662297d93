"""What a dataset with one dial consists of."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


class Dial(NamedTuple):
    """A dataset whose videos have a level of difficulty.

    Attributes:
        classes: sorted names.
        levels: positive or zero, in the order of the curve.
        unit: what the level is, such as "coherence (%)".
        clip: (label, level, seed) -> uint8 (T, H, W, 3), a pure function.
        time_reversal: the class of a clip reversed in time; None if that is not defined.
    """

    classes: Sequence[str]
    levels: Sequence[float]
    unit: str
    clip: Callable[[int, float, int], np.ndarray]
    time_reversal: Sequence[int] | None = None


DIRECTIONS = {  # (columns, rows) per frame; rows grow downwards
    "down": (0, 1),
    "down_left": (-1, 1),
    "down_right": (1, 1),
    "left": (-1, 0),
    "right": (1, 0),
    "up": (0, -1),
    "up_left": (-1, -1),
    "up_right": (1, -1),
}
OPPOSITE = (5, 7, 6, 4, 3, 0, 2, 1)


def towards(label: int) -> np.ndarray:
    """Returns the direction of a class of `DIRECTIONS` as a unit vector (columns, rows)."""
    vector = np.array(list(DIRECTIONS.values())[label], float)
    return vector / np.hypot(*vector)


def in_pairs(render: Callable[[int, float, int], np.ndarray]) -> Callable[[int, float, int], np.ndarray]:
    """Makes clips of opposite directions with the same seed each other's reverse, so that their frames are equal."""

    def clip(label: int, level: float, seed: int) -> np.ndarray:
        partner = OPPOSITE[label]
        return render(label, level, seed) if label < partner else render(partner, level, seed)[::-1]

    return clip


def to_grey(x: np.ndarray) -> np.ndarray:
    """Float brightness (..., H, W), 0..255 -> uint8 (..., H, W, 3)."""
    return np.repeat(np.clip(np.round(x), 0, 255).astype(np.uint8)[..., None], 3, axis=-1)
