"""How the accuracy of a network depends on a level of difficulty: a curve with intervals, and what is seen (NumPy).

The level is part of the path of each test video, see `render.level_of`, so that one run gives a whole curve.
"""

from collections.abc import Sequence

import numpy as np

from vidjax import metrics
from vidjax.data.synthetic.sight.render import level_of

THRESHOLD = 0.75  # accuracy at which a level counts as seen
RESAMPLES = 1000

Range = tuple[float, float] | None


def profile_of(runs: Sequence[Sequence[dict]]) -> dict:
    """Returns the profile of runs that differ in their seed, from the rows of their `predictions.csv`.

    Returns:
        `chance`: one over the number of true classes; `levels`: dicts of level, videos, accuracy (the mean over runs)
        and its 95 % interval for the number of videos (low, high; Wilson), in rising order; `mean`: of the accuracies;
        `seen`: see `seen_range`, None if nothing is seen; `seen_intervals`: see `bootstrap`, None like `seen`.

    Raises:
        ValueError: if a video has no level, or there is none.
    """
    right, classes = {}, set()
    for rows in runs:
        for row in rows:
            if (level := level_of(row["video"])) is None:
                raise ValueError(f"{row['video']} names no level; make records of sight_DIAL.")
            right.setdefault(level, []).append(row["true"] == row["predicted"])
            classes.add(row["true"])
    if not right:
        raise ValueError("No predictions: a profile needs the predictions.csv of a run.")
    levels = np.array(sorted(right))
    counts = np.array([len(right[level]) // len(runs) for level in levels])
    accuracies = np.array([np.mean(right[level]) for level in levels])
    curve = []
    for level, count, accuracy in zip(levels.tolist(), counts.tolist(), accuracies.tolist(), strict=True):
        low, high = metrics.wilson_interval(accuracy * count, count)
        curve.append({"level": level, "videos": count, "accuracy": accuracy, "low": low, "high": high})
    seen = seen_range(levels, accuracies)
    intervals = bootstrap(levels, accuracies, counts) if seen else None
    found = {"chance": 1 / len(classes), "levels": curve, "mean": float(accuracies.mean())}
    return found | {"seen": seen, "seen_intervals": intervals}


def seen_range(levels: np.ndarray, accuracies: np.ndarray, threshold: float = THRESHOLD) -> Range:
    """Returns the range of levels around the best one in which the accuracy reaches the threshold; None if none does.

    An end between two levels is interpolated: the accuracy is linear in the logarithm of the level, or in the level if
    one of the two is 0.

    Args:
        levels: rising, (L,); accuracies: (L,).
    """
    best = int(np.argmax(accuracies))
    if accuracies[best] < threshold:
        return None
    ends = []
    for step in (-1, 1):
        i = best
        while 0 <= i + step < len(levels) and accuracies[i + step] >= threshold:
            i += step
        ends.append(float(levels[i]))
        if 0 <= i + step < len(levels):
            share = (accuracies[i] - threshold) / (accuracies[i] - accuracies[i + step])
            ends[-1] = _between(float(levels[i]), float(levels[i + step]), float(share))
    return ends[0], ends[1]


def _between(a: float, b: float, share: float) -> float:
    return a * (b / a) ** share if a and b else a + (b - a) * share


def bootstrap(
    levels: np.ndarray, accuracies: np.ndarray, counts: np.ndarray, seed: int = 0
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Returns the 95 % intervals of both ends of `seen_range`, over resampled videos of each level.

    Resamples in which nothing is seen are left out.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.binomial(counts, accuracies, size=(RESAMPLES, len(counts))) / counts
    ranges = [found for sample in drawn if (found := seen_range(levels, sample))]
    low, high = np.percentile(np.array(ranges), (2.5, 97.5), axis=0).T.tolist()
    return tuple(low), tuple(high)


def range_text(profile: dict, intervals: bool = True) -> str:
    """Says which levels are seen: `>= 12.3 [10.1, 14.0]`, `<= 8`, `0.4 to 6`, `all`, or `none (mean 31 %)`."""
    levels, seen = [x["level"] for x in profile["levels"]], profile["seen"]
    if not seen:
        return f"none (mean {100 * profile['mean']:.0f} %)"  # the best of several levels would flatter chance
    ends = [f"{x:.3g}" for x in seen]
    if intervals:
        ends = [f"{x} [{a:.3g}, {b:.3g}]" for x, (a, b) in zip(ends, profile["seen_intervals"], strict=True)]
    from_first, to_last = seen[0] <= levels[0], seen[1] >= levels[-1]
    if from_first and to_last:
        return "all"
    return f"<= {ends[1]}" if from_first else f">= {ends[0]}" if to_last else f"{ends[0]} to {ends[1]}"
