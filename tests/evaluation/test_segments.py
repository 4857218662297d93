import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.peers import make_segment_metrics as peer
from vidjax.evaluation import segments

GOLDEN = json.loads((Path(__file__).parents[1] / "peers" / "segment_metrics.json").read_text())
KEYS = ("frame_accuracy", "edit", "f1_10", "f1_25", "f1_50")


def labels(text: str) -> np.ndarray:
    """One frame per letter: "." is class 0, "a" is 1, "b" is 2, ..."""
    return np.array([0 if letter == "." else ord(letter) - ord("a") + 1 for letter in text], int)


def metrics(predicted: str, true: str, **arguments) -> dict:
    """Metrics of videos that are separated by blanks."""
    videos = ([labels(text) for text in side.split(" ")] for side in (predicted, true))
    return segments.segment_metrics(*videos, **arguments)


def f1s(result: dict) -> list[float]:
    return [result["f1_10"], result["f1_25"], result["f1_50"]]


# Cases to check by eye


def test_segments_are_runs_of_equal_labels():
    found = segments.find_segments(labels("..aabbba"))
    assert [x.tolist() for x in found] == [[0, 1, 2, 1], [0, 2, 4, 7], [2, 4, 7, 8]]
    assert all(len(x) == 0 for x in segments.find_segments(np.array([], int)))


def test_background_is_dropped_and_does_not_join_its_neighbours():
    found = segments.find_segments(labels(".aa.a."), background=[0])
    assert [x.tolist() for x in found] == [[1, 1], [1, 4], [3, 5]]


def test_edit_distance_by_hand():
    kitten, sitting = labels("kitten"), labels("sitting")
    assert segments.edit_distance(kitten, sitting) == segments.edit_distance(sitting, kitten) == 3
    assert segments.edit_distance(kitten, labels("")) == segments.edit_distance(labels(""), kitten) == 6
    assert segments.edit_distance(labels(""), labels("")) == 0


def test_metrics_by_hand():
    result = metrics("aaaabbbbcc", "aaaaaabbbb")  # IoU of a: 4 / 6, of b: 2 / 6; no true c
    assert result["frame_accuracy"] == 0.6
    assert result["edit"] == pytest.approx(1 - 1 / 3)
    assert f1s(result) == pytest.approx([4 / 5, 4 / 5, 2 / 5])
    assert result["over_segmentation"] == 3 / 2
    assert result["num_videos"] == 1
    assert "frame_accuracy_foreground" not in result


def test_without_background():
    result = metrics(".aabbb", "..aabb", background=[0])  # IoU of a: 1 / 3, of b: 2 / 3
    assert result["frame_accuracy"] == 4 / 6  # background included, as without the argument
    assert result["frame_accuracy_foreground"] == 3 / 4
    assert result["edit"] == result["over_segmentation"] == 1
    assert f1s(result) == [1, 1, 0.5]
    assert metrics(".aabbb", "..aabb", background=["none"], labels=["none", "a", "b"]) == result


def test_counts_are_summed_over_videos_and_edit_scores_averaged():
    result = metrics("a bbbb", "a bcbc")
    assert result["frame_accuracy"] == 3 / 5
    assert result["edit"] == (1 + 1 / 4) / 2
    assert result["f1_10"] == pytest.approx(2 * 2 / (2 + 5))  # hits: 2; predicted segments: 2; true segments: 5


def test_mean_over_videos():
    result = segments.mean_over_videos([labels("a"), labels("bbbb")], [labels("a"), labels("bcbc")])
    assert result["frame_accuracy"] == (1 + 1 / 2) / 2
    assert result["f1_10"] == pytest.approx((1 + 2 / 5) / 2)
    assert result["over_segmentation"] == (1 + 1 / 4) / 2
    assert result["num_videos"] == 2


def test_a_prediction_does_not_try_its_second_best_segment():
    # The long prediction of a overlaps the first true a by 3 / 7 and the second by 2 / 7; the short one hit the first
    result = metrics("abaaaaaaa", "aaaaabbaa", background=[2])
    assert f1s(result)[0] == pytest.approx(2 * 1 / (2 + 2))


def test_equal_ious_point_at_the_first_segment():
    # The long prediction overlaps both true segments by 1 / 6 and leaves the second to the short one
    result = metrics("..aaaa.a", "aaa..aaa", background=[0])
    assert f1s(result) == pytest.approx([1, 2 * 1 / (2 + 2), 0])


