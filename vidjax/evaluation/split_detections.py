"""Detections of networks that label frames: the metrics of a split, and the choice of the rule that gives them.

    videos = [Scored(probabilities, classes, fps), ...]
    rule, tried = choose(videos, labels)           # on validation videos
    metrics = detection_metrics(videos, rule, labels)

NumPy only, but for `steps_per_second`, which reads records.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vidjax.data import pipeline
from vidjax.evaluation import detection, segment_rule
from vidjax.evaluation.segment_rule import Rule
from vidjax.inference import segments_from_scores

OVERLAPS = (0.3, 0.4, 0.5, 0.6, 0.7)  # temporal IoUs; a rule is chosen by the mean


class Scored(NamedTuple):
    """The steps of one video that count.

    Attributes:
        scores: probabilities, float (T, K).
        target: classes int (T,), or multi-hot (T, K).
        fps: steps per second; 0 if it is unknown.
    """

    scores: np.ndarray
    target: np.ndarray
    fps: float = 0.0


def detection_metrics(videos: Sequence[Scored], rule: Rule, labels: Sequence[str]) -> dict:
    """Returns the metrics of the detections that a rule gives.

    The true segments are the runs of a class in the targets. Times are in steps, so that each IoU is exact.

    Returns:
        rule: its settings. If a video has an activity also:
        activitynet, thumos14: `detection.detection_metrics` of each protocol at `OVERLAPS`.
        video: `detection.classification_metrics` of the classes of whole videos. Scores are means over the steps; those
            of exclusive classes are divided by their sum without the background, as in Montes et al. (2016).

    Raises:
        ValueError: if the rule is in seconds, and a video has no steps per second; see also `segment_rule.runs_of`.
    """
    if (rule.smooth or rule.min_seconds) and not all(video.fps for video in videos):
        raise ValueError(
            f"The rule ({segment_rule.described(rule)}) is in seconds, but these records do not hold the times of "
            f"their features: make the features again, or remove {segment_rule.FILE}."
        )
    background, num_classes = segment_rule.background_of(labels), len(labels)
    classes = [k for k in range(num_classes) if k != background]
    found, truth, means, present = {}, {}, [], []
    for number, video in enumerate(video for video in videos if len(video.scores)):
        name = f"{number:09}"  # equal scores are ordered by name
        target = np.eye(num_classes)[video.target] if video.target.ndim == 1 else video.target
        found[name] = intervals(segment_rule.runs_of(video.scores, video.fps, rule, background))
        truth[name] = intervals(segments_from_scores.threshold_runs(target, 1.0, background))
        mean = video.scores[:, classes].mean(axis=0)
        means.append(mean / max(mean.sum(), 1e-30) if video.target.ndim == 1 else mean)
        present.append(target[:, classes].any(axis=0))
    if not np.any(present):
        return {"rule": rule._asdict()}
    by_protocol = {
        name: detection.detection_metrics(found, truth, protocol=name, thresholds=OVERLAPS)
        for name in ("activitynet", "thumos14")
    }
    return {"rule": rule._asdict(), **by_protocol, "video": detection.classification_metrics(means, present)}


def intervals(found: Sequence[segments_from_scores.Run]) -> detection.Intervals:
    """Returns runs of steps as intervals."""
    if not found:
        return detection.NOTHING
    start, end, label, score = map(np.array, zip(*found, strict=True))
    return detection.Intervals(start, end, label, score)


def steps_per_second(source: pipeline.Records, frame_stride: int = 1) -> list[float]:
    """Returns the frames or features per second that a network sees of each record; 0 where they are unknown."""
    found, prefix = [], source.info.inputs.get("prefix")
    for number in range(len(source)):
        example = source[number]
        times = example.feature_times.get(prefix, ())
        if prefix is None:
            found.append(example.fps / frame_stride)
        else:
            found.append((len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0)
    return found


# --------------------------------------------------------------------------------------------------------- the choice


def splits_to_choose_on(workdir: Path, config, named: Sequence[str] | None) -> list[str]:
    """Returns the splits on which a rule may be chosen: `named`, or the run's validation splits.

    Raises:
        ValueError: for a test split, if there is none, or if the run does not label frames.
    """
    if config.get("target") != "frame":
        raise ValueError(f"{workdir} does not label frames (config.target = 'frame'), so it has no rule to choose.")
    splits = list(named or config.val_splits)
    if tested := sorted({*splits} & {*config.test_splits}):
        raise ValueError(f"{', '.join(tested)} is tested by {workdir}: choose the rule on splits that are not.")
    if not splits:
        raise ValueError(
            f"{workdir} has no validation splits: name splits to choose the rule on, --splits NAME. Those that it was "
            f"trained on ({', '.join(config.train_splits)}) are allowed, but their scores are too certain."
        )
    return splits


def choose(
    videos: Sequence[Scored], labels: Sequence[str], grid: Iterable[Rule] = segment_rule.GRID
) -> tuple[Rule, list[tuple[Rule, float]]]:
    """Returns the rule with the highest mAP (ActivityNet's protocol, mean over `OVERLAPS`), and the mAP of each rule.

    Rules that these videos cannot have are left out: argmax and montes if a frame may have several classes, montes
    without a background, and rules in seconds if the times of steps are unknown.

    Raises:
        ValueError: if no video has an activity.
    """
    possible = segment_rule.possible(labels, multi_label=videos[0].target.ndim == 2)
    timed, tried = all(video.fps for video in videos), []
    for rule in grid:
        if rule.how in possible and (timed or not (rule.smooth or rule.min_seconds)):
            found = detection_metrics(videos, rule, labels)
            if "activitynet" not in found:
                raise ValueError("These videos have no segments to choose a rule by: name other splits, --splits NAME.")
            tried.append((rule, found["activitynet"]["mAP"]))
    return max(tried, key=lambda pair: pair[1])[0], tried
