"""End-point errors of networks that estimate optical flow, over a split, and pictures of their flow."""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from vidjax import compile_options, losses, sharding, step
from vidjax.flow import flowviz
from vidjax.preprocess import Spec

NAME = "flow.png"  # in the work directory
BANDS = ((0, 2), (2, 8), (8, 16), (16, np.inf))  # true speed, pixels per frame
THRESHOLDS = (1, 3, 5)  # pixels
COLUMNS = ("first frame", "true flow", "estimated flow", "end-point error")


def make_eval_fn(model, spec: Spec, mesh, shardings: tuple) -> Callable:
    """Returns a function like that of `outputs.make_eval_fn`, whose outputs are the sums of each pair, see `sums`."""

    def evaluate_batch(params, model_state, carry, batch):
        flow = step.eval_step(params, model_state, batch, model=model, spec=spec)[:, 0]  # (B, H, W, 2)
        rows, is_pair = sums(flow, batch["target"], batch["weight"]), batch["weight"].any((1, 2))
        return rows, jnp.zeros(len(rows), jnp.int32), is_pair.astype(jnp.float32), None, carry

    by_row, whole = sharding.batch_sharding(mesh), sharding.replicated(mesh)
    options = compile_options.of_inference(model)
    out = (whole, whole, whole, whole, by_row)
    return jax.jit(
        evaluate_batch, in_shardings=(*shardings, by_row, by_row), out_shardings=out, compiler_options=options
    )


def sums(flow: jax.Array, target: jax.Array, weight: jax.Array) -> jax.Array:
    """Sums over the pixels of each pair.

    Args:
        flow, target: (B, H, W, 2), pixels.
        weight: (B, H, W), 0 where the flow is unknown.

    Returns:
        float32 (B, 12): for each of `BANDS` the number of pixels, then for each the sum of the end-point errors, then
        how many errors are below each of `THRESHOLDS`, and how many are outliers: above 3 pixels and 5 % of the speed
        (Menze and Geiger, "Object Scene Flow for Autonomous Vehicles", CVPR 2015).
    """
    known = weight > 0
    error, speed = losses.end_point_error(flow, target), jnp.linalg.norm(target, axis=-1)
    bands = [known & (low <= speed) & (speed < high) for low, high in BANDS]
    below = [known & (error < pixels) for pixels in THRESHOLDS]
    outliers = known & (error > 3) & (error > 0.05 * speed)
    columns = [*bands, *(jnp.where(band, error, 0) for band in bands), *below, outliers]
    return jnp.stack([x.sum((1, 2), dtype=jnp.float32) for x in columns], axis=-1)


def metrics_of(rows: np.ndarray) -> dict:
    """Metrics of a split from the sums of its pairs, (N, 12).

    Returns:
        epe (mean end-point error over all pixels, pixels) and the same by true speed (epe_0_2, epe_2_8, epe_8_16,
        epe_16; None without such pixels), within_1px, within_3px, within_5px and fl_all (shares of the pixels), and
        num_videos, the number of pairs.
    """
    number = len(BANDS)
    total = rows.astype(np.float64).sum(0)
    counts, errors, shares = total[:number], total[number : 2 * number], total[2 * number :] / total[:number].sum()
    names = [f"epe_{low}_{high}" if np.isfinite(high) else f"epe_{low}" for low, high in BANDS]
    by_speed = {name: float(e / n) if n else None for name, e, n in zip(names, errors, counts, strict=True)}
    within = {f"within_{pixels}px": float(share) for pixels, share in zip(THRESHOLDS, shares, strict=False)}
    epe = float(errors.sum() / counts.sum())
    return {"loss": epe, "epe": epe, **by_speed, **within, "fl_all": float(shares[-1]), "num_videos": len(rows)}


def make_draw_fn(model, spec: Spec, mesh, shardings: tuple) -> Callable:
    """Returns the compiled (params, model_state, batch) -> (frames, true flow, estimated flow, mask), for `draw`."""

    def of_batch(params, model_state, batch):
        flow = step.eval_step(params, model_state, batch, model=model, spec=spec)[:, 0]
        return batch["video"][:, 0], batch["target"], flow, batch["weight"]

    by_row, whole = sharding.batch_sharding(mesh), sharding.replicated(mesh)
    options = compile_options.of_inference(model)
    return jax.jit(of_batch, in_shardings=(*shardings, by_row), out_shardings=whole, compiler_options=options)


def draw(pairs: tuple[np.ndarray, ...], path: Path):
    """Draws pairs below each other; the true and the estimated flow of a pair have one scale of colours.

    Args:
        pairs: first frames uint8 (N, H, W, 3), true and estimated flow (N, H, W, 2), and masks (N, H, W).
    """
    frames, targets, flows, masks = pairs
    height, width = frames.shape[1:3]
    figure = Figure(figsize=(2 * len(COLUMNS), 2 * height / width * len(frames) + 0.4), layout="constrained")
    grid = figure.subplots(len(frames), len(COLUMNS), squeeze=False)
    for row, frame, target, flow, mask in zip(grid, frames, targets, flows, masks, strict=True):
        known = mask > 0
        largest = float(np.linalg.norm(target, axis=-1).max(where=known, initial=1e-3))
        target = np.where(known[..., None], target, np.nan)  # drawn black
        error = np.linalg.norm(flow - target, axis=-1)
        pictures = frame, flowviz.to_colours(target, largest), flowviz.to_colours(flow, largest), error
        for axes, picture in zip(row, pictures, strict=True):
            axes.imshow(picture, cmap="magma", vmin=0, vmax=max(1.0, largest / 4))
            axes.set(xticks=[], yticks=[])
        mean = f"{error[known].mean():.2f}" if known.any() else "unknown"
        row[-1].set_ylabel(f"mean {mean} px, speed to {largest:.0f}", fontsize=7)
        row[-1].yaxis.set_label_position("right")
    for axes, title in zip(grid[0], COLUMNS, strict=True):
        axes.set_title(title, fontsize=8)
    figure.savefig(path, dpi=120)
