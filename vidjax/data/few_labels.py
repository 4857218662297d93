"""A share of the training videos of each class, to study how many labels a method needs."""

import dataclasses

import numpy as np

from vidjax.data import class_batches, pipeline
from vidjax.data.sources.items import Item


def subset(source: pipeline.Records, fraction: float, seed: int) -> pipeline.Records:
    """Draws the same share of each class, at least one video of each; a smaller share is part of a larger one.

    Args:
        fraction: in (0, 1]; rounded up per class.

    Raises:
        ValueError: if a video has not exactly one class.
    """
    kept = rows_to_keep(list(class_batches.rows_by_class(source).values()), fraction, seed)
    return dataclasses.replace(source, places=[source.places[row] for row in kept])


def of_items(items: list[Item], fraction: float, seed: int) -> list[Item]:
    """Like `subset` for the videos of the split train, before they are read; videos of other splits are all kept.

    Raises:
        ValueError: unless the fraction is in (0, 1], there is a split train, and its videos have one class each.
    """
    rows = {}
    for row, item in enumerate(items):
        if item.split == "train":
            rows.setdefault(item.labels, []).append(row)
    if not 0 < fraction <= 1 or not rows:
        splits = ", ".join(sorted({item.split for item in items}))
        raise ValueError(
            f"--label_fraction {fraction:g} must be in (0, 1], and needs a split train; the splits are {splits}."
        )
    if several := next((labels for labels in rows if len(labels) != 1), None):
        raise ValueError(f"--label_fraction needs one class per video, but one has {', '.join(several)}.")
    kept = set(rows_to_keep([rows[labels] for labels in sorted(rows)], fraction, seed))
    return [item for row, item in enumerate(items) if item.split != "train" or row in kept]


def rows_to_keep(rows: list[list[int]], fraction: float, seed: int) -> list[int]:
    """Returns the rows to keep, in ascending order, from the rows of each class."""
    kept = []
    for label, of_class in enumerate(rows):
        order = np.random.default_rng((seed, label)).permutation(of_class)
        kept += order[: int(np.ceil(fraction * len(of_class) - 1e-9))].tolist()
    return sorted(kept)
