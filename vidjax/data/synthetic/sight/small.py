"""A square that moves over a moving background, among others that move at random; the dial is its share of the frame.

The camera moves in a drawn direction, and everything in the frame moves with it. Relative to the background the target
moves in the direction of the class, and each of two distractors of the same look and size (at most a tenth of the
frame) takes a random step per frame. The motion of the background is independent of the class. All places are uniform
on a torus, so a single frame says exactly nothing. Clips of opposite directions are each other's reverse: frames
without their order cannot tell them apart.
"""

import cv2
import numpy as np

from vidjax.data.synthetic.sight.dial import DIRECTIONS, OPPOSITE, Dial, in_pairs, to_grey

SHARES = (50, 25, 10, 4, 2, 1, 0.4, 0.2)
STEPS = np.array(list(DIRECTIONS.values()))


def clip(label: int, share: float, seed: int, *, num_frames: int = 12, size: int = 48) -> np.ndarray:
    """Renders a target, two distractors and a background, see `Dial.clip`; `share` in percent."""
    rng = np.random.default_rng(seed)
    sides = [max(1, round(size * np.sqrt(x / 100))) for x in (min(share, 10), min(share, 10), share)]
    camera = STEPS[rng.integers(len(STEPS))]
    relative = rng.integers(len(STEPS), size=(3, num_frames))  # the steps of two distractors and the target
    relative[2] = label
    places = rng.integers(size, size=(3, 1, 2)) + np.cumsum(STEPS[relative] + camera, axis=1)  # (3, T, columns rows)
    background = 90 + 30 * _texture(rng, size)
    squares = [165 + 30 * _texture(rng, side) for side in sides]
    frames = []
    for t in range(num_frames):
        frame = np.roll(background, t * camera[::-1], axis=(0, 1))
        for (column, row), side, square in zip(places[:, t], sides, squares, strict=True):
            frame[np.ix_((row + np.arange(side)) % size, (column + np.arange(side)) % size)] = square
        frames.append(frame)
    return to_grey(np.stack(frames))


def _texture(rng: np.random.Generator, size: int) -> np.ndarray:
    """Noise smoothed over two pixels, of mean 0 and deviation 1 or so: (size, size)."""
    return 2 * cv2.blur(rng.normal(size=(size, size)), (2, 2))


SMALL = Dial(tuple(DIRECTIONS), SHARES, "share of the frame (%)", in_pairs(clip), OPPOSITE)
