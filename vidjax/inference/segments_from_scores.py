"""Turns the class probabilities of the steps of a video into segments: smoothing, thresholds, runs, suppression.

    runs = montes_runs(probabilities, alpha=0.2, k=5)
    segments = to_segments(runs, fps=25, frames_per_step=16, labels=labels)

A step is a frame, a clip or a feature. NumPy only; probabilities are float (T, K), T steps and K classes, rows from a
softmax or a sigmoid. T = 0 gives no runs. A class that stands for "no activity" is the `background`.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from vidjax.data.segment_files import Segment


class Run(NamedTuple):
    """A stretch of steps: `start` up to, not including, `end`; the number of a class; its mean probability."""

    start: int
    end: int
    label: int
    score: float


# ---------------------------------------------------------------------------------------------------------- smoothing


def smooth(scores: np.ndarray, k: int) -> np.ndarray:
    """Averages step i over the steps [i - k, i + k), cut at both ends: float (T, ...) -> float64 (T, ...).

    The window has 2k steps, so k = 5 is a window of 10; it reaches one step further back than ahead. k = 0 changes
    nothing. Rows that sum to 1 keep their sum.

    Source: Montes et al., "Temporal Activity Detection in Untrimmed Videos with Recurrent Neural Networks" (2016).
    Their code also leaves the last step of a video out of every window. This function does not.

    Raises:
        ValueError: if k is negative.
    """
    if k < 0:
        raise ValueError(f"k = {k} is negative; give the number of steps on one side, or 0 for no smoothing.")
    return _average(scores, {shift: 1.0 for shift in range(-k, k)} or {0: 1.0})


def smooth_gaussian(scores: np.ndarray, sigma: float) -> np.ndarray:
    """Averages each step with Gaussian weights, cut at 4 sigma and at both ends: float (T, ...) -> float64 (T, ...).

    The weights of a step add up to 1, also at the ends, so that rows keep their sum.

    Args:
        sigma: standard deviation in steps; 0 changes nothing.

    Raises:
        ValueError: if sigma is negative or not finite.
    """
    if not 0 <= sigma < math.inf:
        raise ValueError(f"sigma = {sigma:g}: give a number of steps, or 0 for no smoothing.")
    reach = math.ceil(4 * sigma)
    return _average(scores, {n: math.exp(-0.5 * (n / sigma) ** 2) if n else 1.0 for n in range(-reach, reach + 1)})


def _average(scores: np.ndarray, weights: dict[int, float]) -> np.ndarray:
    """Averages each step i over the steps i + shift that exist, with a weight per shift."""
    scores = np.asarray(scores, np.float64)
    length = len(scores)
    total, sums = np.zeros_like(scores), np.zeros((length, *[1] * (scores.ndim - 1)))
    for shift, weight in weights.items():
        if abs(shift) < length:
            first, last = max(0, -shift), length - max(0, shift)
            total[first:last] += weight * scores[first + shift : last + shift]
            sums[first:last] += weight
    return total / np.where(sums, sums, 1)


# --------------------------------------------------------------------------------------------------------------- runs


def maximal_runs(active: np.ndarray) -> np.ndarray:
    """Returns the longest stretches of active steps: bool (T,) -> int (N, 2), [start, end) of each, in order."""
    steps = np.diff(np.pad(np.asarray(active, bool).astype(int), 1))
    return np.stack([np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)], axis=1)


def argmax_runs(scores: np.ndarray, background: int | None = None) -> list[Run]:
    """Returns one run per stretch of steps with the same most probable class, in order; the first class wins a tie.

    Args:
        background: class whose runs are left out.

    Raises:
        ValueError: see `_probabilities`.
    """
    scores = _probabilities(scores, background)
    if not len(scores):
        return []
    best = scores.argmax(axis=1)
    bounds = [0, *np.flatnonzero(np.diff(best)) + 1, len(best)]
    pieces = zip(bounds[:-1], bounds[1:], strict=True)
    return [_run(scores, start, end, best[start]) for start, end in pieces if best[start] != background]


def threshold_runs(scores: np.ndarray, threshold: float, background: int | None = None) -> list[Run]:
    """Returns, per class, the maximal runs of steps whose probability is at least `threshold`, ordered by start.

    Runs of different classes may overlap.

    Args:
        background: class whose runs are left out.

    Raises:
        ValueError: if the threshold is outside [0, 1]; see also `_probabilities`.
    """
    scores = _probabilities(scores, background)
    _check_threshold("threshold", threshold)
    classes = [k for k in range(scores.shape[1]) if k != background]
    return sorted(_run(scores, *ends, k) for k in classes for ends in maximal_runs(scores[:, k] >= threshold))


def video_label(scores: np.ndarray, background: int | None = 0) -> tuple[int, float]:
    """Returns the class with the highest mean probability, without the background, and its share of all such means.

    Source: Montes et al. (2016), the classification of a video.

    Raises:
        ValueError: without steps, or without a class besides the background; see also `_probabilities`.
    """
    scores = _probabilities(scores, background)
    if not len(scores):
        raise ValueError("A video without steps has no label; leave it out.")
    means = scores.mean(axis=0)
    if background is not None:
        means[background] = 0
    others = [k for k in range(len(means)) if k != background]
    if not others:
        raise ValueError("The background is the only class; give the probabilities of at least one more.")
    label = max(others, key=lambda k: means[k])
    return label, float(means[label] / max(means.sum(), np.finfo(float).tiny))


def montes_runs(scores: np.ndarray, alpha: float = 0.2, k: int = 5, background: int = 0) -> list[Run]:
    """Returns the runs of the rule of Montes et al., which gives a video one class.

    Smooth. The activity of a step is 1 - its background probability. A run is a maximal stretch of steps whose activity
    is at least alpha. All runs have the `video_label`. The score of a run is the mean probability of that label. Label
    and score are those of the smoothed probabilities, as in the authors' code.

    Args:
        alpha: in [0, 1]; 0 gives one run over all steps. The paper's best is 0.2.
        k: see `smooth`. The paper's best is 5.

    Raises:
        ValueError: if alpha is outside [0, 1]; see also `smooth`, `video_label` and `_probabilities`.

    Source: Montes et al. (2016), and github.com/imatge-upc/activitynet-2016-cvprw, src/processing.py.
    """
    smoothed = smooth(_probabilities(scores, background), k)
    _check_threshold("alpha", alpha)
    if not len(smoothed):
        return []
    label, _ = video_label(smoothed, background)
    return [_run(smoothed, *ends, label) for ends in maximal_runs(1 - smoothed[:, background] >= alpha)]


def _run(scores: np.ndarray, start: int, end: int, label: int) -> Run:
    return Run(int(start), int(end), int(label), float(scores[start:end, label].mean(dtype=np.float64)))


def _probabilities(scores: np.ndarray, background: int | None = None) -> np.ndarray:
    """Returns the probabilities (T, K) after a check of their shape and range, and of the background."""
    scores = np.asarray(scores)  # float32 stays: an hour of 400 classes has 144 MB
    if scores.ndim != 2:
        raise ValueError(f"Probabilities must have the shape (steps, classes), not {scores.shape}.")
    if background is not None and not 0 <= background < scores.shape[1]:
        raise ValueError(f"background = {background} is not one of the {scores.shape[1]} classes; count from 0.")
    if not ((scores >= 0) & (scores <= 1 + 1e-6)).all():
        raise ValueError("Probabilities must be numbers in [0, 1]; apply softmax or sigmoid to logits first.")
    return scores


def _check_threshold(name: str, value: float):
    if not 0 <= value <= 1:
        raise ValueError(f"{name} = {value:g} is outside [0, 1]; it is compared with probabilities.")


# ----------------------------------------------------------------------------------------------------------- segments


def to_segments(
    runs: Sequence[Run],
    fps: float,
    *,
    frames_per_step: float = 1,
    first_frame: float = 0,
    labels: Sequence[str] | None = None,
) -> list[Segment]:
    """Converts runs of steps to segments in seconds: step i begins at (first_frame + i * frames_per_step) / fps.

    Args:
        fps: frames per second.
        frames_per_step: from the start of a step to the start of the next, in frames.
        first_frame: frame at which step 0 begins.
        labels: names of the classes; without them, labels are numbers.

    Raises:
        ValueError: if fps or frames_per_step is not positive, or a class has no name.
    """
    for name, value in (("fps", fps), ("frames_per_step", frames_per_step)):
        if not 0 < value < math.inf:
            raise ValueError(f"{name} = {value:g} is not a positive number.")
    if labels is not None and (highest := max((run.label for run in runs), default=-1)) >= len(labels):
        raise ValueError(f"Class {highest} has no name: there are only {len(labels)} labels.")
    found = []
    for run in runs:
        start, end = ((first_frame + step * frames_per_step) / fps for step in run[:2])
        found.append(Segment(start, end, run.label if labels is None else labels[run.label], run.score))
    return found


def temporal_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of intervals [start, end]: float (..., 2) and (..., 2) -> (...); 0 for an empty union."""
    start, end = np.maximum(first[..., 0], second[..., 0]), np.minimum(first[..., 1], second[..., 1])
    inside = np.maximum(end - start, 0)
    union = first[..., 1] - first[..., 0] + second[..., 1] - second[..., 0] - inside
    return inside / np.where(union > 0, union, 1)


