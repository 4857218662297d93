"""Metrics of temporal action detection and of untrimmed video classification. NumPy only.

Two protocols for detection. Both match the detections of a class with its true segments by temporal IoU, count each
true segment once, and average the average precision (AP) over the classes:

- "activitynet": github.com/activitynet/ActivityNet, Evaluation/eval_detection.py. Each detection, by falling score,
  takes the free true segment with the highest IoU, if that is at least the threshold. AP is the area under the
  interpolated precision-recall curve. It is in use for THUMOS14, too.
- "thumos14": the benchmark's TH14evalDet_Updated.m, kept in github.com/zhengshou/scnn, experiments/THUMOS14/eval. Each
  true segment takes the free detection with the highest IoU, if that is above the threshold. AP is not interpolated.

State the protocol beside the numbers: detections that score 0.540 at an IoU of 0.1 by "thumos14" score 0.585 by
"activitynet" (TURN with S-CNN, Gao et al., 2017). Metrics are fractions in [0, 1]; papers print percentages.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

ACTIVITYNET = tuple(np.linspace(0.5, 0.95, 10))  # as the official script makes them: 0.9 is 1e-16 less
THUMOS14 = (0.3, 0.4, 0.5, 0.6, 0.7)  # 0.1 to 0.5 in older papers


class Intervals(NamedTuple):
    """N labelled intervals of one video, detected or true.

    Attributes:
        start, end: (N,), seconds.
        label: int (N,).
        score: float (N,), higher is more certain; None for true segments.
    """

    start: np.ndarray
    end: np.ndarray
    label: np.ndarray
    score: np.ndarray | None = None


NOTHING = Intervals(np.zeros(0), np.zeros(0), np.zeros(0, int), np.zeros(0))


def temporal_iou(a: Intervals, b: Intervals) -> np.ndarray:
    """The intersection over union of each interval of `a` with each of `b`, whatever their labels: float (A, B)."""
    a_start, a_end, b_start, b_end = a.start[:, None], a.end[:, None], b.start, b.end
    intersection = np.maximum(np.minimum(a_end, b_end) - np.maximum(a_start, b_start), 0)
    union = (b_end - b_start) + (a_end - a_start) - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def match_detections(iou: np.ndarray, threshold: float) -> np.ndarray:
    """Lets each detection in turn take the free true segment with the highest IoU >= threshold: ActivityNet.

    Args:
        iou: (D, Y), detections by falling score. The last of equal true segments is taken, as in the official script.

    Returns:
        bool (D,): whether a detection took a segment.
    """
    hit, free = np.zeros(len(iou), bool), np.ones(iou.shape[1], bool)
    for d in np.flatnonzero((iou >= threshold).any(axis=1)):
        candidates = np.flatnonzero(free & (iou[d] >= threshold))[::-1]
        if len(candidates):
            free[candidates[iou[d, candidates].argmax()]] = False
            hit[d] = True
    return hit


def match_truths(iou: np.ndarray, threshold: float) -> np.ndarray:
    """Lets each true segment in turn take the free detection with the highest IoU > threshold: THUMOS14.

    Args:
        iou: (D, Y), detections by falling score, true segments in the order of the annotation.

    Returns:
        bool (D,): whether a segment took the detection.
    """
    hit = np.zeros(len(iou), bool)
    for y in np.flatnonzero((iou > threshold).any(axis=0)):
        left = np.where(hit, 0, iou[:, y])
        if left.max() > threshold:
            hit[left.argmax()] = True
    return hit


def interpolated_precision(hit: np.ndarray, num_true: int) -> float:
    """Average precision in which the precision at a recall is the highest at that recall or above (VOC 2010).

    Args:
        hit: bool (D,), by falling score.
        num_true: number of true segments, at least 1.
    """
    precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
    return float((np.maximum.accumulate(precision[::-1])[::-1] * hit).sum() / num_true)


def plain_precision(hit: np.ndarray, num_true: int) -> float:
    """Average precision as the sum of the precision at each hit / num_true; arguments as `interpolated_precision`."""
    precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
    return float((precision * hit).sum() / num_true)


def later_first(scores: np.ndarray) -> np.ndarray:
    """Indices by falling score; of equal scores the later comes first, as in ActivityNet's reversed sort."""
    return np.argsort(scores, kind="stable")[::-1]


