import numpy as np
import pytest

from vidjax.data import dataset_info, records, targets

INFO = dataset_info.DatasetInfo(["a", "b", "c"], "unchanged")
NAMED = {"multi_label": False, "per_frame": False}
CLIP = np.array([[1, 3]]), np.array([[True, False]])  # frames 1 and 3; the second is padding


def example(**content):
    return records.Example(**{"images": [b""] * 4, "labels": [1], "media_id": "v.mp4", **content})


def test_one_class_a_clip():
    found = targets.targets(example(), INFO, *CLIP, **NAMED)
    assert (found["target"], found["weight"]) == (1, 1) and found["target"].dtype == np.int32
    with pytest.raises(ValueError, match=r"has the labels \[0, 1\].*multi_label = True"):
        targets.targets(example(labels=[0, 1]), INFO, *CLIP, **NAMED)


def test_several_classes_a_clip():
    found = targets.targets(example(labels=[0, 2]), INFO, *CLIP, multi_label=True, per_frame=False)
    assert found["target"].tolist() == [1, 0, 1] and found["target"].dtype == np.float32


def test_one_class_per_frame():
    found = targets.targets(example(frame_labels=[0, 1, 2, 2]), INFO, *CLIP, multi_label=False, per_frame=True)
    assert (found["target"].tolist(), found["weight"].tolist()) == ([[1, 2]], [[1, 0]])
    with pytest.raises(ValueError, match="'v.mp4' has 3 frame labels .* for 4 frames"):
        targets.targets(example(frame_labels=[0, 1, 2]), INFO, *CLIP, multi_label=False, per_frame=True)


SEVERAL = {"multi_label": True, "per_frame": True}
WALK = records.IndexedSegment(0.2, 0.8, 1, "walk")  # the middles are 0.1, 0.3, ...
WAVE = records.IndexedSegment(0.3, 0.5, 2, "wave")


def test_several_classes_per_frame():
    info = dataset_info.DatasetInfo(["background", "walk", "wave"], "unchanged")
    clip = np.arange(4), np.array([True, True, True, False])
    found = targets.targets(example(fps=5.0, segments=(WALK, WAVE)), info, *clip, **SEVERAL)
    assert found["target"].tolist() == [[0, 0, 0], [0, 1, 1], [0, 1, 0], [0, 1, 0]]
    assert found["weight"].tolist() == [1, 1, 1, 0] and found["target"].dtype == np.float32
    one_each = targets.targets(example(frame_labels=[0, 1, 2, 0]), info, *clip, **SEVERAL)  # no segments
    assert one_each["target"].tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]
    views = targets.targets(example(fps=5.0, segments=[WAVE]), info, *CLIP, **SEVERAL)["target"]
    assert views.tolist() == [[[0, 0, 1], [0, 0, 0]]]
    with pytest.raises(ValueError, match="'v.mp4' has segments, but no frame rate: make the record again"):
        targets.targets(example(segments=[WALK]), info, *clip, **SEVERAL)
    with pytest.raises(ValueError, match="segment/label/index of 'v.mp4' holds the class index 3"):
        targets.targets(example(fps=5.0, segments=[WALK._replace(label=3)]), info, *clip, **SEVERAL)


def test_several_classes_per_feature_step():
    info = dataset_info.DatasetInfo(["a", "walk", "wave"], "forbidden", inputs={"prefix": "RGB", "width": 1})
    steps = {"images": (), "features": {"RGB": np.zeros((2, 1), np.float32)}, "segments": (WALK, WAVE)}
    timed = example(**steps, feature_times={"RGB": [0.4, 0.6]})
    clip = np.array([0, 1]), np.array([True, True])
    assert targets.targets(timed, info, *clip, **SEVERAL)["target"].tolist() == [[0, 1, 1], [0, 1, 0]]
    with pytest.raises(ValueError, match="'v.mp4' has 0 timestamps for 2 feature steps: .* Make the features again"):
        targets.targets(example(**steps), info, *CLIP, **SEVERAL)


def test_words_of_a_caption():
    words = targets.caption(example(labels=[2, 1]), 4)
    assert {name: x.tolist() for name, x in words.items()} == {
        "target": [2, 1, 0, 0],
        "tokens": [0, 2, 1, 0],
        "weight": [1, 1, 1, 0],
    }
    info = dataset_info.DatasetInfo(["<end>", "a", "b"], "forbidden", inputs={"caption_length": 4})
    found = targets.targets(example(labels=[2, 1]), info, *CLIP, **NAMED)
    assert found["tokens"].tolist() == [[0, 2, 1, 0]]  # one view
    with pytest.raises(ValueError, match="The caption of 'v.mp4' has 0 words; 1 to 3 are valid"):
        targets.caption(example(labels=[]), 4)
    with pytest.raises(ValueError, match="has 4 words; 1 to 3 are valid"):
        targets.caption(example(labels=[1, 2, 1, 2]), 4)


def test_what_comes_after_a_window():
    info = dataset_info.DatasetInfo(["1 ahead"], "forbidden", inputs={"prefix": "SERIES", "target": "NEXT", "width": 1})
    window = example(features={"SERIES": np.zeros((2, 1), np.float32), "NEXT": np.float32([[7]])})
    assert targets.targets(window, info, *CLIP, **NAMED)["target"].tolist() == [7]
    with pytest.raises(ValueError, match="windows of 2 values"):
        targets.targets(window, info, np.zeros((1, 3), int), np.ones((1, 3), bool), **NAMED)


@pytest.mark.parametrize("index", [-1, 3, 2**40])
def test_an_index_of_no_class(index):
    message = rf"holds the class index {index}.* names 3 classes: valid are 0 to 2"
    for labels, multi_label in (([index], False), ([0, index], True)):
        with pytest.raises(ValueError, match="clip/label/index " + message):
            targets.make_target(labels, 3, multi_label)
    with pytest.raises(ValueError, match="image/label/index of 'v.mp4' " + message):
        frames = example(frame_labels=[0, 1, 2, index])
        targets.targets(frames, INFO, *CLIP, multi_label=False, per_frame=True)


def test_no_label_at_all():
    assert targets.make_target([], 3, multi_label=True).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="A record has no label, but the loss softmax needs one"):
        targets.make_target([], 3, multi_label=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"horizontal_flip": [1, 0]},
            "here/dataset.json: horizontal_flip has 2 indices for 3 classes; valid are 'unch",
        ),
        ({"horizontal_flip": [0, 1, 1]}, "horizontal_flip is not a permutation: it lacks 2;"),
        ({"horizontal_flip": [0, 1, -1]}, "horizontal_flip is not a permutation: it lacks 2;"),
        ({"horizontal_flip": "mirrored"}, "horizontal_flip is mirrored; valid are 'unchanged', 'forbidden', or a list"),
        ({"horizontal_flip": [0, 1, "c"]}, "horizontal_flip is .* a list of the 3 indices 0 to 2, each once"),
        ({"time_reversal": [0, 1]}, "time_reversal has 2 indices for 3 classes; valid are null, or a list"),
        ({"time_reversal": "unchanged"}, "time_reversal is unchanged; valid are null"),
    ],
)
def test_what_is_wrong_with_a_dataset(changes, message):
    targets.check_info(INFO, "here")
    targets.check_info(dataset_info.DatasetInfo(["a", "b"], [1, 0], [1, 0]), "here")
    content = {"labels": ["a", "b", "c"], "horizontal_flip": "forbidden", **changes}
    with pytest.raises(ValueError, match=message):
        targets.check_info(dataset_info.DatasetInfo(**content), "here")
