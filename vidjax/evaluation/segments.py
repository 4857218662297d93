"""Metrics of action segmentation: one label per frame, compared as segments (runs of equal labels). NumPy only.

Frame accuracy, edit score and F1 are computed as MS-TCN's evaluation does (Abu Farha and Gall, 2019;
github.com/yabufarha/ms-tcn, eval.py), which follows Lea et al. (2017, arXiv:1611.05267). They are fractions in [0, 1];
papers print percentages. The mean over splits is the plain mean of the splits' values.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

OVERLAPS = (0.1, 0.25, 0.5)  # F1@10, F1@25, F1@50


class Segments(NamedTuple):
    """The S segments of a video in the order of time.

    Attributes:
        label, start, end: int (S,); a segment is the frames start, ..., end - 1.
    """

    label: np.ndarray
    start: np.ndarray
    end: np.ndarray


def find_segments(labels: np.ndarray, background: Sequence[int] = ()) -> Segments:
    """Returns the maximal runs of equal labels in int (T,), without those of the classes in `background`.

    Two runs of one class stay two segments if only background lies between them.
    """
    labels = np.asarray(labels)
    changes = np.flatnonzero(labels[1:] != labels[:-1]) + 1
    start = np.concatenate([[0], changes])[: len(labels)].astype(int)  # no segment without frames
    end = np.append(start[1:], len(labels))[: len(start)]
    kept = ~np.isin(labels[start], list(background))
    return Segments(labels[start][kept], start[kept], end[kept])


def edit_distance(a: np.ndarray, b: np.ndarray) -> int:
    """The Levenshtein distance of two label sequences (M,), (N,): insertions, deletions and substitutions cost 1."""
    positions = np.arange(len(b) + 1)
    row = positions  # distances of a[:i] to b[:0], b[:1], ..., b[:N]
    for i, label in enumerate(a, start=1):
        no_insertion = np.append(i, np.minimum(row[1:] + 1, row[:-1] + (b != label)))
        row = np.minimum.accumulate(no_insertion - positions) + positions
    return int(row[-1])


def edit_score(predicted: Segments, true: Segments) -> float:
    """1 - edit distance / number of segments of the longer sequence; 1 if neither has a segment.

    The official script divides by zero in that last case.
    """
    longest = max(len(predicted.label), len(true.label))
    return 1 - edit_distance(predicted.label, true.label) / longest if longest else 1.0


def count_matches(predicted: Segments, true: Segments, overlap: float) -> np.ndarray:
    """Counts the true positives, false positives and false negatives of one video: int (3,).

    Each predicted segment points at the true segment of its class with the highest IoU, the first of equals. It is a
    true positive if that IoU is at least `overlap` and no earlier prediction hit the same segment. A prediction whose
    best segment is already hit does not try its second best, unlike in `detection`.

    Without true segments, all predictions are false positives (the official script stops with an error).
    """
    num_predicted, num_true = len(predicted.label), len(true.label)
    if not num_predicted or not num_true:
        return np.array([0, num_predicted, num_true])
    start, end, label = (np.asarray(x)[:, None] for x in (predicted.start, predicted.end, predicted.label))
    intersection = np.minimum(end, true.end) - np.maximum(start, true.start)  # (P, Y), negative if disjoint
    union = np.maximum(end, true.end) - np.minimum(start, true.start)
    iou = intersection / union * (label == true.label)
    hit = np.unique(iou.argmax(axis=1)[iou.max(axis=1) >= overlap])
    return np.array([len(hit), num_predicted - len(hit), num_true - len(hit)])


def segment_metrics(
    predicted: Sequence[np.ndarray],
    true: Sequence[np.ndarray],
    background: Sequence[int | str] = (),
    labels: Sequence[str] = (),
) -> dict:
    """Metrics of the per-frame labels of several videos.

    Args:
        predicted, true: one int (T,) per video. A video without frames has no segments.
        background: classes whose segments are dropped on both sides, as indices or as names in `labels`. Which classes
            an author drops moves F1 by several points: state it beside the numbers.
        labels: class names; needed if `background` has names.

    Returns:
        frame_accuracy: over all frames, background included; None without frames.
        edit: the mean over videos of `edit_score`.
        f1_10, f1_25, f1_50: F1 of segments at an IoU of 0.1, 0.25 and 0.5, from counts summed over all videos; 0 if
            nothing was hit.
        over_segmentation: the number of predicted segments per true segment; None without true segments.
        frame_accuracy_foreground: over frames whose true class is not background; only if `background` is given.
        num_videos.

    Raises:
        ValueError: without videos, if numbers of videos or frames differ, labels are not integers (T,), or a
            background class is unknown.
    """
    predicted, true = check_videos(predicted, true)
    background = class_indices(background, labels)
    segments = [
        (find_segments(p, background), find_segments(t, background)) for p, t in zip(predicted, true, strict=True)
    ]
    right, target = (np.concatenate(x) for x in ([p == t for p, t in zip(predicted, true, strict=True)], true))
    num_predicted, num_true = (sum(len(x.label) for x in side) for side in zip(*segments, strict=True))
    result = {
        "frame_accuracy": float(right.mean()) if len(right) else None,
        "edit": float(np.mean([edit_score(p, t) for p, t in segments])),
        **{f"f1_{round(100 * overlap)}": f1(segments, overlap) for overlap in OVERLAPS},
        "over_segmentation": num_predicted / num_true if num_true else None,
        "num_videos": len(true),
    }
    if background:
        foreground = ~np.isin(target, background)
        result["frame_accuracy_foreground"] = float(right[foreground].mean()) if foreground.any() else None
    return result


def f1(segments: Sequence[tuple[Segments, Segments]], overlap: float) -> float:
    """F1 of (predicted, true) segments of several videos, from their summed counts; 0 if nothing was hit."""
    hits, false_positives, misses = sum(count_matches(p, t, overlap) for p, t in segments)
    return float(2 * hits / (2 * hits + false_positives + misses)) if hits else 0.0


def mean_over_videos(
    predicted: Sequence[np.ndarray],
    true: Sequence[np.ndarray],
    background: Sequence[int | str] = (),
    labels: Sequence[str] = (),
) -> dict:
    """The mean over videos of `segment_metrics` of each video, where it is defined; arguments and errors are the same.

    Lea et al. (2017) report frame accuracy and F1 in this way (github.com/colincsl/TemporalConvolutionalNetworks,
    metrics.py); later papers pool the frames and segments of a split.
    """
    predicted, true = check_videos(predicted, true)
    each = [segment_metrics([p], [t], background, labels) for p, t in zip(predicted, true, strict=True)]
    result = {}
    for key in each[0]:
        values = [video[key] for video in each if video[key] is not None]
        result[key] = float(np.mean(values)) if values else None
    return {**result, "num_videos": len(true)}


def conventions(
    predicted: Sequence[np.ndarray],
    true: Sequence[np.ndarray],
    background: Sequence[int | str] = (),
    labels: Sequence[str] = (),
) -> dict[str, dict]:
    """The metrics under each convention in use; arguments and errors are those of `segment_metrics`.

    Returns:
        `pooled` (MS-TCN and later papers) and `mean_over_videos` (Lea et al.), both with background; and if
        `background` is given, `pooled_without_background` and `mean_over_videos_without_background`.
    """
    found = {}
    for name, measure in (("pooled", segment_metrics), ("mean_over_videos", mean_over_videos)):
        found[name] = measure(predicted, true)
        if background:
            found[f"{name}_without_background"] = measure(predicted, true, background, labels)
    return found


def class_indices(classes: Sequence[int | str], labels: Sequence[str] = ()) -> list[int]:
    """Returns the indices of classes that are given as indices or as names in `labels`."""
    if isinstance(classes, str | int):
        raise ValueError(f"background = {classes!r} is not a sequence: write [{classes!r}].")
    if unknown := [x for x in classes if isinstance(x, str) and x not in labels]:
        known = f"choose from {', '.join(labels)}" if len(labels) else "pass the class names as labels, or use indices"
        raise ValueError(f"Unknown background classes {', '.join(unknown)}: {known}.")
    return [list(labels).index(x) if isinstance(x, str) else int(x) for x in classes]


def check_videos(predicted, true) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Returns both lists as integer arrays. Raises a ValueError if they do not fit each other."""
    if len(predicted) != len(true) or not len(true):
        raise ValueError(
            f"There are {len(predicted)} predicted and {len(true)} true videos: pass one of each, or more."
        )
    predicted, true = ([np.asarray(labels) for labels in side] for side in (predicted, true))
    for i, (p, t) in enumerate(zip(predicted, true, strict=True)):
        if p.shape != t.shape or t.ndim != 1:
            raise ValueError(f"Video {i} has labels of shapes {p.shape} (predicted) and {t.shape} (true): pass (T,).")
        if t.size and not all(np.issubdtype(x.dtype, np.integer) for x in (p, t)):
            raise ValueError(f"Video {i} has labels of types {p.dtype} and {t.dtype}: pass integers.")
    return predicted, true