@pytest.mark.parametrize(
    "predicted, true, edit, f1, ratio",
    [
        ("", "", 1, 0, None),  # a video without frames
        ("a", "a", 1, 1, 1),
        ("...", "...", 1, 0, None),  # all background
        ("...", "aaa", 0, 0, 0),
        ("aaa", "...", 0, 0, None),
    ],
)
def test_edge_cases_without_background(predicted, true, edit, f1, ratio):
    result = metrics(predicted, true, background=[0])
    assert (result["edit"], f1s(result), result["over_segmentation"]) == (edit, [f1] * 3, ratio)
    assert result["frame_accuracy"] == (float(predicted == true) if true else None)


def test_a_video_without_frames_only_counts_in_the_edit_score():
    with_empty, alone = metrics("ab ", "aa "), metrics("ab", "aa")
    assert with_empty["edit"] == (alone["edit"] + 1) / 2
    assert [with_empty[key] for key in KEYS if key != "edit"] == [alone[key] for key in KEYS if key != "edit"]
    mean = segments.mean_over_videos([labels(""), labels("a")], [labels(""), labels("a")])
    assert mean["frame_accuracy"] == 1  # of the one video where it is defined


# Laws


@pytest.mark.parametrize("case", range(20))
def test_truth_as_prediction_is_perfect(case):
    _, true = peer.label_case(case)
    for background in ((), [0]):
        result = segments.segment_metrics(true, true, background)
        assert [result[key] for key in KEYS] == [1] * 5 and result["over_segmentation"] == 1


@pytest.mark.parametrize("case", range(20))
def test_f1_does_not_change_when_time_is_stretched(case):
    predicted, true = peer.label_case(case)
    stretched = ([np.repeat(x, 3) for x in side] for side in (predicted, true))
    assert segments.segment_metrics(*stretched) == segments.segment_metrics(predicted, true)


def test_edit_only_sees_the_order():
    assert metrics("abbbbc", "aaabcc")["edit"] == metrics("aaaabc", "abbccc")["edit"] == 1
    assert metrics("abca", "aacb")["edit"] == metrics("aaaabbbbca", "acccccccbb")["edit"]


@pytest.mark.parametrize("moved", range(10))
def test_a_moved_boundary_has_a_known_iou(moved):
    """Two true segments of 10 frames with IoUs of (10 - moved) / 10 and 10 / (10 + moved)."""
    result = metrics("a" * (10 - moved) + "b" * (10 + moved), "a" * 10 + "b" * 10)
    assert result["frame_accuracy"] == (20 - moved) / 20
    expected = [((10 - moved) / 10 >= x) / 2 + (10 / (10 + moved) >= x) / 2 for x in segments.OVERLAPS]
    assert f1s(result) == expected


