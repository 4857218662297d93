"""What can be had without looking at an untrimmed video, and what uncertain annotations allow at best.

    python -m vidjax.evaluation.segment_baselines data/records --folds leave_one_out [--uncertainty 3]

"durations" knows how often the classes occur in the training videos and how long they last; "cuts" also knows where the
picture changes abruptly; "uncertainty" is the truth itself with moved boundaries. Networks that do not beat the first
two have learned nothing from the pictures. Results are pooled over the test videos of all folds.
"""

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from vidjax.data import pipeline
from vidjax.data.folds import find_folds
from vidjax.data.sources.untrimmed import BACKGROUND
from vidjax.evaluation import segment_rule, segments, split_detections
from vidjax.progress_bar import progress_bar

COLUMNS = ("frame_accuracy", "edit", "f1_10", "f1_25", "f1_50")


def run_lengths(videos: Sequence[np.ndarray]) -> dict[int, list[int]]:
    """Returns the lengths of the runs of each class, in frames, from labels int (T,) per video."""
    lengths = defaultdict(list)
    for labels in videos:
        for label, start, end in zip(*segments.find_segments(labels), strict=True):
            lengths[int(label)].append(int(end - start))
    return dict(lengths)


def durations_only(lengths: dict[int, list[int]], num_frames: int) -> np.ndarray:
    """Fills a video with runs of the median length of their class, in an order that keeps the classes' frequencies.

    Each next run is of the class that is furthest behind its share of the training runs, but not of the same class
    twice in a row; if two are equally far behind, of the more frequent one.

    Args:
        lengths: see `run_lengths`, of the training videos.

    Returns:
        int (num_frames,).
    """
    total, used, labels = sum(map(len, lengths.values())), Counter(), []
    while len(labels) < num_frames:
        behind = {k: len(of) / total * (used.total() + 1) - used[k] for k, of in lengths.items()}
        last = labels[-1] if labels and len(lengths) > 1 else None
        label = max((k for k in behind if k != last), key=lambda k: (behind[k], len(lengths[k]), -k))
        labels += [label] * max(1, round(float(np.median(lengths[label]))))
        used[label] += 1
    return np.array(labels[:num_frames])


def find_cuts(changes: np.ndarray, factor: float = 8.0) -> np.ndarray:
    """Returns the frames at which the picture changes abruptly, in order.

    Args:
        changes: float (T - 1,), the difference of each frame from the one before.
        factor: a cut is a local maximum above the median by this many median absolute deviations.
    """
    middle = np.median(changes)
    limit = middle + factor * max(np.median(np.abs(changes - middle)), 1e-6)
    padded = np.pad(changes, 1, constant_values=-np.inf)
    is_peak = (changes > padded[:-2]) & (changes >= padded[2:])
    return np.flatnonzero(is_peak & (changes > limit)) + 1


def cuts_only(lengths: dict[int, list[int]], cuts: np.ndarray, num_frames: int) -> np.ndarray:
    """Gives each stretch between two cuts the class whose median length is nearest (as a ratio): int (num_frames,)."""
    medians = {k: float(np.median(of)) for k, of in lengths.items()}
    labels = np.zeros(num_frames, int)
    bounds = [0, *cuts.tolist(), num_frames]
    for start, end in zip(bounds[:-1], bounds[1:], strict=True):
        labels[start:end] = min(medians, key=lambda k: abs(np.log(max(end - start, 1) / medians[k])))
    return labels


def moved(labels: np.ndarray, frames: float, rng: np.random.Generator, *, together: bool) -> np.ndarray:
    """Moves the boundaries of the runs of a video: int (T,) -> int (T,).

    Args:
        frames: boundaries move by up to this many frames, uniformly, to either side.
        together: all by the same number, as if the clocks of video and annotation differed; else each by its own.
            Boundaries that would pass each other meet.
    """
    _, start, _ = segments.find_segments(labels)
    shift = rng.uniform(-frames, frames) if together else rng.uniform(-frames, frames, len(start) - 1)
    bounds = np.maximum.accumulate(np.clip(np.round(start[1:] + shift), 0, len(labels)).astype(int))
    return np.repeat(labels[start], np.diff(np.concatenate([[0], bounds, [len(labels)]])))


