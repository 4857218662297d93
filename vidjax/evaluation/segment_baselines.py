"""What can be had without looking at untrimmed videos, and what uncertain annotations allow at best. NumPy only.

    python -m vidjax.evaluation.segment_baselines data/records --folds leave_one_out [--uncertainty 3]

- "durations" knows how often the classes occur in the training videos, and how long they last.
- "cuts" knows when the picture of the test video changes as a whole, by a cut or a fade, and what lies between two such
  changes in the training videos.
- "moved together", "moved apart": the truth itself with its boundaries moved by up to --uncertainty seconds.

A network that does not beat the first two has learned nothing about the activities; none can be shown to beat the last.
Each number is the mean over the folds, weighted by their test videos, of `segments.segment_metrics` without background
(`segments.pooled_without_background` in result.json), and mAP of ActivityNet's protocol at IoUs of 0.3 to 0.7
(`detection.activitynet.mAP`). Networks on features are measured at the steps of the features, these at frames.
"""

import argparse
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vidjax.data import augment, clips, pipeline, records
from vidjax.data.folds import find_folds
from vidjax.data.sources.untrimmed import BACKGROUND
from vidjax.evaluation import segment_rule, segments, split_detections
from vidjax.progress_bar import progress_bar

SHOWN = ("frame_accuracy", "edit", "f1_10", "f1_25", "f1_50", "mAP", "over_segmentation")
SIZE = 32  # side of the pictures that are compared, pixels
LAG = 0.5  # seconds between them: a fade of a second differs from its surroundings like a cut
FACTORS = (1.2, 1.5, 2.0, 2.5, 3.0, 5.0, 8.0)  # of the median change; the best on the training videos is a cut


class Video(NamedTuple):
    """Class of each frame, int (T,), frames per second, and `changes_of` the video, float (T,) or None."""

    labels: np.ndarray
    fps: float
    changes: np.ndarray | None = None


def run_seconds(videos: Sequence[Video]) -> dict[int, list[float]]:
    """Returns the seconds of the runs of each class, background included."""
    seconds = defaultdict(list)
    for video in videos:
        for label, start, end in zip(*segments.find_segments(video.labels), strict=True):
            seconds[int(label)].append((end - start) / video.fps)
    return dict(seconds)


def durations_only(seconds: Mapping[int, Sequence[float]], num_frames: int, fps: float) -> np.ndarray:
    """Fills a video with runs of the median duration of their class, in an order that keeps the classes' frequencies.

    Each next run is of the class that is furthest behind its share of the training runs, but not of the same class
    twice in a row; if two are equally far behind, of the more frequent one, then of the first. The last run is cut.

    Args:
        seconds: see `run_seconds`, of the training videos.

    Returns:
        int (num_frames,).
    """
    total, used, last, labels = sum(map(len, seconds.values())), Counter(), None, []
    while len(labels) < num_frames:
        behind = {k: len(of) / total * (used.total() + 1) - used[k] for k, of in seconds.items()}
        allowed = [k for k in behind if k != last] or [last]
        last = max(allowed, key=lambda k: (behind[k], len(seconds[k]), -k))
        labels += [last] * max(1, round(float(np.median(seconds[last])) * fps))
        used[last] += 1
    return np.array(labels[:num_frames])


def find_cuts(changes: np.ndarray, fps: float, factor: float) -> np.ndarray:
    """Returns the frames that begin after a cut or the middle of a fade, in order.

    They are the highest within `LAG` to either side, and above the median of the video by that factor.
    """
    reach = max(1, round(LAG * fps))
    around = np.lib.stride_tricks.sliding_window_view(np.pad(changes, reach, constant_values=-1), 2 * reach + 1)
    is_first = around[:, :reach].max(axis=1) < changes  # of equal ones
    is_cut = is_first & (around.max(axis=1) == changes) & (changes > factor * np.median(changes))
    return np.flatnonzero(is_cut[1:]) + 1


class Between(NamedTuple):
    """Stretches between two cuts that hold one class, in the training videos: how many, how long, and where it lies.

    Attributes:
        count: number of stretches.
        mean, deviation: of the logarithm of their seconds.
        start, end: median bounds of the class within the stretch, as shares of it; the rest is background.
    """

    count: int
    mean: float
    deviation: float
    start: float
    end: float


def stretches(cuts: np.ndarray, num_frames: int) -> list[tuple[int, int]]:
    """Returns the first frame of each stretch between cuts, and the one after its last."""
    return list(zip([0, *cuts.tolist()], [*cuts.tolist(), num_frames], strict=True))


