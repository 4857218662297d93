"""The memory of a training step, read from the compiled program before anything is allocated.

This is the sum of XLA's buffers. It excludes memory that kernels allocate while they run, such as the rearranged inputs
of convolutions on CPUs. There the peak of the process was 4 to 13 % higher (R3D-18 and C3D; tests/peak_memory.py).
"""

import math
from typing import NamedTuple

import jax
import numpy as np
import psutil
from ml_collections import ConfigDict

from vidjax import optimizer
from vidjax.analysis import collectives
from vidjax.analysis.training_step import TrainingStep, training_step
from vidjax.step import Batch


class StepMemory(NamedTuple):
    """Bytes per device during a step, from XLA's assignment of buffers.

    Attributes:
        arguments: the state (parameters, statistics, optimizer) and the batch.
        outputs: the next state and the scalar metrics.
        temporaries: activations kept for the backward pass, gradients, workspace.
        aliased: outputs that share memory with arguments, because the state is updated in place.
        state: the state alone.
        gradients: gradients of the trained parameters, a part of the temporaries.
        program: the compiled code; not part of the total.
        collectives: traffic between the devices per step, by kind.
    """

    arguments: int
    outputs: int
    temporaries: int
    aliased: int
    state: int
    gradients: int
    program: int
    collectives: dict[str, collectives.Traffic]

    @property
    def total(self) -> int:
        return self.arguments + self.outputs + self.temporaries - self.aliased


def batch_shapes(inputs: Batch, config: ConfigDict, num_classes: int) -> Batch:
    """Returns the shapes of a whole batch: `inputs`, and the pipeline's arrays for the loss and the sampling."""
    if config.target == "words":
        labelled = inputs["tokens"].shape  # (B, L)
    else:
        labelled = jax.tree.leaves(inputs)[0].shape[: 2 if config.target == "frame" else 1]  # (B, T) or (B,)
    several = config.loss.name in ("sigmoid", "squared_error")
    target = ((*labelled, num_classes), np.float32) if several else (labelled, np.int32)
    shapes = {**inputs, "target": target, "weight": (labelled, np.float32)}
    if config.get("clip", {}).get("sampling") == "chunks":
        shapes["sequence_start"] = labelled[:1], np.float32
    return {name: jax.ShapeDtypeStruct(*x) if isinstance(x, tuple) else x for name, x in shapes.items()}


def step_memory(config: ConfigDict, num_classes: int, inputs: Batch) -> StepMemory:
    """Compiles the training step of a config for the current backend and returns its memory.

    Args:
        config: config of the run, with model, preprocess, loss, optimizer, schedule, freeze, ema_decay, dtype, mesh and
            seed.
        inputs: shapes of the model inputs of a global batch from the pipeline (videos as uint8).

    Raises:
        ValueError: for an invalid config, or a batch that does not divide over the devices.
        MemoryError: if the step does not fit, or the compiler itself runs out of memory.
    """
    prepared = training_step(config, num_classes, inputs)
    batch = batch_shapes(inputs, config, num_classes)
    try:
        compiled = prepared.update.lower(prepared.abstract, batch).compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error) and "out of memory" not in str(error).lower():
            raise
        raise MemoryError(str(error).splitlines()[0]) from error
    return memory_of(compiled, prepared, config)


def memory_of(compiled: jax.stages.Compiled, prepared: TrainingStep, config: ConfigDict) -> StepMemory:
    """Returns the memory of a compiled training step; raises a ValueError if the compiler does not report it."""
    analysis = compiled.memory_analysis()
    if analysis is None:
        raise ValueError(f"The compiler of the backend {jax.default_backend()} does not report memory.")
    on_device = jax.tree.map(_bytes_on_device, prepared.abstract, prepared.shardings)
    trained = optimizer.split_frozen(on_device.params, tuple(config.freeze))[0]
    return StepMemory(
        arguments=analysis.argument_size_in_bytes,
        outputs=analysis.output_size_in_bytes,
        temporaries=analysis.temp_size_in_bytes,
        aliased=analysis.alias_size_in_bytes,
        state=sum(jax.tree.leaves(on_device)),
        gradients=sum(jax.tree.leaves(trained)),
        program=analysis.generated_code_size_in_bytes,
        collectives=collectives.of_program(compiled.as_text()),
    )


def _bytes_on_device(x: jax.ShapeDtypeStruct, sharding) -> int:
    return math.prod(sharding.shard_shape(x.shape)) * x.dtype.itemsize


def available_bytes() -> tuple[int, str]:
    """Returns the memory available per device, and its source. CPU devices share the free memory of the machine."""
    device = jax.local_devices()[0]
    stats = device.memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"], f"the limit of {device.device_kind}"
    available = psutil.virtual_memory().available // jax.local_device_count()
    if jax.local_device_count() == 1:
        return available, "the free memory of this machine"
    return available, f"the free memory of this machine over {jax.local_device_count()} devices"


def largest_batch(memory: StepMemory, batch_size: int, available: int, divisor: int = 1) -> int:
    """Estimates the largest batch that fits and is a multiple of `divisor`; 0 if there is none.

    Assumes that all memory except the state and the gradients grows with the batch.
    """
    fixed = memory.state + memory.gradients
    per_clip = max(memory.total - fixed, 1) / batch_size
    return max(int((available - fixed) / per_clip) // divisor * divisor, 0)
