import numpy as np
import pytest

from vidjax.data.sources import omniglot
from vidjax.data.synthetic import strokes
from vidjax.evaluation import one_shot
from vidjax.evaluation.one_shot_rivals import (
    dynamic_time_warping,
    hausdorff_distances,
    ink_points,
    modified_hausdorff,
    resample,
    warping_distances,
)


def drawn(*pixels):
    """An image with ink at some pixels (row, column)."""
    image = np.full((9, 9), 255, np.uint8)
    image[tuple(np.transpose(pixels))] = 0
    return image


def test_ink_is_centred_by_its_mean():
    np.testing.assert_array_equal(ink_points(drawn((1, 2), (3, 6))), [(-1, -2), (1, 2)])
    with pytest.raises(ValueError, match="An image has no ink, which is darker than 128"):
        ink_points(np.full((9, 9), 255, np.uint8))


def test_the_larger_mean_distance_counts():
    a, b = np.array([(0, 0), (0, 1)], float), np.array([(0, 0), (0, 1), (3, 1), (0, 6)], float)
    assert modified_hausdorff(a, b) == modified_hausdorff(b, a) == (0 + 0 + 3 + 5) / 4  # from b; 0 from a


def test_many_points_are_compared_like_few():
    """The blocks of rows are joined; the sizes are not multiples of their length."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(50, 2)), rng.normal(size=(37, 2)) + 1
    apart = np.linalg.norm(a[:, None] - b, axis=-1)
    expected = max(apart.min(axis=1).mean(), apart.min(axis=0).mean())
    np.testing.assert_allclose(modified_hausdorff(a, b), expected, rtol=1e-12)


def test_a_moved_drawing_is_at_distance_0():
    bar, moved, tall = drawn((1, 1), (1, 2)), drawn((7, 5), (7, 6)), drawn((4, 4), (5, 4))
    np.testing.assert_allclose(hausdorff_distances(np.stack([moved, tall]), np.stack([bar])), [[0], [0.5**0.5]])


def test_points_are_spread_along_the_path():
    """A pen that slows down gives the same points; the third column is not looked at."""
    path = resample(np.array([(0, 0, 0), (3, 0, 9), (4, 0, 99), (4, 4, 100)]), 5)
    x, y = np.array([0, 2, 4, 4, 4]), np.array([0, 0, 0, 2, 4])
    expected = [(column - column.mean()) / column.std() for column in (x, y)]
    np.testing.assert_allclose(path, np.transpose(expected))


def test_a_dot_and_a_straight_line_do_not_divide_by_0():
    np.testing.assert_array_equal(resample(np.array([(7, 7)]), 3), np.zeros((3, 2)))
    np.testing.assert_allclose(resample(np.array([(0, 0.1), (4, 0.1)]), 2), [(-1, 0), (1, 0)], atol=1e-12)


def warped(a, b):
    """The textbook recursion, for one pair."""
    best = np.full((len(a) + 1, len(b) + 1), np.inf)
    best[0, 0] = 0
    for i in range(len(a)):
        for j in range(len(b)):
            before = min(best[i, j], best[i, j + 1], best[i + 1, j])
            best[i + 1, j + 1] = np.linalg.norm(a[i] - b[j]) + before
    return best[-1, -1]


@pytest.mark.parametrize("lengths", [(5, 5), (7, 4), (1, 6)])
def test_alignments_are_those_of_the_textbook(lengths):
    rng = np.random.default_rng(1)
    a, b = (rng.normal(size=(3, length, 2)) for length in lengths)
    np.testing.assert_allclose(dynamic_time_warping(a, b), [warped(*pair) for pair in zip(a, b, strict=True)])


def test_a_pause_costs_nothing_and_the_other_order_does():
    way = np.array([(0, 0), (1, 0), (1, 1), (1, 2)], float)
    with_pause = way[[0, 1, 1, 1, 2, 3, 3]]
    assert dynamic_time_warping(way[None], with_pause[None]) == 0
    assert dynamic_time_warping(way[None], way[None, ::-1]) > 4


def test_all_pairs_are_aligned():
    a, b = (np.random.default_rng(i).normal(size=(n, 6, 2)) for i, n in ((0, 2), (1, 3)))
    apart = warping_distances(a.reshape(2, 12), b.reshape(3, 12))
    np.testing.assert_allclose(apart, [[warped(x, y) for y in b] for x in a])


def test_the_published_error_of_the_20_runs(shared_data):
    """Lake et al. ship this baseline with the runs and state an error of 38.8 %: 155 of 400."""
    runs = omniglot.read_runs(shared_data / "omniglot_small")
    found = one_shot.within_alphabet_runs((hausdorff_distances(run.test, run.training), run.answers) for run in runs)
    assert found["within_alphabet_runs"]["error"] == 0.3875


def test_the_order_of_the_points_tells_characters_apart(shared_data):
    """Four drawings of each letter of Latin; chance is an error of 95 %."""
    found = omniglot.find(shared_data / "omniglot_small", "strokes", print)
    found = [x for x in found if x.label.startswith("Latin/") and x.name[-2:] in ("01", "02", "03", "04")]
    rows = np.stack([resample(np.concatenate(strokes.read_strokes(x.path))) for x in found])
    labels = np.unique([x.label for x in found], return_inverse=True)[1]
    shuffled = np.stack([np.random.default_rng(i).permutation(row) for i, row in enumerate(rows)])
    episodes = [*one_shot.draw_episodes(labels, 20, 1, number=3)]
    errors = [
        1 - one_shot.accuracy(*one_shot.predict(x.reshape(len(x), -1), labels, episodes, warping_distances))["accuracy"]
        for x in (rows, shuffled)
    ]
    assert errors[0] < 0.4 < 0.6 < errors[1]
