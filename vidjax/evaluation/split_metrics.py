"""Computes the metrics of a split from a model's outputs."""

from collections.abc import Callable, Sequence

import jax
import numpy as np

from vidjax import eval_protocols, losses, metrics
from vidjax.data import dataset_info
from vidjax.data.sources.untrimmed import BACKGROUND
from vidjax.data.synthetic import series
from vidjax.evaluation import flow_errors, pairs, segment_rule, segments, split_detections
from vidjax.evaluation.outputs import Outputs
from vidjax.inference import embedding


def metrics_of(outputs: Outputs, config, info: dataset_info.DatasetInfo) -> dict:
    """Returns the loss and the metrics of a split, see `metrics`; for embeddings those of `pairs.retrieval`, for
    optical flow those of `flow_errors`.

    If the dataset maps each class to its reversal, `top1_reversed` is the accuracy on clips played backwards, with the
    reversed class as target. A network that skips frames also has the metrics of `metrics.frames_used`.
    """
    if config.loss.name == "squared_error":
        result = forecast_metrics(outputs, info.inputs)
    elif config.loss.name == "reconstruction":
        result = {"loss": float(outputs.logits.mean()), "num_videos": len(outputs.logits)}
    elif config.loss.name in losses.FLOW_LOSSES:
        result = flow_errors.metrics_of(outputs.logits[:, 0])
    elif config.loss.name in losses.EMBEDDING_LOSSES:
        result = pairs.retrieval(embedding.pooled(outputs.logits), outputs.target)
        result["num_videos"] = len(outputs.target)
    elif outputs.weight is not None:
        result = step_metrics(outputs, config, info.time_reversal)
        if config.target == "frame":
            result |= frame_metrics(outputs, info.labels, multi_label=config.loss.name == "sigmoid")
    else:
        result = video_metrics(outputs, config, info.time_reversal, info.labels)
    if outputs.updates is not None:
        target = outputs.target if outputs.target.ndim == 1 else None
        result |= metrics.frames_used(outputs.updates, target, len(info.labels))
    return result


