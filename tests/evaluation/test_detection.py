import gzip
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from tests.peers import make_segment_metrics as peer
from vidjax.data.segment_files import THUMOS14_CLASSES
from vidjax.evaluation import detection
from vidjax.evaluation.detection import Intervals, detection_metrics

GOLDEN = json.loads((Path(__file__).parents[1] / "peers" / "segment_metrics.json").read_text())


def by_video(rows) -> dict[str, Intervals]:
    """Rows (video, start, end, label[, score]) as intervals of each video."""
    videos = defaultdict(list)
    for video, *row in rows:
        videos[video].append(row)
    return {video: Intervals(*map(np.array, zip(*rows, strict=True))) for video, rows in videos.items()}


def at(threshold: float, detections, truth, protocol="activitynet", **arguments) -> float:
    """The mean average precision of rows at one threshold."""
    arguments |= {"protocol": protocol, "thresholds": [threshold]}
    return detection_metrics(by_video(detections), by_video(truth), **arguments)["mAP"]


# Cases to check by eye


def test_temporal_iou_by_hand():
    a = Intervals(np.array([0.0, 4, 2]), np.array([4.0, 8, 2]), np.array([0, 0, 0]))
    b = Intervals(np.array([2.0, 2]), np.array([4.0, 2]), np.array([0, 1]))
    assert detection.temporal_iou(a, b).tolist() == [[0.5, 0], [0, 0], [0, 0]]


def test_average_precision_by_hand():
    hit = np.array([True, False, True, True])  # precisions of the hits: 1, 2 / 3, 3 / 4
    assert detection.plain_precision(hit, 5) == pytest.approx((1 + 2 / 3 + 3 / 4) / 5)
    assert detection.interpolated_precision(hit, 5) == pytest.approx((1 + 3 / 4 + 3 / 4) / 5)
    assert detection.plain_precision(hit[:0], 5) == detection.interpolated_precision(hit[:0], 5) == 0


def test_metrics_by_hand():
    truth = by_video([("a", 0, 10, 0), ("b", 5, 10, 2)])
    detections = by_video([("a", 0, 8, 0, 0.9), ("b", 0, 10, 0, 0.8), ("b", 4, 10, 2, 0.7), ("c", 0, 1, 2, 0.9)])
    result = detection_metrics(detections, truth, thresholds=[0.5, 0.9])  # IoU of a: 0.8, of b: 5 / 6
    assert result == {
        "mAP": (1 + 0.5) / 4,
        "mAP_50": (1 + 0.5) / 2,  # in class 2 the detection of video c comes first and is wrong
        "mAP_90": 0,
        "per_class": [0.5, None, 0.25],
        "num_videos": 3,
        "num_segments": 2,
    }


def test_default_thresholds():
    rows = [("a", 0, 10, 0)]
    result = detection_metrics(by_video([("a", 0, 8, 0, 1)]), by_video(rows))
    assert [key for key in result if key.startswith("mAP_")] == [f"mAP_{t}" for t in range(50, 100, 5)]
    assert result["mAP"] == pytest.approx(0.7)  # an IoU of 0.8 passes seven of ten
    result = detection_metrics(by_video([("a", 0, 8, 0, 1)]), by_video(rows), protocol="thumos14")
    assert [key for key in result if key.startswith("mAP_")] == [f"mAP_{t}" for t in range(30, 80, 10)]


def test_a_detection_of_a_taken_segment_takes_the_next_best():
    truth = [("a", 0, 10, 0), ("a", 2, 12, 0)]
    detections = [("a", 0, 10, 0, 0.9), ("a", 0, 11, 0, 0.8)]  # the second: IoU 10 / 11 and 9 / 12
    assert at(0.7, detections, truth) == 1
    assert at(0.8, detections, truth) == 0.5


def test_the_protocols_differ_in_which_detection_of_a_segment_counts():
    truth = [("a", 0, 10, 0)]
    detections = [("a", 0, 6, 0, 0.9), ("a", 0, 9, 0, 0.8)]
    assert at(0.5, detections, truth) == 1  # that with the highest score
    assert at(0.5, detections, truth, "thumos14") == 0.5  # that with the highest IoU


