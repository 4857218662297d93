"""A light that is lit one to six times; the dial is the length of the shortest flash or pause, in frames.

How many frames are lit is drawn first, independently of the class, then how these frames are divided into flashes and
the dark ones into pauses. Clips of all classes with the same seed have the same frames in another order: without their
order they say exactly nothing. The lengths of flashes and pauses vary.
"""

import numpy as np

from vidjax.data.synthetic.sight import flashes
from vidjax.data.synthetic.sight.dial import Dial

CLASSES = ("1", "2", "3", "4", "5", "6")
SHORTEST = (4, 3, 2, 1)


def clip(label: int, shortest: float, seed: int, *, num_frames: int = 48, size: int = 32) -> np.ndarray:
    """Renders flashes and pauses, see `Dial.clip`; begins and ends with a pause, which may be shorter."""
    rng, least, most, number = np.random.default_rng(seed), int(shortest), len(CLASSES), label + 1
    num_lit = rng.integers(most * least, num_frames - (most - 1) * least - 1)
    lit = flashes.frames(rng, flashes.COLOURS["yellow"], num_lit, size)
    dark = flashes.frames(rng, flashes.EMPTY, num_frames - num_lit, size)
    on = flashes.lengths(rng, num_lit, [least] * number)
    off = flashes.lengths(rng, num_frames - num_lit, [1, *[least] * (number - 1), 1])
    is_lit = np.repeat(np.arange(2 * number + 1) % 2 == 1, np.insert(off, np.arange(1, number + 1), on))
    found = np.empty((num_frames, size, size, 3), np.uint8)
    found[is_lit], found[~is_lit] = lit, dark
    return found


COUNT = Dial(CLASSES, SHORTEST, "shortest flash or pause (frames)", clip, tuple(range(len(CLASSES))))