def learn_cuts(videos: Sequence[Video], factor: float, background: int | None) -> dict[int, Between]:
    """Returns what lies between the cuts of the training videos, by class.

    A stretch holds the class with the most frames; those of the background count half.
    """
    found = defaultdict(list)
    for video in videos:
        for start, end in stretches(find_cuts(video.changes, video.fps, factor), len(video.labels)):
            frames = np.bincount(video.labels[start:end]).astype(float)
            if background is not None:
                frames[background : background + 1] /= 2
            label = frames.argmax()
            inside, length = np.flatnonzero(video.labels[start:end] == label), end - start
            found[int(label)].append((math.log(length / video.fps), inside[0] / length, (inside[-1] + 1) / length))
    learned = {}
    for label, rows in found.items():
        log, start, end = np.array(rows).T
        deviation = max(float(log.std()), 0.2)  # few stretches may be equal by chance
        learned[label] = Between(len(log), float(log.mean()), deviation, float(np.median(start)), float(np.median(end)))
    return learned


def cuts_only(
    learned: Mapping[int, Between], cuts: np.ndarray, num_frames: int, fps: float, background: int | None
) -> np.ndarray:
    """Gives each stretch between two cuts the most probable class for its duration: int (num_frames,).

    The probability is that of a normal distribution of the logarithm, times the frequency of the class. A stretch is
    background only if that is more probable than all activities together.

    Args:
        background: the class outside the usual bounds within a stretch; None labels the whole stretch.
    """
    labels = np.zeros(num_frames, int)
    for start, end in stretches(cuts, num_frames):
        seconds = math.log((end - start) / fps)
        likely = {
            k: of.count / of.deviation * math.exp(-0.5 * ((seconds - of.mean) / of.deviation) ** 2)
            for k, of in learned.items()
        }
        activities = {k: value for k, value in likely.items() if k != background}
        is_activity = activities and sum(activities.values()) >= likely.get(background, 0)
        label = max(activities, key=activities.get) if is_activity else background
        labels[start:end] = label
        if background is not None:
            first, last = (start + round(x * (end - start)) for x in learned[label][3:])
            labels[start:first] = labels[last:end] = background
    return labels


def moved(labels: np.ndarray, frames: float, rng: np.random.Generator, *, together: bool) -> np.ndarray:
    """Moves the boundaries of the runs of a video: int (T,) -> int (T,).

    Args:
        frames: boundaries move by up to this many frames, uniformly, to either side.
        together: all by the same number, as if the clocks of video and annotation differed; else each by its own.
            Boundaries that would pass each other meet.
    """
    _, start, _ = segments.find_segments(labels)
    shift = rng.uniform(-frames, frames, None if together else len(start) - 1)
    bounds = np.maximum.accumulate(np.clip(np.round(start[1:] + shift), 0, len(labels)).astype(int))
    return np.repeat(labels[start], np.diff([0, *bounds, len(labels)]))


def measure(predicted: Sequence[np.ndarray], true: Sequence[np.ndarray], labels: Sequence[str]) -> dict:
    """Returns segment metrics without background, and mAP at IoUs of 0.3 to 0.7; None where one is not defined."""
    found = segments.segment_metrics(predicted, true, [BACKGROUND] if BACKGROUND in labels else [], labels)
    one_hot = np.eye(len(labels))
    scored = [split_detections.Scored(one_hot[p], t) for p, t in zip(predicted, true, strict=True)]
    detections = split_detections.detection_metrics(scored, segment_rule.Rule(), labels)
    return found | {"mAP": detections.get("activitynet", {}).get("mAP")}


def uncertainty_ceiling(
    true: Sequence[Video], seconds: float, labels: Sequence[str], *, together: bool, num_seeds: int = 10
) -> dict:
    """Returns the metrics of the truth with moved boundaries, see `moved`: the mean over seeds."""
    each = []
    for seed in range(num_seeds):
        rng = np.random.default_rng(seed)
        shifted = [moved(x.labels, seconds * x.fps, rng, together=together) for x in true]
        each.append(measure(shifted, [x.labels for x in true], labels))
    return mean_of(each, [1] * num_seeds)


def mean_of(results: Sequence[Mapping], weights: Sequence[float]) -> dict:
    """Returns the weighted mean of each metric over the results in which it is defined."""
    means = {}
    for name in SHOWN:
        defined = [(of[name], weight) for of, weight in zip(results, weights, strict=True) if of[name] is not None]
        total = sum(weight for _, weight in defined)
        means[name] = sum(value * weight for value, weight in defined) / total if defined else None
    return means