def test_the_protocols_differ_at_the_threshold():
    rows = [("a", 0, 5, 0, 1)], [("a", 0, 10, 0)]
    assert at(0.5, *rows) == 1
    assert at(0.5, *rows, "thumos14") == 0


def test_a_second_detection_of_a_segment_is_wrong():
    truth = [("a", 0, 10, 0), ("a", 20, 30, 0)]
    detections = [("a", 0, 10, 0, 0.9), ("a", 0, 10, 0, 0.8), ("a", 20, 30, 0, 0.7)]
    for protocol in detection.PROTOCOLS:
        assert at(0.5, detections, truth, protocol) == pytest.approx((1 + 2 / 3) / 2)


def test_equal_scores_are_ordered_by_video_and_row():
    truth = [("a", 0, 10, 0)]
    detections = [("b", 0, 10, 0, 0.5), ("a", 0, 10, 0, 0.5)]
    assert at(0.5, detections, truth) == 0.5  # the last first
    assert at(0.5, detections, truth, "thumos14") == 1  # the first first
    detections = [("a", 20, 30, 0, 0.5), ("a", 0, 10, 0, 0.5)]
    assert at(0.5, detections, truth) == 1
    assert at(0.5, detections, truth, "thumos14") == 0.5


def test_equal_ious_take_the_later_segment():
    truth = [("a", 0, 4, 0), ("a", 4, 8, 0)]
    detections = [("a", 2, 6, 0, 0.9), ("a", 5, 8, 0, 0.8)]  # both overlap the later segment: 1 / 3 and 3 / 4
    assert at(0.3, detections, truth) == 0.5


def test_detections_that_touch_an_ambiguous_segment_are_not_wrong():
    truth = [("a", 0, 10, 0), ("b", 0, 10, 0)]
    detections = [("a", 30, 40, 0, 0.9), ("a", 0, 10, 0, 0.8), ("b", 0, 10, 0, 0.7)]
    for protocol in detection.PROTOCOLS:
        assert at(0.5, detections, truth, protocol) == pytest.approx(
            (1 / 2 + 2 / 3) / 2 if protocol == "thumos14" else 2 / 3
        )
        assert at(0.5, detections, truth, protocol, ambiguous=by_video([("a", 9, 31, 7)])) == 1
        beside = by_video([("a", 40, 41, 7), ("b", 30, 40, 7)])
        assert at(0.5, detections, truth, protocol, ambiguous=beside) == at(0.5, detections, truth, protocol)


def test_only_the_given_videos_count():
    truth = by_video([("a", 0, 10, 0), ("b", 0, 10, 0), ("b", 0, 10, 1)])
    detections = by_video([("a", 0, 10, 0, 0.5), ("c", 0, 10, 0, 0.9)])
    result = detection_metrics(detections, truth, videos=["a"])
    assert (result["mAP"], result["num_videos"], result["num_segments"]) == (1, 1, 1)
    assert detection_metrics(detections, truth, videos=["a", "c"])["mAP"] == 0.5
    unclear = by_video([("d", 0, 1, 0)])
    assert detection_metrics(detections, truth, videos=["a", "d"], ambiguous=unclear)["num_videos"] == 2


def test_without_detections():
    truth = by_video([("a", 0, 10, 0)])
    nothing = {"a": Intervals([], [], [], [])}
    assert detection_metrics({}, truth)["mAP"] == detection_metrics(nothing, truth)["mAP"] == 0
    assert detection_metrics(nothing, {**truth, "b": Intervals([], [], [])})["num_videos"] == 2


# Laws


@pytest.mark.parametrize("protocol", detection.PROTOCOLS)
def test_truth_as_detection_is_perfect(protocol):
    for case in range(20):
        truth = by_video(peer.detection_case(case)[1])
        rng = np.random.default_rng(case)
        scored = {video: x._replace(score=rng.random(len(x.start))) for video, x in truth.items()}
        result = detection_metrics(scored, truth, protocol=protocol)
        assert result["mAP"] == 1 and {x for x in result["per_class"] if x is not None} == {1}


