import dataclasses
import types

import numpy as np
import pytest
from ml_collections import ConfigDict

from vidjax.data import dataset_info, records, tfrecords
from vidjax.evaluation import other_records

RUN = ["run", "jump", "Sit", "sit"]


def run_of(loss="softmax", target="clip", inputs=None, labels=RUN):
    """The attributes of a run that `open_other` uses; its features are one number per step."""
    inputs = {"prefix": "RGB", "width": 1, "fps": 12.0} if inputs is None else inputs
    config = ConfigDict({"loss": {"name": loss}, "target": target, "flow": ""})
    return types.SimpleNamespace(
        name="runs/a, step 3", labels=labels, config=config, inputs=inputs, multi_label=loss == "sigmoid"
    )


def dataset(directory, labels, of_videos, frame_labels=None, **inputs):
    """Features of videos 0.mp4, 1.mp4, ... with these lists of labels, in the split test."""
    examples = [
        records.Example(
            images=[],
            labels=of_video,
            media_id=f"{i}.mp4",
            features={"RGB": np.full((2, 1), i, np.float32)},
            frame_labels=frame_labels[i] if frame_labels else (),
        )
        for i, of_video in enumerate(of_videos)
    ]
    tfrecords.write_shard(tfrecords.shard_path(directory, "test", 0, 1), map(records.encode, examples))
    inputs = {"prefix": "RGB", "width": 1, "fps": 12.0, **inputs}
    dataset_info.write(directory, dataset_info.DatasetInfo(labels, "unchanged", inputs=inputs), complete=True)
    return directory


def test_names_are_matched():
    assert other_records.match(RUN, RUN) == ({i: i for i in range(4)}, [])
    assert other_records.match(["jump", "swim", "run"], RUN) == ({0: 1, 2: 0}, [])
    classes, notes = other_records.match(["RUN", "Jump"], RUN)
    assert classes == {0: 0, 1: 1} and notes == ["Matched except for upper and lower case: RUN is run, Jump is jump."]
    assert other_records.match(["SIT"], RUN) == ({}, [])  # is it Sit or sit?
    assert other_records.match(["sit", "SIT"], RUN)[0] == {0: 3, 1: 2}
    assert other_records.match(["Jump", "JUMP"], RUN) == ({}, [])
    assert other_records.match(["caf\u00e9"], ["cafe\u0301"])[0] == {0: 0}


def test_videos_of_one_class(tmp_path):
    of_videos = [[0], [1], [2], [2], [2], [2], [0]]
    other = other_records.open_other(run_of(), dataset(tmp_path, ["jump", "run", "swim"], of_videos), ["test"])
    source = other.source
    assert [(x.media_id, x.labels) for x in source] == [("0.mp4", [1]), ("1.mp4", [0]), ("6.mp4", [1])]
    assert source.info.labels == RUN and source.info.time_reversal is None
    assert other.left_out == {"swim": ["2.mp4", "3.mp4", "4.mp4", "5.mp4"]} and other.absent == ["Sit", "sit"]
    assert other.notes == [
        "Left out, because the run does not know the class: swim, 4 videos (2.mp4, 3.mp4, 4.mp4, ...).",
        f"Classes of the run without a video in {tmp_path}: Sit, sit.",
    ]


@pytest.mark.parametrize(("flip", "found"), [("unchanged", "unchanged"), ([1, 0], "forbidden")])
def test_clips_may_be_mirrored_if_that_changes_no_class(flip, found, tmp_path):
    place = dataset(tmp_path, ["jump", "run"], [[0], [1]])
    info = dataclasses.replace(dataset_info.read(place), horizontal_flip=flip)
    dataset_info.write(place, info, complete=True)
    assert other_records.open_other(run_of(), place, ["test"]).source.info.horizontal_flip == found


def test_videos_of_several_classes(tmp_path):
    """The last video has a known and an unknown class; a video may have no class."""
    directory = dataset(tmp_path, ["jump", "run", "swim"], [[0, 1], [], [2], [2, 0]])
    other = other_records.open_other(run_of("sigmoid"), directory, ["test"])
    assert [(x.media_id, x.labels) for x in other.source] == [("0.mp4", [1, 0]), ("1.mp4", []), ("3.mp4", [1])]
    assert other.left_out == {"swim": ["2.mp4"]}
    assert "Ignored labels, which the run does not know: swim." in other.notes
    with pytest.raises(ValueError, match=r"record 0 .* has the labels \[0, 1\]"):
        other_records.open_other(run_of(), directory, ["test"])


def test_one_label_per_frame(tmp_path):
    directory = dataset(tmp_path, ["jump", "swim"], [[0], [0]], frame_labels=[[0, 0], [0, 1]])
    other = other_records.open_other(run_of(target="frame"), directory, ["test"])
    assert [x.frame_labels for x in other.source] == [[1, 1]] and other.left_out == {"swim": ["1.mp4"]}


def test_frames_of_unknown_classes_are_background_if_frames_may_have_several(tmp_path):
    directory = dataset(tmp_path, ["background", "jump", "swim"], [[2], [1]], frame_labels=[[0, 2], [2, 1]])
    other = other_records.open_other(run_of("sigmoid", "frame", labels=["background", "jump"]), directory, ["test"])
    assert [x.frame_labels for x in other.source] == [[0, 0], [0, 1]]
    assert other.notes == ["Ignored labels, which the run does not know: swim."]


def test_records_that_do_not_fit_the_run(tmp_path):
    directory = dataset(tmp_path, ["swim"], [[0]])
    with pytest.raises(
        ValueError, match="has a class that runs/a, step 3 knows. Classes of the records: swim; .*: run"
    ):
        other_records.open_other(run_of(), directory, ["test"])
    with pytest.raises(ValueError, match=r"No split 'val' in .*; it has \['test'\]"):
        other_records.open_other(run_of(), directory, ["val"])
    with pytest.raises(ValueError, match="was trained on records of {'fps': 12.0}; these hold .*'RGB'"):
        other_records.open_other(run_of(inputs={"fps": 12.0}), directory, ["test"])
    with pytest.raises(ValueError, match="names 1 classes"):
        other_records.open_other(run_of(), dataset(tmp_path, ["run"], [[1]]), ["test"])
    for kind in ({"target": "words"}, {"loss": "squared_error"}):
        with pytest.raises(ValueError, match="--dataset is for runs that classify"):
            other_records.open_other(run_of(**kind), directory, ["test"])


def test_another_frame_rate_is_a_warning(tmp_path):
    other = other_records.open_other(run_of(), dataset(tmp_path, RUN, [[0], [1], [2], [3]], fps=0.0), ["test"])
    (note,) = other.notes
    assert note.startswith(
        "warning: the run was trained with fps = 12.0, but these records have fps = 0.0 (0: original)"
    )
    assert other.source.info.labels == RUN
