"""Motion of pure noise: every frame is independent noise, pixel by pixel, and only succession tells the class.

From one frame to the next a pixel takes the value of its neighbour against the direction of motion with a probability,
the coherence; else a new random value. No two pixels of a frame take the same earlier pixel, so the pixels of each
frame are independent and equally distributed, whatever the class: a single frame says exactly nothing, and the expected
value of a mean of scores of single frames is equal for all classes.

`DIRECTION`: all pixels move in one of eight directions, on a torus. Clips of opposite directions are each other's
reverse: frames without their order cannot tell them apart. (That they move along this axis, frames compared with each
other could tell, in no order too: chance is 1/8 for what sees single frames, at most 1/4 for what ignores order.)

`FORM`: the pixels of a shape move in a drawn direction, the others in the opposite one; the class is the shape. A pixel
whose neighbour is on the other side of the outline takes a new value.
"""

import numpy as np

from vidjax.data.synthetic.sight.dial import DIRECTIONS, OPPOSITE, Dial, in_pairs, to_grey

COHERENCES = (100, 50, 35, 25, 18, 12, 8, 5)
SHAPES = ("bar", "cross", "disc", "ring", "square", "triangle")
DARK, LIGHT = 40.0, 215.0


def direction(label: int, coherence: float, seed: int, *, num_frames: int = 16, size: int = 32) -> np.ndarray:
    """Renders noise that moves by one pixel per frame, see `Dial.clip`; `coherence` in percent."""
    rng = np.random.default_rng(seed)
    everywhere = np.ones((size, size), bool)
    return _to_video(moving_values(rng, everywhere, tuple(DIRECTIONS.values())[label], coherence, num_frames))


def form(label: int, coherence: float, seed: int, *, num_frames: int = 12, size: int = 48) -> np.ndarray:
    """Renders a shape that exists through motion only, see `Dial.clip`; `coherence` in percent."""
    rng = np.random.default_rng(seed)
    radius = 0.3 * size
    columns, rows = rng.uniform(radius + 1, size - radius - 1, 2)
    step = tuple(DIRECTIONS.values())[rng.integers(len(DIRECTIONS))]
    region = shape(SHAPES[label], size, columns, rows, radius)
    return _to_video(moving_values(rng, region, step, coherence, num_frames))


def shape(name: str, size: int, column: float, row: float, radius: float) -> np.ndarray:
    """Returns the pixels of one of `SHAPES` around a centre: bool (size, size)."""
    y, x = np.mgrid[:size, :size]
    x, y = (x - column) / radius, (y - row) / radius
    distance = np.hypot(x, y)
    inside = {
        "bar": (abs(x) < 0.35) & (abs(y) < 1),
        "cross": ((abs(x) < 0.3) | (abs(y) < 0.3)) & (abs(x) < 1) & (abs(y) < 1),
        "disc": distance < 0.85,
        "ring": (distance < 1) & (distance > 0.55),
        "square": (abs(x) < 0.75) & (abs(y) < 0.75),
        "triangle": (y < 0.8) & (y > 2 * abs(x) - 1),
    }
    return inside[name]


def moving_values(
    rng: np.random.Generator, region: np.ndarray, step: tuple[int, int], coherence: float, num_frames: int
) -> list[np.ndarray]:
    """Moves the bits of a region by `step` (columns, rows) per frame, and the other pixels by its opposite.

    Args:
        region: bool (H, W).
        coherence: percent.

    Returns:
        0 or 1, (H, W) per frame.
    """

    def moved(x: np.ndarray, sign: int) -> np.ndarray:
        return np.roll(x, (sign * step[1], sign * step[0]), axis=(0, 1))

    same_side = np.where(region, moved(region, 1), ~moved(region, -1))
    frames = [rng.integers(2, size=region.shape)]
    for _ in range(num_frames - 1):
        takes = same_side & (rng.random(region.shape) < coherence / 100)
        new = rng.integers(2, size=region.shape)
        frames.append(np.where(takes, np.where(region, moved(frames[-1], 1), moved(frames[-1], -1)), new))
    return frames


def _to_video(bits: list[np.ndarray]) -> np.ndarray:
    return to_grey(DARK + (LIGHT - DARK) * np.stack(bits))


DIRECTION = Dial(tuple(DIRECTIONS), COHERENCES, "coherence (%)", in_pairs(direction), OPPOSITE)
FORM = Dial(SHAPES, COHERENCES, "coherence (%)", form, tuple(range(len(SHAPES))))
