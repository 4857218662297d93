import numpy as np
import pytest

from vidjax.evaluation import one_shot

LABELS = np.repeat(np.arange(6), 4)  # 6 classes of 4 examples
APART = np.eye(6)[LABELS]  # each class at a point of its own
NOISE = np.random.default_rng(0).normal(size=(24, 5)) + APART[:, :5]
ALPHABETS = np.array(["greek", "greek", "greek", "latin", "latin", "tifinagh"])[LABELS]
DRAWERS = np.tile([0, 0, 0, 1], 6)


@pytest.mark.parametrize("seed", [0, 1])
def test_an_episode_has_different_rows_of_each_class(seed):
    episodes = list(one_shot.draw_episodes(LABELS, 5, 3, number=20, seed=seed))
    for support, query in episodes:
        assert support.shape == (5, 3) and query.shape == (5,)
        rows = np.column_stack([support, query])
        assert (LABELS[rows] == LABELS[query][:, None]).all() and len(set(LABELS[query])) == 5
        assert len(np.unique(rows)) == 20
    again = list(one_shot.draw_episodes(LABELS, 5, 3, number=10, seed=seed))
    for old, new in zip(episodes[:10], again, strict=True):  # episode i does not depend on the number of episodes
        np.testing.assert_array_equal(old.support, new.support)
        np.testing.assert_array_equal(old.query, new.query)


def test_seeds_and_episodes_differ():
    drawn = [e.query.tolist() for seed in (0, 1) for e in one_shot.draw_episodes(LABELS, 5, 1, number=5, seed=seed)]
    assert len(set(map(tuple, drawn))) == 10


def test_classes_within_a_group_and_queries_across_groups():
    settings = {"number": 40, "within": ALPHABETS, "across": DRAWERS}
    seen = set()
    for support, query in one_shot.draw_episodes(LABELS, 2, 1, **settings):
        assert len(set(ALPHABETS[query])) == 1
        assert (DRAWERS[support[:, 0]] != DRAWERS[query]).all()
        seen |= set(ALPHABETS[query])
    assert seen == {"greek", "latin"}  # tifinagh has one class
    for support, query in one_shot.draw_episodes(LABELS, 2, 3, number=10, across=DRAWERS):
        assert (DRAWERS[support] == 0).all() and (DRAWERS[query] == 1).all()  # only drawer 0 has 3 examples


@pytest.mark.parametrize(
    ("ways", "shots", "settings", "message"),
    [
        (7, 1, {}, "7 ways of 1 shots need 7 classes with 2 or more examples, .*there are 6 such classes out of 6"),
        (2, 4, {}, "there are 0 such classes out of 6. Choose fewer ways or shots, or more videos"),
        (4, 1, {"within": ALPHABETS}, "need 4 classes of one group .*there are 3 such"),
        (2, 1, {"across": np.zeros(24)}, "1 of them in another group than a query; there are 0"),
        (2, 1, {"within": DRAWERS}, r"Class 0 is in several groups, \[0, 1\]"),
        (1, 1, {}, "1000 episodes of 1 ways and 1 shots: need 1, 2 and 1 or more"),
    ],
)
def test_episodes_that_cannot_be_drawn(ways, shots, settings, message):
    with pytest.raises(ValueError, match=message):
        next(one_shot.draw_episodes(LABELS, ways, shots, **settings))


def few_shot(embeddings, ways, shots, number=50, distance="euclidean", **settings):
    episodes = one_shot.draw_episodes(LABELS, ways, shots, number=number, **settings)
    return one_shot.accuracy(*one_shot.predict(embeddings, LABELS, episodes, distance))


def test_separated_classes_are_always_right_and_a_single_point_never():
    for distance in ("euclidean", "cosine"):
        found = few_shot(APART, 6, 1, distance=distance)
        assert found == {"accuracy": 1.0, "interval": [1.0, 1.0], "num_episodes": 50}
        assert few_shot(np.ones((24, 3)), 6, 1, distance=distance)["accuracy"] == 0


