"""Predicts the memory of a training step, then runs steps and measures that of the process; prints both as JSON.

    python tests/peak_memory.py r3d_18 16x112x112 4

Measured is the high-water mark of the resident memory (VmHWM of /proc, Linux only) over the drawing of the state and
two steps, less what was resident before: after the imports and after compiling, which takes memory of its own.
"""

import ctypes
import functools
import json
import sys
from pathlib import Path

import jax
import numpy as np

from vidjax import sharding
from vidjax.analysis import networks, step_memory
from vidjax.analysis.training_step import training_step


def resident(name: str) -> int:
    """VmRSS (now) or VmHWM (highest since it was reset), bytes."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def main(model: str, size: str, batch_size: int):
    config = networks.find_config(model)
    inputs, num_classes, _ = networks.find_inputs(config, size, batch_size, None)
    predicted = step_memory.step_memory(config, num_classes, inputs)
    shapes = step_memory.batch_shapes(inputs, config, num_classes)
    prepared = training_step(config, num_classes, inputs)
    run_step = prepared.update.lower(prepared.abstract, shapes).compile()
    one = {name: np.zeros((1, *x.shape[1:]), x.dtype) for name, x in inputs.items()}
    make_state = jax.jit(functools.partial(prepared.init, 0, one), out_shardings=prepared.shardings).lower().compile()

    trim = ctypes.CDLL(None).malloc_trim  # what was freed goes back to the system, and is not handed to the step
    trim(0)
    before = resident("VmRSS")
    state = jax.block_until_ready(make_state())
    trim(0)  # drawing the state took temporaries of its own
    with_state = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    batch = sharding.put_batch({name: np.ones(x.shape, x.dtype) for name, x in shapes.items()}, prepared.mesh)
    for _ in range(2):
        state, measured = run_step(state, batch)
        jax.block_until_ready((state, measured))
    print(json.dumps({
        "predicted": predicted.total,
        "measured": resident("VmHWM") - before,
        "predicted_state": predicted.state,
        "measured_state": with_state - before,
        "batch": sum(x.nbytes for x in batch.values()),
    }))  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
