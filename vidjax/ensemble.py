"""Several trained networks as one: the weighted mean of their scores or of their logits, video by video."""

from collections.abc import Sequence

import jax
import numpy as np

FUSIONS = ("scores", "logits")


def fuse(
    logits: Sequence[np.ndarray], weights: Sequence[float], fusion: str = "scores", *, multi_label: bool = False
) -> np.ndarray:
    """The scores of each video from those of several networks.

    Averaging scores is late fusion: Simonyan and Zisserman, "Two-Stream Convolutional Networks" (NeurIPS 2014), section
    5; Karpathy et al., "Large-scale Video Classification with Convolutional Neural Networks" (CVPR 2014), table 1.
    TSN weighs logits: Wang et al., "Temporal Segment Networks" (ECCV 2016).

    Args:
        logits: of each network float (N, V, K); networks may have other numbers of views V.
        weights: of each network, positive; are divided by their sum.
        fusion: "scores" averages the views' probabilities, then those of the networks; "logits" averages logits in both
            places and turns them into probabilities at the end.
        multi_label: sigmoid in place of softmax.

    Returns:
        Probabilities, float32 (N, K).

    Raises:
        ValueError: for another kind of fusion.
    """
    if fusion not in FUSIONS:
        raise ValueError(f"Unknown fusion {fusion!r}; choose {' or '.join(FUSIONS)}.")
    squash = jax.nn.sigmoid if multi_label else jax.nn.softmax
    shares = np.asarray(weights) / np.sum(weights)
    of_videos = [np.asarray(squash(x) if fusion == "scores" else x).mean(axis=1) for x in logits]  # (N, K) each
    mixed = sum(share * x for share, x in zip(shares, of_videos, strict=True))
    return np.asarray(mixed if fusion == "scores" else squash(mixed), np.float32)


def parse_weights(text: str | None, count: int) -> list[float]:
    """`1,1.5` -> [1.0, 1.5]; None is a 1 for each of `count` networks.

    Raises:
        ValueError: where these are not `count` positive numbers.
    """
    if text is None:
        return [1.0] * count
    try:
        weights = [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"Weights are numbers with commas between them, as in 1,1.5; got {text!r}.") from None
    if len(weights) != count:
        raise ValueError(f"There are {count} runs, but {len(weights)} weights: {text}.")
    if not all(0 < weight < float("inf") for weight in weights):
        raise ValueError(f"Weights must be positive; got {text}.")
    return weights


def check_same(what: str, names: Sequence[str], values: Sequence):
    """Raises a ValueError where the networks of these names do not all have the same value."""
    for name, value in zip(names, values, strict=True):
        if value != values[0]:
            raise ValueError(
                f"Only runs on the same videos can be fused, and these differ in the {what}: "
                f"{values[0]} of {names[0]}, {value} of {name}."
            )


def check_same_targets(names: Sequence[str], targets: Sequence[np.ndarray]):
    """Raises a ValueError where the videos, equally many for each network, are not of the same classes in order."""
    for name, target in zip(names, targets, strict=True):
        differing = np.flatnonzero((target != targets[0]).reshape(len(target), -1).any(axis=1))
        if len(differing):
            raise ValueError(
                f"Only runs on the same videos in the same order can be fused: {len(differing)} of {len(target)} "
                f"have other targets for {name} than for {names[0]}, the first of them video {differing[0]}."
            )
