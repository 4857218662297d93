"""Drawings as they arise: videos of the moving pen, and trajectories, from the recorded strokes of Omniglot.

A file holds the line START, then `x,y,t` for each point in pixels and milliseconds, with the line BREAK after each
stroke. y is 0 at the top and negative downwards. Lake et al., "Human-level concept learning through probabilistic
program induction" (Science, 2015); github.com/brendenlake/omniglot.

A frame of a pen-only video shows one blob at most, so only its order in time shows the character. In a cumulative video
the ink stays, and the last frame is the drawing.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from vidjax.data import video
from vidjax.data.synthetic import motion

SIZE = 105  # pixels, the side of the published images
LINE = 3  # pixels: overlaps best with the published images, by 0.92 (intersection over union)
BLOB = 4  # pixels, the radius of the pen in a pen-only video
FPS = 12.0


def read_strokes(path) -> list[np.ndarray]:
    """Reads the strokes of a drawing: float (points, 3) each: x and y in pixels, y downwards, and seconds.

    Time starts with the first point and never decreases: in a few published files the clock goes back by up to 30 ms.

    Args:
        path: a `Path`, or a `zipfile.Path`.

    Raises:
        ValueError: for a line that is not valid; names file and line.
    """
    lines = path.read_text(encoding="utf-8", errors="replace").rstrip().splitlines() or [""]
    if lines[0] != "START":
        raise ValueError(f"{path}, line 1: {lines[0]!r} must be START: give a file of pen strokes.")
    strokes, points = [], []
    for number, line in enumerate(lines[1:], 2):
        if line == "BREAK" and points:
            strokes.append(np.array(points))
            points = []
        elif line == "BREAK":
            raise ValueError(f"{path}, line {number}: BREAK ends a stroke without a point: remove the line.")
        else:
            points.append(_point(line, f"{path}, line {number}"))
    if points or not strokes:
        raise ValueError(f"{path}, line {len(lines)}: {lines[-1]!r} must be BREAK, the end of a stroke: is it cut off?")
    times = np.maximum.accumulate(np.concatenate(strokes)[:, 2])
    for stroke, of_stroke in zip(strokes, np.split(times, np.cumsum([*map(len, strokes)])[:-1]), strict=True):
        stroke[:, 1:] = np.stack([-stroke[:, 1], (of_stroke - times[0]) / 1000], axis=1)
    return strokes


def _point(line: str, where: str) -> list[float]:
    try:
        point = [float(cell) for cell in line.split(",")]
    except ValueError:
        point = []
    if len(point) != 3 or not all(map(math.isfinite, point)):
        raise ValueError(f"{where}: {line!r} must be BREAK or x,y,t: three numbers, pixels and milliseconds.")
    return point


def trajectory(strokes: Sequence[np.ndarray], *, real_time: bool = False) -> np.ndarray:
    """Returns a drawing as a sequence of features, float32 (points, 4), to learn from.

    The columns are x and y, -1 to 1 across the image, 1 while the pen stays down until the next point and 0 where it
    is lifted, and the time from the first point: 1 at the last point, or in seconds with `real_time`.
    """
    points = np.concatenate(strokes)
    pen = np.ones(len(points))
    pen[np.cumsum([len(stroke) for stroke in strokes]) - 1] = 0
    time = points[:, 2] if real_time else points[:, 2] / (points[-1, 2] or 1)
    return np.stack([*(2 * points[:, :2].T / SIZE - 1), pen, time], axis=1).astype(np.float32)


def clip(
    strokes: Sequence[np.ndarray], *, pen_only: bool = False, real_time: bool = False, num_frames: int = 24
) -> np.ndarray:
    """Renders a drawing as a video, black on white: uint8 (T, 105, 105, 3).

    The first frame is the first point; the last frame comes at, or with `real_time` just after, the last point.

    Args:
        pen_only: show a blob where the pen is, and nothing while it is lifted; else all ink until then.
        real_time: `FPS` frames per second of drawing, any number; else `num_frames` for all drawings.
    """
    duration = strokes[-1][-1, 2]
    times = np.arange(math.ceil(duration * FPS) + 1) / FPS if real_time else np.linspace(0, duration, num_frames)
    frames = np.full((len(times), SIZE, SIZE), 255, np.uint8)
    for frame, now in zip(frames, times, strict=True):
        for x, y, t in (stroke.T for stroke in strokes):
            if t[0] > now + 1e-6 or pen_only and t[-1] < now:
                continue
            at = np.interp(now, t, x), np.interp(now, t, y)
            if pen_only:
                cv2.circle(frame, _fixed(at), BLOB * 16, 0, cv2.FILLED, cv2.LINE_AA, shift=4)
            else:
                line = np.append(np.stack([x, y], axis=1)[t <= now], [at], axis=0)
                cv2.polylines(frame, [_fixed(line)], False, 0, LINE, shift=4)
    return np.repeat(frames[..., None], 3, axis=-1)


def _fixed(points) -> np.ndarray:
    """Returns pixels as OpenCV's fixed-point numbers, with 4 bits after the point."""
    return np.round(np.multiply(points, 16)).astype(np.int32)


def render(files: Iterable[tuple], *, pen_only: bool = False, real_time: bool = False, num_workers: int = 2):
    """Renders videos in parallel, with a progress bar; files that exist are kept.

    Args:
        files: path of the video, and path of its strokes, see `read_strokes`.
        pen_only, real_time: see `clip`.
    """
    tasks = [(path, read_strokes(source), pen_only, real_time) for path, source in files if not Path(path).exists()]
    motion.in_parallel(_render_one, tasks, num_workers)


def _render_one(task):
    path, strokes, pen_only, real_time = task
    video.write_video(path, clip(strokes, pen_only=pen_only, real_time=real_time), FPS)
