import numpy as np
import pytest

from vidjax.data.segment_files import Segment
from vidjax.inference import segments_from_scores as segments
from vidjax.inference.segments_from_scores import Run

# Background, a, b: four quiet steps around a run of "a" and a step of "b"
SCORES = np.array([[0.9, 0.1, 0], [0.1, 0.8, 0.1], [0.3, 0.6, 0.1], [0.9, 0.0, 0.1], [0.2, 0.3, 0.5], [1.0, 0.0, 0]])


def random_scores(seed: int, length: int = 12, num_classes: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(num_classes), length)


# ---------------------------------------------------------------------------------------------------------- smoothing


def test_the_window_reaches_one_step_further_back_than_ahead():
    impulse = np.array([0, 0, 0, 12, 0, 0, 0])
    assert segments.smooth(impulse, 1).tolist() == [0, 0, 0, 6, 6, 0, 0]  # step i averages i - 1 and i
    assert segments.smooth(impulse, 2).tolist() == [0, 0, 3, 3, 3, 3, 0]  # i - 2 to i + 1
    assert segments.smooth(impulse, 3).tolist() == [0, 12 / 4, 12 / 5, 2, 2, 12 / 5, 3]  # cut at the ends


def test_a_window_longer_than_the_video_is_its_mean():
    assert segments.smooth(np.array([1, 2, 6]), 100).tolist() == [3, 3, 3]


@pytest.mark.parametrize("smooth", [segments.smooth, segments.smooth_gaussian])
def test_laws_of_smoothing(smooth):
    for amount in (0, 1, 3, 40):
        np.testing.assert_allclose(smooth(np.full((9, 2), 0.3), amount), 0.3)  # a constant stays
        np.testing.assert_allclose(smooth(random_scores(amount), amount).sum(axis=1), 1)
        assert smooth(np.zeros((0, 3)), amount).shape == (0, 3)
    np.testing.assert_array_equal(smooth(SCORES, 0), SCORES)


def test_smooth_agrees_with_its_definition():
    for k in range(1, 9):
        scores = random_scores(k)
        expected = [scores[max(0, i - k) : i + k].mean(axis=0) for i in range(len(scores))]
        np.testing.assert_allclose(segments.smooth(scores, k), expected)


def test_gaussian_weights_are_symmetric():
    found = segments.smooth_gaussian(np.eye(41)[20], 2.0)
    np.testing.assert_allclose(found, found[::-1], atol=1e-15)
    offsets = np.arange(-4, 5)
    np.testing.assert_allclose(found[16:25], np.exp(-(offsets**2) / 8) / np.sqrt(8 * np.pi), rtol=1e-3)


# --------------------------------------------------------------------------------------------------------------- runs


def test_maximal_runs():
    assert segments.maximal_runs(np.array([1, 1, 0, 0, 1, 0, 1])).tolist() == [[0, 2], [4, 5], [6, 7]]
    assert segments.maximal_runs(np.ones(3)).tolist() == [[0, 3]]
    assert segments.maximal_runs(np.zeros(3)).shape == segments.maximal_runs(np.zeros(0)).shape == (0, 2)


def test_argmax_runs_cover_the_video_once():
    assert segments.argmax_runs(SCORES) == [
        *(Run(0, 1, 0, 0.9), Run(1, 3, 1, 0.7), Run(3, 4, 0, 0.9), Run(4, 5, 2, 0.5), Run(5, 6, 0, 1.0)),
    ]
    assert segments.argmax_runs(SCORES, background=0) == [Run(1, 3, 1, 0.7), Run(4, 5, 2, 0.5)]
    assert [run.label for run in segments.argmax_runs(np.full((2, 3), 1 / 3))] == [0]  # of equal classes the first
    for seed in range(20):
        scores = random_scores(seed)
        labels = [run.label for run in segments.argmax_runs(scores) for _ in range(run.start, run.end)]
        assert labels == scores.argmax(axis=1).tolist()


def test_threshold_runs_of_different_classes_overlap():
    scores = np.array([[0.5, 0.5], [0.9, 0.7], [0.2, 0.6]])  # sigmoids
    assert segments.threshold_runs(scores, 0.5) == [Run(0, 2, 0, 0.7), Run(0, 3, 1, scores[:, 1].mean())]
    assert segments.threshold_runs(scores, 0.65) == [Run(1, 2, 0, 0.9), Run(1, 2, 1, 0.7)]
    assert segments.threshold_runs(scores, 0.65, background=1) == [Run(1, 2, 0, 0.9)]
    assert segments.threshold_runs(scores, 0) == [Run(0, 3, k, scores[:, k].mean()) for k in (0, 1)]
    assert segments.threshold_runs(scores, 1) == []


# ------------------------------------------------------------------------------------------------------------- Montes


