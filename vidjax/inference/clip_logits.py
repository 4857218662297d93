"""Compiles a trained network into a function from clips to logits."""

import functools
from collections.abc import Callable

import jax
import numpy as np

from vidjax import compile_options, losses, sharding, step
from vidjax.data import clips
from vidjax.inference import restore
from vidjax.progress_bar import progress_bar


def check_sees_videos(run):
    """Raises a ValueError if a restored or exported network does not see whole videos."""
    if run.clip.get("sampling") == "chunks" or run.config and run.config.get("target") == "frame":
        raise ValueError(f"{run.name} classifies frames or chunks, not whole videos: evaluate it with vidjax.evaluate.")
    if "target" in run.inputs:
        raise ValueError(f"{run.name} forecasts a series: evaluate it with vidjax.evaluate.")
    if "prefix" in run.inputs:
        source = f"layer {run.inputs['layer']!r} of {run.inputs['source']}"
        raise ValueError(f"{run.name} was trained on features ({source}), not on videos: evaluate it on such records.")


def check_names_videos(run):
    """Raises a ValueError if a restored or exported network does not classify whole videos."""
    check_sees_videos(run)
    if run.config and run.config.get("target") == "flow":
        raise ValueError(f"{run.name} estimates optical flow: evaluate it with vidjax.evaluate.")
    if not run.labels:
        raise ValueError(f"{run.name} has no classes: use it with vidjax.features or init_from.")
    if run.config and run.config.loss.name == "reconstruction":
        raise ValueError(
            f"{run.name} reconstructs clips and has no classes: train a classifier with config.init_from, or compute "
            "its features with vidjax.features."
        )
    if not returns_logits(run):
        raise ValueError(
            f"{run.name} was trained with the loss {run.config.loss.name!r}, so that it returns embeddings: predict "
            "with --gallery, evaluate with vidjax.evaluate."
        )


def returns_logits(run) -> bool:
    """Whether the outputs of a network are logits; a run with a metric loss returns embeddings."""
    return run.config is None or run.config.loss.name not in losses.WITHOUT_CLASSES


def make_logits_fn(run: restore.Trained, clips_a_device: int = 1) -> Callable[[clips.Clip], np.ndarray]:
    """Returns the compiled function from clips to logits, see `make_outputs_fn`. Errors: see `check_names_videos`."""
    check_names_videos(run)
    return make_outputs_fn(run, clips_a_device)


def make_outputs_fn(run: restore.Trained, clips_a_device: int = 1) -> Callable[[clips.Clip], np.ndarray]:
    """Returns the compiled function from clips, see `views.read_views`, to the network's outputs, float32 (V, ..., K).

    Args:
        clips_a_device: number of clips that each device computes at a time.

    Raises:
        ValueError: see `check_sees_videos`.
    """
    check_sees_videos(run)
    forward = jax.jit(
        functools.partial(step.eval_step, model=run.model, spec=run.preprocess),
        out_shardings=sharding.replicated(run.mesh),
        compiler_options=compile_options.of_inference(run.model),
    )
    per_call = clips_a_device * run.mesh.size  # a single shape to compile for any number of views

    def outputs_of(views: clips.Clip) -> np.ndarray:
        outputs, count = [], len(next(iter(views.values())))
        for i in progress_bar(range(0, count, per_call), "clips", leave=False):
            group = np.minimum(np.arange(i, i + per_call), count - 1)  # pads with the last clip
            batch = {name: x[group] for name, x in views.items()}
            batch = jax.device_put(batch, sharding.batch_sharding(run.mesh))
            outputs.append(np.asarray(forward(run.params, run.model_state, batch)))
        return np.concatenate(outputs)[:count]

    return outputs_of
