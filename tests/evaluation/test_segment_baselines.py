import cv2
import numpy as np
import pytest

from tests.conftest import write_numbered
from vidjax.data import dataset_info, records, tfrecords
from vidjax.evaluation import segment_baselines
from vidjax.evaluation.segment_baselines import Between, Video

LABELS = ["background", "long", "short"]


def video(labels: str, fps=1.0, changes=None) -> Video:
    """Classes as digits, one per frame."""
    return Video(np.array([int(x) for x in labels]), fps, changes)


def test_runs_have_the_median_duration_and_the_share_of_their_class():
    seconds = segment_baselines.run_seconds([video("0001002"), video("001122", fps=2.0)])
    assert seconds == {0: [3, 2, 1], 1: [1, 1], 2: [1, 1]}
    # Of seven runs three are of class 0, which lasts 2 s, and two of each of the others
    labels = segment_baselines.durations_only(seconds, 12, 1.0)
    assert "".join(map(str, labels)) == "001200120010"
    twice = segment_baselines.durations_only(seconds, 24, 2.0)
    np.testing.assert_array_equal(twice, np.repeat(labels, 2))
    assert segment_baselines.durations_only({3: [2]}, 5, 1.0).tolist() == [3] * 5


def test_cuts_and_fades_are_found():
    picture = np.zeros((60, 8, 8, 3), np.uint8)
    picture[20:] += 100  # a cut
    picture[36:45] += np.arange(10, 100, 10, dtype=np.uint8)[:, None, None, None]  # a fade, with its middle at 40
    picture[45:] += 100
    pixels = np.random.default_rng(0).integers(0, 20, picture.shape, dtype=np.uint8)
    images = [cv2.imencode(".png", frame)[1].tobytes() for frame in picture + pixels]
    changes = segment_baselines.changes_of(records.Example(images=images, labels=[0], fps=10.0))
    assert changes.shape == (60,) and changes.argmax() == 20
    cuts = segment_baselines.find_cuts(changes, 10.0, 3.0)
    assert cuts[0] == 20 and abs(cuts[1] - 40) <= 1 and len(cuts) == 2
    assert len(segment_baselines.find_cuts(np.ones(60), 10.0, 1.5)) == 0
    assert segment_baselines.changes_of(records.Example(images=(), labels=[0])) is None


def spikes(*places: int, length: int = 40) -> np.ndarray:
    changes = np.ones(length)
    changes[list(places)] = 9
    return changes


def test_a_stretch_between_cuts_gets_a_class_by_its_duration_and_bounds_by_experience():
    train = [video("0001111111111000" + "022222" * 4, changes=spikes(16, 22, 28, 34))]
    learned = segment_baselines.learn_cuts(train, 3.0, 0)
    assert learned[1] == Between(1, np.log(16), 0.2, 3 / 16, 13 / 16)
    assert learned[2][0] == 4 and learned[2][3:] == (1 / 6, 1)
    predict = lambda background: segment_baselines.cuts_only(learned, np.array([18]), 24, 1.0, background)  # noqa: E731
    assert "".join(map(str, predict(0))) == "000" + "1" * 12 + "000" + "022222"
    assert "".join(map(str, predict(None))) == "1" * 18 + "2" * 6


def test_a_stretch_is_background_only_if_that_is_more_probable_than_any_activity():
    predict = lambda learned: segment_baselines.cuts_only(learned, np.array([], int), 3, 1.0, 0).tolist()  # noqa: E731
    rest, of = Between(3, np.log(3), 0.2, 0.0, 1.0), Between(2, np.log(3), 0.2, 0.0, 1.0)
    assert predict({0: rest, 1: of}) == [0, 0, 0]
    assert predict({0: rest, 1: of, 2: of._replace(count=3)}) == [2, 2, 2]


def test_an_activity_may_be_shorter_than_the_background_beside_it():
    learned = segment_baselines.learn_cuts([video("00022", changes=np.ones(5))], 3.0, 0)
    assert learned == {2: Between(1, np.log(5), 0.2, 3 / 5, 1)}
    assert set(segment_baselines.learn_cuts([video("000022", changes=np.ones(6))], 3.0, 0)) == {0}
    assert set(segment_baselines.learn_cuts([video("00022", changes=np.ones(5))], 3.0, None)) == {0}


def test_the_best_factor_on_the_training_videos_is_taken():
    """Weak changes cut the long segments in two, which are then as long as the short ones; strong ones are between."""
    changes = spikes(12, 18, 30, length=36)
    changes[[6, 24]] = 2
    videos = [video("1" * 12 + "2" * 6 + "1" * 12 + "2" * 6, changes=changes)] * 2
    found = segment_baselines.of_fold(videos[:1], videos[1:], LABELS, 0.0)
    assert set(found) == {"durations", "cuts"} and found["cuts"]["f1_50"] == found["cuts"]["frame_accuracy"] == 1
    no_pictures = [x._replace(changes=None) for x in videos]
    assert set(segment_baselines.of_fold(videos[:1], no_pictures[1:], LABELS, 1.0)) == {
        *("durations", "moved together", "moved apart"),
    }


