"""A share of the training videos of each class, to study how many labels a method needs."""

import dataclasses

import numpy as np

from vidjax.data import class_batches, pipeline


def subset(source: pipeline.Records, fraction: float, seed: int) -> pipeline.Records:
    """Draws the same share of each class, at least one video of each; a smaller share is part of a larger one.

    Args:
        fraction: in (0, 1]; rounded up per class.

    Raises:
        ValueError: if a video has not exactly one class.
    """
    kept = rows_to_keep(list(class_batches.rows_by_class(source).values()), fraction, seed)
    return dataclasses.replace(source, places=[source.places[row] for row in kept])


def rows_to_keep(rows: list[list[int]], fraction: float, seed: int) -> list[int]:
    """Returns the rows to keep, in ascending order, from the rows of each class."""
    kept = []
    for label, of_class in enumerate(rows):
        order = np.random.default_rng((seed, label)).permutation(of_class)
        kept += order[: int(np.ceil(fraction * len(of_class) - 1e-9))].tolist()
    return sorted(kept)
