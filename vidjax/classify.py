"""The classic baseline: one descriptor a video, and a linear classifier of them (scikit-learn).

    python -m vidjax.classify data/ut_interaction_i3d --pool max --folds ut_interaction_i3d:set1 [--out FIGURES.json]

The records are those that `vidjax.features` stored.
"""

import argparse
import csv
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from vidjax import config as configs
from vidjax import ensemble, figures, metrics
from vidjax.data import feature_clips, pipeline, records, targets
from vidjax.models.frame_pool import POOLS, pool_over_time

# With few videos and many channels every classifier separates the training set; what matters is a strong penalty.
CLASSIFIERS = {
    "svm": lambda: LinearSVC(C=0.01, random_state=0, max_iter=10000),  # one against the rest, squared hinge
    "linear": lambda: LogisticRegression(C=0.01, max_iter=10000),  # softmax
    "nearest": lambda: KNeighborsClassifier(1),
}
SIZE = "size"  # in place of a pool: width and height in pixels, and length in seconds


class Fold(NamedTuple):
    """Which splits to train and to test on."""

    train_splits: list[str]
    test_splits: list[str]


class Videos(NamedTuple):
    """What there is to classify: one row a video.

    Attributes:
        descriptors: float32 (N, D).
        sizes: float32 (N, 3): width and height in pixels, and length in seconds.
        labels: int (N,).
        splits: N names.
    """

    descriptors: np.ndarray
    sizes: np.ndarray
    labels: np.ndarray
    splits: np.ndarray


def describe(source: pipeline.Records, pool: str) -> tuple[Videos, list[str]]:
    """Pools the features of each video over time; see `pool_over_time`. Of `SIZE` no feature is looked at.

    Returns:
        The videos, and where each comes from.
    """
    examples = [source[i] for i in range(len(source))]
    sizes = np.array([(example.width, example.height, example.end - example.start) for example in examples])
    if pool == SIZE:
        descriptors = sizes.astype(np.float32)
    else:
        sequences = [feature_clips.feature_sequence(example, source.info) for example in examples]
        descriptors = np.stack([np.asarray(pool_over_time(sequence[None], pool)[0]) for sequence in sequences])
    videos = Videos(
        descriptors=descriptors,
        sizes=sizes,
        labels=np.array([targets.make_target(example.labels, len(source.info.labels), False) for example in examples]),
        splits=np.array([records.split_of(shard) for shard, _ in source.places]),
    )
    return videos, [example.media_id for example in examples]


