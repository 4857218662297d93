"""What tests of interrupted runs ask of work directories."""

from pathlib import Path

import jax
import numpy as np

from vidjax import progress, trained

TIMES = ("clips_per_second", "waiting_for_data")  # what may depend on interruptions


def lines_of(workdir: Path) -> list[dict]:
    """The whole lines of metrics.jsonl so far; [] where there is none yet."""
    return progress.read_metrics(workdir / "metrics.jsonl")


def assert_same_run(workdir: Path, other: Path, num_steps: int):
    """Asserts that two runs logged every step, with the same figures, and ended with the same parameters."""
    figures = [[{k: v for k, v in line.items() if k not in TIMES} for line in lines_of(w)] for w in (workdir, other)]
    assert [line["step"] for line in figures[0]] == list(range(1, num_steps + 1))
    assert figures[0] == figures[1]
    runs = [trained.from_run(w) for w in (workdir, other)]
    jax.tree.map(np.testing.assert_array_equal, *[(run.params, run.model_state, run.step) for run in runs])
