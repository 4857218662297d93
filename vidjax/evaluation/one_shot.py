"""Few-shot classification and rejection from embeddings (NumPy).

Everything takes embeddings float (N, D), labels int (N,), and where it says so groups (N,), such as the drawer of a
character. Distances are those of `embedding.distances`. A tie counts against the network, so that a network that maps
all videos to one point is never right. Shares are in [0, 1].

Episodes: Vinyals et al., "Matching Networks for One Shot Learning" (NeurIPS 2016, arXiv:1606.04080). Nearest prototype:
Snell et al., "Prototypical Networks for Few-shot Learning" (NeurIPS 2017, arXiv:1703.05175). Runs within alphabets:
Lake et al., "The Omniglot challenge" (2019, arXiv:1902.03477).
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from vidjax.evaluation.pairs import auroc, check
from vidjax.inference.embedding import Distance, distances


class Episode(NamedTuple):
    """A small task: rows of the embeddings of W classes, with K examples of each to learn from and one to classify.

    Attributes:
        support: int (W, K).
        query: int (W,).
    """

    support: np.ndarray
    query: np.ndarray


def draw_episodes(
    labels: np.ndarray,
    ways: int,
    shots: int,
    *,
    number: int = 1000,
    seed: int = 0,
    within: np.ndarray | None = None,
    across: np.ndarray | None = None,
) -> Iterator[Episode]:
    """Yields random episodes; episode i is a pure function of (seed, i).

    Args:
        ways, shots: classes of an episode, and examples of each class to learn from.
        number: number of episodes.
        within: group of each class, such as its alphabet: the classes of an episode come from one group.
        across: group of each example, such as its drawer: a query is from another group than the supports of its class.

    Raises:
        ValueError: if fewer than 2 ways or 1 shot are wanted, or too few classes have enough examples.
    """
    if ways < 2 or shots < 1 or number < 1:
        raise ValueError(f"{number} episodes of {ways} ways and {shots} shots: need 1, 2 and 1 or more.")
    queries, supports = possible_queries(labels, shots, across)
    pools = _pools(labels, np.array(list(queries), int), ways, shots, within, across)
    for i in range(number):
        rng = np.random.default_rng((seed, i))
        classes = rng.choice(pools[rng.integers(len(pools))], ways, replace=False)
        query = np.array([rng.choice(queries[label]) for label in classes.tolist()])
        yield Episode(np.stack([rng.choice(supports[row], shots, replace=False) for row in query]), query)


def possible_queries(
    labels: np.ndarray, shots: int, across: np.ndarray | None
) -> tuple[dict[int, list[int]], dict[int, np.ndarray]]:
    """Returns the possible queries of each class, and for each of them the rows that its supports are drawn from.

    A class with too few examples has none. For the arguments see `draw_episodes`.
    """
    queries, supports = {}, {}
    for label in np.unique(labels).tolist():
        rows = np.flatnonzero(labels == label)
        for row in rows:
            others = rows[rows != row] if across is None else rows[across[rows] != across[row]]
            if len(others) >= shots:
                supports[row] = others
                queries.setdefault(label, []).append(row)
    return queries, supports


def _pools(labels, classes, ways, shots, within, across) -> list[np.ndarray]:
    """Returns the classes of each group that has enough of them."""
    groups = [classes]
    if within is not None:
        groups_of = {label: np.unique(within[labels == label]).tolist() for label in classes.tolist()}
        for label, of_class in groups_of.items():
            if len(of_class) > 1:
                raise ValueError(f"Class {label} is in several groups, {of_class}: `within` needs one per class.")
        groups = [np.array([c for c, (of_c,) in groups_of.items() if of_c == g]) for g in np.unique(within)]
    if pools := [group for group in groups if len(group) >= ways]:
        return pools
    most = max(map(len, groups), default=0)
    where = "" if within is None else " of one group"
    apart = "beside a query" if across is None else "in another group than a query"
    raise ValueError(
        f"{ways} ways of {shots} shots need {ways} classes{where} with {shots + 1} or more examples, {shots} of them "
        f"{apart}; there are {most} such classes out of {len(np.unique(labels))}. Choose fewer ways or shots, or more "
        "videos."
    )


def prototypes(embeddings: np.ndarray, support: np.ndarray) -> np.ndarray:
    """Returns the mean of the supports of each class: float (N, D) and int (W, K) -> float64 (W, D)."""
    return embeddings[support].mean(axis=1, dtype=np.float64)


def nearest(apart: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Returns the nearest class of each query, int (Q,), from distances (Q, W); a tie gives a wrong one."""
    rows, apart = np.arange(len(answers)), np.array(apart, np.float64)
    own = apart[rows, answers]
    apart[rows, answers] = np.inf
    return np.where(own < apart.min(axis=1), answers, apart.argmin(axis=1))


