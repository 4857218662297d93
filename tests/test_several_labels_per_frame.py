"""Several labels per frame, from records to the loss of a training step, and to the metrics of an evaluation."""

import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from vidjax import losses, models, step
from vidjax.data import dataset_info, label_scan, pipeline, records, tfrecords
from vidjax.evaluation import split_metrics
from vidjax.evaluation.outputs import Outputs

LABELS = ["background", "walk", "wave"]
# Steps of 0.4 s: the first is in no segment, the second in "walk", the third in both, the fourth in "wave"
SEGMENTS = [records.IndexedSegment(0.5, 1.2, 1, "walk"), records.IndexedSegment(0.9, 1.6, 2, "wave")]
TARGET = [[0, 0, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1]]
SEQUENCE = np.float32([[-1, -1, -1], [-1, 1, 1], [-1, 1, -1], [-1, -1, 1]])  # "wave" is wrong twice
SPEC = {"mean": [0.0] * 3, "std": [1.0] * 3}
CLIP = {"num_frames": 5, "multi_label": True, "per_frame": True}


@pytest.fixture
def source(tmp_path):
    example = records.Example(
        *([], [1, 2]), segments=SEGMENTS, features={"RGB": SEQUENCE}, feature_times={"RGB": [0.2, 0.6, 1.0, 1.4]}
    )
    tfrecords.write_shard(tfrecords.shard_path(tmp_path, "train", 0, 1), [records.encode(example)])
    inputs = {"prefix": "RGB", "width": 3, "layer": "features", "source": "made up", "clip": {}}
    dataset_info.write(tmp_path, dataset_info.DatasetInfo(LABELS, "forbidden", inputs=inputs), complete=True)
    return pipeline.open_records(tmp_path, ["train"])


def test_from_records_to_the_loss_of_a_step(source):
    """Logits of log 3 are probabilities of 3/4. Ten classes are right, two wrong; the fifth step is padding."""
    label_scan.check(source, multi_label=True, per_frame=True)
    batch = next(pipeline.train_batches(source, CLIP, batch_size=1, num_steps=1, num_threads=1))
    assert batch["target"][0, :4].tolist() == TARGET and batch["weight"].tolist() == [[1, 1, 1, 1, 0]]
    model, tx = models.make_model("frame_pool", 3, per_frame=True), optax.sgd(0.0)
    state = step.init_state(0, {"features": batch["features"]}, model=model, spec=SPEC, tx=tx)
    params = {"classifier": {"kernel": np.log(3) * np.eye(3, dtype=np.float32), "bias": np.zeros(3, np.float32)}}
    arguments = {"spec": SPEC, "loss_fn": losses.sigmoid_cross_entropy, "tx": tx}
    _, found = step.train_step(state.replace(params=params), batch, model=model, **arguments)
    assert float(found["loss"]) == pytest.approx((10 * np.log(4 / 3) + 2 * np.log(4)) / 4, rel=1e-5)
    assert "top1" not in found


def test_records_with_other_classes(source):
    other = pipeline.Records(
        dataset_info.DatasetInfo(["wave"], "forbidden", inputs=source.info.inputs), source.places, {2: 0}
    )
    (batch,) = pipeline.eval_batches(other, CLIP, batch_size=1, num_threads=1)
    assert batch["target"][0, 0, :4].tolist() == [[0], [0], [1], [1]]


def test_metrics_are_over_the_frames_that_count():
    """Two clips of two frames; the last frame is padding, and wrong. The background never occurs."""
    target, weight = np.array(TARGET, np.float32).reshape(1, 2, 2, 3), np.array([[[1, 1], [1, 0]]])
    logits = np.float32(np.log(3)) * np.where(target > 0, 1, -1).astype(np.float32)
    logits[0, 1, 1] *= -1
    config, info = (
        ConfigDict({"loss": {"name": "sigmoid"}, "target": "frame"}),
        dataset_info.DatasetInfo(LABELS, "forbidden"),
    )
    found = split_metrics.metrics_of(Outputs(logits, target, weight=weight), config, info)
    assert found["mAP"] == found["top1"] == 1 and found["per_class"] == [None, 1, 1] and "segments" not in found
    assert (found["num_frames"], found["num_videos"]) == (3, 1)
    assert found["detection"]["activitynet"]["mAP"] == 1 and found["detection"]["rule"]["how"] == "threshold"
    assert found["loss"] == pytest.approx(3 * np.log(4 / 3), rel=1e-5)


def test_a_network_of_several_stages_is_refused():
    with pytest.raises(ValueError, match=r"outputs are \(1, 4, 2, 3\), the targets \(1, 4, 3\): a model of several"):
        losses.sigmoid_cross_entropy(np.zeros((1, 4, 2, 3)), np.array([TARGET]))
