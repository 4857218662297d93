"""What long work checks before it begins: records, labels, directories that can be written, space for checkpoints."""

import dataclasses
import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from vidjax import config as configs
from vidjax import outputs, step
from vidjax.data import label_scan, pipeline

KEPT = 2  # checkpoints, and a third one is written before the oldest is removed: see `checkpoint.Checkpoints`


class Splits(NamedTuple):
    """The records of a run.

    Attributes:
        train, val, test: of its splits; val is None where nothing is validated.
        clip_arguments: of `pipeline.train_batches`.
    """

    train: pipeline.Records
    val: pipeline.Records | None
    test: pipeline.Records
    clip_arguments: dict


def open_splits(config: ConfigDict) -> Splits:
    """Opens the records of all splits of a run, checks their labels, and cuts a clip of each as the run will.

    Raises:
        ValueError: for a config that cannot work, a split that is not there, labels that do not go with the loss (see
            `label_scan.check`, which looks at many records), or a first record that no clip can be cut of.
    """
    configs.check(config)
    train = pipeline.open_records(config.dataset, config.train_splits)
    val = pipeline.open_records(config.dataset, config.val_splits) if config.val_splits else None
    test = pipeline.open_records(config.dataset, config.test_splits)
    configs.check_target(config, train.info.inputs)
    kinds = {"multi_label": config.loss.name == "sigmoid", "per_frame": config.target == "frame"}
    for source in filter(None, (train, val, test)):
        label_scan.check(source, **kinds)
    clip_arguments = {**configs.clip_of(config), **config.augment, **kinds}
    once = {"batch_size": 1, "num_threads": 1}
    next(pipeline.train_batches(first_of(train), clip_arguments, num_steps=1, **once))
    if val:
        next(pipeline.eval_batches(first_of(val), outputs.clip_arguments_of(config, 1, 1), **once))
    views = (config.eval.get("num_views", 1), config.eval.get("num_crops", 1))
    next(pipeline.eval_batches(first_of(test), outputs.clip_arguments_of(config, *views), **once))
    return Splits(train, val, test, clip_arguments)


def first_of(source: pipeline.Records) -> pipeline.Records:
    """The first record alone."""
    return dataclasses.replace(source, places=source.places[:1])


def check_writable(directory: Path, option: str, remedy: str = "name another one, or change its permissions"):
    """Raises a ValueError where files cannot be written to a directory, or to the first one above it that exists.

    Args:
        option: what named it, "--workdir", say.
        remedy: what to do, for the message.
    """
    place = Path(directory).absolute()
    try:
        place = next(path for path in (place, *place.parents) if path.exists())
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise ValueError(f"{option} {directory} cannot be written to ({place}: {error.strerror}): {remedy}.") from None


def check_out(path: Path, option: str = "--out"):
    """Raises a ValueError where a file cannot be written; its directory has to exist."""
    if path.is_dir():
        raise ValueError(f"{option} {path} is a directory: name a file in it.")
    if not path.parent.is_dir():
        raise ValueError(f"{option} {path}: {path.parent} is not a directory; make it first.")
    check_writable(path.parent, option, "name a file in another directory")
    check_replaceable([path], "name another file")


def check_replaceable(paths: Sequence[Path], remedy: str):
    """Raises a ValueError for the first of these files that exists and cannot be written."""
    for path in paths:
        if path.exists() and not (path.is_file() and os.access(path, os.W_OK)):
            raise ValueError(f"{path} cannot be written: {remedy}.")


def check_space(workdir: Path, state: step.TrainState, steps: Sequence[int], total_steps: int, every: int):
    """Raises a ValueError where the checkpoints still to come take more space than the disk has.

    Args:
        state: shapes and dtypes, see `prepare.Prepared`.
        steps: of the checkpoints that are there.
        total_steps, every: the length of the run, and steps between checkpoints.
    """
    size = sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(state))
    to_come = math.ceil((total_steps - max(steps, default=0)) / every)
    count, free = min(to_come, KEPT + 1 - len(steps)), shutil.disk_usage(workdir).free
    if count * size > free:
        raise ValueError(
            f"The checkpoints need {count} x {size / 2**30:.2f} GiB in {workdir}, where {free / 2**30:.2f} GiB are "
            "free: free some space, or name a --workdir on another disk."
        )
