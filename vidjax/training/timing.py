"""Measures where the time of a run goes, for metrics.jsonl and for the status line."""

import collections
import contextlib
import time
from collections.abc import Iterator

import jax

WAITING, COMPUTING, ON_HOST = "waiting for data", "computing", "between steps"
PARTS = {WAITING: "data_wait_ms", COMPUTING: "device_wait_ms", ON_HOST: "host_ms"}  # parts of a step


class Clock:
    """The current activity of this process, and the time spent per activity.

    A process has one activity at a time. During steps it waits for data, computes (the host waits for the devices), or
    works on the host between steps: Python, dispatch, writing logs. A host that runs ahead of its devices, as intended,
    waits for them most of the time.

    Attributes:
        doing: current activity, in words; since: its start, by `time.perf_counter`.
        steps: number of steps since the first one, which compiles and does not count.
    """

    def __init__(self):
        self.doing, self.since, self.steps, self.total_steps, self.line = "starting", time.perf_counter(), -1, None, {}
        self._spent = collections.Counter()  # seconds per activity since the end of the first step
        self._metrics = None  # metrics of the previous step
        self._noted_steps, self._noted = 0, {}  # `steps` and `_spent` at the previous line

    def start(self, batch_size: int, clips_per_epoch: int, start_step: int, total_steps: int):
        """Starts the clock; call it before the first step.

        Args:
            batch_size: number of clips in a global batch.
            start_step: the step that the run continues from, or 0.
        """
        self.batch_size, self.clips_per_epoch = batch_size, clips_per_epoch
        self.start_step, self.total_steps = start_step, total_steps
        self._begun = self._last_step = time.perf_counter()

    @contextlib.contextmanager
    def during(self, activity: str) -> Iterator[None]:
        """A context with another activity; the previous activity returns afterwards."""
        before = self._turn_to(activity)
        try:
            yield
        finally:
            self._turn_to(before)

    def _turn_to(self, activity: str) -> str:
        now, before = time.perf_counter(), self.doing
        self._spent[before] += now - self.since
        self.doing, self.since = activity, now
        return before

    def next_batch(self, batches: Iterator):
        """Returns the next batch, and counts the time as waiting for data."""
        with self.during(WAITING):
            batch = next(batches)
        if self.steps < 0:
            self._turn_to("compiling")
        return batch

    def step_done(self, metrics):
        """Counts a step, and waits for the previous step, so that the host stays one step ahead of the devices.

        Args:
            metrics: metrics of the step, arrays that may not be computed yet.
        """
        if self.steps < 0:  # the first step compiles: wait for it, do not count it
            jax.block_until_ready(metrics)
            self._turn_to(ON_HOST)
            self._spent.clear()
            self._begun = self.since
        else:
            with self.during(COMPUTING):
                jax.block_until_ready(self._metrics)
        self._metrics = metrics
        self.steps += 1
        self._last_step = time.perf_counter()

    def _elapsed(self) -> float:
        now = time.perf_counter()
        evaluating = now - self.since if self.doing == "evaluating" else 0.0
        return now - self._begun - self._spent["evaluating"] - evaluating

    def clips_per_second(self) -> float | None:
        """Returns the rate since the end of the first step, without evaluations; None before the second step."""
        return self.steps * self.batch_size / self._elapsed() if self.steps > 0 else None

    def metrics(self) -> dict[str, float]:
        """Returns the timing part of a line of metrics.jsonl; {} if there was no step since the previous line.

        Returns:
            Since the end of the first step: `clips_per_second`, and `waiting_for_data` as a fraction of the time. Since
            the previous line, in milliseconds per step: `data_wait_ms`, `device_wait_ms`, `host_ms`, and their sum
            `step_ms`, which excludes evaluating and saving.
        """
        num_steps = self.steps - self._noted_steps
        if num_steps < 1:
            return {}
        self._turn_to(self.doing)
        seconds = {name: self._spent[doing] - self._noted.get(doing, 0.0) for doing, name in PARTS.items()}
        self._noted_steps, self._noted = self.steps, dict(self._spent)
        parts = {name: 1e3 * x / num_steps for name, x in seconds.items()}
        step_ms = sum(parts.values())
        elapsed = self._elapsed()
        return {
            "clips_per_second": self.steps * self.batch_size / elapsed,
            "waiting_for_data": self._spent[WAITING] / elapsed,
            "step_ms": step_ms,
            **parts,
        }

    def logged(self, line: dict):
        """Keeps a line of metrics.jsonl for `status`."""
        self.line = line

    def status(self) -> str:
        """Describes the position of the run and the activity of this process in one line."""
        now, parts = time.perf_counter(), []
        if self.total_steps is not None:
            step = self.start_step + self.steps + 1
            parts.append(f"step {step} of {self.total_steps}")
            parts.append(f"epoch {step * self.batch_size / self.clips_per_epoch:.2f}")
        if "loss" in self.line:
            parts.append(f"loss {self.line['loss']:.4g} at step {self.line['step']}")
        if self.steps > 0:
            parts.append(f"{self.clips_per_second():.1f} clips/s")
        if self.steps >= 0:
            parts.append(f"last step {now - self._last_step:.1f} s ago")
        return ", ".join([*parts, f"{self.doing} for {now - self.since:.1f} s"])
