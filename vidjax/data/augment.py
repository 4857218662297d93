"""Resize, crop and colour jitter, with one random draw for all frames of a clip.

A frame is uint8 (H, W, 3) RGB. A box is (top, left, height, width) in pixels. Boxes are drawn once per clip and applied
to every frame, so that cropping adds no motion.
"""

import cv2
import numpy as np

Box = tuple[int, int, int, int]


def resized_shape(height: int, width: int, resize: int | tuple[int, int]) -> tuple[int, int]:
    """The shape (height, width) after resizing: `resize` is the length of the short side, or (height, width)."""
    if not isinstance(resize, int):
        return tuple(resize)
    scale = resize / min(height, width)
    return max(resize, round(height * scale)), max(resize, round(width * scale))


def resize(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes a frame: by area if it shrinks, so that fine texture does not alias, else bilinearly."""
    if frame.shape[:2] == (height, width):
        return frame
    shrinks = height < frame.shape[0]
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def fit_inside(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scales a frame to fit in height x width, keeping its aspect ratio, and centres it on black."""
    scale = min(height / frame.shape[0], width / frame.shape[1])
    inner = resize(frame, max(1, round(frame.shape[0] * scale)), max(1, round(frame.shape[1] * scale)))
    canvas = np.zeros((height, width, *frame.shape[2:]), frame.dtype)
    top, left = (height - inner.shape[0]) // 2, (width - inner.shape[1]) // 2
    canvas[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return canvas


def crop(frame: np.ndarray, box: Box) -> np.ndarray:
    top, left, height, width = box
    return frame[top : top + height, left : left + width]


def centre_box(height: int, width: int, size: int) -> Box:
    """The size x size box in the centre."""
    _check_size(height, width, size)
    return (height - size) // 2, (width - size) // 2, size, size


def random_box(rng: np.random.Generator, height: int, width: int, size: int) -> Box:
    """A size x size box at a uniformly random position."""
    _check_size(height, width, size)
    return int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1)), size, size


def three_boxes(height: int, width: int, size: int) -> list[Box]:
    """Three size x size boxes along the long side: start, middle, end (Feichtenhofer et al., 2019, section 4)."""
    _check_size(height, width, size)
    down, right = height - size, width - size
    if right >= down:
        return [(down // 2, left, size, size) for left in (0, right // 2, right)]
    return [(top, right // 2, size, size) for top in (0, down // 2, down)]


def five_boxes(height: int, width: int, size: int) -> list[Box]:
    """The size x size boxes in the four corners and in the centre (Simonyan and Zisserman, 2014, section 5)."""
    _check_size(height, width, size)
    corners = [(top, left, size, size) for top in (0, height - size) for left in (0, width - size)]
    return [*corners, centre_box(height, width, size)]


def random_resized_box(
    rng: np.random.Generator,
    height: int,
    width: int,
    area: tuple[float, float] = (0.08, 1.0),
    aspect: tuple[float, float] = (3 / 4, 4 / 3),
) -> Box:
    """A box of random area (share of the frame) and aspect (width / height); resize it to the model's input size.

    Inception's crop (Szegedy et al., 2015, section 6). Falls back to the largest centred square.
    """
    for _ in range(10):
        box_area = rng.uniform(*area) * height * width
        ratio = np.exp(rng.uniform(np.log(aspect[0]), np.log(aspect[1])))
        box_height, box_width = round(np.sqrt(box_area / ratio)), round(np.sqrt(box_area * ratio))
        if 0 < box_height <= height and 0 < box_width <= width:
            top, left = rng.integers(height - box_height + 1), rng.integers(width - box_width + 1)
            return int(top), int(left), box_height, box_width
    return centre_box(height, width, min(height, width))


def jitter_colour(rng: np.random.Generator, clip: np.ndarray, strength: float) -> np.ndarray:
    """Scales brightness, contrast and saturation by factors from [1 - strength, 1 + strength].

    Args:
        clip: uint8 (T, H, W, 3).
        strength: in [0, 1].

    Returns:
        uint8 (T, H, W, 3). One affine map of colour combines the three steps, so that values are rounded only once.
    """
    brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3)
    grey = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601 luma
    saturate = saturation * np.eye(3) + (1 - saturation) * np.outer(np.ones(3), grey)
    mean = brightness * float(clip[:, ::4, ::4].reshape(-1, 3).mean(axis=0) @ grey)  # one pixel in 16 is enough
    colour = np.hstack([brightness * contrast * saturate, np.full((3, 1), (1 - contrast) * mean)])
    return cv2.transform(clip.reshape(1, -1, 3), colour).reshape(clip.shape)


def _check_size(height: int, width: int, size: int):
    if size > min(height, width):
        raise ValueError(f"A crop of {size} pixels does not fit in frames of {height}x{width}: set `resize` to {size}.")
