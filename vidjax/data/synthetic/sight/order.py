"""Four flashes; the class is which of their 24 orders, and the dial how many frames each lasts.

Pauses before, between and after the flashes have drawn lengths. Clips of all classes with the same seed have the same
frames in another order: without their order they say exactly nothing.
"""

import itertools

import numpy as np

from vidjax.data.synthetic.sight import flashes
from vidjax.data.synthetic.sight.dial import Dial

ORDERS = tuple(itertools.permutations(sorted(flashes.COLOURS)))
CLASSES = tuple("_".join(order) for order in ORDERS)
LENGTHS = (5, 4, 3, 2, 1)


def clip(label: int, length: float, seed: int, *, num_frames: int = 24, size: int = 32) -> np.ndarray:
    """Renders four flashes, see `Dial.clip`."""
    rng, length = np.random.default_rng(seed), int(length)
    colours = {name: flashes.frames(rng, rgb, length, size) for name, rgb in flashes.COLOURS.items()}
    empty = flashes.frames(rng, flashes.EMPTY, num_frames - 4 * length, size)
    pauses = np.split(empty, np.cumsum(flashes.lengths(rng, len(empty), [0] * 5))[:-1])
    in_order = [pauses[0]]
    for name, pause in zip(ORDERS[label], pauses[1:], strict=True):
        in_order += [colours[name], pause]
    return np.concatenate(in_order)


ORDER = Dial(CLASSES, LENGTHS, "frames per flash", clip, tuple(ORDERS.index(order[::-1]) for order in ORDERS))
