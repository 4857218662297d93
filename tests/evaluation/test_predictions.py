import numpy as np
from ml_collections import ConfigDict

from tests.conftest import tiny_settings
from vidjax.data import pipeline
from vidjax.evaluation import predictions
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
    for change in ({"loss": ConfigDict({"name": "sigmoid"})}, {"target": "frame"}):
        other = ConfigDict({**config.to_dict(), **change})
        assert predictions.predictions_of(outputs, source, other) == []
    predictions.write(tmp_path / "none", [])
    assert predictions.read(tmp_path / "none") == []
