"""Pairs of frames with exact optical flow: textured layers in depth order, each with its own motion.

As in FlyingChairs (Dosovitskiy et al., "FlowNet", ICCV 2015, section 4), whose generator was never published, each
layer moves by a random affine map. Here a smooth non-rigid map is added, and lengths of displacements are drawn from a
distribution with a heavy tail.
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
from vidjax.data.synthetic import flow_textures
from vidjax.data.synthetic.motion import in_parallel

SIZE = (192, 256)  # height and width: half of FlyingChairs'
MARGIN = 16  # pixels that a foreground layer may stick out of the frame
FILES = ("first.png", "second.png", "flow.png")


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


def pair(
    seed,
    *,
    size: tuple[int, int] = SIZE,
    photographs: Sequence[Path] = (),
    speed: float = 1.0,
    photometric: float = 1.0,
) -> Pair:
    """Renders a pair as a pure function of its arguments.

    Args:
        size: height and width in pixels.
        photographs: images to take half of the textures from.
        speed: factor on all motion.
        photometric: strength of the changes of brightness, contrast, blur and noise between the frames; 0 for none.
    """
    rng = np.random.default_rng(seed)
    height, width = size
    points = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(float)
    layers = [_background(rng, size, photographs, speed)]
    layers += [_foreground(rng, size, photographs, speed, layers[0].motion) for _ in range(rng.integers(3, 11))]
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


def _background(rng: np.random.Generator, size: tuple[int, int], photographs: Sequence[Path], speed: float) -> Layer:
    colours = flow_textures.texture(rng, size, photographs)
    return Layer(colours, None, np.zeros(2), _motion(rng, size, np.array(size[::-1]) / 2, 1 / 80, speed))


def _foreground(
    rng: np.random.Generator, size: tuple[int, int], photographs: Sequence[Path], speed: float, ground: Motion
) -> Layer:
    side = int(size[0] * np.exp(rng.uniform(np.log(0.12), np.log(0.6))))
    middle = rng.uniform(-MARGIN, np.array(size[::-1]) + MARGIN)
    own = _motion(rng, size, middle, 1 / 40, speed)
    if rng.random() < 0.7:  # moves with the ground, in addition to its own motion
        own = dataclasses.replace(own, shift=own.shift + ground(middle) - middle)
    return Layer(
        flow_textures.texture(rng, (side, side), photographs), flow_textures.shape(rng, side), middle - side / 2, own
    )


def _motion(
    rng: np.random.Generator, size: tuple[int, int], centre: np.ndarray, share: float, speed: float = 1.0
) -> Motion:
    """Draws a motion whose shift has a log-normal length of the median `speed * share` of the height."""
    angle, turn = rng.uniform(0, 2 * np.pi), speed * rng.laplace(0, 0.03)
    stretch = np.exp(speed * rng.laplace(0, 0.02, 2))
    length = speed * min(size[0] / 3, share * size[0] * rng.lognormal(0, 1.2))
    cos, sin = np.cos(turn), np.sin(turn)
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.diag(stretch)
    waves = np.zeros((2, 5))
    if rng.random() < 0.5:
        length_of_wave = size[0] * rng.uniform(0.4, 1.5, 2)
        directions = rng.uniform(0, 2 * np.pi, 2)
        waves[:, 2:4] = (2 * np.pi / length_of_wave * np.stack([np.cos(directions), np.sin(directions)])).T
        waves[:, 4] = rng.uniform(0, 2 * np.pi, 2)
        steepest = speed * rng.uniform(
            0, 0.08, 2
        )  # the largest derivative of the wave: far below 1, so that it has an inverse
        directions = rng.uniform(0, 2 * np.pi, 2)
        waves[:, :2] = (steepest * length_of_wave / 2 / np.pi * np.stack([np.cos(directions), np.sin(directions)])).T
    return Motion(matrix, length * np.array([np.cos(angle), np.sin(angle)]), centre, waves)


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


def render(
    directory: Path,
    *,
    num_videos: dict[str, int],
    seed: int = 0,
    size: tuple[int, int] = SIZE,
    photographs: Sequence[Path] = (),
    speed: float = 1.0,
    num_workers: int = 2,
) -> list[tuple[Path, str]]:
    """Renders `directory/SPLIT/00000/first.png`, second.png and flow.png in parallel; pairs that exist are kept.

    Args:
        num_videos: number of pairs per split.
        photographs: every fifth one is for the splits other than train.
        speed: factor on all motion.

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
                tasks.append((folder, (seed, zlib.crc32(split.encode()), i), size, own, speed))
    in_parallel(_render_one, tasks, num_workers)
    return pairs


def _render_one(task):
    folder, seed, size, photographs, speed = task
    rendered = pair(seed, size=size, photographs=photographs, speed=speed)
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in zip(FILES, rendered[:2], strict=False):
        cv2.imwrite(str(folder / name), frame[..., ::-1])
    data = flow_files.to_png(rendered.flow, np.ones(size, bool))
    partial = folder / "flow.partial"
    partial.write_bytes(data)
    partial.replace(folder / FILES[-1])  # last: it marks the pair as complete
