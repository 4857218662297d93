"""Save and restore (Orbax).

A checkpoint is a composite of `params`, `model_state`, `ema`, `opt_state` and `position`, so that prediction and export
restore what they need without building an optimizer. Writing is asynchronous; a checkpoint appears whole or not at all.
"""

from pathlib import Path

import jax
import orbax.checkpoint as ocp

from vidjax import trees
from vidjax.step import TrainState

TREES = ("params", "model_state", "ema", "opt_state")


class Checkpoints:
    """The checkpoints of one work directory.

    Args:
        directory: made where it is missing.
        keep: how many of the last ones to keep.
        read_only: for others than the training run itself, which alone may clear away what was half written.
    """

    def __init__(self, directory: str | Path, keep: int = 2, read_only: bool = False):
        self.directory = Path(directory).absolute()
        if read_only and not self.directory.is_dir():
            raise ValueError(f"No checkpoint in {self.directory}.")
        if read_only:
            options = ocp.CheckpointManagerOptions(read_only=True)
        else:
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
        """
        trees = {
            name: ocp.args.StandardSave(getattr(state, name)) for name in TREES if jax.tree.leaves(getattr(state, name))
        }
        self._manager.save(
            position["step"], args=ocp.args.Composite(position=ocp.args.JsonSave(position), **trees), force=True
        )

    def wait(self):
        """Returns when all is written; raises what went wrong (a full disk, say)."""
        self._manager.wait_until_finished()

    def close(self):
        self._manager.close()

    def restore(self, abstract: TrainState, step: int | None = None) -> tuple[TrainState, dict]:
        """Restores a state with its position.

        Args:
            abstract: `jax.ShapeDtypeStruct`s with shardings: any mesh, not only that of the run which saved.
            step: of the checkpoint; the last one by default.

        Raises:
            ValueError: where there is no such checkpoint, or it is of another model (what differs is listed).
        """
        step = self._find(step)
        saved = self._manager.item_metadata(step)
        trees = {}
        for name in TREES:
            expected = getattr(abstract, name)
            if jax.tree.leaves(expected):
                _check_same_tree(f"{self.directory}, step {step}: {name}", expected, saved[name])
                trees[name] = ocp.args.StandardRestore(expected)
        restored = self._manager.restore(step, args=ocp.args.Composite(position=ocp.args.JsonRestore(), **trees))
        values = {name: restored[name] if name in trees else getattr(abstract, name) for name in TREES}
        position = restored["position"]
        return TrainState(step=jax.numpy.asarray(position["step"], jax.numpy.int32), **values), position

    def restore_model(self, params: dict, model_state: dict, step: int | None = None) -> tuple[dict, dict, int]:
        """Restores what evaluation needs: the averaged parameters where there are some, and the model's state.

        Args:
            params, model_state: `jax.ShapeDtypeStruct`s with shardings.

        Returns:
            params, model_state and the step. Raises as `restore` does.
        """
        step = self._find(step)
        saved = self._manager.item_metadata(step)
        source = "ema" if saved.get("ema") is not None else "params"
        wanted = {source: params, "model_state": model_state}
        wanted = {name: tree for name, tree in wanted.items() if jax.tree.leaves(tree)}
        for name, tree in wanted.items():
            _check_same_tree(f"{self.directory}, step {step}: {name}", tree, saved[name])
        args = {name: ocp.args.StandardRestore(tree) for name, tree in wanted.items()}
        restored = self._manager.restore(step, args=ocp.args.Composite(**args))
        return restored[source], restored["model_state"] if "model_state" in wanted else {}, step

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
