from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict

from vidjax.data import dataset_info, pipeline, records, tfrecords
from vidjax.evaluation import detection, split_detections
from vidjax.evaluation.segment_rule import GRID, Rule
from vidjax.evaluation.split_detections import Scored

LABELS = ["background", "a", "b"]
ONE_HOT = np.eye(3)


def video(true: str, predicted: str | None = None, fps=0.0) -> Scored:
    """Classes as digits, one per step; predicted with a probability of 0.8."""
    target = np.array([int(x) for x in true])
    return Scored(0.7 * ONE_HOT[[int(x) for x in predicted or true]] + 0.1, target, fps)


def test_what_is_right_has_full_marks():
    metrics = split_detections.detection_metrics([video("0011022"), video("1110000")], Rule(), LABELS)
    for protocol in ("activitynet", "thumos14"):
        assert metrics[protocol]["mAP"] == metrics[protocol]["mAP_30"] == metrics[protocol]["mAP_70"] == 1
        assert metrics[protocol]["per_class"] == [None, 1, 1]
        assert (metrics[protocol]["num_segments"], metrics[protocol]["num_videos"]) == (3, 2)
    assert metrics["video"]["mAP"] == metrics["video"]["hit_3"] == 1
    assert metrics["rule"] == {"how": "argmax", "threshold": 0.5, "smooth": 0, "min_seconds": 0}


def test_an_iou_is_exact():
    """The detection has an IoU of 6 / 12: ActivityNet counts it at 0.5, THUMOS14 needs more than 0.5."""
    metrics = split_detections.detection_metrics([video("1" * 12, "1" * 6 + "0" * 6)], Rule(), LABELS)
    assert metrics["activitynet"]["mAP"] == 3 / 5 and metrics["thumos14"]["mAP"] == 2 / 5


def test_it_agrees_with_intervals_by_hand():
    """Two videos; the second "a" is found too early, and "b" is taken for "a"."""
    videos = [video("0111100000", "0111000000"), video("0002222111", "0111111111")]
    metrics = split_detections.detection_metrics(videos, Rule(), LABELS)
    found = {
        "0": detection.Intervals([1], [4], [1], [0.8]),
        "1": detection.Intervals([1], [10], [1], [0.8]),
    }
    truth = {"0": detection.Intervals([1], [5], [1]), "1": detection.Intervals([3, 7], [7, 10], [2, 1])}
    expected = detection.detection_metrics(found, truth, thresholds=split_detections.OVERLAPS)
    assert metrics["activitynet"] == expected and 0 < expected["mAP"] < 1
    assert metrics["video"]["hit_3"] == 1


def test_the_score_of_a_video_has_no_background():
    """Video 0 holds "a" rarely, video 1 not at all; without its background the share of "a" in video 0 is higher."""
    scores = np.array([[0.9, 0.09, 0.01]]), np.array([[0.1, 0.4, 0.5]])
    videos = [Scored(scores[0], np.array([1])), Scored(scores[1], np.array([2]))]
    assert split_detections.detection_metrics(videos, Rule(), LABELS)["video"]["mAP"] == 1


def test_several_classes_per_frame():
    target = np.array([[0, 1, 0], [0, 1, 1], [0, 1, 1], [0, 0, 1]])
    metrics = split_detections.detection_metrics([Scored(0.9 * target, target)], Rule("threshold", 0.5), LABELS)
    assert metrics["activitynet"]["mAP"] == 1 and metrics["activitynet"]["num_segments"] == 2


def test_without_an_activity_there_is_only_the_rule():
    assert set(split_detections.detection_metrics([video("000", "011")], Rule(), LABELS)) == {"rule"}
    nothing = Scored(np.zeros((0, 3)), np.zeros(0, int))
    with_nothing = split_detections.detection_metrics([nothing, video("011")], Rule(), LABELS)
    assert with_nothing["activitynet"]["mAP"] == 1 and with_nothing["activitynet"]["num_videos"] == 1


