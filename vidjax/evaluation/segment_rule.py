"""The rule that turns the scores of frames into segments, and its file segment_rule.json in the work directory.

    rule = segment_rule.read(workdir) or segment_rule.default(run.multi_label)
    segments = segment_rule.segments_of(scores, fps, rule, labels)

`vidjax evaluate --choose_rule` writes the file, see `split_detections.choose`; `detect` and `evaluate` read it.
"""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vidjax import config as configs
from vidjax.data.segment_files import Segment
from vidjax.data.sources.untrimmed import BACKGROUND
from vidjax.inference import segments_from_scores as runs

FILE = "segment_rule.json"
HOW = ("argmax", "threshold", "montes")


class Rule(NamedTuple):
    """Settings of the rule.

    Attributes:
        how: "argmax" (runs of the most probable class), "threshold" (runs of frames whose probability of a class is at
            least that; they may overlap) or "montes" (one class per video, see `segments_from_scores.montes_runs`).
        threshold: least probability of a class, or with "montes" alpha, the least probability of any activity.
        smooth: standard deviation of a Gaussian over time, or with "montes" half the window of a mean; seconds.
        min_seconds: shorter segments are left out.
    """

    how: str = "argmax"
    threshold: float = 0.5
    smooth: float = 0.0
    min_seconds: float = 0.0


# The first of equally good rules is chosen: the simplest
GRID = [
    Rule(how, threshold, smooth, min_seconds)
    for (how, thresholds), smooth, min_seconds in itertools.product(
        (("argmax", (0.5,)), ("threshold", (0.1, 0.2, 0.3, 0.5)), ("montes", (0.2, 0.5))), (0.0, 0.5, 2.0), (0.0, 1.0)
    )
    for threshold in thresholds
]


def default(multi_label: bool, of_clips: bool = False) -> Rule:
    """Returns argmax; for independent classes threshold 0.5, for a classifier of clips 0.3: it has no background."""
    if multi_label:
        return Rule("threshold", 0.5)
    return Rule("threshold", 0.3) if of_clips else Rule()


def possible(labels: Sequence[str], multi_label: bool) -> tuple[str, ...]:
    """Returns the values of `Rule.how` that go with these classes: montes needs a background."""
    if multi_label:
        return ("threshold",)
    return HOW if BACKGROUND in labels else ("argmax", "threshold")


def described(rule: Rule) -> str:
    """Describes a rule in words, such as "threshold 0.3, smoothed over 0.5 s"."""
    text = rule.how if rule.how == "argmax" else f"{rule.how} {rule.threshold:g}"
    text += f", smoothed over {rule.smooth:g} s" if rule.smooth else ""
    return text + (f", at least {rule.min_seconds:g} s" if rule.min_seconds else "")


def runs_of(scores: np.ndarray, fps: float, rule: Rule, background: int | None) -> list[runs.Run]:
    """Applies a rule to the probabilities (T, K) of the steps of a video.

    Args:
        fps: steps per second; not read by a rule without `smooth` and `min_seconds`.

    Raises:
        ValueError: for invalid probabilities.
    """
    if rule.smooth and rule.how != "montes":
        scores = runs.smooth_gaussian(scores, rule.smooth * fps)
    if rule.how == "argmax":
        found = runs.argmax_runs(scores, background)
    elif rule.how == "threshold":
        found = runs.threshold_runs(scores, rule.threshold, background)
    else:
        found = runs.montes_runs(scores, rule.threshold, round(rule.smooth * fps), background)
    least = rule.min_seconds * fps - 1e-6  # 0.1 * 30 > 3 in floating point
    return [run for run in found if run.end - run.start >= least]


def segments_of(scores: np.ndarray, fps: float, rule: Rule, labels: Sequence[str]) -> list[Segment]:
    """Returns the segments, in seconds, of a video with the probabilities (T, K) at `fps` steps per second."""
    return runs.to_segments(runs_of(scores, fps, rule, background_of(labels)), fps, labels=labels)


def background_of(labels: Sequence[str]) -> int | None:
    return labels.index(BACKGROUND) if BACKGROUND in labels else None


# ---------------------------------------------------------------------------------------------------------- the file


def write(workdir: Path, rule: Rule, **details):
    """Writes segment_rule.json; `details` say how the rule was chosen."""
    (workdir / FILE).write_text(json.dumps({**rule._asdict(), **details}, indent=2) + "\n")


def read(workdir: Path) -> Rule | None:
    """Returns the rule of a work directory, or None if none was chosen.

    Raises:
        ValueError: if the file is damaged.
    """
    if not (path := workdir / FILE).exists():
        return None
    content = configs.read_json(path, Rule._fields)
    rule = Rule(*(content[name] for name in Rule._fields))
    numbers = [isinstance(x, int | float) and x >= 0 for x in rule[1:]]
    if rule.how not in HOW or not all(numbers) or rule.threshold > 1:
        raise ValueError(f"{path} holds an invalid rule, {rule}: remove it, or choose it again.")
    return rule