@pytest.mark.parametrize("protocol", detection.PROTOCOLS)
def test_invariances(protocol):
    for case in range(1, 20):
        detections, truth = map(by_video, peer.detection_case(case))
        expected = detection_metrics(detections, truth, protocol=protocol)
        slower = (
            {v: x._replace(start=4 * x.start + 8, end=4 * x.end + 8) for v, x in y.items()} for y in (detections, truth)
        )
        assert detection_metrics(*slower, protocol=protocol) == expected
        rescored = {video: x._replace(score=np.exp(x.score)) for video, x in detections.items()}
        assert detection_metrics(rescored, truth, protocol=protocol) == expected
        reordered = (dict(reversed(x.items())) for x in (detections, truth))
        assert detection_metrics(*reordered, protocol=protocol) == expected
        other_class = {"d": Intervals(np.zeros(1), np.ones(1), np.array([9]), np.ones(1))}
        found = detection_metrics({**detections, **other_class}, truth, protocol=protocol)
        assert found == {**expected, "num_videos": expected["num_videos"] + 1}


# A second implementation, and the official ones


def brute_force(detections, truth, threshold: float, protocol: str, ambiguous=()) -> float:
    """Mean average precision of rows without an array, one loop per definition."""

    def iou(a, b):
        common = min(a[2], b[2]) - max(a[1], b[1])
        return common / (max(a[2], b[2]) - min(a[1], b[1])) if a[0] == b[0] and common > 0 else 0

    precisions = []
    for label in {row[3] for row in truth}:
        found, true = ([row for row in rows if row[3] == label] for rows in (detections, truth))
        taken, hits = set(), set()
        if protocol == "activitynet":
            ranked = sorted(range(len(found)), key=lambda d: (found[d][4], d), reverse=True)
            for d in ranked:
                for y in sorted(range(len(true)), key=lambda y: (iou(found[d], true[y]), y), reverse=True):
                    if iou(found[d], true[y]) < threshold:
                        break
                    if y not in taken:
                        taken.add(y)
                        hits.add(d)
                        break
        else:
            ranked = sorted(range(len(found)), key=lambda d: (-found[d][4], d))
            for row in true:
                best = max((d for d in ranked if d not in hits), key=lambda d: iou(found[d], row), default=None)
                if best is not None and iou(found[best], row) > threshold:
                    hits.add(best)
        counted = [d for d in ranked if d in hits or not any(iou(found[d], row) for row in ambiguous)]
        precision = [sum(d in hits for d in counted[: i + 1]) / (i + 1) for i in range(len(counted))]
        if protocol == "activitynet":
            precision = [max(precision[i:]) for i in range(len(counted))]
        precisions.append(sum(p for p, d in zip(precision, counted, strict=True) if d in hits) / len(true))
    return sum(precisions) / len(precisions)


@pytest.mark.parametrize("protocol", detection.PROTOCOLS)
def test_equals_a_second_implementation(protocol):
    for case in range(5000, 5150):
        detections, truth = peer.detection_case(case)
        unclear = [row for row in peer.detection_case(case + 1)[1] if case % 2 and row[2] - row[1] < 3]
        for threshold in (0.3, 0.5, 0.75):
            found = at(threshold, detections, truth, protocol, ambiguous=by_video(unclear))
            assert found == pytest.approx(brute_force(detections, truth, threshold, protocol, unclear), rel=1e-12)


def compare_with_golden(name: str, metrics, keys):
    for case, expected in enumerate(GOLDEN[name]):
        found = metrics(case)
        np.testing.assert_allclose(
            [found[key] for key in keys], np.array(expected) / peer.SCALE, atol=0.51 / peer.SCALE
        )
    assert case + 1 == peer.NUM_CASES


def test_equals_activitynets_script():
    def metrics(case):
        return detection_metrics(*map(by_video, peer.detection_case(case)))

    compare_with_golden("activitynet", metrics, ("mAP", "mAP_50", "mAP_75", "mAP_95"))


def test_equals_thumos14s_script():
    def metrics(case):
        return detection_metrics(*map(by_video, peer.detection_case(case)), protocol="thumos14")

    compare_with_golden("thumos14", metrics, ("mAP_30", "mAP_50", "mAP_70"))