@pytest.mark.parametrize("parts", [1, 2, 3, 5])
def test_a_segment_split_into_equal_parts(parts):
    """Between the parts is background, so that each part overlaps the true segment alike."""
    predicted = np.repeat(np.arange(2 * parts) % 2, 30 // parts)[: 2 * 30 - 30 // parts]
    true = np.zeros(len(predicted), int)
    iou = (30 // parts) / len(predicted)
    result = segments.segment_metrics([predicted], [true], background=[1])
    assert f1s(result) == pytest.approx([2 * (iou >= x) / (parts + 1) for x in segments.OVERLAPS])
    assert result["over_segmentation"] == parts


def test_two_halves_are_one_hit_and_one_false_positive():
    """The first half has an IoU of exactly 0.5, which is enough."""
    halves = segments.Segments(np.array([1, 1]), np.array([0, 5]), np.array([5, 10]))
    whole = segments.Segments(np.array([1]), np.array([0]), np.array([10]))
    assert segments.count_matches(halves, whole, 0.5).tolist() == [1, 1, 0]
    assert segments.count_matches(halves, whole, 0.51).tolist() == [0, 2, 1]


# A second implementation, and the official one


def brute_force(predicted, true, background) -> list[float]:
    """Metrics from sets of frames: no array, and one loop per definition."""

    def runs(video):
        found = []
        for t, label in enumerate(video):
            if t == 0 or video[t - 1] != label:
                found.append((label, set()))
            found[-1][1].add(t)
        return [run for run in found if run[0] not in background]

    def distance(a, b):
        @cache
        def of_prefixes(i, j):
            if not i or not j:
                return i + j
            substitution = of_prefixes(i - 1, j - 1) + (a[i - 1] != b[j - 1])
            return min(of_prefixes(i - 1, j) + 1, of_prefixes(i, j - 1) + 1, substitution)

        return of_prefixes(len(a), len(b))

    frames = [(a, b) for p, t in zip(predicted, true, strict=True) for a, b in zip(p, t, strict=True)]
    results = [sum(a == b for a, b in frames) / len(frames)]
    both = [(runs(p.tolist()), runs(t.tolist())) for p, t in zip(predicted, true, strict=True)]
    names = [([label for label, _ in p], [label for label, _ in t]) for p, t in both]
    results.append(sum(1 - distance(p, t) / max(len(p), len(t)) for p, t in names) / len(names))
    for overlap in (0.1, 0.25, 0.5):
        hits = num_segments = 0
        for p, t in both:
            taken = set()
            for label, frames in p:
                ious = [len(frames & g) / len(frames | g) if label == other else 0 for other, g in t]
                best = max(range(len(t)), key=lambda y: ious[y])
                if ious[best] >= overlap and best not in taken:
                    taken.add(best)
            hits, num_segments = hits + len(taken), num_segments + len(p) + len(t)
        results.append(2 * hits / num_segments)
    return results


@pytest.mark.parametrize("background", [(), (0,), (2, 3)])
def test_equals_a_second_implementation(background):
    for case in range(5000, 5100):
        predicted, true = peer.label_case(case)
        if any(not set(t.tolist()) - set(background) for t in true):
            continue  # the second implementation needs a true segment in each video
        found = segments.segment_metrics(predicted, true, background)
        np.testing.assert_allclose([found[key] for key in KEYS], brute_force(predicted, true, background), rtol=1e-12)


@pytest.mark.parametrize("name, background", [("labels", ()), ("labels_without_background", [peer.BACKGROUND])])
def test_equals_the_official_script(name, background):
    for case, expected in enumerate(GOLDEN[name]):
        found = segments.segment_metrics(*peer.label_case(case), background)
        np.testing.assert_allclose(
            [found[key] for key in KEYS], np.array(expected) / peer.SCALE, atol=0.51 / peer.SCALE
        )
    assert case + 1 == peer.NUM_CASES


def test_official_cases_include_edges():
    cases = [peer.label_case(case) for case in range(peer.NUM_CASES)]
    videos = [(p, t) for case in cases for p, t in zip(*case, strict=True)]
    assert sum(len(t) == 1 for _, t in videos) > 50
    assert sum(not p.any() for p, _ in videos) > 200  # nothing is predicted


# The outputs in github.com/colincsl/TemporalConvolutionalNetworks, measured as its compare_predictions.py does: frame
# accuracy and F1 are means over videos, MERL is one long video, and one class is background: its index comes first.
# Then, in percent: F1@10, F1@25, F1@50, edit, frame accuracy. Lea et al. (2017) print 76.5, 73.8, 64.5 and 73.4 for
# ED-TCN on 50Salads eval. The outputs for GTEA cover three of its four splits, those of tCNN one: the paper's numbers
# differ

PREDICTIONS = {
    "50Salads/eval/eval_video_SVM": (0, 39.0, 33.6, 25.6, 28.9, 68.1),
    "50Salads/eval/eval_video_tCNN_C36": (0, 61.7, 57.4, 47.3, 52.9, 71.3),
    "50Salads/eval/eval_video_DilatedTCN_L5_B2": (0, 55.8, 52.3, 44.3, 46.9, 71.1),
    "50Salads/eval/eval_video_ED-TCN_L2_C18": (0, 76.5, 73.8, 64.5, 72.3, 73.4),
    "50Salads/mid/mid_video_SVM": (0, 28.7, 22.7, 15.4, 21.4, 54.9),
    "50Salads/mid/mid_video_tCNN_C36": (0, 55.9, 49.6, 37.1, 46.0, 59.5),
    "50Salads/mid/mid_video_DilatedTCN_B3_L5": (0, 52.2, 47.6, 37.4, 43.1, 59.3),
    "50Salads/mid/mid_video_ED-TCN_L2_C15": (0, 68.0, 63.9, 52.6, 59.8, 64.7),
    "GTEA/video_SVM": (0, 44.2, 38.2, 28.0, 35.7, 53.7),
    "GTEA/video_tCNN_C30": (0, 58.75, 54.4, 41.9, 54.0, 60.6),
    "GTEA/video_DilatedTCN_L5_B2": (0, 60.9, 54.7, 40.2, 52.9, 61.3),
    "GTEA/video_ED-TCN_L2_C25": (0, 73.2, 68.5, 55.6, 69.9, 63.7),
    "JIGSAWS/sensors_ED-TCN_L2_C15": (None, 90.3, 88.5, 81.6, 84.9, 82.8),
    "JIGSAWS/video_ED-TCN_L2_C20": (None, 90.1, 88.4, 80.8, 84.5, 81.2),
    "MERL/DilatedTCN_B1_L3": (5, 78.0, 75.5, 63.7, 66.8, 75.5),
    "MERL/ED-TCN_L2_C3": (5, 86.7, 85.1, 72.9, 79.3, 77.2),
    "MERL/MERL_dense": (5, 80.0, 78.3, 65.4, 70.0, 76.3),
    "MERL/MERL_sparse": (0, 46.4, 42.6, 25.7, 38.1, 64.6),
}


@pytest.fixture(scope="module")
def published_predictions(shared_data) -> dict[str, tuple[list, list]]:
    """The predicted and the true labels of the videos of each dataset and method."""
    with np.load(shared_data / "segmentation_predictions/all_P_Y.npz") as arrays:
        videos = {}
        for key in sorted(name for name in arrays if "/P/" in name):
            predicted, true = videos.setdefault(key.rsplit("/", 3)[0], ([], []))
            predicted.append(arrays[key].ravel())
            true.append(arrays[key.replace("/P/", "/Y/")].ravel())
    return videos


def test_published_predictions_have_the_published_metrics(published_predictions):
    assert set(PREDICTIONS) == set(published_predictions)
    for name, (background, *expected) in PREDICTIONS.items():
        predicted, true = published_predictions[name]
        if name.startswith("MERL"):
            predicted, true = [np.concatenate(predicted)], [np.concatenate(true)]
        found = segments.mean_over_videos(predicted, true, [] if background is None else [background])
        keys = ("f1_10", "f1_25", "f1_50", "edit", "frame_accuracy")
        np.testing.assert_allclose([100 * found[key] for key in keys], expected, atol=0.0501, err_msg=name)


def test_background_and_pooling_move_published_metrics(published_predictions):
    """ED-TCN on 50Salads: 14 points between with and without background, 0.2 between pooled and averaged."""
    videos = published_predictions["50Salads/eval/eval_video_ED-TCN_L2_C18"]
    found = [segments.segment_metrics(*videos, background)["f1_50"] for background in ([0], [])]
    np.testing.assert_allclose(found, [0.6474, 0.5009], atol=5e-5)


# Errors


@pytest.mark.parametrize(
    "predicted, true, message",
    [
        ([], [], "0 predicted and 0 true videos: pass one of each"),
        ([[1]], [[1], [1]], "1 predicted and 2 true videos"),
        (
            [[1], [1, 2]],
            [[1], [1]],
            r"Video 1 has labels of shapes \(2,\) \(predicted\) and \(1,\) \(true\): pass \(T,\)",
        ),
        ([[[1]]], [[[1]]], r"shapes \(1, 1\)"),
        ([[0.5]], [[1]], "Video 0 has labels of types float64 and int64: pass integers"),
        ([["a"]], [["a"]], "pass integers"),
    ],
)
def test_videos_that_do_not_fit(predicted, true, message):
    for function in (segments.segment_metrics, segments.mean_over_videos):
        with pytest.raises(ValueError, match=message):
            function(predicted, true)


@pytest.mark.parametrize(
    "background, labels, message",
    [
        (["none"], (), "Unknown background classes none: pass the class names as labels, or use indices"),
        (["none"], ["a", "b"], "Unknown background classes none: choose from a, b"),
        ("none", ["none"], r"background = 'none' is not a sequence: write \['none'\]"),
        (0, (), r"background = 0 is not a sequence: write \[0\]"),
    ],
)
def test_unknown_background(background, labels, message):
    with pytest.raises(ValueError, match=message):
        segments.segment_metrics([[0]], [[0]], background, labels)