def predict(
    embeddings: np.ndarray,
    labels: np.ndarray,
    episodes: Iterable[Episode],
    distance: Distance = "euclidean",
    *,
    queries: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Gives each query the class of the nearest prototype.

    Args:
        queries: embeddings (N, D) of the same videos as queries, such as those played backwards; by default the same.

    Returns:
        The true and the predicted classes, int (E, W) each. At a tie the prediction is a wrong class.
    """
    queries = embeddings if queries is None else queries
    check(embeddings, labels)
    check(queries, labels)
    true, predicted = [], []
    for support, query in episodes:
        apart = distances(queries[query], prototypes(embeddings, support), distance)  # (W, W)
        true.append(labels[query])
        predicted.append(labels[query][nearest(apart, np.arange(len(query)))])
    return np.stack(true), np.stack(predicted)


def summarise(values: Sequence[float]) -> tuple[float, list[float]]:
    """Returns the mean over episodes or runs, and its 95 % interval: mean +- 1.96 standard errors."""
    values = np.asarray(values, np.float64)
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return float(values.mean()), [float(values.mean() - half), float(values.mean() + half)]


def accuracy(true: np.ndarray, predicted: np.ndarray) -> dict:
    """Returns accuracy, its 95 % interval over the episodes, and their number, from classes (E, W)."""
    mean, interval = summarise((true == predicted).mean(axis=1))
    return {"accuracy": mean, "interval": interval, "num_episodes": len(true)}


def accuracy_by_ways(
    embeddings: np.ndarray,
    labels: np.ndarray,
    shots: int,
    counts: Sequence[int] = (5, 20, 50, 100),
    *,
    distance: Distance = "euclidean",
    **settings,
) -> dict[str, dict]:
    """Returns the accuracy of episodes with more and more classes of all groups, at last with all classes.

    Classes with too few examples for `shots` and a query are left out.

    Args:
        counts: numbers of classes; those that the data do not have are left out.
        settings: `number`, `seed` and `across`, see `draw_episodes`.
    """
    whole = len(possible_queries(labels, shots, settings.get("across"))[0])
    episodes = lambda ways: draw_episodes(labels, ways, shots, **settings)  # noqa: E731
    ways = [*(count for count in counts if count < whole), whole]
    return {str(n): accuracy(*predict(embeddings, labels, episodes(n), distance)) for n in ways}


def within_alphabet_runs(runs: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict:
    """Returns the error of Lake's one-shot runs: 20 test drawings against 20 training drawings of one alphabet.

    These are harder than episodes of characters of all alphabets; never show both in one column.

    Args:
        runs: for each run the distances (Q, W) of the Q test drawings to the W training drawings, see
            `embedding.distances`, and int (Q,), the right training drawing of each.

    Returns:
        error, its 95 % interval over the runs, and the error of each run.
    """
    errors = [float((nearest(apart, answers) != answers).mean()) for apart, answers in runs]
    mean, interval = summarise(errors)
    return {"within_alphabet_runs": {"error": mean, "interval": interval, "errors": errors}}


def open_set(
    embeddings: np.ndarray,
    labels: np.ndarray,
    ways: int,
    shots: int,
    *,
    unknown: int,
    distance: Distance = "euclidean",
    **settings,
) -> dict:
    """Returns how well the distance to the nearest prototype tells queries of known classes from those of unknown ones.

    Args:
        ways, shots: known classes of an episode, and their examples.
        unknown: classes of an episode that have queries, but no prototype.
        settings: `number`, `seed`, `within` and `across`, see `draw_episodes`.

    Returns:
        auroc, the mean over the episodes, its 95 % interval, and the number of unknown classes.
    """
    check(embeddings, labels)
    values, known = [], np.arange(ways + unknown) < ways
    for support, query in draw_episodes(labels, ways + unknown, shots, **settings):
        apart = distances(embeddings[query], prototypes(embeddings, support[:ways]), distance)
        values.append(auroc(apart.min(axis=1), known))
    mean, interval = summarise(values)
    return {"auroc": mean, "interval": interval, "ways": ways, "unknown": unknown, "num_episodes": len(values)}
