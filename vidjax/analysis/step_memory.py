"""The memory that a training step takes, read from the compiled program before anything is allocated.

That is what XLA assigns buffers for. What its kernels allocate by themselves while they run is not in it: on CPUs
convolutions rearrange their inputs so. The peak of the process was 4 to 13 % above the figure there (R3D-18 and C3D;
tests/peak_memory.py).
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
    """Bytes on each device while a step runs, from XLA's assignment of buffers.

    Attributes:
        arguments: the state (parameters, statistics, optimizer) and the batch.
        outputs: the next state and the measured scalars.
        temporaries: activations kept for the backward pass, gradients, workspace.
        aliased: of the outputs, what lies where the arguments lay: the state is updated in place.
        state: the state alone.
        gradients: of the trained parameters; a part of the temporaries.
        program: the compiled code; not in the total.
        collectives: what the devices send each other in a step, by kind.
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
    """The shapes of a whole batch: `inputs`, and what the pipeline makes beside them for the loss and the sampling."""
    if config.target == "words":
        labelled = inputs["tokens"].shape  # (B, L)
    else:
        labelled = jax.tree.leaves(inputs)[0].shape[: 2 if config.target == "frame" else 1]  # (B, T) or (B,)
    several = (*labelled, num_classes), np.float32
    targets = {"softmax": (labelled, np.int32), "sigmoid": several, "squared_error": several}
    shapes = {**inputs, "target": targets[config.loss.name], "weight": (labelled, np.float32)}
    if config.get("clip", {}).get("sampling") == "chunks":
        shapes["sequence_start"] = labelled[:1], np.float32
    return {name: jax.ShapeDtypeStruct(*x) if isinstance(x, tuple) else x for name, x in shapes.items()}


def step_memory(config: ConfigDict, num_classes: int, inputs: Batch) -> StepMemory:
    """Compiles the training step of a config for the present backend, on shapes, and asks the program.

    Args:
        config: model, preprocess, loss, optimizer, schedule, freeze, ema_decay, dtype, mesh and seed, as of training.
        inputs: shapes of the model inputs of a global batch, as the pipeline gives them (videos as uint8).

    Raises:
        ValueError: for a config that cannot be, or a batch that does not divide over the devices.
        MemoryError: where the compiler finds, or itself runs into, too little memory.
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
    """What a compiled training step takes; raises a ValueError where the compiler does not tell."""
    analysis = compiled.memory_analysis()
    if analysis is None:
        raise ValueError(f"The compiler of the backend {jax.default_backend()} does not tell how much memory it needs.")
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
    """What a device may hold, and where that is known from. The devices of a CPU share what the machine has left."""
    device = jax.local_devices()[0]
    stats = device.memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"], f"the limit of {device.device_kind}"
    available = psutil.virtual_memory().available // jax.local_device_count()
    if jax.local_device_count() == 1:
        return available, "what this machine has free"
    return available, f"a device's share of what this machine has free, of {jax.local_device_count()}"


def largest_batch(memory: StepMemory, batch_size: int, available: int, divisor: int = 1) -> int:
    """About the largest batch that fits and `divisor` divides, or 0.

    All but the state and the gradients is taken to grow with the batch.
    """
    fixed = memory.state + memory.gradients
    a_clip = max(memory.total - fixed, 1) / batch_size
    return max(int((available - fixed) / a_clip) // divisor * divisor, 0)
