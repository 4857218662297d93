"""The classic baseline: one descriptor a video, and a linear classifier of them (scikit-learn)."""

import csv
import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from vidjax import metrics
from vidjax.data import feature_clips, pipeline, records, targets
from vidjax.models.frame_pool import pool_over_time

# With few videos and many channels every classifier separates the training set; what matters is a strong penalty.
CLASSIFIERS = {
    "svm": lambda: LinearSVC(C=0.01, random_state=0, max_iter=10000),  # one against the rest, squared hinge
    "linear": lambda: LogisticRegression(C=0.01, max_iter=10000),  # softmax
}


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
    """Pools the features of each video over time; see `pool_over_time`.

    Returns:
        The videos, and where each comes from.
    """
    examples = [source[i] for i in range(len(source))]
    sequences = [feature_clips.feature_sequence(example, source.info) for example in examples]
    videos = Videos(
        descriptors=np.stack([np.asarray(pool_over_time(sequence[None], pool)[0]) for sequence in sequences]),
        sizes=np.array([(example.width, example.height, example.end - example.start) for example in examples]),
        labels=np.array([targets.make_target(example.labels, len(source.info.labels), False) for example in examples]),
        splits=np.array([records.split_of(shard) for shard, _ in source.places]),
    )
    return videos, [example.media_id for example in examples]


def cross_validate(make_classifier, x: np.ndarray, videos: Videos, folds: list[Fold]) -> tuple[int, int]:
    """Trains on each fold's training splits and counts what is right on its test splits.

    The scaler is a part of the classifier: it sees the training splits only.

    Args:
        make_classifier: () -> an estimator of scikit-learn.
        x: (N, D).

    Returns:
        The number of videos that were named rightly, and of all that were tested.

    Raises:
        ValueError: where a fold has no video, or tests on what it trains on.
    """
    right = count = 0
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
        right += int((classifier.predict(x[test]) == videos.labels[test]).sum())
        count += int(test.sum())
    return right, count


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
        right, count = cross_validate(make_classifier, x, videos, folds)
        low, high = metrics.wilson_interval(right, count)
        print(
            f"| {name:36} | {right:5} | {count:6} | {100 * right / count:6.1f} | {100 * low:5.1f} - {100 * high:5.1f} |"
        )
        result[name] = {"top1": right / count, "right": right, "num_videos": count, "interval": [low, high]}
    print(f"{len(folds)} folds, {time.perf_counter() - started:.1f} s")
    (out / f"result_{pool}_{classifier}.json").write_text(json.dumps(result, indent=2) + "\n")
