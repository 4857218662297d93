"""Opens the records of a run and checks them before training."""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from vidjax import config as configs
from vidjax import config_checks, losses
from vidjax.data import class_batches, few_labels, label_scan, pipeline


class Splits(NamedTuple):
    """The records of a run.

    Attributes:
        train, val, test: records of its splits; val is None without validation.
        clip_arguments, order: arguments for `pipeline.train_batches`.
    """

    train: pipeline.Records
    val: pipeline.Records | None
    test: pipeline.Records
    clip_arguments: dict
    order: Callable[[int], np.ndarray] | None


def open_splits(config: ConfigDict) -> Splits:
    """Opens all splits of a run, checks their labels, and cuts one clip of each split like the run will.

    Raises:
        ValueError: if the config cannot work, a split is missing, labels do not fit the loss (see `label_scan.check`,
            which checks many records), batches of classes are impossible (see `class_batches.make_order`), or no clip
            can be cut from the first record of a split.
    """
    config_checks.check(config)
    train = pipeline.open_records(config.dataset, config.train_splits)
    val = pipeline.open_records(config.dataset, config.val_splits) if config.val_splits else None
    test = pipeline.open_records(config.dataset, config.test_splits)
    config_checks.check_target(config, train.info.inputs)
    kinds = {"multi_label": config.loss.name == "sigmoid", "per_frame": config.target == "frame"}
    if config.label_fraction:
        train = few_labels.subset(train, config.label_fraction, config.seed)
    for source in filter(None, (train, val, test)):
        label_scan.check(source, **kinds)
    if config.loss.name in losses.EMBEDDING_LOSSES:
        for source in filter(None, (val, test)):
            class_batches.check_pairs(source)
    augment = {name: config.augment[name] for name in configs.CLIP_AUGMENT if name in config.augment}
    clip_arguments = {**configs.clip_of(config), **augment, **kinds}
    once = {"batch_size": 1, "num_threads": 1}
    next(pipeline.train_batches(first_of(train), clip_arguments, num_steps=1, **once))
    if val:
        next(pipeline.eval_batches(first_of(val), configs.view_arguments_of(config, 1, 1), **once))
    views = (config.eval.get("num_views", 1), config.eval.get("num_crops", 1))
    next(pipeline.eval_batches(first_of(test), configs.view_arguments_of(config, *views), **once))
    order = None
    if config.augment.get("repeat", 0) > 1:
        order = functools.partial(pipeline.repeated_order, len(train), config.seed, config.augment.repeat)
    if config.batch_classes:
        order = class_batches.make_order(train, config.batch_classes, config.batch_size, config.seed)
    return Splits(train, val, test, clip_arguments, order)


def first_of(source: pipeline.Records) -> pipeline.Records:
    """Returns the records reduced to the first one."""
    return dataclasses.replace(source, places=source.places[:1])
