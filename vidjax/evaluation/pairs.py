"""Verification and retrieval: whether near embeddings are of one class (NumPy).

Everything takes embeddings float (N, D), labels int (N,), and groups (N,), such as the drawer of a character. Distances
are those of `embedding.distances`. Shares are in [0, 1].
"""

from collections.abc import Sequence

import numpy as np

from vidjax.inference.embedding import Distance, distances

MOST = 2000  # embeddings whose pairs are all compared; more are sampled


def check(embeddings: np.ndarray, labels: np.ndarray, **groups: np.ndarray | None):
    """Raises a ValueError unless embeddings are finite, (N, D), and labels and groups have one entry for each."""
    if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1]:
        raise ValueError(f"Embeddings must be (N, D) and labels (N,), not {embeddings.shape} and {labels.shape}.")
    if len(bad := np.flatnonzero(~np.isfinite(embeddings).all(axis=1))):
        raise ValueError(
            f"{len(bad)} of {len(labels)} embeddings are not finite, the first in row {bad[0]}: has the training "
            "diverged? Look at the loss, and take an earlier checkpoint with --step."
        )
    for name, group in groups.items():
        if group is not None and np.shape(group) != labels.shape:
            raise ValueError(f"{name} must name a group for each of {len(labels)} embeddings, not {np.shape(group)}.")


def roc(apart: np.ndarray, same: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rates of accepted different and of accepted same pairs as the accepted distance grows.

    Args:
        apart: distances, float (P,); same: bool (P,). Equal distances are accepted together.

    Returns:
        False and true accept rates, from (0, 0) to (1, 1).

    Raises:
        ValueError: unless both kinds occur.
    """
    if same.all() or not same.any():
        raise ValueError(f"All {len(same)} pairs are of one kind: a ROC curve needs same and different ones.")
    order = np.argsort(apart, kind="stable")
    last_of_ties = np.append(np.diff(apart[order]) != 0, True)
    counts = [np.append(0, np.cumsum(kind[order])[last_of_ties]) for kind in (~same, same)]
    return counts[0] / counts[0][-1], counts[1] / counts[1][-1]


def auroc(apart: np.ndarray, same: np.ndarray) -> float:
    """The probability that a same pair is closer than a different pair; ties count 1/2. See `roc`."""
    false_accepts, true_accepts = roc(apart, same)
    return float(np.trapezoid(true_accepts, false_accepts))


def equal_error_rate(apart: np.ndarray, same: np.ndarray) -> float:
    """The error rate where as many different pairs are accepted as same pairs are rejected, interpolated. See `roc`."""
    false_accepts, true_accepts = roc(apart, same)
    return float(np.interp(0, false_accepts + true_accepts - 1, false_accepts))


def verification(
    embeddings: np.ndarray,
    labels: np.ndarray,
    *,
    across: np.ndarray | None = None,
    distance: Distance = "euclidean",
    seed: int = 0,
) -> dict:
    """Returns how well the distance of two embeddings tells whether they are of one class.

    Args:
        across: group of each example; only pairs from two groups count.

    Returns:
        auroc, equal_error_rate, num_pairs, and num_same, the pairs of one class: over all pairs, or over those of
        `MOST` embeddings drawn at random.
    """
    check(embeddings, labels, across=across)
    rows = np.sort(np.random.default_rng(seed).permutation(len(labels))[:MOST])
    first, second = np.triu_indices(len(rows), k=1)
    if across is not None:
        apart_groups = across[rows][first] != across[rows][second]
        first, second = first[apart_groups], second[apart_groups]
    apart = distances(embeddings[rows], embeddings[rows], distance)[first, second]
    same = labels[rows][first] == labels[rows][second]
    found = {"auroc": auroc(apart, same), "equal_error_rate": equal_error_rate(apart, same)}
    return found | {"num_pairs": len(same), "num_same": int(same.sum())}


def retrieval(
    embeddings: np.ndarray,
    labels: np.ndarray,
    ks: Sequence[int] = (1, 5, 10),
    *,
    across: np.ndarray | None = None,
    distance: Distance = "euclidean",
) -> dict:
    """Returns recall@k: how often one of the k nearest other examples is of the same class.

    Args:
        across: group of each example; only examples of other groups are searched.

    Returns:
        recall_at_1, ..., and num_queries. An example without another one of its class to find is not a query.
    """
    check(embeddings, labels, across=across)
    ranks = []  # number of examples of other classes that are at least as near as the nearest of the same class
    for row, label in enumerate(labels):
        found = np.arange(len(labels)) != row if across is None else across != across[row]
        same = labels[found] == label
        if same.any():
            apart = distances(embeddings[row : row + 1], embeddings[found], distance)[0]
            ranks.append((apart[~same] <= apart[same].min()).sum())
    if not ranks:
        raise ValueError("No example has another one of its class to find: retrieval needs two per class or more.")
    recall = {f"recall_at_{k}": float((np.array(ranks) < k).mean()) for k in ks}
    return {**recall, "num_queries": len(ranks)}
