"""Computes the cost of the rungs of a ladder before anything runs, by tracing their networks on shapes."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from vidjax import config as configs
from vidjax.analysis import layer_table, networks
from vidjax.data import pipeline
from vidjax.data.folds import find_folds
from vidjax.ladder import rungs
from vidjax.ladder.rungs import Ladder, Rung
from vidjax.progress_bar import progress_bar


class Cost(NamedTuple):
    """The cost of a rung; None if unknown. For a fusion, the sum over its members.

    Attributes:
        num_params: parameters of the network.
        multiply_adds: of the forward pass of one clip.
        of_video: multiply-adds of all clips of a video, which the final evaluation averages.
        training: multiply-adds of all its runs, three forward passes per step; 0 for rungs that are not trained.
        on_features: whether the input is stored features, whose own cost is not included.
    """

    num_params: int | None = None
    multiply_adds: int | None = None
    of_video: int | None = None
    training: int = 0
    on_features: bool = False


def costs_of(ladder: Ladder, names: Collection[str]) -> tuple[dict[str, Cost], dict[str, str]]:
    """Traces rungs and their members.

    Args:
        names: the rungs to trace; the cost of the others is unknown.

    Returns:
        The cost of each rung, and the reasons why rungs could not be traced, such as missing records.
    """
    rungs_of = [ladder.rungs[name] for name in names]
    traced = {*names, *(member for rung in rungs_of for member in (*rung.fuses, rung.features))}
    costs, problems = dict.fromkeys(ladder.rungs, Cost()), {}
    for name, rung in progress_bar([item for item in ladder.rungs.items() if item[0] in traced], "costs", leave=False):
        if rung.config:
            try:
                costs[name] = cost_of_training(ladder, rung)
            except (ValueError, TypeError) as error:
                problems[name] = " ".join(str(error).split())
        else:
            members = [costs[member] for member in rung.fuses or [rung.features] if member in costs]
            sums = (total([getattr(cost, field) for cost in members]) for field in Cost._fields[:3])
            on_features = any(cost.on_features for cost in members) or "/" in rung.features
            costs[name] = Cost(*sums, on_features=on_features)
    return costs, problems


def total(values: Sequence[int | None]) -> int | None:
    """Returns the sum; None if there are no values or one is None."""
    return sum(values) if values and None not in values else None


def cost_of_training(ladder: Ladder, rung: Rung) -> Cost:
    """Returns the cost of a trained rung. Raises the errors of `pipeline.open_records`, and those of tracing."""
    config = rungs.config_of(rung)
    videos = sum(len(pipeline.open_records(config.dataset, splits)) for splits in splits_of(ladder, rung, config))
    inputs, num_classes, _ = networks.find_inputs(config, None, 1, None)
    (network, *_), _, _ = layer_table.layers_of(config, inputs, num_classes)
    of_video = network.multiply_adds * config.eval.get("num_views", 1) * config.eval.get("num_crops", 1)
    training = round(3 * network.multiply_adds * config.num_epochs * videos * rung.seeds)
    return Cost(network.num_params, network.multiply_adds, of_video, training, "features" in inputs)


def splits_of(ladder: Ladder, rung: Rung, config) -> list[Sequence[str]]:
    """Returns the training splits of each run of one seed."""
    if not ladder.folds:
        return [configs.with_fold(config).train_splits]
    names = rungs.folds_of(ladder, rung)
    return [fold.train_splits for name in names for fold in find_folds(Path(config.dataset), name)]