def cross_validate(
    make_classifier, x: np.ndarray, videos: Videos, folds: Sequence[Fold], num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Trains on each fold's training splits and looks at its test splits.

    The scaler is a part of the classifier: it sees the training splits only.

    Args:
        make_classifier: () -> an estimator of scikit-learn.
        x: (N, D).

    Returns:
        Of the M videos that were tested, the scores (M, num_classes), see `ensemble.scores_of`, and the classes (M,).

    Raises:
        ValueError: where a fold has no video, or tests on what it trains on.
    """
    scores, target = [], []
    for fold in folds:
        if common := set(fold.train_splits) & set(fold.test_splits):
            raise ValueError(f"A fold trains and tests on {', '.join(sorted(common))}.")
        train, test = np.isin(videos.splits, fold.train_splits), np.isin(videos.splits, fold.test_splits)
        if not train.any() or not test.any():
            raise ValueError(
                f"No videos to {'test' if train.any() else 'train'} on in the fold {fold.train_splits} against "
                f"{fold.test_splits}; there are {', '.join(sorted(set(videos.splits)))}."
            )
        classifier = make_pipeline(StandardScaler(), make_classifier()).fit(x[train], videos.labels[train])
        scores.append(ensemble.scores_of(classifier, x[test], num_classes))
        target.append(videos.labels[test])
    return np.concatenate(scores), np.concatenate(target)


def figures_of(scores: np.ndarray, target: np.ndarray, pairs: list[int] | None) -> dict:
    """`figures.fused_figures`, the number that is right, and the 95 % interval."""
    result = figures.fused_figures(scores, None, target, pairs=pairs)
    right = int((scores.argmax(axis=1) == target).sum())
    return {**result, "right": right, "interval": metrics.wilson_interval(right, len(target))}


def report(source: pipeline.Records, out: Path, pool: str, classifier: str | None, folds: list[Fold]):
    """Writes `descriptors_POOL.npy` and `videos.csv` to `out`, and with a classifier prints and writes its figures.

    The first row of the table is the nearest neighbour by width, height and length of the video alone: what a dataset
    gives away before anyone has looked at a picture.
    """
    videos, names = describe(source, pool)
    np.save(out / f"descriptors_{pool}.npy", videos.descriptors)
    with open(out / "videos.csv", "w", newline="") as file:
        rows = zip(names, (source.info.labels[label] for label in videos.labels), videos.splits, strict=True)
        csv.writer(file).writerows([("path", "label", "split"), *rows])
    print(f"{out / f'descriptors_{pool}.npy'}: {len(names)} x {videos.descriptors.shape[1]}, rows as in videos.csv")
    if classifier is None:
        return
    started, result = time.perf_counter(), {}
    contestants = {
        "nearest neighbour by size and length": (lambda: KNeighborsClassifier(1), videos.sizes),
        f"{pool} {classifier}": (CLASSIFIERS[classifier], videos.descriptors),
    }
    print(f"\n| {'':36} | right | videos | top1 % | 95 % interval |")
    print(f"| {'-' * 36} | ----- | ------ | ------ | ------------- |")
    for name, (make_classifier, x) in contestants.items():
        scores, target = cross_validate(make_classifier, x, videos, folds, len(source.info.labels))
        result[name] = figures_of(scores, target, source.info.time_reversal)
        right, count, top1 = (result[name][key] for key in ("right", "num_videos", "top1"))
        low, high = result[name]["interval"]
        print(f"| {name:36} | {right:5} | {count:6} | {100 * top1:6.1f} | {100 * low:5.1f} - {100 * high:5.1f} |")
    print(f"{len(folds)} folds, {time.perf_counter() - started:.1f} s")
    (out / f"result_{pool}_{classifier}.json").write_text(json.dumps(result, indent=2) + "\n")


# ---------------------------------------------------------------------------------------------------------- the command


def add_split_arguments(parser: argparse.ArgumentParser):
    """The arguments --folds, --train_splits and --test_splits, which `folds_of` reads."""
    add = parser.add_argument
    add("--folds", metavar="DATASET:NAME", help="of configs/common/data.py, as in ut_interaction:set1")
    add("--train_splits", nargs="+", default=["train"], help="where there are no --folds")
    add("--test_splits", nargs="+", default=["test"], help="where there are no --folds")


def folds_of(args: argparse.Namespace) -> list[Fold]:
    """Raises a ValueError for folds that are not there."""
    folds = configs.find_folds(args.folds) if args.folds else [(args.train_splits, args.test_splits)]
    return [Fold(*fold) for fold in folds]


def main():
    parser = argparse.ArgumentParser(
        description="Trains and tests a classifier of stored features that are pooled over time.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("records", type=Path, help="directory of records of features, from vidjax.features")
    add("--pool", choices=(*POOLS, SIZE), default="mean", help="over time; size: width, height and length alone")
    add("--classifier", choices=sorted(CLASSIFIERS), default="svm", help="of the descriptors")
    add("--out", type=Path, help="JSON file of the figures")
    add_split_arguments(parser)
    args = parser.parse_args()
    try:
        folds = folds_of(args)
        splits = sorted({split for fold in folds for of_fold in fold for split in of_fold})
        source = pipeline.open_records(args.records, splits)
        if "prefix" not in source.info.inputs:
            raise ValueError(f"{args.records} holds no features: store some with vidjax.features.")
        videos, _ = describe(source, args.pool)
        make_classifier, num_classes = CLASSIFIERS[args.classifier], len(source.info.labels)
        scores, target = cross_validate(make_classifier, videos.descriptors, videos, folds, num_classes)
    except ValueError as error:
        sys.exit(f"vidjax.classify: {error}")
    result = {**figures_of(scores, target, source.info.time_reversal), "labels": source.info.labels}
    result |= {"pool": args.pool, "classifier": args.classifier}
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=2) + "\n")
    low, high = (100 * x for x in result["interval"])
    top1, right, count = 100 * result["top1"], result["right"], result["num_videos"]
    print(f"{args.pool} {args.classifier}: top1 {top1:.1f} %, {right} of {count} videos [{low:.1f}, {high:.1f}]")


if __name__ == "__main__":
    main()