def earlier_first(scores: np.ndarray) -> np.ndarray:
    """Indices by falling score; of equal scores the earlier comes first."""
    return np.argsort(-scores, kind="stable")


class Protocol(NamedTuple):
    """How a benchmark computes average precision, and its thresholds."""

    rank: Callable
    match: Callable
    average_precision: Callable
    thresholds: tuple[float, ...]


PROTOCOLS = {
    "activitynet": Protocol(later_first, match_detections, interpolated_precision, ACTIVITYNET),
    "thumos14": Protocol(earlier_first, match_truths, plain_precision, THUMOS14),
}


def detection_metrics(
    detections: Mapping[str, Intervals],
    truth: Mapping[str, Intervals],
    *,
    protocol: str = "activitynet",
    thresholds: Sequence[float] | None = None,
    videos: Sequence[str] | None = None,
    ambiguous: Mapping[str, Intervals] | None = None,
) -> dict:
    """Mean average precision of detections in untrimmed videos.

    Args:
        detections, truth: the intervals of each video. A video may be missing in either. Equal scores are ordered by
            the names of their videos, as THUMOS14 does: results do not depend on the order of the mappings.
        protocol: "activitynet" or "thumos14".
        thresholds: temporal IoUs in (0, 1]; those of the protocol by default.
        videos: the videos that count; all by default. Test sets of THUMOS14 have 210 to 213 videos: state the number.
        ambiguous: intervals that could be any class. A detection without a match that touches one is not counted.
            THUMOS14 is evaluated with them; labels and scores are not read.

    Returns:
        mAP: the mean over thresholds; mAP_50, ...: at the IoU 0.5, ...; the mean over classes with a true segment.
        per_class: the mean over thresholds for each class up to the highest, None for a class without true segments.
        num_videos, num_segments: the numbers of videos and of true segments that count.

    Raises:
        ValueError: for an unknown protocol or video, a threshold outside (0, 1], no true segment, or invalid intervals.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"Unknown protocol {protocol!r}; choose from {', '.join(PROTOCOLS)}.")
    rule = PROTOCOLS[protocol]
    thresholds = rule.thresholds if thresholds is None else tuple(thresholds)
    if not thresholds or not all(0 < t <= 1 for t in thresholds):
        raise ValueError(f"Thresholds {list(thresholds)} are not temporal IoUs: pass numbers above 0, at most 1.")
    detections = {video: checked(x, f"Detections of {video}", scored=True) for video, x in detections.items()}
    truth = {video: checked(x, f"True segments of {video}") for video, x in truth.items()}
    ambiguous = {video: checked(x, f"Ambiguous segments of {video}") for video, x in (ambiguous or {}).items()}
    known = {*detections, *truth}
    if unknown := set(videos or ()) - known - set(ambiguous):
        raise ValueError(f"Videos without detections and annotations: {', '.join(map(str, sorted(unknown)))}.")
    counted = sorted(known if videos is None else set(videos))

    num_true = Counter(int(label) for video in counted for label in truth.get(video, NOTHING).label)
    if not num_true:
        raise ValueError("These videos have no true segments: compare the names of videos in both arguments.")
    intervals = [[side.get(video, NOTHING) for side in (detections, truth, ambiguous)] for video in counted]
    matches = match_videos(intervals, rule, thresholds)
    nothing = np.zeros(0), np.zeros((len(thresholds), 0), bool), np.zeros(0, bool)
    per_class = {}  # class -> (thresholds,)
    for label, count in num_true.items():
        scores, hits, unclear = matches.get(label, nothing)
        order = rule.rank(scores)
        hits, clear = hits[:, order], ~unclear[order]
        per_class[label] = [rule.average_precision(hit[hit | clear], count) for hit in hits]
    by_threshold = np.mean(list(per_class.values()), axis=0)
    return {
        "mAP": float(by_threshold.mean()),
        **{f"mAP_{100 * t:.4g}": float(value) for t, value in zip(thresholds, by_threshold, strict=True)},
        "per_class": [float(np.mean(per_class[k])) if k in per_class else None for k in range(max(per_class) + 1)],
        "num_videos": len(counted),
        "num_segments": num_true.total(),
    }


def match_videos(videos, rule: Protocol, thresholds: Sequence[float]) -> dict[int, tuple]:
    """Matches the detections of each class in each video.

    Args:
        videos: (detections, true segments, ambiguous segments) of each video.

    Returns:
        For each detected class: the scores (D,) of its detections in all videos, in the order of the videos; whether
        each took a true segment, bool (thresholds, D); whether each touches an ambiguous segment, bool (D,).
    """
    found = defaultdict(list)
    for detected, true, ambiguous in videos:
        for label in np.unique(detected.label):
            of_class = select(detected, detected.label == label)
            order = rule.rank(of_class.score)
            iou = temporal_iou(select(of_class, order), select(true, true.label == label))
            hits = np.zeros((len(thresholds), len(order)), bool)
            hits[:, order] = [rule.match(iou, threshold) for threshold in thresholds]
            found[int(label)].append((of_class.score, hits, (temporal_iou(of_class, ambiguous) > 0).any(axis=1)))
    return {
        label: tuple(np.concatenate(x, axis=-1) for x in zip(*parts, strict=True)) for label, parts in found.items()
    }


def select(intervals: Intervals, rows: np.ndarray) -> Intervals:
    """Returns the intervals in `rows`, a mask or indices."""
    return Intervals(*(None if x is None else x[rows] for x in intervals))


def checked(intervals: Intervals, name: str, scored: bool = False) -> Intervals:
    """Returns intervals as arrays. Raises a ValueError that begins with `name` if they are not valid."""
    if scored and intervals.score is None:
        raise ValueError(f"{name} have no scores.")
    start, end, label, score = (None if x is None else np.asarray(x) for x in intervals)
    columns = [x for x in (start, end, label, score) if x is not None]
    if len({x.shape for x in columns}) != 1 or start.ndim != 1:
        raise ValueError(f"{name} have columns of shapes {', '.join(str(x.shape) for x in columns)}: pass (N,) each.")
    if not start.size:
        return NOTHING
    if not np.issubdtype(label.dtype, np.integer) or label.min() < 0:
        raise ValueError(f"{name} have labels that are not class indices: pass integers from 0 on.")
    start, end = start.astype(float), end.astype(float)
    valid = np.isfinite(start) & np.isfinite(end) & (start <= end)
    if not valid.all():
        i = valid.argmin()
        raise ValueError(f"{name} have an interval from {start[i]} to {end[i]} s: the end must not precede the start.")
    if score is not None and np.isnan(score).any():
        raise ValueError(f"{name} have a score that is NaN.")
    return Intervals(start, end, label, None if score is None else score.astype(float))


def classification_metrics(scores: np.ndarray, target: np.ndarray, k: int = 3) -> dict:
    """Metrics of untrimmed video classification as ActivityNet computes them (Evaluation/eval_classification.py).

    Args:
        scores: float (N, K), higher is more certain; -inf for a class that was not predicted for the video.
        target: (N, K), multi-hot: the classes of a video's true segments.

    Returns:
        mAP: the mean of `interpolated_precision` over the classes that occur.
        hit_k: the share of videos with a true class among their k highest, such as hit_3. average_hit_k: the mean over
            videos of the share of true classes among their k highest. Videos without a true class are left out.
        num_videos.
        Of equal scores the later class (or video) comes first, as in the official script.

    Raises:
        ValueError: if shapes differ, a score is NaN, k is not positive or no video has a class.
    """
    scores, target = np.asarray(scores, float), np.asarray(target) > 0
    if scores.shape != target.shape or scores.ndim != 2:
        raise ValueError(f"Scores have shape {scores.shape} and targets {target.shape}: pass (N, K) for both.")
    if np.isnan(scores).any():
        raise ValueError("A score is NaN: use -inf for classes that were not predicted.")
    if k < 1:
        raise ValueError(f"k = {k} is not positive.")
    if not target.any():
        raise ValueError("No video has a true class.")
    precisions = []
    for column, relevant in zip(scores.T, target.T, strict=True):
        order = later_first(column)
        if relevant.any():
            precisions.append(interpolated_precision(relevant[order][column[order] > -np.inf], relevant.sum()))
    shares = []
    for row, relevant in zip(scores, target, strict=True):
        highest = later_first(row)[:k]
        if relevant.any():
            shares.append((relevant[highest] & (row[highest] > -np.inf)).sum() / relevant.sum())
    return {
        "mAP": float(np.mean(precisions)),
        f"hit_{k}": float(np.mean(np.ceil(shares))),
        f"average_hit_{k}": float(np.mean(shares)),
        "num_videos": len(scores),
    }
