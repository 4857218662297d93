"""Distances between drawings without learning, which one-shot networks must beat (NumPy).

apart = hausdorff_distances(run.test, run.training)                         # Lake's runs, `omniglot.read_runs`
one_shot.within_alphabet_runs([(apart, run.answers), ...])                  # an error of 38.8 %

rows = np.stack([resample(np.concatenate(strokes)).ravel() for ...])        # `strokes.read_strokes`
one_shot.predict(rows, labels, episodes, distance=warping_distances)
"""

import numpy as np


def ink_points(image: np.ndarray) -> np.ndarray:
    """Returns the pixels of dark ink, uint8 (H, W) -> float (N, 2), with their mean at 0.

    Raises:
        ValueError: if a drawing has no ink.
    """
    points = np.argwhere(image < 128).astype(np.float64)
    if not len(points):
        raise ValueError("An image has no ink, which is darker than 128: is it white on black? Invert it.")
    return points - points.mean(axis=0)


def modified_hausdorff(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the modified Hausdorff distance of two sets of points, (N, D) and (M, D).

    It is the mean distance to the nearest point of the other set, for the set where that is larger.
    Dubuisson and Jain, "A modified Hausdorff distance for object matching" (ICPR 1994), distance 22.
    """
    lengths = [(x**2).sum(axis=1, keepdims=True) for x in (a, b)]
    ones = [np.ones_like(length) for length in lengths]
    rows, columns = np.hstack([-2 * a, lengths[0], ones[0]]), np.hstack([b, ones[1], lengths[1]]).T
    from_a, from_b = np.empty(len(a)), np.full(len(b), np.inf)  # squared distances to the nearest point
    for start in range(0, len(a), 16):  # blocks stay in the cache and in one thread: ten times faster
        squares = rows[start : start + 16] @ columns  # |a|^2 - 2ab + |b|^2
        from_a[start : start + 16] = squares.min(axis=1)
        np.minimum(from_b, squares.min(axis=0), out=from_b)
    return max(float(np.sqrt(np.maximum(nearest, 0)).mean()) for nearest in (from_a, from_b))


def hausdorff_distances(queries: np.ndarray, supports: np.ndarray) -> np.ndarray:
    """Returns the distances of all pairs of drawings: uint8 (Q, H, W), (S, H, W) -> float (Q, S).

    With the pixels of the ink centred by their mean: the baseline that Lake et al. ship with the one-shot runs.
    """
    queries, supports = ([ink_points(image) for image in images] for images in (queries, supports))
    return np.array([[modified_hausdorff(query, support) for support in supports] for query in queries])


def resample(points: np.ndarray, num_points: int = 64) -> np.ndarray:
    """Returns points at equal distances along a pen's path, lifts included: (L, 2 or more) -> float (num_points, 2).

    The columns are x and y, with mean 0 and a standard deviation of 1; 0 everywhere where a column does not vary.
    """
    path = np.asarray(points, np.float64)[:, :2]
    along = np.append(0, np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1)))
    at = np.linspace(0, along[-1], num_points)
    path = np.stack([np.interp(at, along, column) for column in path.T], axis=1)
    path -= path.mean(axis=0)
    spread = path.std(axis=0)
    return path / np.where(spread > 1e-6, spread, 1)


def dynamic_time_warping(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the costs of the best alignments of pairs of sequences: (P, N, D), (P, M, D) -> float (P,).

    An alignment goes from both first to both last points, in steps of one point in either sequence or in both. Its cost
    is the sum of the distances of aligned points. Sakoe and Chiba, "Dynamic programming algorithm optimization for
    spoken word recognition" (IEEE TASSP, 1978), with equal weights for all steps.
    """
    (p, n, _), m = a.shape, b.shape[1]
    local = np.linalg.norm(a[:, :, None] - b[:, None], axis=-1)  # (P, N, M)
    best = np.full((p, n + 1, m + 1), np.inf)
    best[:, 0, 0] = 0
    for diagonal in range(2, n + m + 1):  # its cells depend on the two diagonals before it only
        i = np.arange(max(1, diagonal - m), min(n, diagonal - 1) + 1)
        j = diagonal - i
        before = np.minimum(np.minimum(best[:, i - 1, j], best[:, i, j - 1]), best[:, i - 1, j - 1])
        best[:, i, j] = local[:, i - 1, j - 1] + before
    return best[:, n, m]


def warping_distances(queries: np.ndarray, supports: np.ndarray) -> np.ndarray:
    """Returns the distances of all pairs of flattened sequences, see `resample`: (Q, 2N), (S, 2N) -> float (Q, S).

    It is a distance for `one_shot.predict` with one shot; the mean of two sequences of points means nothing.
    """
    a = np.repeat(queries.reshape(len(queries), 1, -1, 2), len(supports), axis=1)
    b = np.broadcast_to(supports.reshape(1, len(supports), -1, 2), a.shape)
    return dynamic_time_warping(a.reshape(-1, *a.shape[2:]), b.reshape(-1, *a.shape[2:])).reshape(a.shape[:2])
