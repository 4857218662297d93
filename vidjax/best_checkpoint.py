"""The checkpoint with the best validation metric, kept beside the last ones: `keep_best` of a config."""

import math
from pathlib import Path

from vidjax.checkpoint import Checkpoints
from vidjax.step import TrainState

DIRECTORY = "checkpoints_best"  # in a work directory
LOWER_IS_BETTER = ("val_loss", "val_rmse", "val_epe")


class BestCheckpoint:
    """The best checkpoint of a run; without a metric it keeps nothing.

    It holds the model, not the optimizer's state: training continues from the last checkpoint. What it has kept counts
    after an interruption too, so that a run that repeats some steps ends with the same best checkpoint.

    Args:
        last: the last checkpoints of the run; the best one is kept beside their directory.
        metric: a key of the lines of metrics.jsonl; empty to keep no checkpoint.
    """

    def __init__(self, last: Checkpoints, metric: str):
        self.metric, self._last = metric, last
        self._checkpoints = Checkpoints(last.directory.parent / DIRECTORY, keep=1) if metric else None
        self._best = (0, -math.inf)  # step and score
        if metric and self._checkpoints.steps():
            position = self._checkpoints.position()
            self._best = (position["step"], self._score(position))

    def offer(self, state: TrainState, line: dict):
        """Keeps the state if its metric is better than all before; of equal ones the first. Raises OSErrors of `save`.

        Args:
            line: the line of metrics.jsonl of this step, with validation.

        Raises:
            ValueError: if the validation has no such metric.
        """
        if not self.metric:
            return
        if self.metric not in line:
            found = ", ".join(name for name in line if name.startswith("val_"))
            raise ValueError(f"config.keep_best = {self.metric!r}: validation gives {found}; choose one of them.")
        step, score = line["step"], self._score(line)
        if step > self._best[0] and (score > self._best[1] or not self._best[0]):
            self._best = (step, score)
            self._last.wait()  # with several processes, Orbax's barriers of two directories would collide
            self._checkpoints.save(state.replace(opt_state=()), {"step": step, self.metric: line[self.metric]})
            self._checkpoints.wait()

    def choose(self, state: TrainState, abstract: TrainState) -> tuple[dict, dict, int]:
        """Returns the parameters (averaged, if the run averages), model state and step that the run is judged by.

        Args:
            state: the last state, which is returned if no checkpoint was to be kept.
            abstract: its `jax.ShapeDtypeStruct`s, with shardings.
        """
        if not self.metric:
            return state.ema or state.params, state.model_state, int(state.step)
        return self._checkpoints.restore_model(abstract.params, abstract.model_state)

    def close(self):
        """Frees resources."""
        if self.metric:
            self._checkpoints.close()

    def _score(self, line: dict) -> float:
        value = line[self.metric]
        if math.isnan(value):
            return -math.inf
        return -value if self.metric in LOWER_IS_BETTER else value


def open_best_or_last(workdir: Path, metric: str = "", at_step: int | None = None) -> tuple[Checkpoints, str]:
    """Opens the best checkpoint of a run, to read it, if the run keeps one and no other step is asked for.

    Returns:
        The checkpoints, and a note: ", the best val_loss" for the best one, else "".
    """
    if metric and (workdir / DIRECTORY).is_dir():
        best = Checkpoints(workdir / DIRECTORY, read_only=True)
        if best.steps() and at_step in (None, best.steps()[-1]):
            return best, f", the best {metric}"
        best.close()
    return Checkpoints(workdir / "checkpoints", read_only=True), ""