def of_fold(train: Sequence[Video], test: Sequence[Video], labels: Sequence[str], uncertainty: float) -> dict:
    """Returns the metrics of each baseline on the test videos of a fold; cuts only if all videos have pictures."""
    true, background = [x.labels for x in test], segment_rule.background_of(labels)
    seconds = run_seconds(train)
    found = {"durations": measure([durations_only(seconds, len(x.labels), x.fps) for x in test], true, labels)}
    if all(x.changes is not None for x in (*train, *test)):

        def predict(videos, factor):
            learned = learn_cuts(train, factor, background)
            cuts = [find_cuts(x.changes, x.fps, factor) for x in videos]
            return [cuts_only(learned, c, len(x.labels), x.fps, background) for x, c in zip(videos, cuts, strict=True)]

        known = [x.labels for x in train]
        on_train = {factor: measure(predict(train, factor), known, labels)["f1_25"] for factor in FACTORS}
        found["cuts"] = measure(predict(test, max(on_train, key=on_train.get)), true, labels)
    if uncertainty:
        found["moved together"] = uncertainty_ceiling(test, uncertainty, labels, together=True)
        found["moved apart"] = uncertainty_ceiling(test, uncertainty, labels, together=False)
    return found


def changes_of(example: records.Example) -> np.ndarray | None:
    """Returns the mean difference of grey pictures `LAG` seconds apart around each frame, float (T,), in levels.

    It is averaged over `LAG` seconds, so that it is highest at a cut. None for records of features.
    """
    if not example.images:
        return None
    frame_at = clips.decoder(example)
    small = [augment.resize(frame_at(i), SIZE, SIZE).mean(-1) for i in range(len(example.images))]
    small, lag = np.array(small, np.float32), max(1, round(LAG * example.fps))
    padded = np.pad(small, ((lag - lag // 2, lag // 2), (0, 0), (0, 0)), "edge")
    changes = np.abs(padded[lag:] - padded[:-lag]).mean((1, 2))
    return np.convolve(np.pad(changes, (lag // 2, lag - 1 - lag // 2), "edge"), np.full(lag, 1 / lag), "valid")


def read(source: pipeline.Records) -> list[Video]:
    """Reads the videos of some splits. Raises a ValueError if they have no label per frame, or no frame rate."""
    found, rates = [], split_detections.steps_per_second(source)
    for number, fps in enumerate(rates):
        example = source[number]
        if not example.frame_labels or not fps:
            raise ValueError(
                f"{example.media_id} has no label per frame or no times: make the records with --untrimmed, and "
                "features of them again."
            )
        found.append(Video(np.array(example.frame_labels), fps, changes_of(example)))
    return found


def of_records(directory: Path, folds: str, uncertainty: float = 0.0) -> dict[str, dict]:
    """Returns the metrics of each baseline, see the top of this file; without uncertainty not those of the moved truth.

    Raises:
        ValueError: for unknown folds, or records without one label per frame.
    """
    of_folds = find_folds(directory, folds)
    names = dict.fromkeys(name for fold in of_folds for split in fold for name in split)
    splits = progress_bar(names, "read", unit="split")
    videos = {name: read(pipeline.open_records(directory, [name])) for name in splits}
    labels = pipeline.open_records(directory, [*names]).info.labels
    results, weights = [], []
    for fold in of_folds:
        train, test = ([x for name in split for x in videos[name]] for split in fold)
        results.append(of_fold(train, test, labels, uncertainty))
        weights.append(len(test))
    return {name: mean_of([of[name] for of in results], weights) for name in results[0]}


def table(found: Mapping[str, Mapping]) -> str:
    """Returns the metrics, in percent but for the number of predicted segments per true one, as Markdown."""
    lines = [f"| baseline | {' | '.join(SHOWN)} |", "|---" * (len(SHOWN) + 1) + "|"]
    for name, values in found.items():
        cells = ["-" if values[x] is None else f"{100 * values[x]:.1f}" for x in SHOWN[:-1]]
        lines.append(f"| {name} | {' | '.join(cells)} | {values['over_segmentation'] or 0:.2f} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("records", type=Path, help="directory of records with one label per frame")
    add("--folds", default="leave_one_out", metavar="NAME", help="folds in dataset.json (default leave_one_out)")
    add("--uncertainty", type=float, default=0.0, metavar="SECONDS", help="by which annotations may be off")
    args = parser.parse_args(argv)
    try:
        if args.uncertainty < 0:
            raise ValueError(f"--uncertainty {args.uncertainty:g} is negative: give seconds.")
        print(table(of_records(args.records, args.folds, args.uncertainty)))
    except (ValueError, OSError) as error:
        sys.exit(f"vidjax.evaluation.segment_baselines: {error}")


if __name__ == "__main__":
    main()
