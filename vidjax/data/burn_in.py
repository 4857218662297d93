"""A copy of a video with the labels of its segments drawn into the frames."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from vidjax.data import video
from vidjax.data.segment_files import Segment
from vidjax.progress_bar import progress_bar

FONT = cv2.FONT_HERSHEY_SIMPLEX
LARGEST_SHARE = 0.9  # of the width, for the longest label


def write(source: Path, segments: Sequence[Segment], out: Path):
    """Writes an mp4 whose frames show the labels of the segments they are in; one frame at a time in memory.

    Of a damaged file it has the frames that can be decoded.

    Raises:
        ValueError: if `source` is not a video.
    """
    bar = progress_bar(video.iterate_frames(source), f"write {out.name}", unit="frame", leave=False)
    video.write_video(out, _labelled(bar, segments), video.frame_rate(source), all_intra=False, quality=20)


def _labelled(frames: Iterator[tuple[np.ndarray, float]], segments: Sequence[Segment]) -> Iterator[np.ndarray]:
    with contextlib.suppress(video.DamagedVideo):  # raised after the last frame
        for frame, seconds in frames:
            labels = [f"{x.label} {x.score:.2f}" for x in segments if x.start <= seconds < x.end]
            yield draw(frame, labels) if labels else frame


def draw(frame: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """Returns the frame, uint8 (H, W, 3), with labels below each other, white on black, at its lower left."""
    frame = np.ascontiguousarray(frame)
    height, width = frame.shape[:2]
    scale = max(height / 400, 0.3)
    widest = max(cv2.getTextSize(label, FONT, scale, 1)[0][0] for label in labels)
    scale *= min(1, LARGEST_SHARE * width / widest)
    line, bottom = int(30 * scale) + 3, height - 4
    for label in reversed(labels):
        (text_width, text_height), _ = cv2.getTextSize(label, FONT, scale, 1)
        cv2.rectangle(frame, (2, bottom - text_height - 4), (6 + text_width, bottom + 3), (0, 0, 0), -1)
        cv2.putText(frame, label, (4, bottom), FONT, scale, (255, 255, 255), 1, cv2.LINE_AA)
        bottom -= line
    return frame
