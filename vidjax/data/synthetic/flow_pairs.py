"""Pairs of frames with exact optical flow: textured layers in depth order, each with its own motion.

As in FlyingChairs (Dosovitskiy et al., "FlowNet", ICCV 2015, section 4), whose generator was never published, each
layer moves by a random affine map. Here a smooth non-rigid map is added, and lengths of displacements are drawn from a
distribution with a heavy tail. Textures are smooth noise, stripes and patches, or photographs.
"""

import dataclasses
import functools
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from scipy import ndimage

from vidjax.data import flow_files
from vidjax.data.synthetic.motion import in_parallel

SIZE = (192, 256)  # height and width: half of FlyingChairs'
MARGIN = 16  # pixels that a foreground layer may stick out of the frame
FILES = ("first.png", "second.png", "flow.png")
IMAGES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".webp")


class Pair(NamedTuple):
    """Two frames and their flow.

    Attributes:
        first, second: uint8 (H, W, 3), RGB.
        flow: float32 (H, W, 2), pixels right and down from the first frame to the second, also where occluded.
        occluded: bool (H, W), pixels of the first frame that the second does not show.
    """

    first: np.ndarray
    second: np.ndarray
    flow: np.ndarray
    occluded: np.ndarray


@dataclasses.dataclass(frozen=True)
class Motion:
    """The map of points from the first frame to the second: affine about a centre, plus plane waves.

    Attributes:
        matrix, shift, centre: p -> matrix (p - centre) + centre + shift.
        waves: float (waves, 5): amplitude right and down, wave vector right and down, and phase.
    """

    matrix: np.ndarray
    shift: np.ndarray
    centre: np.ndarray
    waves: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Maps points (..., 2), x and y in pixels."""
        return (points - self.centre) @ self.matrix.T + self.centre + self.shift + self._ripple(points)

    def inverse(self, points: np.ndarray) -> np.ndarray:
        """Maps points of the second frame to the first, to 1e-6 pixels; the waves are gentle enough to converge."""
        matrix = np.linalg.inv(self.matrix).T
        aim, found = points - self.centre - self.shift, points - self.shift
        for _ in range(30):
            before, found = found, (aim - self._ripple(found)) @ matrix + self.centre
            if not found.size or np.abs(found - before).max() < 1e-6:
                break
        return found

    def _ripple(self, points: np.ndarray) -> np.ndarray:
        moved = np.zeros_like(points)
        for *amplitude, x, y, phase in self.waves:
            moved += np.sin(points @ np.array([x, y]) + phase)[..., None] * amplitude
        return moved


class Layer(NamedTuple):
    """A textured layer: its colours, spline coefficients (h, w, 3), its coverage (h, w), and its place and motion.

    The background has no coverage, and its texture goes on by reflection.
    """

    colours: np.ndarray
    coverage: np.ndarray | None
    corner: np.ndarray
    motion: Motion

    def colours_at(self, points: np.ndarray) -> np.ndarray:
        places = np.moveaxis(points - self.corner, -1, 0)[::-1]
        channels = np.moveaxis(self.colours, -1, 0)
        sample = functools.partial(ndimage.map_coordinates, coordinates=places, prefilter=False, mode="mirror")
        return np.stack([sample(channel) for channel in channels], axis=-1)

    def bounds(self, *, moved: bool) -> tuple[np.ndarray, np.ndarray]:
        """Returns the box, int x and y of two corners, that holds a foreground layer in the first or second frame."""
        edge = np.linspace(0, len(self.coverage), 17)
        outline = np.array([(x, y) for x in edge for y in edge]) + self.corner
        outline = self.motion(outline) if moved else outline
        return np.floor(outline.min(0) - 2).astype(int), np.ceil(outline.max(0) + 3).astype(int)

    def coverage_at(self, points: np.ndarray) -> np.ndarray:
        if self.coverage is None:
            return np.ones(points.shape[:-1])
        places = np.moveaxis(points - self.corner, -1, 0)[::-1]
        return ndimage.map_coordinates(self.coverage, places, order=1)


def pair(seed, *, size: tuple[int, int] = SIZE, photographs: Sequence[Path] = (), photometric: float = 1.0) -> Pair:
    """Renders a pair as a pure function of its arguments.

    Args:
        size: height and width in pixels.
        photographs: images to take half of the textures from.
        photometric: strength of the changes of brightness, contrast, blur and noise between the frames; 0 for none.
    """
    rng = np.random.default_rng(seed)
    height, width = size
    points = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(float)
    layers = [_background(rng, size, photographs)]
    layers += [_foreground(rng, size, photographs, layers[0].motion) for _ in range(rng.integers(3, 11))]
    first, owner = _compose(layers, points, moved=False)
    second, _ = _compose(layers, points, moved=True)
    end = np.empty_like(points)
    for i, layer in enumerate(layers):
        end[owner == i] = layer.motion(points[owner == i])
    occluded = ((end < 0) | (end > np.array([width - 1, height - 1]))).any(-1)
    for i, layer in enumerate(layers[1:], 1):
        low, high = layer.bounds(moved=True)
        may_cover = (owner < i) & ((end >= low) & (end <= high)).all(-1)
        occluded[may_cover] |= layer.coverage_at(layer.motion.inverse(end[may_cover])) > 0.5
    first, second = (np.rint(x.clip(0, 255)) for x in _photometric(rng, first, second, photometric))
    return Pair(first.astype(np.uint8), second.astype(np.uint8), (end - points).astype(np.float32), occluded)


def _compose(layers: Sequence[Layer], points: np.ndarray, *, moved: bool) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first frame or, with `moved`, the second: float (H, W, 3), and the top layer of each pixel (H, W)."""
    frame, owner = np.zeros((*points.shape[:2], 3)), np.zeros(points.shape[:2], int)
    for i, layer in enumerate(layers):
        (left, top), (right, bottom) = layer.bounds(moved=moved) if i else ((0, 0), points.shape[1::-1])
        window = slice(max(0, top), max(0, bottom)), slice(max(0, left), max(0, right))
        shown = layer.motion.inverse(points[window]) if moved else points[window]  # points of the first frame
        coverage = layer.coverage_at(shown)
        frame[window] += coverage[..., None] * (layer.colours_at(shown) - frame[window])
        owner[window][coverage > 0.5] = i
    return frame, owner


