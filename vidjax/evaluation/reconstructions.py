"""Pictures of original, masked and reconstructed clips, for runs that pretrain without labels."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from vidjax import compile_options, sharding, step
from vidjax.data import pipeline
from vidjax.models.videomae_pretrain import VideoMAEPretrain, mean_and_deviation, pixels_of_tokens, video_of_tokens
from vidjax.preprocess import Spec, preprocess

NAME = "reconstructions.png"  # in the work directory
NUM_CLIPS, MOST_FRAMES = 4, 8  # clips in a picture, and frames of each
ROWS = ("original", "masked", "reconstructed")


def evenly(records: pipeline.Records, count: int = NUM_CLIPS) -> pipeline.Records:
    """Returns `count` of the records, evenly spaced."""
    rows = np.unique(np.linspace(0, len(records) - 1, count).round().astype(int))
    return dataclasses.replace(records, places=[records.places[row] for row in rows])


def make_draw_fn(model: VideoMAEPretrain, spec: Spec, mesh, shardings: tuple) -> Callable:
    """Returns the compiled (params, model_state, batch) -> (originals, masked, reconstructed), see `reconstruct`.

    All three are replicated on every process.
    """

    def of_batch(params, model_state, batch):
        _, ends = step.apply_model(params, model_state, batch, model=model, spec=spec)
        video = preprocess(batch, spec)["video"]
        restored = functools.partial(to_levels, spec=spec)
        originals = video[:, : video.shape[1] // model.patch[0] * model.patch[0]]
        return tuple(map(restored, (originals, *reconstruct(model, video, ends))))

    by_row, whole = sharding.batch_sharding(mesh), sharding.replicated(mesh)
    options = compile_options.of_inference(model)
    return jax.jit(of_batch, in_shardings=(*shardings, by_row), out_shardings=whole, compiler_options=options)


def reconstruct(model: VideoMAEPretrain, video: jax.Array, ends: dict) -> tuple[jax.Array, jax.Array]:
    """Puts the predicted pixels into a clip.

    Normalised predictions get the mean and the deviation of the original token, as in the authors' visualisations.

    Args:
        video: (B, T, H, W, C), normalised float.
        ends: endpoints of the model for it.

    Returns:
        The clip with masked tokens at 0, and with the predicted ones: float32 (B, T rounded down, H, W, C) each.
    """
    pixels = jnp.asarray(pixels_of_tokens(video, model.patch))  # (B, N, p, C)
    grid = tuple(size // of for size, of in zip(video.shape[1:4], model.patch, strict=True))
    predicted = ends["predicted"].reshape(*ends["masked"].shape, *pixels.shape[2:])  # (B, M, p, C)
    if model.normalised:
        mean, deviation = mean_and_deviation(jnp.take_along_axis(pixels, ends["masked"][..., None, None], axis=1))
        predicted = predicted * deviation + mean
    rows = jnp.arange(len(video))[:, None]
    filled = (pixels.at[rows, ends["masked"]].set(x) for x in (0, predicted))
    return tuple(video_of_tokens(x, model.patch, grid) for x in filled)


def to_levels(video: jax.Array, spec: Spec) -> jax.Array:
    """Undoes the normalisation: uint8."""
    video = video * jnp.asarray(spec["std"]) + jnp.asarray(spec["mean"])
    return jnp.clip(jnp.round(video), 0, 255).astype(jnp.uint8)


def draw(clips: tuple[np.ndarray, np.ndarray, np.ndarray], path: Path):
    """Draws clips below each other, three rows each: `ROWS`.

    Args:
        clips: originals, masked and reconstructed ones, uint8 (B, T, H, W, 3).
    """
    count, length = clips[0].shape[:2]
    frames = np.linspace(0, length - 1, min(length, MOST_FRAMES)).round().astype(int)
    height, width = clips[0].shape[2:4]
    size = (1.1 * len(frames) + 0.6, 1.1 * height / width * len(ROWS) * count + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(ROWS) * count, len(frames), squeeze=False)
    for number, axes_of_row in enumerate(grid):
        kind = number % len(ROWS)
        for axes, frame in zip(axes_of_row, frames, strict=True):
            axes.imshow(clips[kind][number // len(ROWS), frame])
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if number == 0:
                axes.set_title(f"frame {frame + 1}", fontsize=7)
        axes_of_row[0].set_ylabel(ROWS[kind], fontsize=7)
    figure.savefig(path, dpi=120)