def test_the_video_label_ignores_the_background():
    label, score = segments.video_label(SCORES)
    assert label == 1
    np.testing.assert_allclose(score, 1.8 / 2.6)  # the sums of a, and of a and b
    assert segments.video_label(SCORES, background=None)[0] == 0
    assert segments.video_label(np.array([[1.0, 0, 0]])) == (1, 0)


def test_montes_runs_by_hand():
    """Activities are 0.1, 0.9, 0.7, 0.1, 0.8, 0. Both runs have the label of the video, "a"."""
    runs = segments.montes_runs(SCORES, alpha=0.2, k=0)
    assert [run[:3] for run in runs] == [(1, 3, 1), (4, 5, 1)]
    np.testing.assert_allclose([run.score for run in runs], [0.7, 0.3])
    assert [run[:2] for run in segments.montes_runs(SCORES, alpha=0.75, k=0)] == [(1, 2), (4, 5)]


def test_the_background_may_be_any_class():
    moved = SCORES[:, [1, 2, 0]]
    expected = [run._replace(label=0) for run in segments.montes_runs(SCORES)]
    assert segments.montes_runs(moved, background=2) == expected


@pytest.mark.parametrize("seed", range(10))
def test_alpha_0_is_one_run_over_everything_and_alpha_1_none(seed):
    scores = random_scores(seed)
    for k in (0, 2):
        (run,) = segments.montes_runs(scores, alpha=0, k=k)
        assert run[:2] == (0, len(scores))
        assert run.label == segments.video_label(segments.smooth(scores, k))[0]
        assert segments.montes_runs(scores, alpha=1, k=k) == []


def test_a_higher_alpha_keeps_a_subset_of_the_steps():
    scores, before = random_scores(0, 200), set(range(200))
    for alpha in np.linspace(0, 1, 11):
        steps = {i for run in segments.montes_runs(scores, alpha, k=2) for i in range(run.start, run.end)}
        assert steps <= before
        before = steps


def test_clips_of_an_oracle_give_the_annotation_up_to_a_clip():
    """Targets of Montes et al.: a clip of 16 frames has the activity if 8 or more of them lie inside the annotation."""
    for start, end in ((100, 260), (7, 9 * 16), (40, 41 + 16)):
        inside = (np.arange(320) >= start) & (np.arange(320) < end)
        active = inside.reshape(20, 16).sum(axis=1) >= 8
        (run,) = segments.montes_runs(np.stack([~active, active], axis=1), alpha=0.5, k=0)
        (found,) = segments.to_segments([run], fps=25, frames_per_step=16)
        assert abs(round(25 * found.start) - start) <= 8 and abs(round(25 * found.end) - end) <= 8


def test_a_video_without_steps_has_no_runs():
    nothing = np.zeros((0, 3))
    assert segments.argmax_runs(nothing) == segments.threshold_runs(nothing, 0.5) == segments.montes_runs(nothing) == []
    assert segments.to_segments([], 25) == segments.suppress([]) == segments.suppress_softly([]) == []


# ----------------------------------------------------------------------------------------------------------- segments


def test_times_are_those_of_the_first_frame_of_a_step():
    runs = [Run(0, 2, 1, 0.5), Run(3, 4, 0, 0.25)]
    assert segments.to_segments(runs, 10) == [Segment(0, 0.2, 1, 0.5), Segment(0.3, 0.4, 0, 0.25)]
    named = segments.to_segments(runs, 25, frames_per_step=16, labels=["a", "b"])
    assert named == [Segment(0, 1.28, "b", 0.5), Segment(1.92, 2.56, "a", 0.25)]
    # A feature of 16 frames every 4 stands for the 4 in its middle
    assert segments.to_segments(runs[:1], 2, frames_per_step=4, first_frame=6)[0][:2] == (3, 7)


def test_intersection_over_union():
    ends = np.array([[0, 10], [5, 10], [5, 15], [10, 20], [3, 3]])
    assert segments.temporal_iou(np.array([0, 10]), ends).tolist() == [1, 0.5, 1 / 3, 0, 0]
    assert segments.temporal_iou(np.array([3, 3]), ends).tolist() == [0] * 5


A, B, C = Segment(0, 10, "x", 0.9), Segment(5, 10, "x", 0.8), Segment(2, 12, "x", 0.5)  # IoUs 1/2, 2/3 and 1/2


def test_suppression_by_hand():
    other = B._replace(label="y")
    assert segments.suppress([C, B, A]) == [A]
    assert segments.suppress([C, B, A], 0.51) == [A, B]  # C overlaps A too much
    assert segments.suppress([C, B, A], 1.0) == [A, B, C]
    assert segments.suppress([A, other]) == [A, other]  # classes do not compete
    assert segments.suppress([B, B._replace(score=0.8, end=10.5)]) == [B]  # of equal scores the first


