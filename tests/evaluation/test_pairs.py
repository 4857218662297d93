import itertools

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from vidjax.evaluation import pairs

LABELS = np.repeat(np.arange(6), 4)  # 6 classes of 4 examples
APART = np.eye(6)[LABELS]  # each class at a point of its own
NOISE = np.random.default_rng(0).normal(size=(24, 5)) + APART[:, :5]
DRAWERS = np.tile([0, 0, 0, 1], 6)


def test_roc_by_hand():
    """Distances 1 (same), 2 (same and different, a tie), 3 (different)."""
    apart, same = np.array([3, 2, 1, 2]), np.array([False, True, True, False])
    false_accepts, true_accepts = pairs.roc(apart, same)
    assert false_accepts.tolist() == [0, 0, 0.5, 1] and true_accepts.tolist() == [0, 0.5, 1, 1]
    assert pairs.auroc(apart, same) == (1 + 1 + 1 + 0.5) / 4
    assert pairs.equal_error_rate(apart, same) == pytest.approx(0.25)  # between (0, 1/2) and (1/2, 1)
    assert pairs.auroc(np.ones(4), same) == pairs.equal_error_rate(np.ones(4), same) == 0.5
    assert pairs.auroc(np.array([5, 1, 2, 6]), same) == 1 and pairs.auroc(-np.array([5, 1, 2, 6]), same) == 0
    with pytest.raises(ValueError, match="All 4 pairs are of one kind"):
        pairs.roc(apart, np.ones(4, bool))


def test_roc_equals_scikit_learns():
    rng = np.random.default_rng(0)
    apart, same = rng.integers(0, 30, 500), rng.random(500) < 0.3
    apart = apart - 5 * same
    false_accepts, true_accepts, _ = sklearn_metrics.roc_curve(same, -apart, drop_intermediate=False)
    np.testing.assert_allclose(pairs.roc(apart, same), (false_accepts, true_accepts), atol=1e-12)
    assert pairs.auroc(apart, same) == pytest.approx(sklearn_metrics.roc_auc_score(same, -apart), abs=1e-12)


def test_verification_counts_each_pair_once():
    found = pairs.verification(APART, LABELS)
    assert found == {"auroc": 1.0, "equal_error_rate": 0.0, "num_pairs": 24 * 23 // 2, "num_same": 6 * 6}
    found = pairs.verification(NOISE, LABELS, across=DRAWERS)
    apart = [(i, j) for i, j in itertools.combinations(range(24), 2) if DRAWERS[i] != DRAWERS[j]]
    assert (found["num_pairs"], found["num_same"]) == (len(apart), 18)
    same, different = ([np.linalg.norm(NOISE[i] - NOISE[j]) for i, j in apart if (LABELS[i] == LABELS[j]) == is_same]
                       for is_same in (True, False))  # fmt: skip
    assert found["auroc"] == pytest.approx(np.mean([a < b for a in same for b in different]))


def test_verification_of_many_embeddings_samples(monkeypatch):
    monkeypatch.setattr(pairs, "MOST", 12)
    assert pairs.verification(APART, LABELS)["num_pairs"] == 66


def test_retrieval_by_hand():
    """On a line: a b a a . c: the nearest of the first a is b, then a; b has nothing to find, nor has c."""
    embeddings, labels = np.array([[0.0], [1], [2.5], [3], [9]]), np.array([0, 1, 0, 0, 2])
    found = pairs.retrieval(embeddings, labels, ks=(1, 2))
    assert found == {"recall_at_1": pytest.approx(2 / 3), "recall_at_2": 1, "num_queries": 3}
    assert pairs.retrieval(np.zeros((5, 1)), labels, ks=(2, 3))["recall_at_2"] == 0  # ties with b and c come first
    assert pairs.retrieval(np.zeros((5, 1)), labels, ks=(2, 3))["recall_at_3"] == 1
    found = pairs.retrieval(embeddings, labels, across=np.array([0, 0, 1, 1, 1]))
    assert found["num_queries"] == 3 and found["recall_at_1"] == pytest.approx(1 / 3)  # the others find b first
    with pytest.raises(ValueError, match="two per class or more"):
        pairs.retrieval(embeddings[[0, 1, 4]], np.arange(3))


@pytest.mark.parametrize(
    ("embeddings", "settings", "message"),
    [
        (np.where(np.arange(24)[:, None] == 5, np.nan, APART), {}, "1 of 24 embeddings are not finite, .* row 5"),
        (APART[:9], {}, r"Embeddings must be \(N, D\) and labels \(N,\), not \(9, 6\) and \(24,\)"),
        (APART, {"across": DRAWERS[:3]}, r"across must name a group for each of 24 embeddings, not \(3,\)"),
        (APART, {"distance": "manhattan"}, "Unknown distance 'manhattan'; choose one of euclidean, cosine"),
    ],
)  # fmt: skip
def test_invalid_arrays(embeddings, settings, message):
    with pytest.raises(ValueError, match=message):
        pairs.retrieval(embeddings, LABELS, **settings)
