import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics

from tests.peers import make_charades
from vidjax import metrics


def test_hit_at_k_by_hand():
    scores = jnp.array([[0.1, 0.5, 0.4], [0.1, 0.5, 0.4]])
    assert metrics.hit_at_k(scores, jnp.array([1, 2]), 1).tolist() == [1, 0]
    assert metrics.hit_at_k(scores, jnp.array([1, 2]), 2).tolist() == [1, 1]
    assert metrics.hit_at_k(scores, jnp.array([0, 0]), 5).tolist() == [1, 1]  # fewer than five classes


def test_constant_or_missing_scores_never_hit():
    assert metrics.hit_at_k(jnp.zeros((1, 3)), jnp.array([0]), 1).tolist() == [0]
    assert metrics.hit_at_k(jnp.full((1, 3), jnp.nan), jnp.array([0]), 1).tolist() == [0]


def test_hit_at_k_agrees_with_sklearn():
    rng = np.random.default_rng(0)
    scores, target = rng.normal(size=(200, 10)), rng.integers(10, size=200)
    for k in (1, 3, 5):
        expected = sklearn.metrics.top_k_accuracy_score(target, scores, k=k)
        np.testing.assert_allclose(metrics.hit_at_k(scores, target, k).mean(), expected, rtol=1e-6)


def test_padding_never_counts():
    values, weight = jnp.array([1.0, 3.0, 1000.0]), jnp.array([1.0, 1.0, 0.0])
    assert metrics.weighted_mean(values, weight) == 2
    assert metrics.weighted_mean(values, jnp.zeros(3)) == 0


def test_average_precision_agrees_with_sklearn_also_with_ties():
    rng = np.random.default_rng(0)
    for digits in (1, 8):
        scores, relevant = rng.random(300).round(digits), rng.random(300) < 0.2
        expected = sklearn.metrics.average_precision_score(relevant, scores)
        np.testing.assert_allclose(metrics.average_precision(scores, relevant), expected, rtol=1e-12)
    assert np.isnan(metrics.average_precision(scores, np.zeros(300, bool)))


def test_single_label_by_hand():
    # two videos of two clips; the second clip of video 0 is wrong, but the average over its clips is right
    scores = np.array([[[0.9, 0.1, 0.0], [0.4, 0.6, 0.0]], [[0.2, 0.7, 0.1], [0.1, 0.8, 0.1]]])
    result = metrics.single_label(scores, np.array([0, 2]))
    assert result["top1"] == 0.5
    assert result["top1_clip"] == 0.25
    assert result["top5"] == result["top5_clip"] == 1
    assert result["confusion"] == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert result["per_class"] == [1, None, 0]
    assert result["num_videos"] == 2


def test_confusion_agrees_with_sklearn():
    rng = np.random.default_rng(0)
    scores, target = rng.random((100, 1, 4)), rng.integers(4, size=100)
    expected = sklearn.metrics.confusion_matrix(target, scores[:, 0].argmax(axis=1))
    assert metrics.single_label(scores, target)["confusion"] == expected.tolist()


def test_within_pairs_counts_the_direction_only():
    # classes 0 and 1 are partners, as are 2 and 3: class 3 leads, but between 0 and 1 the true one does
    scores = np.array([[[0.3, 0.1, 0.0, 0.6]], [[0.2, 0.2, 0.0, 0.6]]])
    result = metrics.single_label(scores, np.array([0, 0]), pairs=[1, 0, 3, 2])
    assert result["top1"] == 0
    assert result["top1_within_pairs"] == 0.75  # one won, one tied


def test_classes_that_are_their_own_reverse_are_in_no_pair():
    scores = np.array([[[0.9, 0.1, 0.0]], [[0.8, 0.2, 0.0]]])
    target = np.array([0, 2])  # class 2 is its own reverse
    assert metrics.single_label(scores, target, pairs=[1, 0, 2])["top1_within_pairs"] == 1  # only the first counts
    assert "top1_within_pairs" not in metrics.single_label(scores, target, pairs=[0, 1, 2])


def test_frames_used():
    nan = np.nan
    updates = np.array([[[1, 0, 0]], [[1, 1, 0]], [[1, nan, nan]]])  # (N, V, T)
    used = metrics.frames_used(updates, np.array([0, 0, 1]), 2)
    assert used["frames_used"] == 4 / 7
    assert used["frames_used_per_class"] == [[1, 0.5, 0], [1, None, None]]


def test_multi_label():
    scores = np.array([[[0.9, 0.8, 0.1]], [[0.3, 0.7, 0.2]]])
    result = metrics.multi_label(scores, np.array([[1, 1, 0], [1, 0, 0]]))
    assert result["per_class"] == [1, 1, None]
    assert result["mAP"] == 1
    assert result["top1"] == 0.5


@pytest.mark.parametrize("score", [0.5, 1.0, np.nan])
def test_equal_or_missing_scores_are_at_chance(score):
    scores, one_hot = np.full((6, 1, 3), score), np.eye(3)[[0, 0, 0, 1, 1, 2]]
    several = metrics.multi_label(scores, one_hot)
    assert several["per_class"] == pytest.approx([3 / 6, 2 / 6, 1 / 6]) and several["top1"] == 0
    single = metrics.single_label(scores, one_hot.argmax(1))
    assert single["top1"] == 0 and single["per_class"] == [0, 0, 0]


def test_saturated_scores_hit_if_no_wrong_class_ties():
    target, scores = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]]), np.array([[0.0, 1, 0], [1, 1, 0], [1, 0, 0]])
    assert metrics.multi_label(scores[:, None], target)["top1"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("right", "count", "expected"),
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611)), (1, 29, (0.0061, 0.1718))],
)
def test_wilson_intervals_are_the_published_ones(right, count, expected):
    """Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I, method 3."""
    np.testing.assert_allclose(metrics.wilson_interval(right, count), expected, atol=5e-5)


def test_charades_average_precision_is_that_of_its_script():
    """Goldens of Charades_v1_classify.m. Videos without a label and equal scores make the difference."""
    for number, expected in enumerate(json.loads((Path(__file__).parent / "peers/charades.json").read_text())):
        scores, target = make_charades.case(number)
        found = metrics.multi_label(scores[:, None], target, charades=True)
        precisions = [found["mAP"], *found["per_class"]]
        np.testing.assert_allclose(precisions, np.array(expected) / make_charades.SCALE, rtol=0, atol=1e-6)
        assert metrics.multi_label(scores[:, None], target)["mAP"] < found["mAP"] - 0.02
        assert metrics.multi_label(scores[::-1, None], target[::-1], charades=True)["mAP"] != found["mAP"]


def test_ranked_precision():
    assert (
        metrics.ranked_precision(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, False, True, False]))
        == (1 + 2 / 3) / 2
    )
    assert np.isnan(metrics.ranked_precision(np.array([0.9]), np.array([False])))


def test_accuracy_per_kind_of_class():
    labels, target = ["verb:a", "verb:b", "noun:c", "noun:d"], np.array([[1, 0, 1, 0], [0, 1, 0, 1]])
    scores = np.array([[0.9, 0.1, 0.1, 0.2], [0.2, 0.3, 0.0, 0.9]])
    assert metrics.per_kind(scores, target, labels) == {"top1_verb": 1.0, "top1_noun": 0.5, "top1_action": 0.5}
    assert metrics.per_kind(scores, target, ["a", *labels[1:]]) == {}  # not all have a kind
    assert metrics.per_kind(scores, target, ["verb:a", "verb:b", "verb:c", "verb:d"]) == {}
    assert metrics.per_kind(scores, np.ones((2, 4)), labels) == {}  # two verbs
