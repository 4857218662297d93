"""Metrics: hit@k on the device during training, and the metrics of an evaluation on the host, from all its scores."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np


def hit_at_k(scores: jax.Array, target: jax.Array, k: int) -> jax.Array:
    """Whether the target's score is among the k highest: (..., K) and int (...) -> float (...), 0 or 1.

    A tie counts against the target, so constant scores never hit by accident.
    """
    own = jnp.take_along_axis(scores, target[..., None], axis=-1)
    rank = (scores >= own).sum(axis=-1)  # 1 is the highest
    return ((rank >= 1) & (rank <= k)).astype(jnp.float32)  # the rank is 0 if the score is NaN


def weighted_mean(values: jax.Array, weight: jax.Array, whole: jax.Array | None = None) -> jax.Array:
    """sum(weight * values) / sum(weight); 0 if all weights are 0.

    Args:
        whole: weights of the whole batch, if `weight` is a part of it: the results of the parts add up to the mean.
    """
    whole = weight if whole is None else whole
    return (values * weight).sum() / jnp.maximum(whole.sum(), jnp.finfo(weight.dtype).tiny)


def wilson_interval(right: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % confidence interval of the proportion right / count (Wilson, 1927): in [0, 1]."""
    share, spread = right / count, z**2 / count
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * np.sqrt(share * (1 - share) / count + spread / (4 * count))
    return float(centre - half), float(centre + half)


def average_precision(scores: np.ndarray, relevant: np.ndarray) -> float:
    """Average precision of one class: the area under the precision-recall curve, taken as a step function.

    Args:
        scores: float (N,).
        relevant: bool (N,).

    Returns:
        In [0, 1]; NaN if no example is relevant. Equal scores share one threshold; a NaN counts as the lowest score.
    """
    if not relevant.any():
        return float("nan")
    scores = np.where(np.isnan(scores), -np.inf, scores)
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(relevant[order])
    last_of_ties = np.append(scores[order][1:] != scores[order][:-1], True)
    hits, retrieved = hits[last_of_ties], np.flatnonzero(last_of_ties) + 1
    recall = hits / relevant.sum()
    return float((np.diff(recall, prepend=0) * hits / retrieved).sum())


def ranked_precision(scores: np.ndarray, relevant: np.ndarray) -> float:
    """Average precision of one class by ranks, as in Charades_v1_classify.m: the mean precision at relevant examples.

    Unlike in `average_precision`, equal scores keep their order. Charades' script leaves out videos without any label:
    it does not read their names, so that they get no score and come last. See `average_precision` for the arguments.
    """
    if not relevant.any():
        return float("nan")
    hits = relevant[np.argsort(-scores, kind="stable")]
    return float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())


def single_label(
    clip_scores: np.ndarray, target: np.ndarray, pairs: list[int] | None = None, *, scores: np.ndarray | None = None
) -> dict:
    """Metrics of a single-label evaluation.

    Args:
        clip_scores: float (N, V, K), class probabilities of the V clips of each video.
        target: int (N,).
        scores: those of the videos (N, K); the mean over their clips by default.
        pairs: the dataset's time reversal, a permutation of the classes; adds `top1_within_pairs`: how often the true
            class scores above its time-reversed partner, where a tie counts 1/2 (chance is 1/2). Videos of classes
            that are their own reverse are left out; nothing is added if all are.

    Returns:
        top1, top5 (videos, by `scores`), top1_clip, top5_clip, num_videos, per_class (hit@1 of
        each class, None for a class without videos), confusion (K x K counts; rows are true classes).
    """
    num_videos, num_clips, num_classes = clip_scores.shape
    scores = clip_scores.mean(axis=1) if scores is None else scores  # (N, K)
    clip_target = np.repeat(target, num_clips).reshape(num_videos, num_clips)
    predicted = scores.argmax(axis=-1)
    confusion = np.zeros((num_classes, num_classes), int)
    np.add.at(confusion, (target, predicted), 1)
    counts, hits = confusion.sum(axis=1), np.asarray(hit_at_k(scores, target, 1))
    of_classes = np.bincount(target, hits, num_classes) / np.maximum(counts, 1)
    result = {
        "top1": float(hits.mean()),
        "top5": float(hit_at_k(scores, target, 5).mean()),
        "top1_clip": float(hit_at_k(clip_scores, clip_target, 1).mean()),
        "top5_clip": float(hit_at_k(clip_scores, clip_target, 5).mean()),
        "num_videos": num_videos,
        "per_class": [float(of_classes[k]) if counts[k] else None for k in range(num_classes)],
        "confusion": confusion.tolist(),
    }
    if pairs is not None:
        partners = np.asarray(pairs)[target]
        rows = np.flatnonzero(partners != target)
        own, partner = scores[rows, target[rows]], scores[rows, partners[rows]]
        if len(rows):
            result["top1_within_pairs"] = float(((own > partner) + 0.5 * (own == partner)).mean())
    return result


