"""What tests of interrupted runs ask of work directories."""

from pathlib import Path

import jax
import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vidjax.inference import restore
from vidjax.training import metrics_log

TIMES = (  # what may depend on interruptions
    *("time", "clips_per_second", "waiting_for_data"),
    *("step_ms", "data_wait_ms", "device_wait_ms", "host_ms", "share_of_peak_flops"),
)


def lines_of(workdir: Path) -> list[dict]:
    """The whole lines of metrics.jsonl so far; [] where there is none yet."""
    return metrics_log.read_metrics(workdir / "metrics.jsonl")


def scalars_of(workdir: Path) -> dict[str, list[tuple[int, float]]]:
    """The steps and values of each scalar in the event files of a work directory, as TensorBoard reads them."""
    events = EventAccumulator(str(workdir), size_guidance={"scalars": 0})  # all of them
    events.Reload()
    return {name: [(event.step, event.value) for event in events.Scalars(name)] for name in events.Tags()["scalars"]}


def assert_same_scalars(workdir: Path):
    """Asserts that the event files of a work directory hold what its metrics.jsonl holds, in float32."""
    expected = {}
    for line in lines_of(workdir):
        for name, value in line.items():
            if name not in ("step", "time"):
                expected.setdefault(name, []).append((line["step"], float(np.float32(value))))
    assert scalars_of(workdir) == expected and "loss" in expected


def assert_same_run(workdir: Path, other: Path, num_steps: int):
    """Asserts that two runs logged every step, with the same figures, and ended with the same parameters."""
    figures = [[{k: v for k, v in line.items() if k not in TIMES} for line in lines_of(w)] for w in (workdir, other)]
    assert [line["step"] for line in figures[0]] == list(range(1, num_steps + 1))
    assert figures[0] == figures[1]
    assert_same_scalars(workdir)
    runs = [restore.from_run(w) for w in (workdir, other)]
    jax.tree.map(np.testing.assert_array_equal, *[(run.params, run.model_state, run.step) for run in runs])
