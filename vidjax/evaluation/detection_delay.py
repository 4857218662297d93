"""The delay with which activities are detected, at a fixed rate of false alarms. NumPy only.

An alarm of a class is a run of steps whose score reaches the threshold of that class. Its threshold is set so that
false alarms have a given rate; the delay is the time from the start of a segment to the first alarm within it. The pair
is a point of the AMOC curve (activity monitoring operating characteristic): Fawcett and Provost, "Activity Monitoring:
Noticing Interesting Changes in Behavior" (KDD 1999), https://doi.org/10.1145/312129.312195; in video Hoai and De la
Torre, "Max-Margin Early Event Detectors" (CVPR 2012). They normalise both axes, by the number of sequences and by the
length of the event; here they have units, false alarms per hour and seconds.
"""

from collections.abc import Sequence

import numpy as np

from vidjax.inference.segments_from_scores import maximal_runs


def detection_delay(
    scores: Sequence[np.ndarray],
    true: Sequence[np.ndarray],
    step_seconds: float,
    rate: float,
    *,
    look_ahead: int = 0,
    labels: Sequence[str] = (),
    background: int | None = None,
) -> dict:
    """Returns the delays of the segments of several videos; a segment is a run of steps of one class.

    Args:
        scores: one float (T, K) per video, higher is more likely.
        true: one (T, K) per video, 0 and 1; a step may have several classes.
        step_seconds: time from one step to the next.
        rate: false alarms of each class per hour of video, see `threshold_for`.
        look_ahead: steps that a network waits before it gives the scores of a step; part of the delay.
        labels: names of the K classes; numbers by default.
        background: a class without alarms.

    Returns:
        found: the share of segments with an alarm. mean_delay: over the found ones, in seconds; 0 is an alarm in the
        first step. median_delay: over all segments, where a missed one is infinitely late; None if half of them are
        missed. false_alarms_per_hour: the mean over the classes. num_segments. per_class: the same for each class that
        has segments, and its threshold, infinite if every threshold gives too many false alarms.

    Raises:
        ValueError: without videos or segments, if shapes differ, or if step_seconds or rate is not positive.
    """
    shapes = [(np.shape(s), np.shape(t)) for s, t in zip(scores, true, strict=True)]
    if not shapes or any(s != t or len(s) != 2 for s, t in shapes):
        raise ValueError(f"Scores and true classes must be (T, K), the same for each video; their shapes are {shapes}.")
    if not (0 < step_seconds < np.inf and 0 < rate < np.inf):
        raise ValueError(f"step_seconds = {step_seconds} and rate = {rate} must be positive numbers.")
    hours = sum(len(s) for s in scores) * step_seconds / 3600
    per_class, all_delays = {}, []
    for k in range(shapes[0][0][1]):
        # A step of score -inf after each video keeps the runs of two videos apart
        score = np.concatenate([np.append(s[:, k].astype(float), -np.inf) for s in scores])
        active = np.concatenate([np.append(t[:, k] > 0, False) for t in true])
        segments = maximal_runs(active)
        if k == background or not len(segments):
            continue
        threshold = threshold_for(score, active, rate * hours)
        hits = [np.flatnonzero(score[start:end] >= threshold) for start, end in segments]
        delays = np.array([hit[0] + look_ahead if len(hit) else np.inf for hit in hits]) * step_seconds
        false = sum(not active[start:end].any() for start, end in maximal_runs(score >= threshold))
        per_class[labels[k] if len(labels) else k] = {"threshold": threshold, **summary(delays, false / hours)}
        all_delays.append(delays)
    if not all_delays:
        raise ValueError("The videos have no segments: give videos with labelled segments.")
    rates = [of_class["false_alarms_per_hour"] for of_class in per_class.values()]
    return {**summary(np.concatenate(all_delays), float(np.mean(rates))), "per_class": per_class}


def summary(delays: np.ndarray, false_alarms_per_hour: float) -> dict:
    """Returns the metrics of some segments from their delays (N,), infinite for missed ones."""
    found, median = np.isfinite(delays), np.sort(delays)[len(delays) // 2]  # the later one of the middle two
    return {
        "found": float(found.mean()),
        "mean_delay": float(delays[found].mean()) if found.any() else None,
        "median_delay": float(median) if np.isfinite(median) else None,
        "false_alarms_per_hour": false_alarms_per_hour,
        "num_segments": len(delays),
    }


def threshold_for(scores: np.ndarray, active: np.ndarray, allowed: float) -> float:
    """Returns the lowest threshold at which, as at every higher one, at most `allowed` alarms are false.

    A false alarm is a run of scores >= threshold that touches no active step. (A threshold far too low may have fewer
    false alarms than a higher one: its alarms last for the whole video and touch all segments.)

    Args:
        scores: float (N,); steps of -inf are never part of an alarm.
        active: bool (N,), the true steps of the class.
    """
    before = np.concatenate([[0], np.cumsum(active)])  # number of active steps before each step
    is_false = lambda start, end: int(end > start and before[end] == before[start])  # noqa: E731
    run_start, run_end = np.arange(len(scores) + 1), np.arange(len(scores) + 1)  # of the run that ends, or starts, here
    order = np.argsort(-scores, kind="stable")[: np.isfinite(scores).sum()]
    threshold, count = np.inf, 0
    for rank, step in enumerate(order):  # alarms grow step by step as the threshold falls
        start, end = run_start[step], run_end[step + 1]
        count += is_false(start, end) - is_false(start, step) - is_false(step + 1, end)
        run_end[start], run_start[end] = end, start
        if rank + 1 < len(order) and scores[order[rank + 1]] == scores[step]:
            continue
        if count > allowed:
            break
        threshold = float(scores[step])
    return threshold
