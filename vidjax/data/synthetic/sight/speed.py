"""A texture that moves in one of eight directions; the dial is the speed, in pixels per frame.

The texture is random on a torus three times as wide as the frame, smooth over a few pixels, and moved exactly (by the
phases of its Fourier series), so that each frame has the same distribution whatever the class and the speed: a single
frame says exactly nothing. Clips of opposite directions are each other's reverse: frames without their order cannot
tell them apart.
"""

import numpy as np

from vidjax.data.synthetic.sight.dial import DIRECTIONS, OPPOSITE, Dial, in_pairs, to_grey, towards

SPEEDS = (0.25, 0.5, 1, 2, 4, 6, 8, 12)
WIDTH = 1.2  # pixels: deviation of the Gaussian that smooths the texture


def clip(label: int, speed: float, seed: int, *, num_frames: int = 16, size: int = 32) -> np.ndarray:
    """Renders a moving texture, see `Dial.clip`."""
    rng, side = np.random.default_rng(seed), 3 * size
    rows, columns = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)
    smooth = np.exp(-2 * (np.pi * WIDTH) ** 2 * (rows**2 + columns**2))
    spectrum = np.fft.rfft2(rng.normal(size=(side, side))) * smooth
    spectrum[side // 2], spectrum[:, -1] = 0, 0  # the highest frequencies cannot be moved by a part of a pixel
    spectrum *= side / np.sqrt((np.abs(spectrum) ** 2).sum() / side**2 * 2)
    right, down = speed * towards(label)
    shifts = np.exp(-2j * np.pi * np.arange(num_frames)[:, None, None] * (right * columns + down * rows))
    frames = np.fft.irfft2(spectrum * shifts, s=(side, side))[:, :size, :size]
    return to_grey(127.5 + 55 * frames)


SPEED = Dial(tuple(DIRECTIONS), SPEEDS, "speed (pixels per frame)", in_pairs(clip), OPPOSITE)
