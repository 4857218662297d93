"""Computes a model's outputs for every video of a split, on any number of devices and processes."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vidjax import compile_options, sharding, step
from vidjax.data import clips, pipeline

ORDERS = ("forwards", "backwards", "shuffled")


class Outputs(NamedTuple):
    """A model's outputs for the N videos of a split, V clips per video.

    Attributes:
        logits: float32 (N, V, K); with one label per frame, or per word of a caption, (N, V, T, K).
        target: (N, ...); with one label per frame (N, V, T), with several (N, V, T, K).
        backwards: `logits` of the clips played backwards; None if the reversal of classes is unknown.
        weight: with one label per frame (N, V, T), 0 after the end of a short video; else None.
        updates: for networks that skip frames (N, V, T): 1 if a frame was used, 0 if it was skipped, NaN after the end
            of a short feature sequence; else None.
    """

    logits: np.ndarray
    target: np.ndarray
    backwards: np.ndarray | None = None
    weight: np.ndarray | None = None
    updates: np.ndarray | None = None


def make_eval_fn(model, spec, mesh, shardings) -> Callable:
    """Returns the compiled (params, model_state, carry, batch) -> (logits, target, weight, updates, carry).

    All results but the carry are replicated on every process; see `step.carried_step` for the carry. `updates` (B, T):
    see `Outputs`.
    """

    def evaluate_batch(params, model_state, carry, batch):
        logits, ends, carry = step.carried_step(params, model_state, carry, batch, model=model, spec=spec)
        updates = ends.get("updates")
        if updates is not None and "frame_mask" in batch:
            updates = jnp.where(batch["frame_mask"] > 0, updates, jnp.nan)
        return logits, batch["target"], batch["weight"], updates, carry

    by_row, whole = sharding.batch_sharding(mesh), sharding.replicated(mesh)
    return jax.jit(
        evaluate_batch,
        in_shardings=(*shardings, by_row, by_row),
        out_shardings=(whole, whole, whole, whole, by_row),
        compiler_options=compile_options.of_inference(model),
    )


def clip_logits(
    eval_fn: Callable,
    params,
    model_state,
    batches: Iterator[pipeline.Batch],
    mesh,
    *,
    order: str = "forwards",
    per_frame: bool = False,
    is_chunked: bool = False,
) -> Outputs:
    """Runs a model over all clips of a split.

    Args:
        eval_fn: from `make_eval_fn`.
        batches: from `pipeline.eval_batches`; `video` is (B, V, T, H, W, C), or `features` (B, V, T, D).
        order: how clips are played, see `in_order`.
        per_frame: target and weight are (B, V, T) and belong to a view; several labels per frame are (B, V, T, K).
        is_chunked: a stateful model passes its carry from one view of a video to the next. With one label per video
            only the last view counts, which has seen the whole video.

    Returns:
        The outputs without padding, in the order of the records, on every process; `backwards` is None.
    """
    all_logits, all_targets, all_weights, all_updates = [], [], [], []
    for number, batch in enumerate(batches):
        labels = () if per_frame else ("target", "weight")
        inputs = {name: array for name, array in batch.items() if name not in labels}
        view_logits, view_targets, view_weights, view_updates, carry = [], [], [], [], {}
        for view in range(next(iter(inputs.values())).shape[1]):  # one view at a time bounds the memory
            of_view = {name: array[:, view] for name, array in inputs.items()}  # (B, T, ...)
            of_view = in_order(of_view, order, np.random.default_rng((number, view)))
            device_batch = sharding.put_batch({**batch, **of_view}, mesh)
            logits, target, weight, updates, after = eval_fn(params, model_state, carry, device_batch)
            carry = after if is_chunked else {}
            view_logits.append(logits)
            view_targets.append(target)
            view_weights.append(weight)
            view_updates.append(updates)
        if carry and not per_frame:
            view_logits = view_logits[-1:]
        weight = np.stack(view_weights, axis=1)  # (B, V), or (B, V, T)
        counted = weight.reshape(len(weight), -1).any(axis=1)
        all_logits.append(np.stack(view_logits, axis=1)[counted])  # (B, V, K), or (B, V, T, K)
        all_targets.append((np.stack(view_targets, axis=1) if per_frame else np.asarray(target))[counted])
        all_weights.append(weight[counted])
        if updates is not None:
            all_updates.append(np.stack(view_updates, axis=1)[counted])
    weights = np.concatenate(all_weights) if per_frame else None
    updates = np.concatenate(all_updates) if all_updates else None
    return Outputs(np.concatenate(all_logits), np.concatenate(all_targets), weight=weights, updates=updates)


def in_order(inputs: dict[str, np.ndarray], order: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Plays clips forwards, backwards, or shuffled: each clip in its own random order.

    Stored flow beside frames is one frame late backwards, because a clip does not hold the field that would come first:
    the one that starts at its last frame.

    Args:
        inputs: arrays (B, T, ...), the inputs of a batch.

    Raises:
        ValueError: for an unknown order, or shuffled flow, which belongs to two frames in a row.
    """
    if order not in ORDERS or (order == "shuffled" and "flow" in inputs):
        raise ValueError(f"Clips cannot be played {order}; choose one of {', '.join(ORDERS)}; flow not shuffled.")
    if order == "backwards":
        inputs = {name: array[:, ::-1] for name, array in inputs.items()}
        if "flow" in inputs:  # reversed motion has the opposite sign
            inputs["flow"] = clips.negate_flow(inputs["flow"])
    if order == "shuffled":
        num_clips, num_frames = next(iter(inputs.values())).shape[:2]
        steps = rng.permuted(np.tile(np.arange(num_frames), (num_clips, 1)), axis=1)  # (B, T)
        inputs = {name: array[np.arange(num_clips)[:, None], steps] for name, array in inputs.items()}
    return inputs
