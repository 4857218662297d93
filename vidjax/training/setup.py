"""What a run computes, from its config: model, optimizer, mesh and the jitted training step, without any array.

`vidjax.train` runs it; `vidjax.analysis.step_memory` asks the compiler what it would take.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import optax
from flax import linen as nn
from jax.sharding import Mesh
from ml_collections import ConfigDict

from vidjax import compile_options, losses, optimizer, sharding, step
from vidjax import config as configs


class Prepared(NamedTuple):
    """What a run computes, before there is an array or a compiled program.

    Attributes:
        init: (seed, batch) -> the state before the first step; `batch` gives the shapes only.
        abstract: shapes of the state; shardings: where each of its arrays is to live.
        train_step: jitted (state, batch) -> (next state, measured); reuses the memory of the state.
    """

    model: nn.Module
    mesh: Mesh
    schedule: optax.Schedule
    init: Callable
    abstract: step.TrainState
    shardings: step.TrainState
    train_step: Callable


def prepare(config: ConfigDict, num_classes: int, batch: step.Batch, total_steps: int) -> Prepared:
    """Model, optimizer and training step of a config.

    Args:
        batch: the model inputs of a global batch, as arrays or as shapes: only their shapes count.

    Raises:
        ValueError: for a model, optimizer, schedule or mesh that cannot be, or a batch that does not divide.
    """
    mesh = sharding.make_mesh(**config.mesh)
    num_rows = jax.tree.leaves(batch)[0].shape[0]
    if num_rows % (mesh.size * config.accumulate):
        parts = f" in accumulate = {config.accumulate} parts" if config.accumulate > 1 else ""
        raise ValueError(f"batch_size = {num_rows} does not divide over {mesh.size} devices{parts}.")
    model = configs.model_from(config, num_classes)
    loss_arguments = {name: value for name, value in config.loss.items() if name != "name"}
    loss_fn = functools.partial(losses.LOSSES[config.loss.name], **loss_arguments)
    schedule = optimizer.make_schedule(**config.schedule, total_steps=total_steps)
    tx = optimizer.make_optimizer(schedule=schedule, **config.optimizer)

    kept = {"freeze": tuple(config.freeze), "ema_decay": config.ema_decay}
    arguments = {"model": model, "spec": configs.spec_of(config), "tx": tx, **kept}
    init = functools.partial(step.init_state, **arguments)
    abstract = jax.eval_shape(init, 0, batch)
    shardings = sharding.state_shardings(mesh, abstract)
    train_step = jax.jit(
        functools.partial(step.train_step, loss_fn=loss_fn, seed=config.seed, num_parts=config.accumulate, **arguments),
        in_shardings=(shardings, sharding.batch_sharding(mesh)),
        out_shardings=(shardings, sharding.replicated(mesh)),
        donate_argnums=0,
        compiler_options=compile_options.of_training(model),
    )
    return Prepared(model, mesh, schedule, init, abstract, shardings, train_step)
