"""Save and restore (Orbax).

A checkpoint is a composite of `params`, `model_state`, `ema`, `opt_state` and `position`, so that prediction and export
restore what they need without building an optimizer. Writing is asynchronous; a checkpoint appears whole or not at all.
Beside its position it keeps the checksum of each array, which is looked at when it is restored.
"""

import contextlib
import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from vidjax import trees
from vidjax.checksums import checksums_of
from vidjax.step import TrainState

KEPT = 2  # checkpoints; a third one is written before the oldest is removed
TREES = ("params", "model_state", "ema", "opt_state")


class Checkpoints:
    """The checkpoints of one work directory.

    Args:
        directory: made where it is missing.
        keep: how many of the last ones to keep.
        read_only: for others than the training run itself, which alone may clear away what was half written.

    Attributes:
        partial: names of the checkpoints that were there and not whole, as of a run that was killed.

    Raises:
        ValueError: for a directory that cannot be written to, or where there is nothing to read.
    """

    def __init__(self, directory: str | Path, keep: int = KEPT, read_only: bool = False):
        self.directory = Path(directory).absolute()
        if read_only and not self.directory.is_dir():
            raise ValueError(f"No checkpoint in {self.directory}.")
        self.partial = sorted(path.name for path in self.directory.glob("*.orbax-checkpoint-tmp*"))
        if read_only:
            options = ocp.CheckpointManagerOptions(read_only=True)
        else:
            _check_writable(self.directory)
            options = ocp.CheckpointManagerOptions(max_to_keep=keep, cleanup_tmp_directories=True)
        handlers = {name: ocp.StandardCheckpointHandler() for name in TREES} | {"position": ocp.JsonCheckpointHandler()}
        self._manager = ocp.CheckpointManager(self.directory, options=options, item_handlers=handlers)

    def steps(self) -> list[int]:
        """The steps of all whole checkpoints, oldest first."""
        return sorted(self._manager.all_steps())

    def save(self, state: TrainState, position: dict):
        """Begins to write a checkpoint in the background; waits for the one before, and raises what went wrong there.

        Args:
            state: is copied to the host before this returns.
            position: a JSON dict with `step`, what the pipeline's position is computed from.

        Raises:
            OSError: where it or the one before cannot be written (a full disk, say); says what there is to go on from.
        """
        kept = {name: getattr(state, name) for name in TREES if jax.tree.leaves(getattr(state, name))}
        noted = {**position, "checksums": {name: checksums_of(tree) for name, tree in kept.items()}}
        items = {name: ocp.args.StandardSave(tree) for name, tree in kept.items()}
        with self._writing():
            args = ocp.args.Composite(position=ocp.args.JsonSave(noted), **items)
            self._manager.save(position["step"], args=args, force=True)

    def wait(self):
        """Returns when all is written. Raises as `save` does."""
        with self._writing():
            self._manager.wait_until_finished()

    def close(self):
        """Waits until all is written. Raises as `save` does."""
        with self._writing():
            self._manager.close()

    @contextlib.contextmanager
    def _writing(self):
        try:
            yield
        except Exception as error:  # Orbax lets through whatever its parts raise
            whole = [int(path.name) for path in self.directory.glob("*") if path.name.isdecimal()]
            left = f"the checkpoint of step {max(whole)} is whole" if whole else "there is none yet"
            raise OSError(
                f"A checkpoint could not be written to {self.directory}: {_first_line(error)}\n"
                f"Of those before, {left}. When that is mended, the same command goes on from there."
            ) from error

    def restore(self, abstract: TrainState, step: int | None = None) -> tuple[TrainState, dict]:
        """Restores a state with its position.

        Args:
            abstract: `jax.ShapeDtypeStruct`s with shardings: any mesh, not only that of the run which saved.
            step: of the checkpoint; the last one by default.

        Raises:
            ValueError: where there is no such checkpoint, it is damaged, or of another model (what differs is listed).
        """
        step = self._find(step)
        with self._reading(step):
            saved = self._manager.item_metadata(step)
        trees = {}
        for name in TREES:
            expected = getattr(abstract, name)
            if jax.tree.leaves(expected):
                _check_same_tree(f"{self.directory}, step {step}: {name}", expected, saved[name])
                trees[name] = ocp.args.StandardRestore(expected)
        restored, position = self._restore(step, trees)
        values = {name: restored[name] if name in trees else getattr(abstract, name) for name in TREES}
        at_step = jax.device_put(np.int32(position["step"]), abstract.step.sharding)  # or the step is compiled anew
        return TrainState(step=at_step, **values), position

    def restore_model(self, params: dict, model_state: dict, step: int | None = None) -> tuple[dict, dict, int]:
        """Restores what evaluation needs: the averaged parameters where there are some, and the model's state.

        Args:
            params, model_state: `jax.ShapeDtypeStruct`s with shardings.

        Returns:
            params, model_state and the step. Raises as `restore` does.
        """
        step = self._find(step)
        with self._reading(step):
            saved = self._manager.item_metadata(step)
        source = "ema" if saved.get("ema") is not None else "params"
        wanted = {source: params, "model_state": model_state}
        wanted = {name: tree for name, tree in wanted.items() if jax.tree.leaves(tree)}
        for name, tree in wanted.items():
            _check_same_tree(f"{self.directory}, step {step}: {name}", tree, saved[name])
        restored, _ = self._restore(step, {name: ocp.args.StandardRestore(tree) for name, tree in wanted.items()})
        return restored[source], restored["model_state"] if "model_state" in wanted else {}, step

    def _restore(self, step: int, args: dict) -> tuple[dict, dict]:
        """The trees by name, and the position; raises a ValueError where they are not what was saved."""
        with self._reading(step):
            position = ocp.args.JsonRestore()
            restored = self._manager.restore(step, args=ocp.args.Composite(position=position, **args))
            position = restored["position"]
            if position["step"] != step:
                raise ValueError(f"it says that it is of step {position['step']}")
            for name, expected in position.pop("checksums", {}).items():  # there were none in version 0.1
                found = checksums_of(restored[name]) if name in args else expected
                if wrong := [path for path in expected if found[path] != expected[path]]:
                    raise ValueError(f"the checksum of {name} {', '.join(wrong[:3])} does not match")
        return restored, position

    @contextlib.contextmanager
    def _reading(self, step: int):
        try:
            yield
        except (OSError, jax.errors.JaxRuntimeError):  # too little memory, a peer that has gone: no fault of the files
            raise
        except Exception as error:  # what a flipped bit makes of a file of JSON may be anything
            before = [other for other in self.steps() if other < step]
            here = self.directory / str(step)
            way_out = f"remove {here} to go on from step {before[-1]}" if before else "start again"
            raise ValueError(
                f"The checkpoint of step {step} in {self.directory} is damaged, or cannot be read: "
                f"{_first_line(error)}\nIf it is damaged, {way_out}."
            ) from error

    def _find(self, step: int | None) -> int:
        steps = self.steps()
        if not steps:
            raise ValueError(f"No checkpoint in {self.directory}.")
        if step is not None and step not in steps:
            raise ValueError(f"No checkpoint of step {step} in {self.directory}; there are {steps}.")
        return steps[-1] if step is None else step


