"""Late fusion of several networks: the weighted mean of their scores or logits, or a linear SVM on their scores.

Simonyan and Zisserman, "Two-Stream Convolutional Networks" (NeurIPS 2014), fuse their two streams by the mean of the
scores and by an SVM.
"""

import argparse
import functools
from collections.abc import Callable, Sequence

import jax
import numpy as np
from sklearn.svm import LinearSVC

from vidjax import eval_protocols

AVERAGES = ("scores", "logits")
FUSIONS = (*AVERAGES, "svm")


def fuse(
    logits: Sequence[np.ndarray],
    weights: Sequence[float],
    fusion: str = "scores",
    *,
    multi_label: bool = False,
    mean: str = "probabilities",
) -> np.ndarray:
    """Fuses the logits of several networks into one probability per class and video.

    Averaging scores is late fusion: Simonyan and Zisserman, "Two-Stream Convolutional Networks" (NeurIPS 2014), section
    5; Karpathy et al., "Large-scale Video Classification with Convolutional Neural Networks" (CVPR 2014), table 1.
    TSN weighs logits: Wang et al., "Temporal Segment Networks" (ECCV 2016).

    Args:
        logits: float (N, V, K) per network; the number of views V may differ between networks.
        weights: a positive weight per network; normalised to sum to 1.
        fusion: "scores" averages probabilities over views, then over networks; "logits" averages logits over both and
            converts the result to probabilities.
        multi_label: uses sigmoid instead of softmax.
        mean: how "scores" pools the views of a video, see `eval_protocols.pooled`.

    Returns:
        Probabilities, float32 (N, K).

    Raises:
        ValueError: for an unknown fusion.
    """
    if fusion not in AVERAGES:
        raise ValueError(f"Unknown fusion {fusion!r}; choose {' or '.join(AVERAGES)}.")
    squash = jax.nn.sigmoid if multi_label else jax.nn.softmax
    shares = np.asarray(weights) / np.sum(weights)
    pool = functools.partial(eval_protocols.pooled, mean=mean, activation=squash)
    per_video = [pool(x) if fusion == "scores" else np.asarray(x).mean(axis=1) for x in logits]  # (N, K) each
    mixed = sum(share * x for share, x in zip(shares, per_video, strict=True))
    return np.asarray(mixed if fusion == "scores" else squash(mixed), np.float32)


def fit_svm(logits: Sequence[np.ndarray], target: np.ndarray) -> Callable[[Sequence[np.ndarray]], np.ndarray]:
    """Trains a linear SVM on the stacked L2-normalised softmax scores of several networks.

    Simonyan and Zisserman, section 3.

    Args:
        logits: float (N, V, K) per network, of the training videos.
        target: classes of the training videos, int (N,).

    Returns:
        The function from logits of other videos to scores, float32 (N, K): signed distances from the one-against-rest
        planes. A class without a training video scores below all others.

    Raises:
        ValueError: if all training videos have the same class.
    """
    num_classes = logits[0].shape[-1]
    if len(np.unique(target)) < 2:
        raise ValueError("All training videos have the same class: an SVM needs at least two classes.")

    def features(logits: Sequence[np.ndarray]) -> np.ndarray:
        per_video = [np.asarray(jax.nn.softmax(x)).mean(axis=1) for x in logits]  # (N, K) each
        return np.concatenate([x / np.linalg.norm(x, axis=1, keepdims=True) for x in per_video], axis=1)

    svm = LinearSVC(random_state=0, max_iter=10000).fit(features(logits), target)

    return lambda logits: scores_of(svm, features(logits), num_classes)


def scores_of(classifier, x: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns the scores of a fitted scikit-learn classifier for x (N, D): float32 (N, num_classes), higher is better.

    Classes that were absent in training score below all others.
    """
    is_linear = hasattr(classifier, "decision_function")
    found = classifier.decision_function(x) if is_linear else classifier.predict_proba(x)
    found = np.stack([-found, found], axis=1) if found.ndim == 1 else found  # (N, classes seen); two classes give (N,)
    scores = np.full((len(found), num_classes), found.min() - 1, np.float32)
    scores[:, classifier.classes_] = found
    return scores


def add_arguments(parser: argparse.ArgumentParser, fusions: Sequence[str]):
    """Adds --fusion and --fusion_weights to a command."""
    svm = "; svm trains a linear SVM on the scores" if "svm" in fusions else ""
    parser.add_argument("--fusion", choices=fusions, help=f"average scores (default) or logits of several runs{svm}")
    parser.add_argument("--fusion_weights", help="weights of the runs, in order, such as 1,1.5 (default: equal)")


def weights_of(args: argparse.Namespace, count: int) -> list[float] | None:
    """Returns the weights that --fusion_weights gives; None for an SVM. Errors: see `parse_weights`."""
    if args.fusion != "svm":
        return parse_weights(args.fusion_weights, count)
    if args.fusion_weights:
        raise ValueError("--fusion_weights applies to scores and logits: an SVM learns its own weights.")
    return None


def parse_weights(text: str | None, count: int) -> list[float]:
    """Parses weights: `1,1.5` -> [1.0, 1.5]; None -> `count` ones.

    Raises:
        ValueError: if the text is not `count` positive numbers.
    """
    if text is None:
        return [1.0] * count
    try:
        weights = [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"Give weights as numbers separated by commas, such as 1,1.5; got {text!r}.") from None
    if len(weights) != count:
        raise ValueError(f"There are {count} runs, but {len(weights)} weights: {text}. Give one weight per run.")
    if not all(0 < weight < float("inf") for weight in weights):
        raise ValueError(f"Weights must be positive; got {text}.")
    return weights


def check_same(what: str, names: Sequence[str], values: Sequence):
    """Raises a ValueError if the values of the named networks are not all equal."""
    for name, value in zip(names, values, strict=True):
        if value != values[0]:
            raise ValueError(
                f"Only runs on the same videos can be fused. These differ in the {what}: "
                f"{values[0]} of {names[0]}, {value} of {name}."
            )


def check_same_targets(names: Sequence[str], targets: Sequence[np.ndarray]):
    """Raises a ValueError if the targets of the named networks, arrays of equal shape, differ for a video."""
    for name, target in zip(names, targets, strict=True):
        differing = np.flatnonzero((target != targets[0]).reshape(len(target), -1).any(axis=1))
        if len(differing):
            raise ValueError(
                f"Only runs on the same videos in the same order can be fused: {len(differing)} of {len(target)} "
                f"videos have different targets in {names[0]} and {name}; the first is video {differing[0]}."
            )
