"""Opens the records of a run and checks them before training."""

import dataclasses
from typing import NamedTuple

from ml_collections import ConfigDict

from vidjax import config as configs
from vidjax.data import label_scan, pipeline


class Splits(NamedTuple):
    """The records of a run.

    Attributes:
        train, val, test: records of its splits; val is None without validation.
        clip_arguments: arguments for `pipeline.train_batches`.
    """

    train: pipeline.Records
    val: pipeline.Records | None
    test: pipeline.Records
    clip_arguments: dict


def open_splits(config: ConfigDict) -> Splits:
    """Opens all splits of a run, checks their labels, and cuts one clip of each split like the run will.

    Raises:
        ValueError: if the config cannot work, a split is missing, labels do not fit the loss (see `label_scan.check`,
            which checks many records), or no clip can be cut from the first record of a split.
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
        next(pipeline.eval_batches(first_of(val), configs.view_arguments_of(config, 1, 1), **once))
    views = (config.eval.get("num_views", 1), config.eval.get("num_crops", 1))
    next(pipeline.eval_batches(first_of(test), configs.view_arguments_of(config, *views), **once))
    return Splits(train, val, test, clip_arguments)


def first_of(source: pipeline.Records) -> pipeline.Records:
    """Returns the records reduced to the first one."""
    return dataclasses.replace(source, places=source.places[:1])
