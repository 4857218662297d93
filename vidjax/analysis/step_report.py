"""A report on the memory of a training step, with advice if it does not fit."""

import jax
from ml_collections import ConfigDict

from vidjax.analysis import step_memory
from vidjax.analysis.networks import Inputs
from vidjax.models import arguments_of

ON_CPU = "convolutions on CPUs take 4 to 13 % more, as scratch memory"


def describe_step(config: ConfigDict, inputs: Inputs, num_classes: int) -> tuple[str, bool]:
    """Describes the memory of a training step on each device, part by part; also returns whether it fits."""
    available, known_from = step_memory.available_bytes()
    batch_size = jax.tree.leaves(inputs)[0].shape[0]
    device = jax.local_devices()[0]
    how = f"batch of {batch_size}, {config.dtype}, {config.optimizer.name}, {config.loss.name}"
    on = f"{jax.device_count()} x {device.device_kind}" if jax.device_count() > 1 else device.device_kind
    head = f"memory of a training step ({how}), compiled for {jax.default_backend()} ({on})"
    try:
        memory = step_memory.step_memory(config, num_classes, inputs)
    except MemoryError as error:
        return f"{head}:\n  does not fit: the compiler says {error}\n{ways_out(config, 0, batch_size)}", False
    parts = {
        "arguments": (memory.arguments, f"the state takes {in_gib(memory.state)}, the batch the rest"),
        "+ outputs": (memory.outputs, "the next state"),
        "+ temporaries": (memory.temporaries, f"activations, workspace and {in_gib(memory.gradients)} of gradients"),
        "- aliased": (memory.aliased, "the next state replaces the state"),
        "= a step": (memory.total, ON_CPU if jax.default_backend() == "cpu" else "on each device"),
        "available": (available, known_from),
    }
    lines = [f"{head}:"]
    lines += [f"  {name:13} {in_gib(size):>10}  {meaning}".rstrip() for name, (size, meaning) in parts.items()]
    lines += [
        f"  {traffic.count} x {kind}, {in_gib(traffic.bytes)} on each device"
        for kind, traffic in memory.collectives.items()
    ]
    if memory.total <= available:
        return "\n".join(lines), True
    fitting = step_memory.largest_batch(memory, batch_size, available, jax.device_count() * config.accumulate)
    return "\n".join([*lines, "  It does not fit.", ways_out(config, fitting, batch_size)]), False


def ways_out(config: ConfigDict, fitting: int, batch_size: int) -> str:
    """Lists ways to make a step fit; `fitting` is a batch size that should fit, or 0."""
    ways = [f"batch_size = {fitting} or less should fit (estimated)"] if fitting else []
    if not fitting and batch_size > 1:
        ways.append("a smaller batch_size")
    if config.dtype == "float32":
        ways.append("dtype = 'bfloat16' halves the activations on GPUs and TPUs")
    in_chunks = config.get("clip", {}).get("sampling") == "chunks"
    if not batch_size % (2 * config.accumulate * jax.device_count()) and not in_chunks:
        ways.append(f"accumulate = {2 * config.accumulate} processes the batch in that many parts, one after another")
    if "remat" in arguments_of(config.model.name) and not config.model.get("remat") and jax.default_backend() != "cpu":
        ways.append("model.remat = True keeps few activations and computes those of each block twice")
    ways.append("freeze = ('layer1.*',): frozen layers have neither gradients nor optimizer state")
    if config.mesh.get("fsdp", 1) == 1:
        ways.append("mesh.fsdp = N splits the state over N devices")
    return "\n".join(f"  - {way}" for way in ways)


def in_gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
