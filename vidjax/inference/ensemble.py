"""Several trained networks as one: the weighted mean of their scores or logits, or a linear SVM of their scores.

Simonyan and Zisserman, "Two-Stream Convolutional Networks" (NeurIPS 2014), fuse their two streams by the mean of the
scores and by a SVM.
"""

import argparse
from collections.abc import Callable, Sequence

import jax
import numpy as np
from sklearn.svm import LinearSVC

AVERAGES = ("scores", "logits")
FUSIONS = (*AVERAGES, "svm")


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
    if fusion not in AVERAGES:
        raise ValueError(f"Unknown fusion {fusion!r}; choose {' or '.join(AVERAGES)}.")
    squash = jax.nn.sigmoid if multi_label else jax.nn.softmax
    shares = np.asarray(weights) / np.sum(weights)
    of_videos = [np.asarray(squash(x) if fusion == "scores" else x).mean(axis=1) for x in logits]  # (N, K) each
    mixed = sum(share * x for share, x in zip(shares, of_videos, strict=True))
    return np.asarray(mixed if fusion == "scores" else squash(mixed), np.float32)


def fit_svm(logits: Sequence[np.ndarray], target: np.ndarray) -> Callable[[Sequence[np.ndarray]], np.ndarray]:
    """Trains a linear SVM on the scores of several networks, each scaled to length 1, side by side.

    Simonyan and Zisserman, section 3 ("stacked L2-normalised softmax scores").

    Args:
        logits: of training videos, of each network float (N, V, K).
        target: their classes, int (N,).

    Returns:
        The function from logits of other videos to scores, float32 (N, K): the signed distances from the planes between
        each class and the rest, below all others for classes that no training video has.

    Raises:
        ValueError: where all training videos are of one class.
    """
    num_classes = logits[0].shape[-1]
    if len(np.unique(target)) < 2:
        raise ValueError("All training videos are of one class: a SVM finds nothing to tell apart.")

    def features(logits: Sequence[np.ndarray]) -> np.ndarray:
        of_videos = [np.asarray(jax.nn.softmax(x)).mean(axis=1) for x in logits]  # (N, K) each
        return np.concatenate([x / np.linalg.norm(x, axis=1, keepdims=True) for x in of_videos], axis=1)

    svm = LinearSVC(random_state=0, max_iter=10000).fit(features(logits), target)

    return lambda logits: scores_of(svm, features(logits), num_classes)


def scores_of(classifier, x: np.ndarray, num_classes: int) -> np.ndarray:
    """What a fitted classifier of scikit-learn says of x (N, D): float32 (N, num_classes), the higher the better.

    Classes that it has not seen in training are below all others.
    """
    is_linear = hasattr(classifier, "decision_function")
    found = classifier.decision_function(x) if is_linear else classifier.predict_proba(x)
    found = np.stack([-found, found], axis=1) if found.ndim == 1 else found  # (N, classes seen), from (N,) of two
    scores = np.full((len(found), num_classes), found.min() - 1, np.float32)
    scores[:, classifier.classes_] = found
    return scores


def add_arguments(parser: argparse.ArgumentParser, fusions: Sequence[str]):
    """The arguments --fusion and --fusion_weights of a command."""
    parser.add_argument(
        "--fusion",
        choices=fusions,
        help="what of several runs is averaged, scores by default; or a SVM of their scores",
    )
    parser.add_argument("--fusion_weights", help="of the runs, in order, as in 1,1.5; equal by default")


def weights_of(args: argparse.Namespace, count: int) -> list[float] | None:
    """The weights that --fusion_weights names, None for a SVM; errors as of `parse_weights`."""
    if args.fusion != "svm":
        return parse_weights(args.fusion_weights, count)
    if args.fusion_weights:
        raise ValueError("--fusion_weights is for scores and logits: a SVM finds its own.")
    return None


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
