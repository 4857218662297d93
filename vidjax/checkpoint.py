"""Saves and restores checkpoints (Orbax).

A checkpoint is a composite of `params`, `model_state`, `ema`, `opt_state` and `position`, so that prediction and export
can restore the model without building an optimizer. Writing is asynchronous and atomic: a checkpoint is complete or
absent. `position` also holds the checksum of each array, which restoring verifies.
"""

import contextlib
import math
import os
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from vidjax import trees
from vidjax.checksums import checksums_of
from vidjax.step import TrainState

KEPT = 2  # checkpoints; a third exists while it is written, before the oldest is removed
TREES = ("params", "model_state", "ema", "opt_state")
WRITERS = set()  # every `Checkpoints` of this process that may be writing


def finish_writing(directory: Path | None = None):
    """Waits until this process has written the checkpoints of a directory, or all; also those of a run that failed."""
    for checkpoints in [x for x in WRITERS if directory in (None, x.directory)]:
        with contextlib.suppress(Exception):  # the run that owns it has reported its own error
            checkpoints.wait()


# Before thread pools stop, which `atexit` does not. Else Orbax, still writing for a run that failed, loses the
# checkpoint and prints tracebacks about its temporary files below the error of the run.
threading._register_atexit(finish_writing)


class Checkpoints:
    """The checkpoints of one work directory.

    Args:
        directory: created if it is missing.
        keep: number of latest checkpoints to keep.
        read_only: for every reader except the training run, which alone may remove incomplete checkpoints.

    Attributes:
        partial: names of incomplete checkpoints found when this opened, which a killed run leaves behind.

    Raises:
        ValueError: if the directory cannot be written to or, with `read_only`, does not exist.
    """

    def __init__(self, directory: str | Path, keep: int = KEPT, read_only: bool = False):
        self.directory = Path(directory).absolute()
        if read_only and not self.directory.is_dir():
            raise ValueError(f"No checkpoint in {self.directory}.")
        if not read_only:
            finish_writing(self.directory)  # a temporary directory that is still written is not incomplete
        self.partial = sorted(path.name for path in self.directory.glob("*.orbax-checkpoint-tmp*"))
        if read_only:
            options = ocp.CheckpointManagerOptions(read_only=True)
        else:
            _check_writable(self.directory)
            options = ocp.CheckpointManagerOptions(max_to_keep=keep, cleanup_tmp_directories=True)
        handlers = {name: ocp.StandardCheckpointHandler() for name in TREES} | {"position": ocp.JsonCheckpointHandler()}
        self._manager = ocp.CheckpointManager(self.directory, options=options, item_handlers=handlers)

    def steps(self) -> list[int]:
        """The steps of all complete checkpoints, oldest first."""
        return sorted(self._manager.all_steps())

    def save(self, state: TrainState, position: dict):
        """Starts writing a checkpoint in the background; first waits for the previous one and raises its errors.

        Args:
            state: copied to the host before this returns.
            position: a JSON dict with `step`, from which the pipeline's position is computed.

        Raises:
            OSError: if this or the previous checkpoint cannot be written, for example on a full disk; names the last
                complete one.
        """
        kept = {name: getattr(state, name) for name in TREES if jax.tree.leaves(getattr(state, name))}
        noted = {**position, "checksums": {name: checksums_of(tree) for name, tree in kept.items()}}
        items = {name: ocp.args.StandardSave(tree) for name, tree in kept.items()}
        WRITERS.add(self)
        with self._writing():
            args = ocp.args.Composite(position=ocp.args.JsonSave(noted), **items)
            self._manager.save(position["step"], args=args, force=True)

    def wait(self):
        """Waits until all checkpoints are written. Raises the errors of `save`."""
        WRITERS.discard(self)
        with self._writing():
            self._manager.wait_until_finished()

    def close(self):
        """Waits until all checkpoints are written, then frees resources. Raises the errors of `save`."""
        WRITERS.discard(self)
        with self._writing():
            self._manager.close()

    @contextlib.contextmanager
    def _writing(self):
        try:
            yield
        except Exception as error:  # Orbax passes on the errors of its parts, of any type
            complete = [int(path.name) for path in self.directory.glob("*") if path.name.isdecimal()]
            last = f"The last complete checkpoint is of step {max(complete)}" if complete else "No checkpoint exists"
            raise OSError(
                f"A checkpoint could not be written to {self.directory}: {_first_line(error)}\n"
                f"{last}. Fix the problem and run the same command to continue."
            ) from error

    def restore(self, abstract: TrainState, step: int | None = None) -> tuple[TrainState, dict]:
        """Restores a training state and its position.

        Args:
            abstract: `jax.ShapeDtypeStruct`s with shardings, on any mesh.
            step: step of the checkpoint; by default the last one.

        Raises:
            ValueError: if there is no such checkpoint, it is damaged, or it is of another model; lists the differences.
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
        # With another sharding of the step number, the training step would compile again
        at_step = jax.device_put(np.int32(position["step"]), abstract.step.sharding)
        return TrainState(step=at_step, **values), position

    def position(self, step: int | None = None) -> dict:
        """The position of a checkpoint, by default of the last one. Raises the errors of `restore`."""
        return self._restore(self._find(step), {})[1]

    def restore_model(self, params: dict, model_state: dict, step: int | None = None) -> tuple[dict, dict, int]:
        """Restores the model for evaluation: its averaged parameters, if it has them, and its state.

        Args:
            params, model_state: `jax.ShapeDtypeStruct`s with shardings.

        Returns:
            params, model_state and the step. Raises the errors of `restore`.
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
        """The trees by name, and the position. Raises a ValueError if a checksum does not match."""
        with self._reading(step):
            position = ocp.args.JsonRestore()
            restored = self._manager.restore(step, args=ocp.args.Composite(position=position, **args))
            position = restored["position"]
            if position["step"] != step:
                raise ValueError(f"its position is of step {position['step']}")
            for name, expected in position.pop("checksums").items():
                found = checksums_of(restored[name]) if name in args else expected
                if wrong := [path for path in expected if found[path] != expected[path]]:
                    raise ValueError(f"the checksum of {name} {', '.join(wrong[:3])} does not match")
        return restored, position

    @contextlib.contextmanager
    def _reading(self, step: int):
        try:
            yield
        except (OSError, jax.errors.JaxRuntimeError):  # out of memory or a lost process, not damaged files
            raise
        except Exception as error:  # a flipped bit in a JSON file can raise any error
            before = [other for other in self.steps() if other < step]
            here = self.directory / str(step)
            way_out = f"remove {here} to continue from step {before[-1]}" if before else "start again"
            raise ValueError(
                f"The checkpoint of step {step} in {self.directory} is damaged or cannot be read: "
                f"{_first_line(error)}\nIf it is damaged, {way_out}."
            ) from error

    def _find(self, step: int | None) -> int:
        steps = self.steps()
        if not steps:
            raise ValueError(f"No checkpoint in {self.directory}.")
        if step is not None and step not in steps:
            raise ValueError(f"No checkpoint of step {step} in {self.directory}; choose one of {steps}.")
        return steps[-1] if step is None else step


