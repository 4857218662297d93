"""The classic baseline: one descriptor per video and a linear classifier (scikit-learn).

    vidjax classify data/ut_interaction_i3d --pool max --folds set1 [--out METRICS.json]

The records are features that `vidjax.features` stored.
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

from vidjax import metrics, output_paths
from vidjax.data import dataset_info, feature_clips, label_scan, pipeline, records, targets, tfrecords
from vidjax.data.folds import Fold, find_folds
from vidjax.evaluation import result_file, split_metrics
from vidjax.inference import ensemble
from vidjax.models.frame_pool import POOLS, pool_over_time
from vidjax.progress_bar import progress_bar

# With few videos and many channels every classifier separates the training set, so the penalty must be strong.
CLASSIFIERS = {
    "svm": lambda: LinearSVC(C=0.01, random_state=0, max_iter=10000),  # one against rest, squared hinge
    "linear": lambda: LogisticRegression(C=0.01, max_iter=10000),  # softmax
    "nearest": lambda: KNeighborsClassifier(1),
}
SIZE = "size"  # a pool that ignores features: width and height in pixels, and length in seconds


class Videos(NamedTuple):
    """The videos to classify, one per row.

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


# ------------------------------------------------------------------------------------------- checks before the work


def check_folds(directory: Path, folds: Sequence[Fold]):
    """Checks that a dataset of videos or features has the splits and labels of each fold; reads only labels.

    Raises:
        ValueError: if a split is missing or empty, a fold tests on its training splits, a video does not have exactly
            one label, or all training videos of a fold have the same class.
    """
    there = tfrecords.find_splits(directory)
    for fold in folds:
        _check_apart(fold)
        for purpose, splits in (("train", fold.train_splits), ("test", fold.test_splits)):
            if missing := [split for split in splits if split not in there]:
                raise _without_videos(purpose, fold, there, f"{directory} has no split {', '.join(missing)}")
    splits = list(dict.fromkeys(split for fold in folds for of_fold in fold for split in of_fold))
    found = labels_of(directory, splits)
    for fold in folds:
        for purpose, of_fold in (("train", fold.train_splits), ("test", fold.test_splits)):
            if not any(found[split] for split in of_fold):
                raise _without_videos(purpose, fold, there, f"they are empty in {directory}")
        classes = {label for split in fold.train_splits for label in found[split]}
        if len(classes) < 2:
            name = dataset_info.read(directory).labels[classes.pop()]
            raise ValueError(f"All training videos of the fold {fold.train_splits} are {name!r}: train on two classes.")


def labels_of(directory: Path, splits: Sequence[str]) -> dict[str, list[int]]:
    """Returns the class of each video, by split. Raises a ValueError for a video without exactly one valid label."""
    info, found = dataset_info.read(directory), {}
    for split in splits:
        places = [(shard, x) for shard in tfrecords.find_shards(directory, split) for x in tfrecords.read_index(shard)]
        source, found[split] = pipeline.Records(info, places), []
        for number, place in enumerate(progress_bar(places, f"labels of {split}", leave=False)):
            with source.naming(number):
                found[split].append(single_label(label_scan.of_record(*place), info))
    return found


def single_label(example: records.Example, info: dataset_info.DatasetInfo) -> int:
    """Returns the class of a video. Raises a ValueError if it has no label, several, or an index without a class."""
    targets.check_indices(example, info)
    if len(example.labels) != 1:
        raise ValueError(
            f"{example.media_id!r} has {len(example.labels)} labels: a classifier needs exactly one per video. Remove "
            "the video, or train a network with the loss 'sigmoid' on the features."
        )
    return example.labels[0]


def _check_apart(fold: Fold):
    if common := set(fold.train_splits) & set(fold.test_splits):
        raise ValueError(f"A fold trains and tests on {', '.join(sorted(common))}: its splits must be disjoint.")


def _without_videos(purpose: str, fold: Fold, there: Sequence[str], reason: str) -> ValueError:
    return ValueError(
        f"No videos to {purpose} on in the fold {fold.train_splits} against {fold.test_splits}: {reason}; "
        f"there are {', '.join(there) or 'no splits'}. Name some with --train_splits and --test_splits, or --folds."
    )


# --------------------------------------------------------------------------------------------------- the classifier


def describe(source: pipeline.Records, pool: str) -> tuple[Videos, list[str]]:
    """Pools the features of each video over time, see `pool_over_time`; `SIZE` ignores the features.

    Returns:
        The videos, and the path of each.
    """
    examples = [source[i] for i in progress_bar(range(len(source)), "reading", leave=False)]
    sizes = np.array([(example.width, example.height, example.end - example.start) for example in examples])
    if pool == SIZE:
        descriptors = sizes.astype(np.float32)
    else:
        sequences = [feature_clips.feature_sequence(example, source.info) for example in examples]
        descriptors = np.stack([np.asarray(pool_over_time(sequence[None], pool)[0]) for sequence in sequences])
    videos = Videos(
        descriptors=descriptors,
        sizes=sizes,
        labels=np.array([single_label(example, source.info) for example in examples]),
        splits=np.array([tfrecords.split_of(shard) for shard, _ in source.places]),
    )
    return videos, [example.media_id for example in examples]


