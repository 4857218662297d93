import numpy as np
import pytest
from ml_collections import ConfigDict

from tests.conftest import tiny_settings
from vidjax.data import pipeline
from vidjax.data.segment_files import Segment
from vidjax.evaluation import predictions, split_detections
from vidjax.evaluation.outputs import Outputs


def test_predictions_of_each_video(numbered_records, tmp_path):
    source = pipeline.open_records(numbered_records, ["train"])
    logits = np.zeros((11, 2, 2), np.float32)
    logits[:, :, 1] = np.log(3)  # 25 % and 75 %
    logits[4] = np.log([[9, 1], [1, 1]])  # 90 and 50 %: 70 % on the mean of two clips
    outputs = Outputs(logits, np.arange(11) % 2)
    config = tiny_settings(numbered_records)
    predictions.write(tmp_path, predictions.predictions_of(outputs, source, config))
    first, second, *_, last = predictions.read(tmp_path)
    assert first == {
        **{"number": 0, "video": "video 0", "true": "a", "predicted": "b"},
        **{"score": 0.75, "score_of_true": "0.2500"},
    }
    assert second["number"] == 2  # of equal confidence, in the order of the records
    assert (last["number"], last["true"], last["predicted"], last["score"]) == (4, "a", "a", 0.7)
    several = {"loss": {"name": "sigmoid"}}
    for change in (several, {**several, "target": "frame"}, {"target": "words"}):
        other = ConfigDict({**config.to_dict(), **change})
        assert predictions.predictions_of(outputs, source, other) == []
    predictions.write(tmp_path / "none", [])
    assert predictions.read(tmp_path / "none") == []


def frames_of(numbered_records, stride=1):
    """11 videos of 2 clips of 3 frames, all right but the last frame of the first video; the second lacks 2 frames."""
    config = ConfigDict({**tiny_settings(numbered_records).to_dict(), "target": "frame"})
    config.clip.frame_stride = stride
    true = np.tile([[0, 0, 1], [1, 1, 1]], (11, 1, 1))
    predicted, weight = true.copy(), np.ones(true.shape)
    predicted[0, 1, 2] = 0
    weight[1, 1, 1:] = 0
    return config, Outputs(np.eye(2)[predicted], true, weight=weight)


def test_segments_of_a_run_that_labels_frames(numbered_records, tmp_path):
    source = pipeline.open_records(numbered_records, ["train"])
    fps = source[0].fps
    config, outputs = frames_of(numbered_records, stride=2)
    predictions.write(tmp_path, predictions.predictions_of(outputs, source, config), "other_predictions.csv")
    found, unit = predictions.read_segments(tmp_path / "other_segments.csv")
    assert unit == "s" and list(found) == [f"video {i}" for i in range(11)]
    a, b = Segment(0, 4 / fps, "a"), Segment(4 / fps, 12 / fps, "b")
    assert found["video 2"] == {"true": [a, b], "predicted": [a, b]}
    assert found["video 1"]["true"] == [a, b._replace(end=8 / fps)]
    assert found["video 0"]["predicted"] == [a, b._replace(end=10 / fps), Segment(10 / fps, 12 / fps, "a")]


def test_segments_without_times_are_in_steps(numbered_records, tmp_path, monkeypatch):
    source = pipeline.open_records(numbered_records, ["train"])
    config, outputs = frames_of(numbered_records)
    monkeypatch.setattr(split_detections, "steps_per_second", lambda source, stride: [25.0] * 10 + [0.0])
    predictions.write(tmp_path, predictions.predictions_of(outputs, source, config))
    found, unit = predictions.read_segments(tmp_path / "segments.csv")
    assert unit == "steps" and found["video 2"]["true"] == [Segment(0, 2, "a"), Segment(2, 6, "b")]
    assert not (tmp_path / "predictions.csv").exists()


def test_records_with_one_path_stay_apart(numbered_records):
    source = pipeline.open_records(numbered_records, ["train"])
    videos = [split_detections.Scored(np.eye(2)[[0, 1]], np.array([0, 1]))] * 3
    rows = predictions.segments_of(videos, [source[0], source[1], source[0]], ["a", "b"])
    assert list(dict.fromkeys(row["path"] for row in rows)) == ["video 0", "video 1", "video 0 #2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,start,end\n", "segments.csv lacks the columns unit, label, kind: evaluate the run again"),
        ("path,start,end,unit,label,kind\na,0,x,s,b,true\n", "segments.csv, line 2 is damaged: evaluate"),
        ("path,start,end,unit,label,kind\na,0,1,s,b,wrong\n", "line 2 is damaged"),
    ],
)
def test_a_damaged_file_of_segments(text, message, tmp_path):
    (tmp_path / "segments.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        predictions.read_segments(tmp_path / "segments.csv")
