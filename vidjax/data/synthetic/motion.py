"""The synthetic motion dataset: video files in which only motion tells the class.

Eight classes form four pairs; the classes of a pair are each other's reverse in time. A clip of one class is the
reversed frame list of a clip drawn like those of the other, so the set of frames carries no information about which of
the two it is: a model that ignores order stays at chance within a pair. Background and sprite have the same
distribution in all classes. The files are all-intra: in ordinary H.264 the sharpness of frames reveals their order.
"""

import concurrent.futures
import multiprocessing
import zlib
from pathlib import Path

import cv2
import numpy as np

from vidjax.data import video, workers
from vidjax.progress_bar import progress_bar

CLASSES = ("clockwise", "counter_clockwise", "down", "growing", "left", "right", "shrinking", "up")
REVERSED = (1, 0, 7, 6, 5, 4, 3, 2)  # the class of a clip reversed in time
DRAWN = ("clockwise", "down", "growing", "right")  # rendered; clips of their partners are reversed clips of these


def clip(label: int, seed: int, *, num_frames: int = 24, size: int = 64) -> np.ndarray:
    """Renders a clip as a pure function of its arguments.

    Args:
        label: index into `CLASSES`.
        seed: clips of a class and its partner with the same seed are each other's reverse in time.
        num_frames, size: number of frames, and their side in pixels.

    Returns:
        uint8 (num_frames, size, size, 3), RGB.
    """
    name = CLASSES[label]
    if name not in DRAWN:
        return clip(REVERSED[label], seed, num_frames=num_frames, size=size)[::-1]
    rng = np.random.default_rng((DRAWN.index(name), seed))
    levels = rng.permutation([80.0, 175.0])  # dark and light, in random order: either may be the sprite
    background, (sprite, alpha) = _texture(rng, size, levels[0]), _sprite(rng, size // 2, levels[1])
    progress = np.linspace(-0.5, 0.5, num_frames)  # symmetric about the clip's middle
    angle, scale = np.full(num_frames, rng.uniform(0, 360)), np.full(num_frames, rng.uniform(0.9, 1.3))
    x, y = (np.full(num_frames, rng.uniform(0.35, 0.65) * size) for _ in range(2))
    if name == "clockwise":
        angle = angle - rng.uniform(150, 300) * progress  # OpenCV counts degrees counter-clockwise
    elif name == "growing":
        scale = scale * np.exp(rng.uniform(0.8, 1.4) * progress)
    elif name == "right":
        x = x + rng.uniform(0.4, 0.8) * size * progress
    elif name == "down":
        y = y + rng.uniform(0.4, 0.8) * size * progress
    frames = [_paste(background, sprite, alpha, *pose) for pose in zip(x, y, angle, scale, strict=True)]
    noise = rng.normal(scale=2.0, size=(num_frames, size, size, 1))  # sensor noise, independent per frame
    return np.clip(np.stack(frames) + noise, 0, 255).astype(np.uint8)


def _texture(rng: np.random.Generator, size: int, brightness: float) -> np.ndarray:
    """Smooth coloured noise at three scales around a mean brightness: float32 (size, size, 3), 0..255."""
    layers = [rng.normal(scale=weight, size=(cells, cells, 3)) for cells, weight in ((3, 16), (7, 12), (15, 8))]
    smooth = sum(cv2.resize(layer, (size, size), interpolation=cv2.INTER_CUBIC) for layer in layers)
    return np.clip(brightness + rng.uniform(-25, 25, 3) + smooth, 0, 255).astype(np.float32)


def _sprite(rng: np.random.Generator, size: int, brightness: float) -> tuple[np.ndarray, np.ndarray]:
    """A textured polygon that no rotation maps onto itself: colours (size, size, 3) and coverage (size, size, 1)."""
    angles = (np.arange(7) + rng.uniform(0.1, 0.9, 7)) * 2 * np.pi / 7
    radii = rng.uniform(0.4, 0.9, 7) * size * 0.48
    radii[0], radii[3] = size * 0.48, size * 0.16  # one long and one short corner
    corners = size / 2 + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    alpha = np.zeros((size, size), np.uint8)
    cv2.fillPoly(alpha, [np.round(corners * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    return _texture(rng, size, brightness), (alpha / 255).astype(np.float32)[..., None]


def _paste(background, sprite, alpha, x, y, angle, scale) -> np.ndarray:
    """Pastes the sprite, centred at (x, y) pixels and turned `angle` degrees counter-clockwise: float32 (H, W, 3)."""
    size, half = background.shape[0], sprite.shape[0] / 2
    matrix = cv2.getRotationMatrix2D((half, half), angle, scale)
    matrix[:, 2] += x - half, y - half
    rgba = cv2.warpAffine(np.concatenate([sprite * alpha, alpha], axis=2), matrix, (size, size), flags=cv2.INTER_LINEAR)
    return background * (1 - rgba[..., 3:]) + rgba[..., :3]


def render(
    directory: str | Path,
    *,
    num_videos: dict[str, int],
    seed: int = 0,
    num_frames: int = 24,
    size: int = 64,
    fps: float = 12.0,
    num_workers: int = 2,
    all_intra: bool = True,
) -> list[tuple[Path, str, str]]:
    """Renders `directory/SPLIT/CLASS/0000.mp4`, ... in parallel, with a progress bar; files that exist are kept.

    Args:
        num_videos: number of videos per split, a multiple of 8: all classes get equally many.

    Returns:
        (path, class, split) of each file.

    Raises:
        ValueError: if a number of videos is not a multiple of the number of classes.
    """
    tasks, files = [], []
    for split, count in num_videos.items():
        if count % len(CLASSES):
            raise ValueError(f"{count} {split} videos do not divide over {len(CLASSES)} classes: give a multiple.")
        for i in range(count):
            label = i % len(CLASSES)
            path = Path(directory) / split / CLASSES[label] / f"{i // len(CLASSES):04d}.mp4"
            files.append((path, CLASSES[label], split))
            if not path.exists():
                # Unique per file, so that no two videos of any splits share their random draws
                number = (seed << 64) + (zlib.crc32(split.encode()) << 32) + i
                tasks.append((path, label, number, num_frames, size, fps, all_intra))
    in_parallel(_render_one, tasks, num_workers)
    return files


def drawn_classes(number: int, count: int) -> list[int]:
    """Draws the classes of the clips in a concatenation, independently of each other."""
    return np.random.default_rng(number).integers(len(CLASSES), size=count).tolist()


def drawn_rests(number: int, count: int, background: int) -> list[int]:
    """Draws the frames without motion before each clip of a concatenation and after the last one.

    Each has `background` frames on average, and all together `background * (count + 1)`, so that all videos of a
    dataset are equally long.
    """
    places = np.sort(np.random.default_rng((number, 1)).integers(background * (count + 1) + 1, size=count))
    return np.diff(places, prepend=0, append=background * (count + 1)).tolist()


def drawn_labels(number: int, count: int, *, num_frames: int = 24, background: int = 0) -> list[int]:
    """Returns the class of each frame of a concatenation; -1 for background."""
    labels = []
    for rest, label in zip(drawn_rests(number, count, background), [*drawn_classes(number, count), -1], strict=True):
        labels += [-1] * rest + [label] * (num_frames if label >= 0 else 0)
    return labels


def concatenation(
    number: int, count: int, *, num_frames: int = 24, size: int = 64, background: int = 0
) -> tuple[np.ndarray, list[int]]:
    """Concatenates clips of randomly drawn classes, as a pure function of its arguments.

    Args:
        background: frames without motion before each clip and after the last one, on average: the first frame of the
            clip that follows, or the last one of the video, with new sensor noise in each frame.

    Returns:
        uint8 (frames, size, size, 3), and the class of each frame; -1 for background.
    """
    rng, parts = np.random.default_rng((number, 2)), []
    clips = [
        clip(label, (number << 8) + i, num_frames=num_frames, size=size)
        for i, label in enumerate(drawn_classes(number, count))
    ]
    for i, rest in enumerate(drawn_rests(number, count, background)):
        still = clips[i][0] if i < count else clips[-1][-1]
        noise = rng.normal(scale=2.0, size=(rest, size, size, 1))
        parts += [np.clip(still + noise, 0, 255).astype(np.uint8), *clips[i : i + 1]]
    return np.concatenate(parts), drawn_labels(number, count, num_frames=num_frames, background=background)


def runs_of(labels: list[int], fps: float) -> list[tuple[float, float, str]]:
    """Returns (start, end, class name) of the clips of a concatenation, in seconds.

    Clips of one class in a row, without background between them, are one segment.
    """
    bounds = [i for i in range(len(labels) + 1) if i in (0, len(labels)) or labels[i] != labels[i - 1]]
    pieces = zip(bounds[:-1], bounds[1:], strict=True)
    return [(start / fps, end / fps, CLASSES[labels[start]]) for start, end in pieces if labels[start] >= 0]


def render_concatenations(
    directory: str | Path,
    count: int,
    *,
    num_videos: dict[str, int],
    seed: int = 0,
    num_frames: int = 24,
    size: int = 64,
    fps: float = 12.0,
    num_workers: int = 2,
    background: int = 0,
) -> list[tuple[Path, list[tuple[float, float, str]], str]]:
    """Renders `directory/SPLIT/0000.mp4`, ..., each with `count` clips of drawn classes; files that exist are kept.

    Args:
        background: see `concatenation`.

    Returns:
        (path, segments, split) of each file, see `runs_of`.
    """
    tasks, files = [], []
    for split, videos in num_videos.items():
        for i in range(videos):
            path = Path(directory) / split / f"{i:04d}.mp4"
            # Like in `render`, with one more bit, so that no part is also a clip of that dataset
            number = (1 << 96) + (seed << 64) + (zlib.crc32(split.encode()) << 32) + i
            labels = drawn_labels(number, count, num_frames=num_frames, background=background)
            files.append((path, runs_of(labels, fps), split))
            if not path.exists():
                tasks.append((path, number, count, num_frames, size, fps, background))
    in_parallel(_concatenate_one, tasks, num_workers)
    return files


def in_parallel(render_one, tasks: list[tuple], num_workers: int):
    """Renders the files of all tasks in worker processes, with a progress bar."""
    if tasks:
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(num_workers, context, workers.end_with_parent) as pool:
            list(progress_bar(pool.map(render_one, tasks, chunksize=16), "render", len(tasks), unit="video"))


def _concatenate_one(task):
    path, number, count, num_frames, size, fps, background = task
    frames, _ = concatenation(number, count, num_frames=num_frames, size=size, background=background)
    video.write_video(path, frames, fps)


def _render_one(task):
    path, label, number, num_frames, size, fps, all_intra = task
    frames = clip(label, number, num_frames=num_frames, size=size)
    video.write_video(path, frames, fps, all_intra=all_intra)
