import numpy as np
import pytest

from tests.level_rows import rows_of
from vidjax.evaluation import profile


def test_a_profile_of_two_seeds():
    runs = [rows_of({10: (10, 20), 5: (20, 20)}), rows_of({5: (20, 20), 10: (14, 20)})]
    found = profile.profile_of(runs)
    assert found["chance"] == 0.5 and found["mean"] == pytest.approx(0.8)
    assert [(x["level"], x["videos"], x["accuracy"]) for x in found["levels"]] == [(5.0, 20, 1.0), (10.0, 20, 0.6)]
    assert (found["levels"][1]["low"], found["levels"][1]["high"]) == pytest.approx((0.387, 0.781), abs=1e-3)
    low, high = found["seen"]
    assert low == 5 and high == pytest.approx(5 * 2 ** (0.25 / 0.4))
    assert found["seen_intervals"][0] == (5, 5) and 5 < found["seen_intervals"][1][0] < high


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ([0.5, 0.5, 1.0, 1.0], (2.0, 16.0)),  # the geometric mean of 1 and 4
        ([1.0, 1.0, 0.5, 0.5], (0.0, 2.0)),
        ([1.0, 0.5, 0.5, 1.0], (0.0, 0.5)),  # only around the best level; linear beside 0
        ([0.0, 0.8, 0.7, 0.0], (0.9375, 2.0)),
        ([1.0, 1.0, 1.0, 0.75], (0.0, 16.0)),
        ([0.7, 0.6, 0.5, 0.0], None),
    ],
)
def test_the_range_that_is_seen(accuracies, expected):
    found = profile.seen_range(np.array([0.0, 1.0, 4.0, 16.0]), np.array(accuracies))
    assert found == (expected and pytest.approx(expected))


def test_the_interval_covers_the_true_threshold():
    """Of a curve known in advance: in nine of ten repetitions and more."""
    levels, accuracies, counts = np.array([1.0, 2.0, 4.0, 8.0]), np.array([0.2, 0.5, 0.9, 0.99]), np.full(4, 100)
    truth, rng = profile.seen_range(levels, accuracies)[0], np.random.default_rng(3)
    covered = 0
    for _ in range(20):
        (low, high), top = profile.bootstrap(levels, rng.binomial(counts, accuracies) / counts, counts)
        covered += low <= truth <= high
        assert top == (8.0, 8.0)
    assert covered >= 17


def test_texts():
    of = profile.profile_of([rows_of({1: (4, 20), 2: (20, 20), 4: (20, 20), 8: (2, 20)})])
    assert profile.range_text(of, intervals=False) == "1.61 to 4.85"
    of = profile.profile_of([rows_of({1: (0, 20), 4: (20, 20)})])
    assert profile.range_text(of) == ">= 2.83 [2.83, 2.83]"
    of = profile.profile_of([rows_of({0: (20, 20), 4: (10, 20)})])
    assert profile.range_text(of, intervals=False) == "<= 2"
    assert profile.range_text(profile.profile_of([rows_of({0: (20, 20), 4: (20, 20)})])) == "all"
    assert profile.range_text(profile.profile_of([rows_of({0: (14, 20), 4: (10, 20)})])) == "none (mean 60 %)"


def test_videos_need_a_level():
    with pytest.raises(ValueError, match="left/0001.mp4 names no level; make records of sight_DIAL"):
        profile.profile_of([[{"video": "left/0001.mp4", "true": "a", "predicted": "b"}]])
    with pytest.raises(ValueError, match="a profile needs the predictions.csv"):
        profile.profile_of([])
