"""The training step of a config without arrays, for compiling and measuring; `vidjax.train` builds the same inline."""

from collections.abc import Callable
from typing import NamedTuple

import jax
from flax import linen as nn
from jax.sharding import Mesh
from ml_collections import ConfigDict

from vidjax import config as configs
from vidjax import optimizer, sharding, step
from vidjax.training import setup


class TrainingStep(NamedTuple):
    """The functions and shapes of a run.

    Attributes:
        model: the network.
        mesh: the devices.
        init: (seed, batch) -> the state before the first step; only the shapes of `batch` count.
        abstract: shapes of the state.
        shardings: shardings of the state.
        update: jitted (state, batch) -> (next state, metrics).
    """

    model: nn.Module
    mesh: Mesh
    init: Callable
    abstract: step.TrainState
    shardings: step.TrainState
    update: Callable


def training_step(config: ConfigDict, num_classes: int, inputs: step.Batch) -> TrainingStep:
    """Builds the training step of a config.

    Args:
        config: config of the run.
        num_classes: number of classes.
        inputs: model inputs of a global batch; only shapes and dtypes count.

    Raises:
        ValueError: for an invalid model, optimizer, schedule or mesh, or a batch that does not divide over the devices.
    """
    config = ConfigDict({**config, "batch_size": jax.tree.leaves(inputs)[0].shape[0]})
    model = configs.model_from(config, num_classes)
    mesh = sharding.make_mesh(**config.mesh)
    setup.check_batch_sizes(config, mesh)
    total_steps = config.schedule.get("warmup_steps", 0) + 1
    schedule = optimizer.make_schedule(**config.schedule, total_steps=total_steps)
    tx = optimizer.make_optimizer(schedule=schedule, **config.optimizer)
    init = setup.make_init(config, model, tx)
    abstract = jax.eval_shape(init, config.seed, inputs)
    shardings = sharding.state_shardings(mesh, abstract)
    return TrainingStep(model, mesh, init, abstract, shardings, setup.make_update(config, model, tx, mesh, shardings))
