"""What a model says of the videos of a split -> the loss and the figures of `metrics`."""

from collections.abc import Callable

import jax
import numpy as np

from vidjax import losses, metrics
from vidjax.data import records
from vidjax.data.synthetic import series
from vidjax.evaluation.outputs import Outputs


def figures_of(outputs: Outputs, config, info: records.DatasetInfo) -> dict:
    """The loss and the figures of `metrics`.

    Where the dataset says what reversing time does to a label, `top1_reversed` counts a video as right where the model
    names the partner's class when the clips are played backwards. Of a network that skips frames there are also the
    figures of `metrics.frames_used`.
    """
    if config.loss.name == "squared_error":
        figures = forecast_figures(outputs, info.inputs)
    elif outputs.weight is not None:
        figures = step_figures(outputs, config, info.time_reversal)
    else:
        figures = video_figures(outputs, config, info.time_reversal)
    if outputs.updates is not None:
        target = outputs.target if outputs.target.ndim == 1 else None
        figures |= metrics.frames_used(outputs.updates, target, len(info.labels))
    return figures


def measure(logits: np.ndarray, target: np.ndarray, loss_fn: Callable, *, multi_label: bool, pairs=None) -> dict:
    """The figures of a split from its logits (N, V, K): the mean loss a clip, and those of `metrics`."""
    clip_target = np.broadcast_to(target[:, None], (*logits.shape[:2], *target.shape[1:]))
    loss = float(np.mean(loss_fn(logits, clip_target)))
    if multi_label:
        return {"loss": loss, **metrics.multi_label(np.asarray(jax.nn.sigmoid(logits)), target)}
    return {"loss": loss, **metrics.single_label(np.asarray(jax.nn.softmax(logits)), target, pairs)}


def forecast_figures(outputs: Outputs, inputs: dict) -> dict:
    """The figures of forecasts, in the unit of the series; `inputs` as of its records."""
    forecast, scaler = outputs.logits[:, 0], series.Scaler(**inputs["scaler"])
    figures = metrics.forecast(scaler.invert(forecast), scaler.invert(outputs.target))
    loss = float(np.mean(losses.squared_error(forecast, outputs.target)))
    return {"loss": loss, **figures, "baselines": inputs["baselines"]}


def step_figures(outputs: Outputs, config, pairs: list[int] | None) -> dict:
    """The figures over the frames, or the words of captions, that count."""
    counted = outputs.weight > 0
    logits, target = outputs.logits[counted], outputs.target[counted]  # (frames, K), (frames,)
    if config.target == "words":
        figures = metrics.words(outputs.logits, outputs.target, outputs.weight)
    else:
        figures = metrics.per_frame(np.asarray(jax.nn.softmax(logits)), target, pairs)
    loss = float(np.mean(losses.LOSSES[config.loss.name](logits, target)))
    return {"loss": loss, **figures, "num_videos": len(outputs.logits)}


def video_figures(outputs: Outputs, config, pairs: list[int] | None) -> dict:
    """The figures over videos, those of clips that are played backwards among them."""
    multi_label, loss_fn = config.loss.name == "sigmoid", losses.LOSSES[config.loss.name]
    pairs = None if multi_label else pairs
    figures = measure(outputs.logits, outputs.target, loss_fn, multi_label=multi_label, pairs=pairs)
    if outputs.backwards is not None:
        scores = np.asarray(jax.nn.softmax(outputs.backwards)).mean(axis=1)
        figures["top1_reversed"] = top1_reversed(scores, outputs.target, pairs)
    return figures


def top1_reversed(scores: np.ndarray, target: np.ndarray, pairs: list[int]) -> float:
    """How often videos played backwards are taken for their partner's class: from scores (N, K) and targets (N,)."""
    return float(metrics.hit_at_k(scores, np.asarray(pairs)[target], 1).mean())


def fused_figures(
    scores: np.ndarray,
    backwards: np.ndarray | None,
    target: np.ndarray,
    *,
    multi_label: bool = False,
    pairs: list[int] | None = None,
) -> dict:
    """The figures of several models fused; of whole videos only, and without a loss.

    Args:
        scores: (N, K), the higher the better; backwards: the same of videos that are played backwards, or None.
        target: (N,), or multi-hot (N, K).
        pairs: the class that playing backwards makes of each, or None.
    """
    if multi_label:
        return metrics.multi_label(scores[:, None], target)
    result = metrics.single_label(scores[:, None], target, pairs)
    result = {name: value for name, value in result.items() if not name.endswith("_clip")}
    if backwards is not None and pairs is not None:
        result["top1_reversed"] = top1_reversed(backwards, target, pairs)
    return result