def convention(outputs: Outputs, config, num_crops: int) -> dict:
    """Returns `convention`, the description of the protocol that the metrics of whole videos were made by, else {}."""
    if outputs.weight is not None or config.loss.name not in ("softmax", "sigmoid"):
        return {}
    views = {"num_views": outputs.logits.shape[1] // num_crops, "num_crops": num_crops}
    protocol = eval_protocols.of(config.get("eval", {}))._replace(**views)
    multi_label = config.loss.name == "sigmoid"
    return {"convention": eval_protocols.described(protocol, config.clip.num_frames, multi_label=multi_label)}


def measure(
    logits: np.ndarray,
    target: np.ndarray,
    loss_fn: Callable,
    *,
    multi_label: bool,
    pairs=None,
    protocol: eval_protocols.Protocol = eval_protocols.DEFAULT,
    labels: Sequence[str] = (),
) -> dict:
    """Returns the metrics of a split from logits (N, V, K): the mean loss per clip, and those of `metrics`.

    Args:
        protocol: says how the clips of a video are pooled.
        labels: class names, for the metrics of `metrics.per_kind`.
    """
    num_videos = len(logits)
    clip_target = np.broadcast_to(target[:, None], (*logits.shape[:2], *target.shape[1:]))
    result = {"loss": float(np.mean(loss_fn(logits, clip_target)))}
    if protocol.level == "clip":
        logits, target = (
            x.reshape(-1, *shape) for x, shape in ((logits, (1, logits.shape[-1])), (clip_target, target.shape[1:]))
        )
    activation = jax.nn.sigmoid if multi_label else jax.nn.softmax
    clip_scores, scores = np.asarray(activation(logits)), eval_protocols.pooled(logits, protocol.mean, activation)
    if multi_label:
        result |= metrics.multi_label(clip_scores, target, scores=scores, charades=protocol.charades)
        result |= metrics.per_kind(scores, target, labels)
    else:
        result |= metrics.single_label(clip_scores, target, pairs, scores=scores)
    return result | {"num_videos": num_videos}


def forecast_metrics(outputs: Outputs, inputs: dict) -> dict:
    """Returns the metrics of forecasts, in the unit of the series; `inputs` are those of its records."""
    forecast, scaler = outputs.logits[:, 0], series.Scaler(**inputs["scaler"])
    result = metrics.forecast(scaler.invert(forecast), scaler.invert(outputs.target))
    loss = float(np.mean(losses.squared_error(forecast, outputs.target)))
    return {"loss": loss, **result, "baselines": inputs["baselines"]}


def step_metrics(outputs: Outputs, config, pairs: list[int] | None) -> dict:
    """Returns the metrics over frames, or over the words of captions, with positive weight."""
    counted = outputs.weight > 0
    logits, target = outputs.logits[counted], outputs.target[counted]  # (frames, K), (frames,) or (frames, K)
    loss_fn = losses.softmax_cross_entropy
    if config.loss.name == "sigmoid":
        loss_fn = losses.sigmoid_cross_entropy
        scores, labelled = np.asarray(jax.nn.sigmoid(logits))[:, None], target.any(-1)
        result = metrics.multi_label(scores, target) | {"num_frames": len(target)}
        hits = metrics.multi_label(scores[labelled], target[labelled])  # a frame without a label cannot be hit
        result |= {"top1": hits["top1"], "top5": hits["top5"]}
    elif config.target == "words":
        result = metrics.words(outputs.logits, outputs.target, outputs.weight)
    else:
        result = metrics.per_frame(np.asarray(jax.nn.softmax(logits)), target, pairs)
    loss = float(np.mean(loss_fn(logits, target)))
    return {"loss": loss, **result, "num_videos": len(outputs.logits)}


def frame_metrics(outputs: Outputs, labels: list[str], *, multi_label: bool) -> dict:
    """Returns the metrics of runs of frames: `detection` by the default rule, and `segments` of exclusive classes.

    `segments` are the metrics of the runs of equal labels under each convention, see `segments.conventions`.
    """
    videos = scored(outputs, multi_label=multi_label)
    result = {"detection": split_detections.detection_metrics(videos, segment_rule.default(multi_label), labels)}
    if multi_label:
        return result
    predicted, true = [x.scores.argmax(-1) for x in videos], [x.target for x in videos]
    background = [BACKGROUND] if BACKGROUND in labels else []
    return {**result, "segments": segments.conventions(predicted, true, background, labels)}


def scored(outputs: Outputs, *, multi_label: bool, fps: Sequence[float] | None = None) -> list[split_detections.Scored]:
    """Returns the probabilities of the frames that count. A video is one sequence: its clips in order, without padding.

    Args:
        fps: frames per second that the network sees of each video; unknown by default.
    """
    scores = np.asarray(jax.nn.sigmoid(outputs.logits) if multi_label else jax.nn.softmax(outputs.logits))
    counted, fps = outputs.weight > 0, [0.0] * len(scores) if fps is None else fps
    videos = zip(scores, outputs.target, counted, fps, strict=True)
    return [split_detections.Scored(x[kept], target[kept], rate) for x, target, kept, rate in videos]


def video_metrics(outputs: Outputs, config, pairs: list[int] | None, labels: Sequence[str] = ()) -> dict:
    """Returns the metrics over videos by the protocol of the config, including those of clips played backwards."""
    multi_label, loss_fn = config.loss.name == "sigmoid", losses.LOSSES[config.loss.name]
    pairs, protocol = None if multi_label else pairs, eval_protocols.of(config.get("eval", {}))
    kinds = {"multi_label": multi_label, "pairs": pairs, "protocol": protocol, "labels": labels}
    result = measure(outputs.logits, outputs.target, loss_fn, **kinds)
    if outputs.backwards is not None:
        scores = eval_protocols.pooled(outputs.backwards, protocol.mean)
        result["top1_reversed"] = top1_reversed(scores, outputs.target, pairs)
    return result


def top1_reversed(scores: np.ndarray, target: np.ndarray, pairs: list[int]) -> float:
    """Accuracy on videos played backwards, with the reversed class as target: scores (N, K), targets (N,)."""
    return float(metrics.hit_at_k(scores, np.asarray(pairs)[target], 1).mean())


def fused_metrics(
    scores: np.ndarray,
    backwards: np.ndarray | None,
    target: np.ndarray,
    *,
    multi_label: bool = False,
    charades: bool = False,
    pairs: list[int] | None = None,
) -> dict:
    """Returns the metrics of fused scores: of whole videos only, and without a loss.

    Args:
        scores: (N, K), higher is better; backwards: scores of the videos played backwards, or None.
        target: (N,), or multi-hot (N, K).
        charades: see `metrics.multi_label`.
        pairs: the reversal of each class, or None.
    """
    if multi_label:
        return metrics.multi_label(scores[:, None], target, charades=charades)
    result = metrics.single_label(scores[:, None], target, pairs)
    result = {name: value for name, value in result.items() if not name.endswith("_clip")}
    if backwards is not None and pairs is not None:
        result["top1_reversed"] = top1_reversed(backwards, target, pairs)
    return result
