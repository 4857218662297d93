"""What a run is doing, and where its time goes: for the lines of metrics.jsonl, and for who asks in between."""

import collections
import contextlib
import time
from collections.abc import Iterator

import jax

WAITING, COMPUTING, ON_HOST = "waiting for data", "computing", "between steps"
PARTS = {WAITING: "data_wait_ms", COMPUTING: "device_wait_ms", ON_HOST: "host_ms"}  # of a step


class Clock:
    """What this process is doing now, and the time that went into what it did.

    At any time it is doing one thing. Within steps that is waiting for data, computing (the host waits for the
    devices), or what the host does between steps: Python, starting the computation, writing logs. A host that is ahead
    of its devices, as it should be, waits for them most of the time.

    Attributes:
        doing: the present activity, in words; since: when it began, by `time.perf_counter`.
        steps: done since the first one, which compiles and does not count.
    """

    def __init__(self):
        self.doing, self.since, self.steps, self.total_steps, self.line = "starting", time.perf_counter(), -1, None, {}
        self._spent = collections.Counter()  # seconds by activity, since the end of the first step
        self._metrics = None  # of the step before
        self._noted_steps, self._noted = 0, {}  # `steps` and `_spent` of the line before

    def start(self, batch_size: int, clips_per_epoch: int, start_step: int, total_steps: int):
        """Call it before the first step.

        Args:
            batch_size: clips in a global batch.
            start_step: the step that the run continues from, or 0.
        """
        self.batch_size, self.clips_per_epoch = batch_size, clips_per_epoch
        self.start_step, self.total_steps = start_step, total_steps
        self._begun = self._last_step = time.perf_counter()

    @contextlib.contextmanager
    def during(self, activity: str) -> Iterator[None]:
        """Within this context the process is doing so, and then again what it did before."""
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
        """The next batch, for which it may have to wait."""
        with self.during(WAITING):
            batch = next(batches)
        if self.steps < 0:
            self._turn_to("compiling")
        return batch

    def step_done(self, metrics):
        """Counts a step, and waits for the step before, so that the host is one step ahead of the devices.

        Args:
            metrics: of the step, arrays that may not be computed yet.
        """
        if self.steps < 0:  # the first step compiles: it is waited for, and does not count
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
        """Since the end of the first step, less the evaluations; None before the second step."""
        return self.steps * self.batch_size / self._elapsed() if self.steps > 0 else None

    def metrics(self) -> dict[str, float]:
        """What a line of metrics.jsonl says of the time. Nothing where no step was done since the line before.

        Returns:
            Since the end of the first step: `clips_per_second`, and `waiting_for_data` as a share of the time. Of the
            steps since the line before, in milliseconds a step: `data_wait_ms`, `device_wait_ms` and `host_ms`, and
            `step_ms`, their sum, in which evaluating and saving are left out.
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
        """Notes a line of metrics.jsonl, for `status`."""
        self.line = line

    def status(self) -> str:
        """Where the run is, and what this process is doing; in words, for a line."""
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
