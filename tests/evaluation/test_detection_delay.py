import numpy as np
import pytest

from vidjax.evaluation.detection_delay import detection_delay, threshold_for


def column(*values):
    return np.array(values, float)[:, None]


#                 0    1    2    3    4    5    6    7    8    9
SCORES = column(0.1, 0.7, 0.1, 0.2, 0.8, 0.9, 0.1, 0.6, 0.6, 0.3)
TRUE = column(0, 0, 0, 1, 1, 1, 0, 0, 0, 1)
A_STEP = 360.0  # seconds; ten steps are an hour


def test_delays_by_hand():
    """False alarms: none down to 0.8, one at step 1 down to 0.7, another at steps 7 and 8 at 0.6."""
    strict = detection_delay([SCORES], [TRUE], A_STEP, rate=0.5, labels=["fall"])
    assert strict["per_class"]["fall"]["threshold"] == 0.8
    assert (strict["found"], strict["mean_delay"], strict["median_delay"]) == (0.5, A_STEP, None)  # the last is missed
    assert strict["false_alarms_per_hour"] == 0 and strict["num_segments"] == 2
    loose = detection_delay([SCORES], [TRUE], A_STEP, rate=1)
    assert loose["per_class"][0]["threshold"] == 0.7 and loose["false_alarms_per_hour"] == 1
    looser = detection_delay([SCORES], [TRUE], A_STEP, rate=2)
    assert looser["per_class"][0]["threshold"] == 0.1  # from 0.3 on, the second false alarm touches the last segment
    assert (looser["found"], looser["mean_delay"], looser["median_delay"]) == (1, 0, 0)
    late = detection_delay([SCORES], [TRUE], A_STEP, rate=1, look_ahead=4)
    assert late["mean_delay"] == 5 * A_STEP and late["found"] == loose["found"]


def test_videos_do_not_touch_each_other():
    """The false alarm at the end of the first video is not part of the segment at the start of the second."""
    scores, true = [column(0.1, 0.9), column(0.9, 0.1)], [column(0, 0), column(1, 0)]
    found = detection_delay(scores, true, 900.0, rate=0.5)
    assert found["found"] == 0 and found["per_class"][0]["threshold"] == np.inf
    assert found["mean_delay"] is None and found["median_delay"] is None
    joined = detection_delay([np.concatenate(scores)], [np.concatenate(true)], 900.0, rate=0.5)
    assert joined["found"] == 1


def test_each_class_has_its_threshold():
    scores, true = np.array([[0.9, 0.2, 0.3], [0.1, 0.1, 0.6]]), np.array([[1, 0, 0], [0, 1, 0]])
    found = detection_delay([scores], [true], 1.0, rate=1, labels=["background", "a", "b"], background=0)
    assert set(found["per_class"]) == {"a"}  # b has no segments
    assert found["per_class"]["a"]["threshold"] == np.inf


def test_the_threshold_equals_that_of_a_search_over_all():
    rng = np.random.default_rng(0)
    for _ in range(200):
        scores, active = rng.integers(0, 8, 30) / 8, rng.random(30) < 0.2
        allowed, best = rng.integers(0, 4), np.inf
        for threshold in np.unique(scores)[::-1]:
            above = np.append(scores >= threshold, False)
            starts = [i for i in range(30) if above[i] and not (i and above[i - 1])]
            if sum(not active[i : i + above[i:].argmin()].any() for i in starts) > allowed:
                break
            best = threshold
        assert threshold_for(scores, active, allowed) == best


def test_errors():
    with pytest.raises(ValueError, match=r"must be \(T, K\), the same for each video; their shapes are \[\]"):
        detection_delay([], [], 1.0, 1)
    with pytest.raises(ValueError, match=r"their shapes are \[\(\(10, 1\), \(9, 1\)\)\]"):
        detection_delay([SCORES], [TRUE[:9]], 1.0, 1)
    with pytest.raises(ValueError, match="step_seconds = 0 and rate = 1 must be positive"):
        detection_delay([SCORES], [TRUE], 0, 1)
    with pytest.raises(ValueError, match="The videos have no segments"):
        detection_delay([SCORES], [TRUE], 1.0, 1, background=0)
