"""Makes the functions that a run compiles from its config: the initial state and the training step."""

import functools
from collections.abc import Callable

import jax
import optax
from flax import linen as nn
from jax.sharding import Mesh
from ml_collections import ConfigDict

from vidjax import batch_augment, compile_options, losses, sharding, step
from vidjax import config as configs
from vidjax.inference import restore


def check_batch_sizes(config: ConfigDict, mesh: Mesh):
    """Raises a ValueError if a batch does not divide over the devices, or over `config.accumulate` parts."""
    if config.batch_size % (mesh.size * config.accumulate):
        parts = f" in accumulate = {config.accumulate} parts" if config.accumulate > 1 else ""
        raise ValueError(f"batch_size = {config.batch_size} does not divide over {mesh.size} devices{parts}.")
    if config.get("eval", {}).get("batch_size", 0) % mesh.size:
        raise ValueError(f"eval.batch_size = {config.eval.batch_size} does not divide over {mesh.size} devices.")


def make_init(config: ConfigDict, model: nn.Module, tx: optax.GradientTransformation) -> Callable:
    """Returns (seed, batch) -> initial state; `batch` only gives the shapes of the inputs."""
    return functools.partial(step.init_state, **_shared(config, model, tx))


def make_update(
    config: ConfigDict, model: nn.Module, tx: optax.GradientTransformation, mesh: Mesh, shardings: step.TrainState
) -> Callable:
    """Returns the jitted training step, (state, batch) -> (next state, metrics). It donates the memory of the state.

    The step first augments the global batch, see `batch_augment`.

    Args:
        shardings: shardings of the state, see `sharding.state_shardings`.
    """
    loss_arguments = {name: value for name, value in config.loss.items() if name != "name"}
    loss_fn = functools.partial(losses.LOSSES[config.loss.name], **loss_arguments)
    arguments = {"loss_fn": loss_fn, "seed": config.seed, "num_parts": config.accumulate}
    arguments["has_logits"] = config.loss.name not in losses.WITHOUT_CLASSES
    train_step = functools.partial(step.train_step, **arguments, **_shared(config, model, tx))
    augment = configs.batch_augment_of(config) | {"num_classes": getattr(model, "num_classes", None)}

    def update(state: step.TrainState, batch: step.Batch):
        key = jax.random.fold_in(batch_augment.make_key(config.seed), state.step)
        return train_step(state, batch_augment.augment_batch(batch, key, **augment))

    return jax.jit(
        update,
        in_shardings=(shardings, sharding.batch_sharding(mesh)),
        out_shardings=(shardings, sharding.replicated(mesh)),
        donate_argnums=0,
        compiler_options=compile_options.of_training(model),
    )


def _shared(config: ConfigDict, model: nn.Module, tx: optax.GradientTransformation) -> dict:
    spec, freeze = restore.spec_of(config), tuple(config.freeze)
    return {"model": model, "spec": spec, "tx": tx, "freeze": freeze, "ema_decay": config.ema_decay}
