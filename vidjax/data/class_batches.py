"""Batches of P classes with K clips of each, in which losses over pairs find clips of one class."""

import functools
from collections.abc import Callable

import numpy as np

from vidjax.data import label_scan, pipeline, targets


def make_order(source: pipeline.Records, num_classes: int, batch_size: int, seed: int) -> Callable[[int], np.ndarray]:
    """Returns epoch -> indices of records, for `pipeline.train_batches`; a pure function of (seed, epoch).

    In an epoch each class is in one batch, with other clips each time; classes that do not fill a last batch sit out.
    Hermans et al., "In Defense of the Triplet Loss for Person Re-Identification" (2017), section 2.

    Args:
        num_classes: classes in a batch.
        batch_size: clips in a batch; each class has batch_size / num_classes of them, all different.

    Raises:
        ValueError: if a batch cannot be divided so, a clip has not exactly one class, or there are too few classes or
            clips of a class.
    """
    num_clips, rest = divmod(batch_size, max(num_classes, 1))
    if num_classes < 2 or num_clips < 2 or rest:
        raise ValueError(
            f"config.batch_classes = {num_classes} with config.batch_size = {batch_size}: a batch needs 2 or more "
            "classes and 2 or more clips of each; set batch_size to a multiple, such as 4 * batch_classes."
        )
    rows = rows_by_class(source)
    if few := {label: len(found) for label, found in rows.items() if len(found) < num_clips}:
        label, count = min(few.items(), key=lambda item: item[1])
        raise ValueError(
            f"{len(few)} of {len(rows)} classes have fewer than the {num_clips} clips that a batch of {num_classes} "
            f"classes and {batch_size} clips needs of each; {source.info.labels[label]!r} has {count}: lower "
            "config.batch_size, raise config.batch_classes, or leave these classes out of the training splits."
        )
    if len(rows) < num_classes:
        raise ValueError(f"config.batch_classes = {num_classes}, but the training splits have {len(rows)} classes.")

    @functools.lru_cache(maxsize=4)
    def order(epoch: int) -> np.ndarray:
        rng = np.random.default_rng((seed, epoch))
        classes = rng.permutation(list(rows))[: len(rows) // num_classes * num_classes].tolist()
        return np.concatenate([rng.choice(rows[label], num_clips, replace=False) for label in classes])

    return order


def check_pairs(source: pipeline.Records):
    """Raises a ValueError unless a class has two clips, without which embeddings cannot be evaluated."""
    if max(map(len, rows_by_class(source).values())) < 2:
        raise ValueError(
            f"The {len(source)} clips of {source.places[0][0].name} and others are of different classes: evaluation of "
            "embeddings needs two clips of a class; choose other splits, or val_splits = ()."
        )


def rows_by_class(source: pipeline.Records) -> dict[int, list[int]]:
    """Returns the indices of the records of each class, reading the records without their frames.

    Raises:
        ValueError: if a record has not exactly one class, or is damaged; names shard and record.
    """
    rows = {}
    for row, place in enumerate(source.places):
        labels = label_scan.of_record(*place).labels
        with source.naming(row):
            targets.check_single(labels)
        rows.setdefault(labels[0], []).append(row)
    return dict(sorted(rows.items()))