def test_official_cases_include_edges():
    cases = [peer.detection_case(case) for case in range(peer.NUM_CASES)]
    assert sum(not detections for detections, _ in cases) >= 50
    assert sum(len({row[3:] for row in detections}) < len(detections) for detections, _ in cases) > 500  # equal scores


@pytest.mark.parametrize("protocol, other", [("activitynet", "thumos14"), ("thumos14", "activitynet")])
def test_official_cases_tell_the_protocols_apart(protocol, other, monkeypatch):
    for part in ("rank", "match", "average_precision"):
        rule = detection.PROTOCOLS[protocol]._replace(**{part: getattr(detection.PROTOCOLS[other], part)})
        with monkeypatch.context() as context:
            context.setitem(detection.PROTOCOLS, protocol, rule)
            with pytest.raises(AssertionError):
                {"activitynet": test_equals_activitynets_script, "thumos14": test_equals_thumos14s_script}[protocol]()


# Published detections: TURN with S-CNN on THUMOS14 (Gao et al., 2017; github.com/jiyanggao/TURN-TAP). There is a file
# per threshold, since the threshold of non-maximum suppression depends on it

WRONG_LABELS = ("video_test_0000270", "video_test_0001496")


@pytest.fixture(scope="module")
def thumos14(shared_data):
    """Truth, ambiguous segments, and the detections for the thresholds 0.1, ..., 0.5."""

    def read(path):
        text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
        return [line.split() for line in text.splitlines() if line.strip()]

    def annotations(name, label):
        path = shared_data / f"thumos14/temporal_annotations_test/{name}_test.txt"
        return [(video, float(start), float(end), label) for video, start, end in read(path)]

    def detections(threshold):
        path = next((shared_data / "thumos14/turn_tap").glob(f"TURN-FLOW-16_SCNN_thumos14_iou{threshold}.txt*"))
        rows = [(video, float(start), float(end), int(k), float(score)) for video, start, end, k, score in read(path)]
        return by_video(rows)

    truth = by_video([row for label, name in THUMOS14_CLASSES.items() for row in annotations(name, label)])
    return truth, by_video(annotations("Ambiguous", 0)), {t: detections(t) for t in (0.1, 0.2, 0.3, 0.4, 0.5)}


def turn_metrics(thumos14, protocol, ambiguous=True, leave_out=()) -> list[float]:
    """Mean average precision at each threshold, in percent."""
    truth, unclear, detections = thumos14
    videos = sorted(({*truth, *detections[0.1]}) - set(leave_out))
    arguments = {"protocol": protocol, "videos": videos, "ambiguous": unclear if ambiguous else None}
    return [100 * detection_metrics(x, truth, thresholds=[t], **arguments)["mAP"] for t, x in detections.items()]


def test_published_detections_have_the_published_metrics(thumos14):
    found = turn_metrics(thumos14, "thumos14")
    assert np.round(found, 1).tolist() == [54.0, 50.9, 44.1, 34.9, 25.6]
    truth, unclear, detections = thumos14
    result = detection_metrics(detections[0.5], truth, protocol="thumos14", thresholds=[0.5], ambiguous=unclear)
    assert (result["num_videos"], result["num_segments"]) == (213, 3358)
    assert sum(x is not None for x in result["per_class"]) == 20


@pytest.mark.parametrize(
    "protocol, ambiguous, leave_out, expected",
    [
        ("thumos14", False, (), [52.65, 49.63, 43.29, 34.23, 25.00]),
        ("thumos14", True, ("video_test_0001292",), [54.04, 50.93, 44.13, 34.88, 25.56]),  # it only has ambiguous ones
        ("thumos14", True, WRONG_LABELS, [54.93, 51.78, 44.90, 35.49, 26.02]),
        ("activitynet", True, (), [58.52, 54.18, 46.06, 36.20, 26.47]),
        ("activitynet", False, (), [56.46, 52.38, 44.94, 35.29, 25.75]),
        ("activitynet", False, ("video_test_0001292", *WRONG_LABELS), [57.67, 53.46, 45.76, 35.94, 26.23]),
    ],
)
def test_conventions_move_published_metrics(thumos14, protocol, ambiguous, leave_out, expected):
    np.testing.assert_allclose(turn_metrics(thumos14, protocol, ambiguous, leave_out), expected, atol=0.0051)


