"""Reports of the training loop: metrics.jsonl, the progress bar, and values that are not finite."""

import json
import os
import time
from pathlib import Path

import jax
import numpy as np
import optax
from tqdm import tqdm

from vidjax import progress_bar as progress_bars
from vidjax.training import events


class MetricsLog:
    """`metrics.jsonl`, one line per logged step, and its event file. Drops lines after `start_step`."""

    def __init__(self, path: Path, start_step: int):
        self.path = path
        if jax.process_index() == 0:
            kept = [line for line in self.lines() if line["step"] <= start_step]
            partial = path.with_suffix(".partial")
            partial.write_text("".join(json.dumps(line) + "\n" for line in kept))
            os.replace(partial, path)
            self._events = events.EventFile(path.parent, kept)

    def write(self, line: dict):
        """Appends a line and its time (seconds since 1970), on the first process only."""
        if jax.process_index() == 0:
            line = {**line, "time": round(time.time(), 3)}
            with open(self.path, "a") as file:
                file.write(json.dumps(line) + "\n")
            self._events.write(line)

    def lines(self) -> list[dict]:
        """Returns all complete lines; a line that was cut off by a kill has no newline."""
        return read_metrics(self.path)


def read_metrics(path: Path) -> list[dict]:
    """Returns the complete lines of a `metrics.jsonl`; [] without a file. Raises a ValueError if they are not JSON."""
    try:
        return [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}. Remove the damaged lines.") from None


def progress_bar(total: int, initial: int, description: str) -> tqdm:
    """Returns a progress bar over steps, shown by the first process only."""
    options = {"initial": initial, "unit": "step", "disable": jax.process_index() > 0}
    return progress_bars.progress_bar(None, description, total, **options)


def show(bar: tqdm, line: dict):
    """Shows metrics of a line of metrics.jsonl beside the bar."""
    forms = {
        "loss": "loss {:.3f}",
        "top1": "top1 {:.2f}",
        "clips_per_second": "{:.0f} clips/s",
        "waiting_for_data": "{:.0%} waiting for data",
    }
    shown = [form.format(line[name]) for name, form in forms.items() if name in line]
    bar.set_postfix_str(", ".join(shown), refresh=False)


def not_finite(step: int, metrics: dict[str, float], schedule: optax.Schedule, last_saved: int) -> str | None:
    """Returns an error message if the loss or the gradient is not finite, with the last good checkpoint; else None."""
    loss, grad_norm = metrics["loss"], metrics["grad_norm"]
    if np.isfinite(loss + grad_norm):
        return None
    saved = f"of step {last_saved}" if last_saved else "none: no step was saved yet"
    return (
        f"Step {step}: the loss is {loss}, the gradient norm {grad_norm}, at learning rate "
        f"{float(schedule(step - 1)):.3g}. The last good checkpoint is {saved}. Try a lower schedule.learning_rate, "
        "more schedule.warmup_steps, or optimizer.clip_norm."
    )
