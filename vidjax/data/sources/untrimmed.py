"""Untrimmed videos: several labelled segments per video, from a table with one row per segment."""

import dataclasses
import math
from collections.abc import Callable, Sequence

from vidjax.data.sources.items import Item

BACKGROUND = "background"  # the class of frames outside all segments


def join_segments(rows: Sequence[Item], say: Callable[[str], None] = print) -> list[Item]:
    """Makes one item per video from one item per segment, in the order of the first rows of the videos.

    A row without label, start and end is a video without segments. Segments may overlap.

    Returns:
        Items with `segments` in order of time; `labels` are the classes that occur, sorted.

    Raises:
        ValueError: if a segment has no label or no end, or the rows of a video name several splits.
    """
    videos, overlaps = {}, []
    for row in rows:
        if row.labels and row.end is None:
            raise ValueError(
                f"{row.path}: the segment {row.labels[0]!r} at {row.start:g} s has no end; give start and end."
            )
        if not row.labels and row.end is not None:
            raise ValueError(f"{row.path}: the segment from {row.start:g} to {row.end:g} s has no label.")
        videos.setdefault(row.path, []).append(row)
    items = []
    for path, of_video in videos.items():
        if len(names := {row.split for row in of_video}) > 1:
            raise ValueError(f"{path} is in the splits {', '.join(sorted(names))}: give all its segments one split.")
        segments = sorted((row.start, row.end, label) for row in of_video for label in row.labels)
        labels = tuple(sorted({label for _, _, label in segments}))
        items.append(dataclasses.replace(of_video[0], labels=labels, start=0.0, end=None, segments=tuple(segments)))
        overlaps += [(path, b) for a, b in zip(segments, segments[1:], strict=False) if b[0] < a[1]]
    if overlaps:
        path, (start, _, label) = overlaps[0]
        say(
            f"note: {len(overlaps)} segments overlap the one before them, the first is {label} at {start:g} s of "
            f"{path}. A frame has the label of the segment that begins last."
        )
    if empty := sum(not item.segments for item in items):
        say(f"note: {empty} videos have no segments.")
    return items


def frame_labels(segments: Sequence[tuple[float, float, str]], num_frames: int, fps: float) -> list[str]:
    """Returns the class of each frame: of the segment that holds its middle, the last to begin, or `BACKGROUND`."""
    labels = [BACKGROUND] * num_frames
    for start, end, label in sorted(segments):
        first, last = (max(0, math.ceil(seconds * fps - 0.5)) for seconds in (start, end))
        labels[first:last] = [label] * (min(last, num_frames) - min(first, num_frames))
    return labels


def cut_segments(
    segments: Sequence[tuple[float, float, str]], seconds: float
) -> tuple[list[tuple[float, float, str]], str | None]:
    """Cuts segments that end after the video, `seconds` long, and returns a description of them, if any.

    Raises:
        ValueError: if a segment begins after the end of the video.
    """
    for start, _, label in segments:
        if start >= seconds:
            raise ValueError(f"the segment {label!r} begins at {start:g} s, but the video ends at {seconds:g} s")
    late = [segment for segment in segments if segment[1] > seconds]
    cut = [(start, min(end, seconds), label) for start, end, label in segments]
    if not late:
        return cut, None
    furthest = max(end for _, end, _ in late)
    text = f"{len(late)} segments end after the video, at up to {furthest:g} s; they were cut at {seconds:g} s"
    return cut, text
