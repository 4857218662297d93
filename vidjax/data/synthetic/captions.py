"""The synthetic captions dataset: videos of one or two moving coloured shapes, with captions.

A caption is "red square moves left" or, for two shapes from left to right, "red square moves left, blue circle grows".
4 colours, 3 shapes and 6 motions make 72 phrases. 12 of them are held out from training, though each of their colours,
shapes and motions occurs there: captioning them needs composition. The files are all-intra, like those of `motion`.
"""

import itertools
import zlib
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from vidjax.data import video
from vidjax.data.synthetic import motion

COLOURS = {"blue": (40, 70, 220), "green": (40, 180, 60), "red": (220, 40, 40), "yellow": (230, 210, 40)}
SHAPES = ("circle", "square", "triangle")
MOTIONS = ("grows", "moves down", "moves left", "moves right", "moves up", "shrinks")
PHRASES = [f"{colour} {shape} {move}" for colour, shape, move in itertools.product(COLOURS, SHAPES, MOTIONS)]
# Each pair of a colour and a shape loses one motion, and each motion is held out for two pairs
HELD_OUT = [PHRASES[6 * i + (i + i // 6) % 6] for i in range(12)]
SEEN = [phrase for phrase in PHRASES if phrase not in HELD_OUT]


def clip(
    phrases: list[str], seed: int, *, num_frames: int = 24, size: int = 64, colours: Mapping = COLOURS
) -> np.ndarray:
    """Renders a clip of one shape, or of two side by side, as a pure function of its arguments.

    Args:
        phrases: "COLOUR SHAPE MOTION" for each shape, from left to right.
        colours: RGB values by name.

    Returns:
        uint8 (num_frames, size, size, 3), RGB.
    """
    rng = np.random.default_rng((seed, 1))  # independent of the draws of `draw`
    scale, progress = size / 64, np.linspace(-0.5, 0.5, num_frames)
    frames = np.empty((num_frames, size, size, 3), np.float32)
    frames[:] = rng.uniform(60, 140) + cv2.resize(rng.normal(scale=12, size=(5, 5, 3)), (size, size))
    width = 64 / len(phrases)  # of the part of the frame in which one shape moves
    for i, phrase in enumerate(phrases):
        colour, shape, move = phrase.split(" ", 2)
        rgb = np.asarray(colours[colour]) + rng.uniform(-15, 15, 3)
        radius = np.full(num_frames, rng.uniform(6, 8))
        x = np.full(num_frames, width * i + rng.uniform(0.45, 0.55) * width)
        y = np.full(num_frames, rng.uniform(26, 38))
        if move in ("grows", "shrinks"):
            sign = 1 if move == "grows" else -1
            radius = radius * np.exp(sign * rng.uniform(0.7, 1.1) * progress)
        elif move in ("moves left", "moves right"):
            x = x + (1 if move == "moves right" else -1) * rng.uniform(0.35, 0.5) * width * progress
        else:
            y = y + (1 if move == "moves down" else -1) * rng.uniform(16, 32) * progress
        for frame, *pose in zip(frames, x, y, radius, strict=True):
            coverage = _coverage(shape, *(scale * value for value in pose), size)[..., None]
            frame[:] = frame * (1 - coverage) + rgb * coverage
    noise = rng.normal(scale=2.0, size=(num_frames, size, size, 1))
    return np.clip(frames + noise, 0, 255).astype(np.uint8)


def _coverage(shape: str, x: float, y: float, radius: float, size: int) -> np.ndarray:
    """The fraction of each pixel that the shape covers: float32 (size, size), 0..1."""
    image = np.zeros((size, size), np.uint8)
    if shape == "circle":
        cv2.circle(image, (round(x * 16), round(y * 16)), round(radius * 16), 255, -1, cv2.LINE_AA, shift=4)
    else:
        corners = np.arange(4) / 4 + 1 / 8 if shape == "square" else np.arange(3) / 3 - 1 / 4
        turns = 2 * np.pi * corners
        points = np.stack([x + 1.2 * radius * np.cos(turns), y + 1.2 * radius * np.sin(turns)], axis=1)
        cv2.fillPoly(image, [np.round(points * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    return image.astype(np.float32) / 255


def draw(number: int, phrases: list[str]) -> list[str]:
    """Draws one or two of the phrases, for the shapes from left to right."""
    rng = np.random.default_rng(number)
    return [phrases[i] for i in rng.integers(len(phrases), size=rng.integers(1, 3))]


def render(
    directory: str | Path, *, num_videos: dict[str, int], seed: int = 0, num_workers: int = 2
) -> list[tuple[Path, str, str]]:
    """Renders `directory/SPLIT/0000.mp4`, ...; files that exist are kept.

    Args:
        num_videos: number of videos per split; "test_unseen" uses phrases of `HELD_OUT`, other splits of `SEEN`.

    Returns:
        (path, caption, split) of each file.
    """
    tasks, files = [], []
    for split, count in num_videos.items():
        for i in range(count):
            number = (1 << 97) + (seed << 64) + (zlib.crc32(split.encode()) << 32) + i
            phrases = draw(number, HELD_OUT if split == "test_unseen" else SEEN)
            path = Path(directory) / split / f"{i:04d}.mp4"
            files.append((path, ", ".join(phrases), split))
            if not path.exists():
                tasks.append((path, phrases, number))
    motion.in_parallel(_render_one, tasks, num_workers)
    return files


def _render_one(task):
    path, phrases, number = task
    video.write_video(path, clip(phrases, number), 12.0)
