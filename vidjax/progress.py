"""What the training loop reports and heeds: metrics.jsonl, numbers that are not finite, and interrupts."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import jax
import numpy as np
import optax
from jax.sharding import Mesh
from tqdm import tqdm

from vidjax import events, sharding
from vidjax import progress_bar as progress_bars

SIGNALS = signal.SIGINT, signal.SIGTERM, signal.SIGUSR1
GRACE = 1.0  # seconds in which a second signal is the first one again
INTERRUPTED = 75  # the exit status of a run that saved and stopped when asked to: EX_TEMPFAIL of sysexits.h, try again


class MetricsLog:
    """`metrics.jsonl`: one line a logged step, cut back to the step that the run goes on from. Beside it, `events`."""

    def __init__(self, path: Path, start_step: int):
        self.path = path
        if jax.process_index() == 0:
            kept = [line for line in self.lines() if line["step"] <= start_step]
            partial = path.with_suffix(".partial")
            partial.write_text("".join(json.dumps(line) + "\n" for line in kept))
            os.replace(partial, path)
            self._events = events.EventFile(path.parent, kept)

    def write(self, line: dict):
        """Appends a line with the time (seconds since 1970), on the first process only."""
        if jax.process_index() == 0:
            line = {**line, "time": round(time.time(), 3)}
            with open(self.path, "a") as file:
                file.write(json.dumps(line) + "\n")
            self._events.write(line)

    def lines(self) -> list[dict]:
        """All whole lines; one that a kill cut short has no newline."""
        return read_metrics(self.path)


def read_metrics(path: Path) -> list[dict]:
    """The whole lines of a `metrics.jsonl`; [] where there is none."""
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []


def progress_bar(total: int, initial: int, description: str) -> tqdm:
    """A bar over steps, shown by the first process."""
    options = {"initial": initial, "unit": "step", "disable": jax.process_index() > 0}
    return progress_bars.progress_bar(None, description, total, **options)


def show(bar: tqdm, line: dict):
    """Puts the figures of a line of metrics.jsonl beside the bar."""
    forms = {
        "loss": "loss {:.3f}",
        "top1": "top1 {:.2f}",
        "clips_per_second": "{:.0f} clips/s",
        "waiting_for_data": "{:.0%} waiting for data",
    }
    shown = [form.format(line[name]) for name, form in forms.items() if name in line]
    bar.set_postfix_str(", ".join(shown), refresh=False)


def check_finite(step: int, measured: dict, schedule: optax.Schedule, last_saved: int):
    """Raises a FloatingPointError where loss or gradient is not finite; it says where the run can go on from.

    The schedule is only asked then: devices compute it too, after the step that they have just begun.
    """
    loss, grad_norm = float(measured["loss"]), float(measured["grad_norm"])
    if not np.isfinite(loss + grad_norm):
        learning_rate = float(schedule(step - 1))
        saved = f"of step {last_saved}" if last_saved else "none: no step was saved yet"
        raise FloatingPointError(
            f"Step {step}: the loss is {loss}, the gradient's norm {grad_norm}, at learning rate {learning_rate:.3g}. "
            f"The last good checkpoint is {saved}. Try a lower schedule.learning_rate, more schedule.warmup_steps, or "
            "optimizer.clip_norm."
        )


class Interrupt:
    """Notes SIGINT, SIGTERM and SIGUSR1, so that the loop can save and stop. A second one acts as usual.

    Within a second of the first it does not: a scheduler tells all processes at once, and a ladder its run again.

    Of several processes all stop after the same step, whichever of them was asked, and a second signal changes nothing:
    a scheduler sends one when the first of them has ended. (JAX's `reached_preemption_sync_point` would bring them to
    agree as well, but not where the signal comes while a run that goes on is still starting: it counts steps from 0.)

    It is a context, within which signals are noted; they go back to who had them before when it ends.
    """

    def __init__(self):
        self._noted, self._noted_at, self._saved, self._before, self._votes = False, 0.0, False, {}, None

    def __enter__(self):
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def asked(self, mesh: Mesh) -> bool:
        """Whether to stop after this step; every process has to ask after every step.

        Args:
            mesh: over all devices of all processes.

        What several processes were asked is known to all one step later, so that no device waits for it.
        """
        if jax.process_count() == 1:
            return self._noted
        before = self._votes
        own = np.full(jax.local_device_count(), self._noted, np.int32)
        self._votes = _total(jax.make_array_from_process_local_data(sharding.batch_sharding(mesh), own))
        return before is not None and int(before) > 0

    def all_is_saved(self):
        """From now on a signal ends the process at once: what is left to do, the same command does again."""
        self._saved = True
        if self._noted:
            self._note(0, None)

    def __exit__(self, *error):
        self._restore()
        if self._noted and jax.process_count() > 1:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # of a scheduler that sees another process end before this

    def _restore(self):
        for number, handler in self._before.items():
            signal.signal(number, handler or signal.SIG_DFL)  # None is a handler that is not Python's: JAX's own

    def _note(self, number, frame):
        if self._saved:
            os.write(2, b"\nInterrupted after the last step, which is saved: the same command evaluates it.\n")
            if jax.process_count() == 1:
                sys.exit(INTERRUPTED)
            os._exit(INTERRUPTED)  # not sys.exit, which would wait for the others
        if self._noted and jax.process_count() == 1 and time.monotonic() > self._noted_at + GRACE:
            self._restore()
            os.kill(os.getpid(), number)
            return
        if not self._noted:
            self._noted, self._noted_at = True, time.monotonic()


@jax.jit
def _total(votes: jax.Array) -> jax.Array:
    return votes.sum()