def cross_validate(
    make_classifier, x: np.ndarray, videos: Videos, folds: Sequence[Fold], num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Trains on the training splits of each fold and tests on its test splits.

    A scaler is part of the classifier, so it sees only the training splits.

    Args:
        make_classifier: () -> scikit-learn estimator.
        x: descriptors (N, D).

    Returns:
        Scores (M, num_classes), see `ensemble.scores_of`, and classes (M,) of the M tested videos.

    Raises:
        ValueError: if a fold has no videos to train or test on, or tests on its training splits.
    """
    scores, target = [], []
    for fold in progress_bar(folds, "folds", leave=False):
        _check_apart(fold)
        train, test = np.isin(videos.splits, fold.train_splits), np.isin(videos.splits, fold.test_splits)
        if not train.any() or not test.any():
            purpose = "test" if train.any() else "train"
            raise _without_videos(purpose, fold, sorted(set(videos.splits)), "the records hold none")
        classifier = make_pipeline(StandardScaler(), make_classifier()).fit(x[train], videos.labels[train])
        scores.append(ensemble.scores_of(classifier, x[test], num_classes))
        target.append(videos.labels[test])
    return np.concatenate(scores), np.concatenate(target)


def metrics_of(scores: np.ndarray, target: np.ndarray, pairs: list[int] | None) -> dict:
    """Returns `split_metrics.fused_metrics`, the number of correct videos (`right`), and the 95 % `interval`."""
    result = split_metrics.fused_metrics(scores, None, target, pairs=pairs)
    right = int((scores.argmax(axis=1) == target).sum())
    return {**result, "right": right, "interval": metrics.wilson_interval(right, len(target))}


def report(source: pipeline.Records, out: Path, pool: str, classifier: str | None, folds: list[Fold]):
    """Writes `descriptors_POOL.npy` and `videos.csv` to `out`; with a classifier, prints and writes its accuracy.

    The first row of the table is a nearest neighbour on width, height and length alone: what a dataset reveals without
    its pictures.
    """
    videos, names = describe(source, pool)
    np.save(out / f"descriptors_{pool}.npy", videos.descriptors)
    with open(out / "videos.csv", "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
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
        result[name] = metrics_of(scores, target, source.info.time_reversal)
        right, count, top1 = (result[name][key] for key in ("right", "num_videos", "top1"))
        low, high = result[name]["interval"]
        print(f"| {name:36} | {right:5} | {count:6} | {100 * top1:6.1f} | {100 * low:5.1f} - {100 * high:5.1f} |")
    print(f"{len(folds)} folds, {time.perf_counter() - started:.1f} s")
    (out / f"result_{pool}_{classifier}.json").write_text(json.dumps(result, indent=2) + "\n")


# ---------------------------------------------------------------------------------------------------------- the command


def add_split_arguments(parser: argparse.ArgumentParser):
    """Adds --folds, --train_splits and --test_splits, which `folds_of` reads."""
    add = parser.add_argument
    add("--folds", metavar="NAME", help="folds of the records, such as leave_one_out")
    add("--train_splits", nargs="+", help="splits to train on, without --folds (default: train)")
    add("--test_splits", nargs="+", help="splits to test on, without --folds (default: test)")


def folds_of(args: argparse.Namespace) -> list[Fold]:
    """Returns the folds that the arguments name.

    Raises:
        ValueError: for unknown folds, or for folds and splits together.
    """
    if not args.folds:
        return [Fold(args.train_splits or ["train"], args.test_splits or ["test"])]
    if args.train_splits or args.test_splits:
        raise ValueError("--folds names all splits: remove --train_splits and --test_splits.")
    return find_folds(args.records, args.folds)


def main():
    parser = argparse.ArgumentParser(
        prog="vidjax classify",
        description="Trains and tests a classifier on stored features, pooled over time.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("records", type=Path, help="directory of feature records, written by vidjax.features")
    add(
        "--pool",
        choices=(*POOLS, SIZE),
        default="mean",
        help="pooling over time; size: only width, height and length",
    )
    add("--classifier", choices=sorted(CLASSIFIERS), default="svm", help="type of classifier")
    add("--out", type=Path, help="JSON file for the metrics")
    add_split_arguments(parser)
    args = parser.parse_args()
    try:
        folds = folds_of(args)
        if args.out and args.out.is_dir():
            raise ValueError(f"--out {args.out} is a directory: name a file in it.")
        if args.out:
            output_paths.check_writable(args.out.parent, f"--out {args.out}: the directory")
        if "prefix" not in dataset_info.read(args.records).inputs:
            raise ValueError(f"{args.records} holds no features: store some with vidjax.features first.")
        check_folds(args.records, folds)
        splits = sorted({split for fold in folds for of_fold in fold for split in of_fold})
        source = pipeline.open_records(args.records, splits)
        videos, _ = describe(source, args.pool)
        make_classifier, num_classes = CLASSIFIERS[args.classifier], len(source.info.labels)
        scores, target = cross_validate(make_classifier, videos.descriptors, videos, folds, num_classes)
    except ValueError as error:
        sys.exit(f"vidjax.evaluation.classify: {error}")
    result = {**metrics_of(scores, target, source.info.time_reversal), "labels": source.info.labels}
    result |= {"pool": args.pool, "classifier": args.classifier}
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        result_file.write(args.out, result, source.info.labels)
    low, high = (100 * x for x in result["interval"])
    top1, right, count = 100 * result["top1"], result["right"], result["num_videos"]
    print(f"{args.pool} {args.classifier}: top1 {top1:.1f} %, {right} of {count} videos [{low:.1f}, {high:.1f}]")


if __name__ == "__main__":
    main()
