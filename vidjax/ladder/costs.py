"""What the rungs of a ladder cost, known before anything runs: their networks are traced on shapes."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vidjax import config as configs
from vidjax.analysis import layer_table, networks
from vidjax.data import pipeline
from vidjax.ladder import rungs
from vidjax.ladder.rungs import Ladder, Rung
from vidjax.progress_bar import progress_bar


class Cost(NamedTuple):
    """What a rung takes; None is not known.

    Attributes:
        num_params: of the network, or of all that are fused.
        multiply_adds: of one clip's forward pass, or of all that are fused.
        of_video: multiply-adds of all clips of a video, which the final evaluation averages.
        training: multiply-adds of all its runs, a step counted as three forward passes; 0 of what is not trained.
        on_features: whether stored features are its input, whose own cost is in none of these.
    """

    num_params: int | None = None
    multiply_adds: int | None = None
    of_video: int | None = None
    training: int = 0
    on_features: bool = False


def costs_of(ladder: Ladder) -> tuple[dict[str, Cost], dict[str, str]]:
    """The cost of each rung, and of those that cannot be traced why: records that are not there, a wrong argument."""
    costs, problems = {}, {}
    for name, rung in progress_bar(ladder.rungs.items(), "costs", leave=False):
        if rung.config:
            try:
                costs[name] = cost_of_training(ladder, rung)
            except (ValueError, TypeError) as error:
                costs[name], problems[name] = Cost(), " ".join(str(error).split())
        else:
            members = [costs[member] for member in rung.fuses or [rung.features] if member in costs]
            sums = (total([getattr(cost, of) for cost in members]) for of in Cost._fields[:3])
            on_features = any(cost.on_features for cost in members) or "/" in rung.features
            costs[name] = Cost(*sums, on_features=on_features)
    return costs, problems


def total(values: Sequence[int | None]) -> int | None:
    """The sum; None of none, and where one is not known."""
    return sum(values) if values and None not in values else None


def cost_of_training(ladder: Ladder, rung: Rung) -> Cost:
    """The cost of a rung that is trained: its network is traced; errors as of `pipeline.open_records`."""
    config, clips = rungs.config_of(rung), 0
    for train_splits in splits_of_runs(ladder, rung, config):
        clips += config.num_epochs * len(pipeline.open_records(config.dataset, train_splits)) * rung.seeds
    inputs, num_classes, _ = networks.find_inputs(config, None, 1, None)
    (network, *_), _, _ = layer_table.layers_of(config, inputs, num_classes)
    of_video = network.multiply_adds * config.eval.get("num_views", 1) * config.eval.get("num_crops", 1)
    training = round(3 * network.multiply_adds * clips)
    return Cost(network.num_params, network.multiply_adds, of_video, training, "features" in inputs)


def splits_of_runs(ladder: Ladder, rung: Rung, config) -> list[Sequence[str]]:
    """The training splits of each run of one seed."""
    if not ladder.folds:
        return [config.train_splits]
    dataset = Path(config.dataset).name
    return [fold[0] for name in rungs.folds_of(ladder, rung) for fold in configs.find_folds(f"{dataset}:{name}")]
