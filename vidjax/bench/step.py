"""Times a training step and a forward pass of a run on blank clips in memory: milliseconds, clips/s and memory."""

import functools
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from vidjax import config as configs
from vidjax import sharding
from vidjax.analysis import step_memory
from vidjax.analysis.training_step import training_step
from vidjax.bench import summary
from vidjax.data import clips
from vidjax.evaluation import outputs
from vidjax.inference import restore

SECONDS = 3.0  # minimum measuring time of each
ROUNDS = 5  # minimum number of calls; the maximum is ten times as many


def bench_step(workdir: Path) -> dict:
    """Times the model of a run with its config, on randomly initialised parameters.

    Returns:
        `training step` and `forward pass` (milliseconds per batch), `training clips/s` and `forward clips/s` at their
        medians, `batch size`, and `step MiB`: memory per device that the compiler assigns (see `step_memory`).

    Raises:
        ValueError: if `workdir` is not a work directory.
    """
    config, labels, inputs = configs.read(workdir)
    blank = clips.blank_batch(inputs, configs.clip_of(config), config.batch_size)
    prepared = training_step(config, len(labels), blank)
    shapes = step_memory.batch_shapes(blank, config, len(labels))
    batch = {name: np.zeros(x.shape, x.dtype) for name, x in shapes.items()} | blank
    batch["weight"] += 1
    batch = sharding.put_batch(batch, prepared.mesh)

    state = jax.jit(functools.partial(prepared.init, 0, blank), out_shardings=prepared.shardings)()
    compiled = prepared.update.lower(state, batch).compile()
    memory = step_memory.memory_of(compiled, prepared, config)
    shardings = prepared.shardings.params, prepared.shardings.model_state
    forward = outputs.make_eval_fn(prepared.model, restore.spec_of(config), prepared.mesh, shardings)
    forward_ms = timed(lambda: forward(state.params, state.model_state, {}, batch))

    states = [state]

    def train():
        states[0], train_metrics = compiled(states[0], batch)
        return train_metrics

    step_ms = timed(train)
    return {
        "training step": step_ms,
        "forward pass": forward_ms,
        "training clips/s": round(1e3 * config.batch_size / step_ms["median"], 2),
        "forward clips/s": round(1e3 * config.batch_size / forward_ms["median"], 2),
        "batch size": config.batch_size,
        "step MiB": round(memory.total / 2**20, 1),
    }


def timed(function: Callable) -> dict:
    """Returns the `summary` of a function's milliseconds, after one call that compiles."""
    jax.block_until_ready(function())
    times = []
    while len(times) < ROUNDS or (sum(times) < 1e3 * SECONDS and len(times) < 10 * ROUNDS):
        started = time.perf_counter()
        jax.block_until_ready(function())
        times.append(1e3 * (time.perf_counter() - started))
    return summary(times)