def _check_same_tree(what: str, expected, saved):
    if lines := trees.differences(trees.shapes(expected), trees.shapes(saved), "the checkpoint"):
        raise ValueError(f"{what} is of another model:{lines}")


def _check_writable(directory: Path):
    """Raises a ValueError where a directory, or the first of those above that is there, cannot be written to."""
    exists = next(path for path in (directory, *directory.parents) if path.exists())
    if not (exists.is_dir() and os.access(exists, os.W_OK | os.X_OK)):
        raise ValueError(f"Checkpoints cannot be written to {directory}: {exists} is no directory you may write to.")


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:600]


def check_space(workdir: Path, state: TrainState, steps: Sequence[int], total_steps: int, every: int):
    """Raises a ValueError where the checkpoints still to come take more space than the disk has.

    Args:
        state: shapes and dtypes, the abstract state.
        steps: of the checkpoints that are there.
        total_steps, every: the length of the run, and steps between checkpoints.
    """
    size = sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(state))
    to_come = math.ceil((total_steps - max(steps, default=0)) / every)
    count, free = min(to_come, KEPT + 1 - len(steps)), shutil.disk_usage(workdir).free
    if count * size > free:
        raise ValueError(
            f"The checkpoints need {count} x {size / 2**30:.2f} GiB in {workdir}, where {free / 2**30:.2f} GiB are "
            "free: free some space, or name a --workdir on another disk."
        )