def _check_same_tree(what: str, expected, saved):
    if lines := trees.differences(trees.shapes(expected), trees.shapes(saved), "the checkpoint"):
        raise ValueError(f"{what} is of another model:{lines}")


def _check_writable(directory: Path):
    """Raises a ValueError if a directory, or its nearest existing parent, cannot be written to."""
    exists = next(path for path in (directory, *directory.parents) if path.exists())
    if not (exists.is_dir() and os.access(exists, os.W_OK | os.X_OK)):
        raise ValueError(f"Checkpoints cannot be written to {directory}: {exists} is not a writable directory.")


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:600]


def check_space(workdir: Path, state: TrainState, steps: Sequence[int], total_steps: int, every: int):
    """Raises a ValueError if the disk has too little space for the checkpoints still to be written.

    Args:
        state: the abstract state, shapes and dtypes.
        steps: steps of the existing checkpoints.
        total_steps, every: steps of the run, and steps between checkpoints.
    """
    size = sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(state))
    remaining = math.ceil((total_steps - max(steps, default=0)) / every)
    count, free = min(remaining, KEPT + 1 - len(steps)), shutil.disk_usage(workdir).free
    if count * size > free:
        raise ValueError(
            f"The checkpoints need {count} x {size / 2**30:.2f} GiB in {workdir}, where {free / 2**30:.2f} GiB are "
            "free: free some space, or choose a --workdir on another disk."
        )
