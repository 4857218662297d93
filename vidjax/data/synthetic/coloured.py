"""The synthetic coloured motion dataset: the label combines a shape's colour and its direction of motion.

Four colours times left or right, like "red right". No single frame shows the direction, so a network that sees single
frames is right for at most half the videos (50 %). The colours are equally bright and optical flow is computed from
brightness, so a network that sees only flow is right for at most a quarter (25 %). Both together suffice for all. The
shape is drawn at random for each video and is not part of the label. The files are all-intra, like those of `motion`.
"""

import zlib
from pathlib import Path

import numpy as np

from vidjax.data import video
from vidjax.data.synthetic import captions, motion

# All have brightness 190 (0.299 R + 0.587 G + 0.114 B), lighter than any background
COLOURS = {"blue": (165, 195, 235), "green": (120, 235, 140), "red": (240, 172, 150), "yellow": (235, 200, 20)}
CLASSES = [f"{colour} {way}" for colour in COLOURS for way in ("left", "right")]  # sorted
REVERSED = [i ^ 1 for i in range(len(CLASSES))]  # the class of a clip reversed in time, or mirrored


def clip(label: int, seed: int) -> np.ndarray:
    """Renders a clip as a pure function of its arguments: uint8 (24, 64, 64, 3), RGB.

    Except for noise, clips of a class and its partner in `REVERSED` with the same seed are each other's time reverse.
    """
    shape = captions.SHAPES[np.random.default_rng((seed, 2)).integers(len(captions.SHAPES))]
    colour, way = CLASSES[label].split()
    return captions.clip([f"{colour} {shape} moves {way}"], seed, colours=COLOURS)


def render(
    directory: str | Path, *, num_videos: dict[str, int], seed: int = 0, num_workers: int = 2
) -> list[tuple[Path, str, str]]:
    """Renders `directory/SPLIT/0000.mp4`, ...; files that exist are kept.

    Args:
        num_videos: number of videos per split; the classes alternate.

    Returns:
        (path, class, split) of each file.
    """
    tasks, files = [], []
    for split, count in num_videos.items():
        for i in range(count):
            number = (1 << 98) + (seed << 64) + (zlib.crc32(split.encode()) << 32) + i
            path = Path(directory) / split / f"{i:04d}.mp4"
            files.append((path, CLASSES[i % len(CLASSES)], split))
            if not path.exists():
                tasks.append((path, i % len(CLASSES), number))
    motion.in_parallel(_render_one, tasks, num_workers)
    return files


def _render_one(task):
    path, label, number = task
    video.write_video(path, clip(label, number), 12.0)