def suppress(segments: Sequence[Segment], threshold: float = 0.5) -> list[Segment]:
    """Non-maximum suppression: drops segments whose IoU with a better kept one of their class is >= threshold.

    Returns:
        The kept segments, best score first. Of equal scores, the first given wins.

    Raises:
        ValueError: if the threshold is not in (0, 1].
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold = {threshold:g} is outside (0, 1]; it is compared with an IoU.")
    return _suppress(segments, lambda iou: (iou < threshold).astype(float), -math.inf)


def suppress_softly(segments: Sequence[Segment], sigma: float = 0.5, min_score: float = 0.001) -> list[Segment]:
    """Soft non-maximum suppression: multiplies scores by exp(-IoU^2 / sigma) for each better segment of their class.

    Args:
        sigma: smaller is harder.
        min_score: segments whose score is, or falls, below this are dropped.

    Returns:
        The kept segments with their new scores, best score first.

    Raises:
        ValueError: if sigma is not positive, or min_score is negative.

    Source: Bodla et al., "Soft-NMS" (2017); sigma and min_score as in ActionFormer (Zhang et al., 2022), whose code
    always keeps the best segment of a class, whatever its score.
    """
    if not 0 < sigma < math.inf:
        raise ValueError(f"sigma = {sigma:g} is not a positive number.")
    if not 0 <= min_score < math.inf:
        raise ValueError(
            f"min_score = {min_score:g} is negative or not finite; give a score from which to keep segments."
        )
    return _suppress(segments, lambda iou: np.exp(-np.square(iou) / sigma), min_score)


def _suppress(segments: Sequence[Segment], weight: Callable[[np.ndarray], np.ndarray], min_score: float):
    """Takes the best segment of a class, multiplies the scores of the others by a weight, and so on; 0 drops them."""
    kept = []
    for label in dict.fromkeys(segment.label for segment in segments):
        rest = [segment for segment in segments if segment.label == label]
        ends, scores = np.array([segment[:2] for segment in rest]), np.array([segment.score for segment in rest], float)
        left = scores >= min_score
        while left.any():
            best = np.where(left, scores, -np.inf).argmax()
            kept.append(rest[best]._replace(score=float(scores[best])))
            left[best] = False
            weights = weight(temporal_iou(ends[best], ends))
            scores = np.where(left, scores * weights, scores)
            left &= (weights > 0) & (scores >= min_score)
    return sorted(kept, key=lambda segment: -segment.score)