def test_prototypes_equal_a_search_by_hand():
    episodes = list(one_shot.draw_episodes(LABELS, 4, 2, number=30))
    true, predicted = one_shot.predict(NOISE, LABELS, episodes)
    for i, (support, query) in enumerate(episodes):
        for j, row in enumerate(query):
            apart = [np.linalg.norm(NOISE[row] - (NOISE[a] + NOISE[b]) / 2) for a, b in support]
            assert true[i, j] == LABELS[row] and predicted[i, j] == LABELS[query[np.argmin(apart)]]
    assert 0.3 < (true == predicted).mean() < 1


def test_a_learned_distance():
    """A function that sees only the last value, in which the classes are equal but for their number."""
    embeddings = np.column_stack([np.zeros((24, 3)), LABELS])
    last = lambda a, b: np.abs(a[:, -1:] - b[:, -1])  # noqa: E731
    assert few_shot(embeddings, 6, 2, distance=last)["accuracy"] == 1
    assert few_shot(embeddings[:, ::-1], 6, 2, distance=last)["accuracy"] == 0


def test_the_interval_is_that_of_the_mean_over_episodes():
    true, predicted = np.zeros((4, 2), int), np.array([[0, 0], [0, 1], [0, 1], [1, 1]])  # 1, 1/2, 1/2, 0
    half = 1.96 * np.sqrt((0.25 + 0.25) / 3) / 2
    found = one_shot.accuracy(true, predicted)
    assert found["accuracy"] == 0.5 and found["interval"] == pytest.approx([0.5 - half, 0.5 + half])
    assert one_shot.accuracy(true[:1], predicted[:1])["interval"] == [1, 1]


def test_accuracy_falls_with_the_number_of_classes():
    found = one_shot.accuracy_by_ways(NOISE, LABELS, 1, counts=(2, 4, 9), number=200)
    assert list(found) == ["2", "4", "6"]
    assert found["2"]["accuracy"] > found["4"]["accuracy"] > found["6"]["accuracy"]


def test_a_class_with_a_single_example_has_no_query():
    found = one_shot.accuracy_by_ways(np.eye(5), np.array([0, 0, 1, 1, 2]), 1, counts=(3,), number=2)
    assert list(found) == ["2"]  # class 2 has nothing to learn from beside a query


def test_runs_within_alphabets():
    apart = np.array([[0.0, 1, 2], [1, 1, 2], [5, 4, 3]])
    found = one_shot.within_alphabet_runs([(apart, np.array([0, 1, 2])), (apart, np.array([1, 0, 2]))])
    assert found["within_alphabet_runs"]["errors"] == pytest.approx(
        [1 / 3, 2 / 3]
    )  # the tie of the second row is wrong
    assert found["within_alphabet_runs"]["error"] == pytest.approx(1 / 2)
    assert found.keys() == {"within_alphabet_runs"}
    assert apart[0, 0] == 0  # the input is unchanged


def test_unknown_classes_are_far_from_all_prototypes():
    found = one_shot.open_set(APART, LABELS, 3, 2, unknown=3, number=20)
    assert found == {"auroc": 1.0, "interval": [1.0, 1.0], "ways": 3, "unknown": 3, "num_episodes": 20}
    assert one_shot.open_set(np.ones((24, 2)), LABELS, 3, 2, unknown=3, number=20)["auroc"] == 0.5
    shuffled = np.random.default_rng(1).permutation(NOISE)
    assert 0.4 < one_shot.open_set(shuffled, LABELS, 3, 2, unknown=3, number=300)["auroc"] < 0.6


def test_embeddings_that_are_not_finite():
    with pytest.raises(ValueError, match="24 of 24 embeddings are not finite, the first in row 0: has the training"):
        few_shot(APART + np.nan, 2, 1)
