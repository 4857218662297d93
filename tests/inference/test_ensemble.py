import numpy as np
import pytest

from vidjax.inference import ensemble

# Two networks, one video, one view: probabilities (0.8, 0.2) and (0.1, 0.9)
FIRST = np.log(np.array([[[0.8, 0.2]]], np.float32))
SECOND = np.log(np.array([[[0.1, 0.9]]], np.float32)) + 7  # a constant changes no probability


def test_scores_and_logits_by_hand():
    scores = ensemble.fuse([FIRST, SECOND], [1, 3])
    np.testing.assert_allclose(scores, [[(0.8 + 3 * 0.1) / 4, (0.2 + 3 * 0.9) / 4]], rtol=1e-5)
    # the mean of logarithms is the logarithm of the geometric mean
    products = np.array([0.8 * 0.1**3, 0.2 * 0.9**3]) ** (1 / 4)
    logits = ensemble.fuse([FIRST, SECOND], [1, 3], "logits")
    np.testing.assert_allclose(logits, [products / products.sum()], rtol=1e-5)
    assert scores.dtype == logits.dtype == np.float32


def test_the_two_can_disagree():
    sure, unsure = np.array([[[9.0, 0.0, 0.0]]]), np.array([[[0.0, 1.5, 0.0]]])
    networks = [sure, unsure, unsure]
    assert ensemble.fuse(networks, [1, 1, 1], "logits").argmax() == 0  # 9 against 3
    assert ensemble.fuse(networks, [1, 1, 1], "scores").argmax() == 1  # two of three


def test_views_are_averaged_first():
    views = np.log(np.array([[[0.6, 0.4], [0.2, 0.8]]], np.float32))  # (1, 2, 2); the others have one view
    np.testing.assert_allclose(ensemble.fuse([FIRST, views], [1, 1]), [[(0.8 + 0.4) / 2, 0.4]], rtol=1e-5)
    ratio = np.sqrt((0.8 / 0.2) * np.sqrt(0.6 * 0.2 / (0.4 * 0.8)))
    np.testing.assert_allclose(ensemble.fuse([FIRST, views], [1, 1], "logits")[0, 0], ratio / (1 + ratio), rtol=1e-5)


def test_views_are_pooled_as_the_protocol_says():
    views = np.log([[[0.9, 0.1], [0.4, 0.6]]])  # probabilities of two views
    np.testing.assert_allclose(ensemble.fuse([views], [1], mean="maximum"), [[0.9, 0.6]], rtol=1e-5)
    np.testing.assert_allclose(ensemble.fuse([views], [1]), [[0.65, 0.35]], rtol=1e-5)


def test_only_the_ratio_of_the_weights_matters():
    for fusion in ensemble.AVERAGES:
        same = [ensemble.fuse([FIRST, SECOND], weights, fusion) for weights in ([1, 1.5], [4, 6])]
        np.testing.assert_allclose(*same, rtol=1e-6)
        first = ensemble.fuse([FIRST, SECOND], [1, 1e-7], fusion)
        np.testing.assert_allclose(first, [[0.8, 0.2]], atol=1e-5)
        np.testing.assert_allclose(ensemble.fuse([FIRST, FIRST], [1, 1], fusion), [[0.8, 0.2]], atol=1e-6)


def test_an_svm_learns_which_network_is_reliable():
    """One network knows the class, the other guesses with confidence and misleads the mean of the scores."""
    rng = np.random.default_rng(0)
    target = np.repeat([0, 1, 3], 40)  # no video of class 2
    knows, guesses = 2.0 * np.eye(4)[target], 9.0 * np.eye(4)[rng.integers(0, 4, 120)]
    logits = [x[:, None].astype(np.float32) for x in (knows, guesses)]
    scores_of = ensemble.fit_svm([x[::2] for x in logits], target[::2])
    tested, truth = [x[1::2] for x in logits], target[1::2]
    scores = scores_of(tested)
    assert scores.shape == (60, 4) and (scores.argmax(1) == truth).all()
    assert (scores[:, 2] < scores[:, [0, 1, 3]].min(1)).all()
    assert (ensemble.fuse(tested, [1, 1]).argmax(1) == truth).mean() < 0.6
    two = ensemble.fit_svm([x[:80, :, :2] for x in logits], target[:80])([x[:80, :, :2] for x in logits])
    assert (two.argmax(1) == target[:80]).all()
    with pytest.raises(ValueError, match="All training videos have the same class"):
        ensemble.fit_svm([x[:4] for x in logits], np.zeros(4, int))


def test_classes_that_are_independent():
    one, other = np.array([[[0.0, 2.0]]]), np.array([[[np.log(3.0), -2.0]]])  # sigmoid of log 3 is 3/4
    np.testing.assert_allclose(ensemble.fuse([one, other], [1, 1], multi_label=True), [[0.625, 0.5]], rtol=1e-5)
    root = np.sqrt(3)
    logits = ensemble.fuse([one, other], [1, 1], "logits", multi_label=True)
    np.testing.assert_allclose(logits, [[root / (1 + root), 0.5]], rtol=1e-5)


def test_weights():
    assert ensemble.parse_weights(None, 3) == [1, 1, 1]
    assert ensemble.parse_weights("1,1.5", 2) == [1, 1.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3", "2 runs, but 3 weights: 1,2,3"),
        ("1,0", "must be positive; got 1,0"),
        ("1,-2", "must be positive"),
        ("1,nan", "must be positive"),
        ("1,inf", "must be positive"),
        ("1;2", "separated by commas, such as 1,1.5; got '1;2'"),
    ],
)
def test_weights_that_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        ensemble.parse_weights(text, 2)


def test_differences_are_named():
    ensemble.check_same("labels", ["a", "b"], [["x", "y"], ["x", "y"]])
    with pytest.raises(ValueError, match="differ in the number of videos: 5 of a, 6 of c"):
        ensemble.check_same("number of videos", ["a", "b", "c"], [5, 5, 6])
    target = np.array([0, 1, 2])
    ensemble.check_same_targets(["a", "b"], [target, target.copy()])
    with pytest.raises(ValueError, match="2 of 3 videos have different targets in a and b; the first is video 1"):
        ensemble.check_same_targets(["a", "b"], [target, np.array([0, 2, 1])])
    multi_hot = np.eye(3)
    with pytest.raises(ValueError, match="1 of 3 videos have different targets"):
        ensemble.check_same_targets(["a", "b"], [multi_hot, np.eye(3) + np.eye(3, k=2)])
    with pytest.raises(ValueError, match="Unknown fusion 'votes'; choose scores or logits"):
        ensemble.fuse([FIRST], [1], "votes")