# Classification of whole videos


def test_classification_by_hand():
    scores = np.array([[0.9, 0.5, 0.1, 0.0], [0.2, 0.4, 0.3, 0.1], [0.8, 0.1, 0.2, 0.3]])
    target = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]])
    result = detection.classification_metrics(scores, target, k=1)
    assert result["mAP"] == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)  # classes 0, 1 and 3; no video has class 2
    assert result["hit_1"] == 1 and result["average_hit_1"] == (1 / 2 + 1) / 2  # of the two videos with a class
    assert result["num_videos"] == 3


def test_classes_that_are_not_predicted_never_hit():
    scores = np.array([[-np.inf, 0.5], [-np.inf, -np.inf]])
    result = detection.classification_metrics(scores, np.array([[1, 0], [1, 1]]))
    assert result == {"mAP": 0, "hit_3": 0, "average_hit_3": 0, "num_videos": 2}


def test_classification_equals_activitynets_script():
    def metrics(case):
        return detection.classification_metrics(*peer.video_case(case))

    compare_with_golden("videos", metrics, ("mAP", "hit_3", "average_hit_3"))


# Errors

ONE = {"a": Intervals([0.0], [1.0], [0], [0.5])}


@pytest.mark.parametrize(
    "detections, truth, arguments, message",
    [
        (ONE, ONE, {"protocol": "coco"}, "Unknown protocol 'coco'; choose from activitynet, thumos14"),
        (ONE, ONE, {"thresholds": [0.5, 50]}, r"Thresholds \[0.5, 50\] are not temporal IoUs: pass numbers above 0"),
        (ONE, ONE, {"thresholds": [0.0]}, "are not temporal IoUs"),
        (ONE, ONE, {"thresholds": []}, "are not temporal IoUs"),
        (ONE, ONE, {"videos": ["a", "b"]}, "Videos without detections and annotations: b"),
        (ONE, {}, {}, "These videos have no true segments"),
        ({"a": Intervals([0], [1], [0])}, ONE, {}, "Detections of a have no scores"),
        ({"a": Intervals([0], [1, 2], [0], [1])}, ONE, {}, r"shapes \(1,\), \(2,\), \(1,\), \(1,\): pass \(N,\) each"),
        (ONE, {"a": Intervals([[0]], [[1]], [[0]])}, {}, r"True segments of a have columns of shapes \(1, 1\)"),
        (ONE, {"a": Intervals([0], [1], [0.5])}, {}, "True segments of a have labels that are not class indices"),
        (ONE, {"a": Intervals([0], [1], [-1])}, {}, "pass integers from 0 on"),
        (ONE, {"a": Intervals([0, 3], [1, 2], [0, 0])}, {}, "an interval from 3.0 to 2.0 s: the end must not precede"),
        (ONE, {"a": Intervals([0], [np.nan], [0])}, {}, "an interval from 0.0 to nan s"),
        ({"a": Intervals([0], [1], [0], [np.nan])}, ONE, {}, "Detections of a have a score that is NaN"),
        (ONE, ONE, {"ambiguous": {"a": Intervals([2], [1], [0])}}, "Ambiguous segments of a have an interval"),
    ],
)
def test_invalid_detections(detections, truth, arguments, message):
    with pytest.raises(ValueError, match=message):
        detection_metrics(detections, truth, **arguments)


@pytest.mark.parametrize(
    "scores, target, k, message",
    [
        (np.zeros((2, 3)), np.ones((2, 4)), 3, r"Scores have shape \(2, 3\) and targets \(2, 4\): pass \(N, K\)"),
        (np.zeros(3), np.ones(3), 3, r"pass \(N, K\) for both"),
        (np.full((1, 2), np.nan), np.ones((1, 2)), 3, "A score is NaN: use -inf"),
        (np.zeros((1, 2)), np.zeros((1, 2)), 3, "No video has a true class"),
        (np.zeros((1, 2)), np.ones((1, 2)), 0, "k = 0 is not positive"),
    ],
)
def test_invalid_scores(scores, target, k, message):
    with pytest.raises(ValueError, match=message):
        detection.classification_metrics(scores, target, k)
