"""Opens the records of a run and checks them before anything is trained."""

import dataclasses
from typing import NamedTuple

from ml_collections import ConfigDict

from vidjax import config as configs
from vidjax.data import label_scan, pipeline


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
        next(pipeline.eval_batches(first_of(val), configs.view_arguments_of(config, 1, 1), **once))
    views = (config.eval.get("num_views", 1), config.eval.get("num_crops", 1))
    next(pipeline.eval_batches(first_of(test), configs.view_arguments_of(config, *views), **once))
    return Splits(train, val, test, clip_arguments)


def first_of(source: pipeline.Records) -> pipeline.Records:
    """The first record alone."""
    return dataclasses.replace(source, places=source.places[:1])