def test_boundaries_move_together_or_apart():
    labels, rng = np.repeat([0, 1, 2], 20), np.random.default_rng(0)

    def boundaries(frames, together):
        return np.array([segment_baselines.moved(labels, frames, rng, together=together) for _ in range(200)])

    changes = [np.flatnonzero(np.diff(x)) + 1 - [20, 40] for x in boundaries(5, True)]
    assert all(first == second for first, second in changes) and {x[0] for x in changes} == {*range(-5, 6)}
    changes = np.array([np.flatnonzero(np.diff(x)) + 1 - [20, 40] for x in boundaries(5, False)])
    assert np.abs(changes).max() == 5 and abs(np.corrcoef(changes.T)[0, 1]) < 0.3
    assert (boundaries(0, True) == labels).all() and (boundaries(0, False) == labels).all()
    assert (np.diff(boundaries(1000, False)) >= 0).all()  # boundaries meet, and never pass each other


def test_ceilings_by_hand():
    """A segment of 10 s that is off by d has an IoU of (10 - d) / (10 + d): at least 0.5 up to d = 10 / 3."""
    true = [video("0" * 500 + "1" * 1000 + "0" * 500, fps=100.0)] * 10
    found = segment_baselines.uncertainty_ceiling(true, 10 / 3 - 0.01, LABELS, together=True)
    assert found["f1_50"] == found["edit"] == found["over_segmentation"] == 1
    assert abs(found["frame_accuracy"] - (1 - 2 * 10 / 6 / 20)) < 0.03  # 10 / 6 s at both ends, of 20 s
    assert found["mAP"] < 1
    exact = segment_baselines.uncertainty_ceiling(true, 0.0, LABELS, together=False, num_seeds=2)
    assert all(exact[name] == 1 for name in segment_baselines.SHOWN)


def test_the_mean_is_over_folds_where_a_metric_is_defined():
    all_of = dict.fromkeys(segment_baselines.SHOWN, 0.5)
    found = segment_baselines.mean_of([all_of, all_of | {"edit": 1.0, "mAP": None}], [3, 1])
    assert found["edit"] == 0.625 and found["mAP"] == found["f1_10"] == 0.5
    assert segment_baselines.mean_of([all_of | {"mAP": None}], [1])["mAP"] is None
    assert segment_baselines.table({"a": found | {"mAP": None}}).splitlines()[2] == (
        "| a | 50.0 | 62.5 | 50.0 | 50.0 | 50.0 | - | 0.50 |"
    )


def test_the_command(tmp_path, capsys):
    for split, labels in {"a": "0011102200", "b": "0111022220"}.items():
        images = [cv2.imencode(".png", np.full((8, 8, 3), 9 * int(x), np.uint8))[1].tobytes() for x in labels]
        frame_labels = [int(x) for x in labels]
        example = records.Example(images, [1, 2], media_id=split, fps=2.0, frame_labels=frame_labels)
        tfrecords.write_shard(tfrecords.shard_path(tmp_path, split, 0, 1), [records.encode(example)])
    folds = {"leave_one_out": [{"train": ["a"], "test": ["b"]}, {"train": ["b"], "test": ["a"]}]}
    dataset_info.write(tmp_path, dataset_info.DatasetInfo(LABELS, "unchanged", folds=folds), complete=True)
    segment_baselines.main([str(tmp_path), "--folds", "leave_one_out", "--uncertainty", "0"])
    assert [line.split(" |")[0] for line in capsys.readouterr().out.splitlines()[2:]] == ["| durations", "| cuts"]
    segment_baselines.main([str(tmp_path), "--folds", "leave_one_out", "--uncertainty", "0.5"])
    assert [line.split(" |")[0] for line in capsys.readouterr().out.splitlines()[4:]] == [
        "| moved together",
        "| moved apart",
    ]
    with pytest.raises(SystemExit, match="has no folds 'b': it has leave_one_out"):
        segment_baselines.main([str(tmp_path), "--folds", "b"])
    with pytest.raises(SystemExit, match="--uncertainty -1 is negative"):
        segment_baselines.main([str(tmp_path), "--folds", "b", "--uncertainty", "-1"])


def test_records_without_labels_per_frame(tmp_path):
    write_numbered(tmp_path, "a", 1, 3)
    folds = {"one": [{"train": ["a"], "test": ["a"]}]}
    dataset_info.write(tmp_path, dataset_info.DatasetInfo(["x", "y"], "unchanged", folds=folds), complete=True)
    with pytest.raises(SystemExit, match="video 0 has no label per frame or no times: make the records with"):
        segment_baselines.main([str(tmp_path), "--folds", "one"])