def test_a_rule_in_seconds_needs_the_rate():
    with pytest.raises(ValueError, match=r"The rule \(argmax, at least 1 s\) is in seconds, but .* make the features"):
        split_detections.detection_metrics([video("011")], Rule(min_seconds=1.0), LABELS)
    timed = split_detections.detection_metrics([video("011", fps=2.0)], Rule(min_seconds=1.0), LABELS)
    assert timed["activitynet"]["mAP"] == 1
    timed = split_detections.detection_metrics([video("011", fps=2.1)], Rule(min_seconds=1.0), LABELS)
    assert timed["activitynet"]["mAP"] == 0


def test_rates_of_frames_and_of_features(tmp_path):
    def rates(stride=1, inputs=None, **more):
        tfrecords.write_shard(
            tfrecords.shard_path(tmp_path, "x", 0, 1), [records.encode(records.Example([], [], **more))]
        )
        info = dataset_info.DatasetInfo(LABELS, "forbidden", inputs=inputs or {})
        dataset_info.write(tmp_path, info, complete=True)
        return split_detections.steps_per_second(pipeline.open_records(tmp_path, ["x"]), stride)

    assert rates(fps=25.0, stride=5) == [5]
    features = {"inputs": {"prefix": "RGB", "width": 1}, "features": {"RGB": np.zeros((3, 1), np.float32)}, "fps": 25.0}
    assert rates(**features, feature_times={"RGB": [0.2, 0.6, 1.0]}) == [pytest.approx(2.5)]
    assert rates(**features) == [0]


# --------------------------------------------------------------------------------------------------------- the choice


def test_the_best_rule_is_chosen():
    """A flicker of "b" cuts the only segment in two: smoothing mends it."""
    flicker = video("0" * 20 + "1" * 20 + "0" * 20, "0" * 20 + "1" * 10 + "2" + "1" * 9 + "0" * 20, fps=4.0)
    rule, tried = split_detections.choose([flicker], LABELS)
    assert rule == Rule("argmax", 0.5, smooth=0.5) and len(tried) == len(GRID)
    values = dict(tried)
    assert values[rule] == max(values.values()) == 1 > values[Rule()]


def test_of_equally_good_rules_the_first_is_chosen():
    assert split_detections.choose([video("0011022", fps=1.0)], LABELS)[0] == Rule()


def test_rules_that_do_not_go_with_the_videos_are_left_out():
    def kinds(videos, labels=LABELS):
        return {rule.how for rule, _ in split_detections.choose(videos, labels)[1]}

    assert kinds([video("011")]) == {"argmax", "threshold", "montes"}
    assert kinds([video("011")], ["x", "a", "b"]) == {"argmax", "threshold"}
    assert kinds([video("011")._replace(target=ONE_HOT[[0, 1, 1]])]) == {"threshold"}
    _, tried = split_detections.choose([video("011")], LABELS)
    assert not any(rule.smooth or rule.min_seconds for rule, _ in tried)
    with pytest.raises(ValueError, match="have no segments to choose a rule by: name other splits"):
        split_detections.choose([video("000")], LABELS)


def test_a_test_split_chooses_nothing():
    """Whatever is named: a split that the run is tested on is refused."""
    splits = {"train_splits": ("train", "a"), "val_splits": ("val",), "test_splits": ("test", "b")}
    config = ConfigDict({"target": "frame", **splits})

    def choose_on(named=None, **changes):
        return split_detections.splits_to_choose_on(Path("w"), ConfigDict({**config.to_dict(), **changes}), named)

    assert choose_on() == ["val"] and choose_on(["train"]) == ["train"]
    for named in (["test"], ["val", "b"], ["train", "a", "val", "b", "test"]):
        with pytest.raises(ValueError, match="is tested by w: choose the rule on splits that are not"):
            choose_on(named)
    with pytest.raises(ValueError, match="test is tested by w"):
        choose_on(val_splits=("test",))
    with pytest.raises(ValueError, match=r"w has no validation splits: name splits .* trained on \(train, a\)"):
        choose_on(val_splits=())
    with pytest.raises(ValueError, match="w does not label frames"):
        choose_on(target="clip")
