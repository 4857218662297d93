"""The operations that take most of a training step, from a trace of JAX's profiler."""

import collections
import tempfile
from pathlib import Path

import jax

from vidjax.bench.models import Case, setting_of

SHOWN = 10  # operations
STEPS = 3


def bench_profile(case: Case, dtype: str, batch_size: int) -> dict:
    """Traces some training steps and returns the share of the device's time by operation, largest first.

    Operations of one kind are added up: `fusion.12` and `fusion.7` are `fusion`. The result also has `ms`, the time of
    all operations of a step, and the single operations under `largest`.
    """
    setting = setting_of(case, dtype, batch_size)
    train = setting.compile_training()
    state, _ = jax.block_until_ready(train(setting.state, setting.batch))
    with tempfile.TemporaryDirectory() as directory:
        with jax.profiler.trace(directory):
            for _ in range(STEPS):
                state, _ = train(state, setting.batch)
            jax.block_until_ready(state)
        times = operations_of(Path(directory))
    if not times:
        raise ValueError("The trace holds no operations of this device.")
    total, kinds = sum(times.values()), collections.Counter()
    for name, nanoseconds in times.items():
        kinds[name.rstrip("0123456789").rstrip(".")] += nanoseconds
    shares = {name: round(x / total, 3) for name, x in kinds.most_common(SHOWN)}
    largest = {name: round(x / total, 3) for name, x in times.most_common(SHOWN)}
    return {"ms": round(total / STEPS / 1e6, 2), "kinds": shares, "largest": largest}


def operations_of(directory: Path) -> collections.Counter:
    """Returns the nanoseconds of each operation in a trace: the XLA operations of accelerators, or those of the CPU."""
    paths = sorted(directory.rglob("*.xplane.pb"))
    planes = [plane for path in paths for plane in jax.profiler.ProfileData.from_file(str(path)).planes]
    devices = [plane for plane in planes if plane.name.startswith("/device:") and "CUSTOM" not in plane.name]
    times = collections.Counter()
    for plane in devices or planes:
        lines = list(plane.lines)
        of_operations = [line for line in lines if line.name == "XLA Ops"]
        for line in of_operations or lines:
            for event in line.events:
                if of_operations or is_operation(event):
                    times[event.name] += event.duration_ns
    return times


def is_operation(event) -> bool:
    """Whether an event of a trace is an XLA operation."""
    return any(key == "hlo_op" for key, _ in event.stats)
