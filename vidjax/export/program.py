"""A trained network as a pure function of arrays, ready for export.

    program.function(variables, {"video": uint8 clips}) -> {"logits": float32}, or "embedding", or "flow"

The function includes preprocessing. The parameters are an argument, so that they can be stored in a separate file. The
batch size is free, and so is the length of clips if the model allows it.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from flax import traverse_util
from jax import export

from vidjax import step
from vidjax.data import clips
from vidjax.inference import restore, stream
from vidjax.models import FLOW_NETWORKS
from vidjax.models.backend import traced_for
from vidjax.models.stateful import plain

PLATFORMS = ("cpu", "cuda", "tpu")
LENGTHS = ((1, 1), (1, 16), (8, 16))  # free lengths to try: (multiple of, at least)

Arrays = dict[str, np.ndarray]


class Program(NamedTuple):
    """A function of named arrays.

    Attributes:
        function: (variables, inputs) -> outputs, each a dict of arrays by name; pure, for JAX to trace.
        variables: parameters and statistics, float32, by path: "params/conv1/kernel".
        inputs: shape and dtype of each input, with a batch of 1.
        length: allowed lengths of clips, the second axis: (8, 16) means multiples of 8 from 16. None: as in `inputs`.
        state: inputs with the state of a stream before the first frame, with a batch of 1. The outputs with the same
            names after "next_" are the state after the frames. Empty for whole clips.
    """

    function: Callable[[Arrays, Arrays], Arrays]
    variables: Arrays
    inputs: dict[str, jax.ShapeDtypeStruct]
    length: tuple[int, int] | None = None
    state: Arrays = {}

    def polynomials(self) -> dict[str, str]:
        """The shapes of the inputs in JAX's notation for free sizes: "batch, 8*n + 8, 224, 224, 3", with n >= 1."""
        multiple, least = self.length or (1, 1)
        length = [f"{multiple}*n + {least - multiple}"] if self.length else []
        return {
            name: ", ".join(map(str, ["batch", *length, *shape.shape[1 + len(length) :]]))
            for name, shape in self.inputs.items()
        }

    def shapes(self) -> dict[str, jax.ShapeDtypeStruct]:
        """The shapes and dtypes of the inputs, with symbols for free sizes, to trace the function on."""
        scope = export.SymbolicScope()
        return {
            name: jax.ShapeDtypeStruct(export.symbolic_shape(shape, scope=scope), self.inputs[name].dtype)
            for name, shape in self.polynomials().items()
        }


def of_clips(run: restore.Trained, *, embeds: bool = False) -> Program:
    """Returns the network on whole clips: `video`, `flow`, or `features` with `frame_mask` -> its output, float32.

    Args:
        embeds: the network is an embedder, see `embedding.embedder_of`; it returns an `embedding` (B, D), the mean of
            its outputs over time and space.

    Raises:
        ValueError: for a network that writes captions.
    """
    if "caption_length" in run.inputs:
        raise ValueError(f"{run.name} writes captions word by word, so it is not a function of the video alone.")
    model, output = plain(run.model).clone(dtype=np.float32), output_of(run, embeds)

    def function(variables: Arrays, inputs: Arrays) -> Arrays:
        params, model_state = _nested(variables)
        outputs = step.eval_step(params, model_state, inputs, model=model, spec=run.preprocess)
        return {output: outputs.mean(axis=tuple(range(1, outputs.ndim - 1))) if embeds else outputs}

    return _with_free_length(Program(function, _flat(run), _shapes(clips.blank_batch(run.inputs, run.clip, 1))))


def output_of(run: restore.Trained, embeds: bool = False) -> str:
    """Returns the name of the output: embedding, flow (of networks of optical flow, in pixels) or logits."""
    return "embedding" if embeds else "flow" if run.network in FLOW_NETWORKS else "logits"


def of_stream(run: restore.Trained) -> Program:
    """Returns the step of a network over a stream: frames and a state -> the logits so far and the next state.

    Raises:
        ValueError: like `stream.init_stream`, and for a network over records of features.
    """
    if "prefix" in run.inputs:
        raise ValueError(f"{run.name} sees features; a stream needs a network that sees frames.")
    model = stream.causal_model(plain(run.model).clone(dtype=np.float32), run.preprocess)
    clip = {**run.clip, "num_frames": stream.frames_a_step(model)}
    blank = clips.blank_batch(run.inputs, clip, 1)
    begin = jax.jit(functools.partial(step.init_variables, model=model, spec=run.preprocess))
    leaves, tree = jax.tree.flatten(begin(0, blank)[1]["carry"])
    state = {f"state_{i}": np.asarray(leaf) for i, leaf in enumerate(leaves)}

    def function(variables: Arrays, inputs: Arrays) -> Arrays:
        params, model_state = _nested(variables)
        carry = {"carry": jax.tree.unflatten(tree, [inputs[name] for name in state])}
        batch = {name: x for name, x in inputs.items() if name not in state}
        outputs, _, carry = step.carried_step(params, model_state, carry, batch, model=model, spec=run.preprocess)
        logits = outputs[:, -1] if getattr(model.network, "per_frame", False) else outputs
        names = [f"next_{name}" for name in state]  # ONNX needs a new name for every array
        return {"logits": logits, **dict(zip(names, jax.tree.leaves(carry), strict=True))}

    return Program(function, _flat(run), _shapes(blank | state), state=state)


def _flat(run: restore.Trained) -> Arrays:
    variables = {"params": run.params, **step.without_carry(run.model_state)}
    return {path: np.asarray(x) for path, x in traverse_util.flatten_dict(variables, sep="/").items()}


def _nested(variables: Arrays) -> tuple[dict, dict]:
    """Splits flat variables into parameters and model state."""
    nested = traverse_util.unflatten_dict(variables, sep="/")
    return nested.pop("params"), nested


def _shapes(arrays: Arrays) -> dict[str, jax.ShapeDtypeStruct]:
    return {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in arrays.items()}


def _with_free_length(program: Program) -> Program:
    """Sets the first of `LENGTHS` that includes the network's own clips and that it can be traced on, if any."""
    first = next(iter(program.inputs.values())).shape[1]
    for length in LENGTHS:
        if first % length[0] or first < length[1]:
            continue
        candidate = program._replace(length=length)
        try:
            with traced_for(*PLATFORMS):
                jax.eval_shape(candidate.function, candidate.variables, candidate.shapes())
        except Exception:  # code that depends on an unknown size raises many types
            continue
        return candidate
    return program
