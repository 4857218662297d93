"""Three flashes far apart in time; the class is their cyclic order, and the dial the number of empty frames between.

Blue, green, red is one class, wherever it begins: also green, red, blue and red, blue, green. So each colour is equally
often the first, the second and the last in both classes, and a network that has seen one flash knows nothing. (Of two
flashes, the one that is seen last would tell the order.)

The law: a network that sees fewer frames at a time than the gap is at chance, whatever its training. It sees each
flash alone, so it can at best add up what it sees of each, and tell which flash is the last because the video ends. For
that to be exact, there are at least `LEAD` empty frames before the first flash, and each flash begins at one of up to
eight frames, drawn independently, so that the phase of a stride (of 2, 4 or 8 frames) does not give away the order. It
holds for fields of at most min(gap, LEAD) frames. Clips of both classes with the same seed have the same frames.
"""

import numpy as np

from vidjax.data.synthetic.sight import flashes
from vidjax.data.synthetic.sight.dial import Dial

CLASSES = ("blue_green_red", "blue_red_green")
GAPS = (0, 1, 2, 4, 8, 16, 32, 64)  # the smallest: a gap may be up to 14 frames longer
LENGTH, LEAD = 2, 32  # frames of a flash, and before the first


def clip(label: int, gap: float, seed: int, *, num_frames: int = 192, size: int = 32) -> np.ndarray:
    """Renders three flashes and empty frames, see `Dial.clip`."""
    rng = np.random.default_rng(seed)
    first = rng.integers(3)
    order = [(first + i) % 3 if label == 0 else (first - i) % 3 for i in range(3)]
    starts = starts_of(rng, int(gap), num_frames)
    found = flashes.frames(rng, flashes.EMPTY, num_frames, size)
    colours = [flashes.frames(rng, flashes.COLOURS[name], LENGTH, size) for name in CLASSES[0].split("_")]
    for start, colour in zip(starts, order, strict=True):
        found[start : start + LENGTH] = colours[colour]
    return found


def starts_of(rng: np.random.Generator, gap: int, num_frames: int) -> np.ndarray:
    """Draws the first frames of the three flashes, each from as many places as the gap has frames, at most eight."""
    places = min(max(gap, 1), 8)
    last = num_frames - LENGTH - places
    return last - np.array([2, 1, 0]) * (gap + LENGTH + places - 1) + rng.integers(places, size=3)


GAP = Dial(CLASSES, GAPS, "empty frames between", clip)