def test_soft_suppression_by_hand():
    """0.5 exp(-(2/3)^2 / 0.5) comes before the second decay, which is by 1/2."""
    decay = np.exp(-0.5)  # of an IoU of 1/2
    found = segments.suppress_softly([C, B, A])
    assert [x[:3] for x in found] == [A[:3], B[:3], C[:3]]
    np.testing.assert_allclose([x.score for x in found], [0.9, 0.8 * decay, 0.5 * np.exp(-8 / 9) * decay])
    assert segments.suppress_softly([A, B._replace(label="y")]) == [A, B._replace(label="y")]
    assert [x.start for x in segments.suppress_softly([C, B, A], min_score=0.2)] == [0, 5]


def test_suppression_agrees_with_the_code_of_actionformer():
    """Source: nms_1d_cpu of github.com/happyharrycn/actionformer_release at 61ea7eb9, threshold 0.5 and sigma 0.5."""
    ends, scores = [(0, 4), (1, 5), (3, 9), (4, 8), (8, 9), (1.5, 4.5)], [0.6, 0.7, 0.5, 0.9, 0.4, 0.3]
    found = [Segment(*pair, 0, score) for pair, score in zip(ends, scores, strict=True)]
    assert [ends.index(x[:2]) for x in segments.suppress(found, 0.5)] == [3, 1, 4]
    soft = segments.suppress_softly(found, 0.5)
    assert [ends.index(x[:2]) for x in soft] == [3, 1, 4, 0, 2, 5]
    np.testing.assert_allclose([x.score for x in soft], [0.9, 0.672, 0.4, 0.29205, 0.16741, 0.04793], atol=1e-5)


def test_suppression_agrees_with_its_definition():
    for seed in range(30):
        rng = np.random.default_rng(seed)
        starts, lengths, labels = rng.uniform(0, 20, 15), rng.uniform(1, 8, 15), rng.integers(3, size=15)
        given = [Segment(*x) for x in zip(starts, starts + lengths, labels, rng.random(15), strict=True)]
        expected = []
        for x in sorted(given, key=lambda x: -x.score):
            same = [np.array(y[:2]) for y in expected if y.label == x.label]
            if all(segments.temporal_iou(np.array(x[:2]), y) < 0.4 for y in same):
                expected.append(x)
        assert segments.suppress(given, 0.4) == expected
        tiny_sigma = segments.suppress_softly(given, 1e-9, min_score=1e-9)  # drops whatever overlaps
        assert tiny_sigma == segments.suppress(given, 1e-4)


# ------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: segments.smooth(SCORES, -1), "k = -1 is negative"),
        (lambda: segments.smooth_gaussian(SCORES, -0.5), "sigma = -0.5: give a number of steps"),
        (lambda: segments.montes_runs(SCORES, alpha=1.01), r"alpha = 1.01 is outside \[0, 1\]"),
        (lambda: segments.montes_runs(SCORES, alpha=-0.1), r"alpha = -0.1 is outside \[0, 1\]"),
        (lambda: segments.montes_runs(np.zeros((0, 2)), alpha=2), "alpha = 2 is outside"),
        (lambda: segments.threshold_runs(SCORES, np.nan), r"threshold = nan is outside \[0, 1\]"),
        (lambda: segments.montes_runs(SCORES, background=3), "background = 3 is not one of the 3 classes"),
        (lambda: segments.argmax_runs(SCORES, background=-1), "background = -1 is not one of the 3 classes"),
        (lambda: segments.argmax_runs(SCORES[0]), r"must have the shape \(steps, classes\), not \(3,\)"),
        (lambda: segments.argmax_runs(5 * SCORES), r"must be numbers in \[0, 1\]; apply softmax or sigmoid"),
        (lambda: segments.argmax_runs(np.nan * SCORES), r"must be numbers in \[0, 1\]"),
        (lambda: segments.video_label(np.zeros((0, 2))), "without steps has no label"),
        (lambda: segments.video_label(np.ones((2, 1))), "The background is the only class"),
        (lambda: segments.to_segments([], 0), "fps = 0 is not a positive number"),
        (lambda: segments.to_segments([], 25, frames_per_step=-1), "frames_per_step = -1 is not a positive number"),
        (lambda: segments.to_segments([Run(0, 1, 2, 1)], 25, labels=["a", "b"]), "Class 2 has no name: .* 2 labels"),
        (lambda: segments.suppress([], 0), r"threshold = 0 is outside \(0, 1\]"),
        (lambda: segments.suppress_softly([], sigma=0), "sigma = 0 is not a positive number"),
        (lambda: segments.suppress_softly([], min_score=-1), "min_score = -1 is negative"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