def per_frame(scores: np.ndarray, target: np.ndarray, pairs: list[int] | None = None) -> dict:
    """Metrics of an evaluation with one label per frame: those of `single_label`, with frames in place of videos.

    Args:
        scores: float (M, K), class probabilities of the M frames that are not padding.
        target: int (M,).
        pairs: see `single_label`.

    Returns:
        top1 (the per-frame accuracy), top5, num_frames, per_class, confusion, and top1_within_pairs with `pairs`.
    """
    result = single_label(scores[:, None], target, pairs)
    kept = {name: value for name, value in result.items() if not name.endswith("_clip") and name != "num_videos"}
    return {**kept, "num_frames": len(target)}


def words(logits: np.ndarray, target: np.ndarray, weight: np.ndarray) -> dict:
    """Metrics of captions, from the logits of teacher forcing.

    Args:
        logits: (N, V, L, K); target: int (N, V, L); weight: (N, V, L), 0 after the end.

    Returns:
        top1: the accuracy of words, each given the previous words of the target. exact: the share of captions that
        greedy search writes word for word: those whose words are each the most likely one after the previous words.
    """
    right = logits.argmax(-1) == target
    return {"top1": float(right[weight > 0].mean()), "exact": float((right | (weight == 0)).all(-1).mean())}


def frames_used(updates: np.ndarray, target: np.ndarray | None, num_classes: int) -> dict:
    """The share of frames that a frame-skipping network used.

    Args:
        updates: float (N, V, T): 1 for a used frame, 0 for a skipped one, NaN for padding.
        target: int (N,), or None if videos do not have exactly one class.

    Returns:
        frames_used, the share over all frames; with a target also frames_used_per_class (K x T), the share of each
        class at each frame of the clip, None if a class has no such frame.
    """
    if target is None:
        return {"frames_used": float(np.nanmean(updates))}
    per_class = []
    for k in range(num_classes):
        known, used = (x[target == k].sum((0, 1)) for x in (~np.isnan(updates), np.nan_to_num(updates)))  # (T,)
        per_class.append([float(u / n) if n else None for u, n in zip(used, known, strict=True)])
    return {"frames_used": float(np.nanmean(updates)), "frames_used_per_class": per_class}


def multi_label(
    clip_scores: np.ndarray, target: np.ndarray, *, scores: np.ndarray | None = None, charades: bool = False
) -> dict:
    """Metrics of a multi-label evaluation.

    Args:
        clip_scores: float (N, V, K).
        target: (N, K), multi-hot.
        scores: those of the videos (N, K); the mean over their clips by default.
        charades: average precision as Charades defines it: videos without a label do not count, see `ranked_precision`.

    Returns:
        mAP (mean average precision over the classes that occur), per_class (average precision, None for a class that
        does not occur), num_videos, and top1, top5: how often one of the k highest classes is among the labels. As in
        `hit_at_k`, a tie counts against the labels.
    """
    scores = clip_scores.mean(axis=1) if scores is None else scores  # (N, K)
    precision_of, kept = (ranked_precision, target.any(axis=1)) if charades else (average_precision, slice(None))
    per_class = [precision_of(*pair) for pair in zip(scores[kept].T, target[kept].T > 0, strict=True)]
    best = np.where(target > 0, scores, -np.inf).max(axis=1, keepdims=True)
    ahead = (~(scores < best) & ~(target > 0)).sum(axis=1)  # wrong classes; ties and NaN count as ahead
    has_label = target.any(axis=1)
    return {
        "mAP": float(np.nanmean(per_class)),
        "top1": float((has_label & (ahead < 1)).mean()),
        "top5": float((has_label & (ahead < 5)).mean()),
        "num_videos": len(scores),
        "per_class": [None if np.isnan(value) else value for value in per_class],
    }


def per_kind(scores: np.ndarray, target: np.ndarray, labels: Sequence[str]) -> dict:
    """Accuracy for each kind of class and for all kinds at once: the verbs, nouns and actions of EPIC-KITCHENS.

    Args:
        scores: float (N, K); target: (N, K), multi-hot.
        labels: K names like "verb:take".

    Returns:
        top1_verb, top1_noun, ..., and top1_action, the share of videos in which all kinds are right. {} unless there
        are several kinds, and each video has one class of each.
    """
    kinds = [label.partition(":")[0] if ":" in label else "" for label in labels]
    members = {kind: [k for k, other in enumerate(kinds) if other == kind] for kind in dict.fromkeys(kinds)}
    if "" in members or len(members) < 2 or any((target[:, of].sum(axis=1) != 1).any() for of in members.values()):
        return {}
    right = {kind: scores[:, of].argmax(axis=1) == target[:, of].argmax(axis=1) for kind, of in members.items()}
    result = {f"top1_{kind}": float(hits.mean()) for kind, hits in right.items()}
    return result | {"top1_action": float(np.all([*right.values()], axis=0).mean())}


def forecast(outputs: np.ndarray, target: np.ndarray) -> dict:
    """Metrics of forecasts.

    Args:
        outputs, target: float (N, H), the H values that follow each of N windows, in the unit of the series.

    Returns:
        rmse and mae (root mean square and mean absolute error over all values), num_videos (N), forecast and truth.
    """
    error = outputs - target
    return {
        "rmse": float(np.sqrt(np.square(error).mean())),
        "mae": float(np.abs(error).mean()),
        "num_videos": len(target),
        "forecast": outputs.tolist(),
        "truth": target.tolist(),
    }