def measure(predicted: Sequence[np.ndarray], true: Sequence[np.ndarray], labels: Sequence[str]) -> dict:
    """Returns pooled segment metrics and the mean mAP at IoUs from 0.3 to 0.7, with background left out of both."""
    background = [BACKGROUND] if BACKGROUND in labels else []
    found = segments.segment_metrics(predicted, true, background, labels)
    one_hot = np.eye(len(labels))
    videos = [split_detections.Scored(one_hot[p], t) for p, t in zip(predicted, true, strict=True)]
    detections = split_detections.detection_metrics(videos, segment_rule.Rule(), labels)
    return found | {"mAP": detections.get("activitynet", {}).get("mAP")}


def read(source: pipeline.Records, with_cuts: bool) -> tuple[list[np.ndarray], list[np.ndarray] | None, list[float]]:
    """Returns the labels of the frames of each video, its cuts (None for features), and its frames per second.

    Raises:
        ValueError: for records without one label per frame.
    """
    true, cuts = [], []
    for i in progress_bar(range(len(source)), "read", unit="video"):
        example = source[i]
        if not example.frame_labels:
            raise ValueError(f"{example.media_id} has no label per frame: make the records with --untrimmed.")
        true.append(np.array(example.frame_labels))
        if with_cuts and example.images:
            small = np.stack(
                [cv2.imdecode(np.frombuffer(x, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_4) for x in example.images]
            )
            cuts.append(find_cuts(np.abs(np.diff(small.astype(np.float32), axis=0)).mean((1, 2))))
    return true, cuts or None, split_detections.steps_per_second(source)


def baselines(directory: Path, folds: str, uncertainty: float, seeds: int = 10) -> dict[str, dict]:
    """Returns the metrics of each baseline over the test videos of all folds of a dataset.

    Args:
        uncertainty: seconds by which annotations may be off; 0 leaves the ceilings out.
        seeds: draws of moved boundaries, whose metrics are averaged.

    Raises:
        ValueError: for unknown folds, records without one label per frame, or an uncertainty without times.
    """
    predicted, true, rates, labels = defaultdict(list), [], [], None
    for fold in find_folds(directory, folds):
        train = pipeline.open_records(directory, fold.train_splits)
        test = pipeline.open_records(directory, fold.test_splits)
        labels = test.info.labels
        lengths = run_lengths(read(train, with_cuts=False)[0])
        of_test, cuts, fps = read(test, with_cuts=True)
        predicted["durations"] += [durations_only(lengths, len(x)) for x in of_test]
        if cuts is not None:
            predicted["cuts"] += [cuts_only(lengths, c, len(x)) for x, c in zip(of_test, cuts, strict=True)]
        true, rates = true + of_test, rates + fps
    if uncertainty and not all(rates):
        raise ValueError(f"{directory} does not hold the times of its features: leave --uncertainty out.")
    found = {name: measure(of, true, labels) for name, of in predicted.items()}
    for name, together in (
        (("uncertainty, per video", True), ("uncertainty, per boundary", False)) if uncertainty else ()
    ):
        each = []
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            shifted = [moved(x, uncertainty * fps, rng, together=together) for x, fps in zip(true, rates, strict=True)]
            each.append(measure(shifted, true, labels))
        found[name] = {key: float(np.mean([x[key] for x in each])) for key in (*COLUMNS, "mAP", "over_segmentation")}
    return found


def table(found: dict[str, dict]) -> str:
    """Returns the metrics in percent, as Markdown."""
    columns = (*COLUMNS, "mAP")
    lines = [f"| baseline | {' | '.join(columns)} | predicted per true |", "|---" * (len(columns) + 2) + "|"]
    for name, values in found.items():
        numbers = [f"{100 * values[x]:.1f}" if values[x] is not None else "" for x in columns]
        lines.append(f"| {name} | {' | '.join(numbers)} | {values['over_segmentation']:.2f} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("records", type=Path, help="directory of records with one label per frame")
    parser.add_argument("--folds", default="leave_one_out", help="folds of dataset.json (default: %(default)s)")
    parser.add_argument("--uncertainty", type=float, default=0.0, metavar="SECONDS", help="error of the annotations")
    args = parser.parse_args()
    try:
        print(table(baselines(args.records, args.folds, args.uncertainty)))
    except (ValueError, OSError) as error:
        sys.exit(f"segment_baselines: {error}")


if __name__ == "__main__":
    main()