# ------------------------------------------------------------------------------------------------------------- layers


def _background(rng: np.random.Generator, size: tuple[int, int], photographs: Sequence[Path]) -> Layer:
    colours = _texture(rng, size, photographs)
    return Layer(colours, None, np.zeros(2), _motion(rng, size, np.array(size[::-1]) / 2, 1 / 80))


def _foreground(rng: np.random.Generator, size: tuple[int, int], photographs: Sequence[Path], ground: Motion) -> Layer:
    side = int(size[0] * np.exp(rng.uniform(np.log(0.12), np.log(0.6))))
    middle = rng.uniform(-MARGIN, np.array(size[::-1]) + MARGIN)
    own = _motion(rng, size, middle, 1 / 40)
    if rng.random() < 0.7:  # moves with the ground, in addition to its own motion
        own = dataclasses.replace(own, shift=own.shift + ground(middle) - middle)
    return Layer(_texture(rng, (side, side), photographs), _shape(rng, side), middle - side / 2, own)


def _motion(rng: np.random.Generator, size: tuple[int, int], centre: np.ndarray, share: float) -> Motion:
    """Draws a motion whose shift has a log-normal length of the median `share` of the height."""
    angle, turn, stretch = rng.uniform(0, 2 * np.pi), rng.laplace(0, 0.03), np.exp(rng.laplace(0, 0.02, 2))
    length = min(size[0] / 3, share * size[0] * rng.lognormal(0, 1.2))
    cos, sin = np.cos(turn), np.sin(turn)
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.diag(stretch)
    waves = np.zeros((2, 5))
    if rng.random() < 0.5:
        length_of_wave = size[0] * rng.uniform(0.4, 1.5, 2)
        directions = rng.uniform(0, 2 * np.pi, 2)
        waves[:, 2:4] = (2 * np.pi / length_of_wave * np.stack([np.cos(directions), np.sin(directions)])).T
        waves[:, 4] = rng.uniform(0, 2 * np.pi, 2)
        steepest = rng.uniform(0, 0.08, 2)  # the largest derivative of the wave: far below 1, so that it has an inverse
        directions = rng.uniform(0, 2 * np.pi, 2)
        waves[:, :2] = (steepest * length_of_wave / 2 / np.pi * np.stack([np.cos(directions), np.sin(directions)])).T
    return Motion(matrix, length * np.array([np.cos(angle), np.sin(angle)]), centre, waves)


