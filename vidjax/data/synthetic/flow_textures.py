"""What the layers of pairs with exact flow look like: textures and shapes.

Textures are smooth noise, stripes and patches, or parts of photographs.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from scipy import ndimage

IMAGES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".webp")


def list_photographs(directory: Path | None) -> list[Path]:
    """Lists the images in a directory, at any depth.

    Raises:
        ValueError: if there are fewer than five, so that tests cannot have their own.
    """
    if directory is None:
        return []
    if not directory.is_dir():
        raise ValueError(f"--photographs {directory} is not a directory.")
    found = sorted(path.resolve() for path in directory.rglob("*") if path.suffix.lower() in IMAGES)
    if len(found) < 5:
        raise ValueError(f"--photographs {directory} has {len(found)} images; give five or more ({', '.join(IMAGES)}).")
    return found


def texture(rng: np.random.Generator, size: tuple[int, int], photographs: Sequence[Path]) -> np.ndarray:
    """Draws a texture, 0..255; returns its cubic spline coefficients, float (h, w, 3)."""
    if len(photographs) and rng.random() < 0.5:
        drawn = _photograph(rng, size, photographs[rng.integers(len(photographs))])
    else:
        drawn = _drawn(rng, size)
    # Without the finest detail, so that a cubic spline shows the texture between its pixels as well
    drawn = cv2.GaussianBlur(drawn, (0, 0), 0.7)
    return np.stack([ndimage.spline_filter(x, mode="mirror") for x in np.moveaxis(drawn, -1, 0)], axis=-1)


def _drawn(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Draws noise at several scales, stripes, or patches of two textures: float32 (h, w, 3)."""
    texture = np.broadcast_to(rng.uniform(30, 225, 3), (*size, 3)).astype(np.float32)
    for cells in np.unique(np.geomspace(3, max(4, min(size) / 3), int(rng.integers(2, 5))).astype(int)):
        shape = cells, max(2, cells * size[1] // size[0]), 3
        strength = rng.uniform(5, 45)
        noise = rng.normal(0, strength, shape) * rng.uniform(0, 1, 3) + rng.normal(0, strength, (*shape[:2], 1))
        texture = texture + cv2.resize(noise.astype(np.float32), size[::-1], interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.4:
        y, x = np.mgrid[: size[0], : size[1]]
        angle, wave = rng.uniform(0, np.pi), rng.uniform(5, 40)
        stripes = np.sin(2 * np.pi / wave * (x * np.cos(angle) + y * np.sin(angle)))
        texture = texture + (stripes[..., None] * rng.uniform(-60, 60, 3)).astype(np.float32)
    if rng.random() < 0.4:
        cells = int(rng.integers(4, 12))
        field = cv2.resize(rng.normal(size=(cells, cells)), size[::-1], interpolation=cv2.INTER_CUBIC)
        texture = texture + np.where(field > 0, 1, -1).astype(np.float32)[..., None] * rng.uniform(-50, 50, 3)
    return texture.clip(0, 255).astype(np.float32)


def _photograph(rng: np.random.Generator, size: tuple[int, int], path: Path) -> np.ndarray:
    """A random part of a photograph at `size`: float32 (h, w, 3)."""
    image = read_photograph(path)
    sides = np.array(image.shape[:2])
    scale = min(sides / size)
    part = np.minimum(sides, np.array(size) * max(scale * rng.uniform(0.4, 1), min(1, scale))).astype(int)
    top, left = (int(rng.integers(rest + 1)) for rest in sides - part)
    image = image[top : top + part[0], left : left + part[1]]
    image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if part[0] > size[0] else cv2.INTER_CUBIC)
    return (image[:, ::-1] if rng.random() < 0.5 else image).astype(np.float32)


@functools.lru_cache(64)
def read_photograph(path: Path) -> np.ndarray:
    """Reads an image, uint8 (H, W, 3) RGB. Raises a ValueError if it is not one."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise ValueError(f"{path} is not an image that OpenCV can read: remove it from --photographs.")
    return image


def shape(rng: np.random.Generator, side: int) -> np.ndarray:
    """Draws the coverage, 0 to 1, (side, side), of a polygon or of a smooth blob, sometimes with a hole."""
    large = 4 * side  # drawn larger, then averaged
    corners = int(rng.integers(3, 9))
    if rng.random() < 0.5:
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
        radii = rng.uniform(0.5, 1, corners)
    else:
        angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)
        harmonics = rng.normal(0, 0.25, (4, 2)) / np.arange(1, 5)[:, None]
        turns = np.arange(1, 5)[:, None] * angles
        radii = np.clip(0.75 + (harmonics[:, :1] * np.cos(turns) + harmonics[:, 1:] * np.sin(turns)).sum(0), 0.2, 1)
    outline = large / 2 + 0.47 * large * radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    coverage = np.zeros((large, large), np.uint8)
    cv2.fillPoly(coverage, [np.rint(outline).astype(np.int32)], 255)
    if rng.random() < 0.15:
        place, radius = rng.uniform(0.35, 0.65, 2) * large, rng.uniform(0.05, 0.15) * large
        cv2.circle(coverage, tuple(map(int, place)), int(radius), 0, cv2.FILLED)
    return cv2.resize(coverage, (side, side), interpolation=cv2.INTER_AREA) / 255.0