def _shape(rng: np.random.Generator, side: int) -> np.ndarray:
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


def _texture(rng: np.random.Generator, size: tuple[int, int], photographs: Sequence[Path]) -> np.ndarray:
    """Draws a texture, 0..255; returns its cubic spline coefficients, float (h, w, 3)."""
    if len(photographs) and rng.random() < 0.5:
        texture = _photograph(rng, size, photographs[rng.integers(len(photographs))])
    else:
        texture = _drawn(rng, size)
    # Without the finest detail, so that a cubic spline shows the texture between its pixels as well
    texture = cv2.GaussianBlur(texture, (0, 0), 0.7)
    return np.stack([ndimage.spline_filter(x, mode="mirror") for x in np.moveaxis(texture, -1, 0)], axis=-1)


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


def _photometric(rng: np.random.Generator, first: np.ndarray, second: np.ndarray, strength: float):
    """Changes brightness, contrast and gamma of the second frame, and blurs both and adds noise."""
    if not strength:
        return first, second
    contrast, gamma = np.exp(strength * rng.normal(0, 0.05, 2))
    changed = 255 * (second.clip(0, 255) / 255) ** gamma * contrast + strength * rng.normal(0, 5)
    blur, noise = strength * rng.uniform(0, 0.8) * (rng.random() < 0.3), strength * rng.uniform(0, 4)
    frames = [cv2.GaussianBlur(frame, (0, 0), blur) if blur > 0.1 else frame for frame in (first, changed)]
    return [frame + rng.normal(0, noise, frame.shape) for frame in frames]


# ------------------------------------------------------------------------------------------------------------- files


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


def render(
    directory: Path,
    *,
    num_videos: dict[str, int],
    seed: int = 0,
    size: tuple[int, int] = SIZE,
    photographs: Sequence[Path] = (),
    num_workers: int = 2,
) -> list[tuple[Path, str]]:
    """Renders `directory/SPLIT/00000/first.png`, second.png and flow.png in parallel; pairs that exist are kept.

    Args:
        num_videos: number of pairs per split.
        photographs: every fifth one is for the splits other than train.

    Returns:
        (folder, split) of each pair.
    """
    tasks, pairs = [], []
    for split, count in num_videos.items():
        is_train = split == "train"
        own = tuple(path for i, path in enumerate(photographs) if (i % 5 > 0) == is_train)
        for i in range(count):
            folder = Path(directory) / split / f"{i:05d}"
            pairs.append((folder, split))
            if not (folder / FILES[-1]).exists():
                tasks.append((folder, (seed, zlib.crc32(split.encode()), i), size, own))
    in_parallel(_render_one, tasks, num_workers)
    return pairs


def _render_one(task):
    folder, seed, size, photographs = task
    rendered = pair(seed, size=size, photographs=photographs)
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in zip(FILES, rendered[:2], strict=False):
        cv2.imwrite(str(folder / name), frame[..., ::-1])
    data = flow_files.to_png(rendered.flow, np.ones(size, bool))
    partial = folder / "flow.partial"
    partial.write_bytes(data)
    partial.replace(folder / FILES[-1])  # last: it marks the pair as complete
