"""Optical flow the whole way: from video files, in records or straight to the device, to a prediction."""

import json
import shutil

import numpy as np
import pytest
from ml_collections import ConfigDict

from tests.conftest import tiny_settings
from vidjax import features, predict, train
from vidjax.analysis import layer_table, networks
from vidjax.data import make_records, pipeline, video
from vidjax.inference import restore, stream
from vidjax.inference.views import read_views
from vidjax.models import make_model


@pytest.fixture(scope="module")
def with_flow(tmp_path_factory):
    """Motion, 8 videos a split, with OpenCV's flow; the videos lie in data/videos."""
    out = tmp_path_factory.mktemp("with_flow") / "data"
    arguments = ["motion", "--out", str(out), "--motion_videos", "8", "8", "8", "--short_side", "0", "--format", "png"]
    assert make_records.make_records(make_records.parse_args([*arguments, "--flow", "opencv_farneback"])) is None
    return out


@pytest.fixture(scope="module")
def config(with_flow):
    config = tiny_settings(with_flow)
    config.flow = "stored"
    config.clip.update({"num_frames": 4, "frame_stride": 1, "size": 64})
    config.num_epochs = 3.0
    return config


@pytest.fixture(scope="module")
def run(config, tmp_path_factory):
    """Three steps on flow that is stored."""
    workdir = tmp_path_factory.mktemp("stored") / "run"
    assert train.train(config, workdir)["num_videos"] == 8
    return workdir


@pytest.fixture(scope="module")
def on_device(run):
    """The same network on flow that is computed of the frames, one more than there are fields."""
    workdir = run.parent / "on_device"
    shutil.copytree(run, workdir)
    content = json.loads((workdir / "config.json").read_text())
    content["config"]["flow"] = "farneback"
    content["config"]["clip"]["num_frames"] = 5
    (workdir / "config.json").write_text(json.dumps(content))
    return workdir


def test_a_network_on_flow_has_two_channels(run):
    kernel = restore.from_run(run).params["backbone"]["conv1"]["kernel"]
    assert kernel.shape[-2] == 2
    assert {"top1_within_pairs", "top1_reversed"} <= set(json.loads((run / "result.json").read_text()))


def test_stored_and_computed_flow_give_the_same(run, on_device, with_flow):
    stored, computed = restore.from_run(run), restore.from_run(on_device)
    source = pipeline.open_records(with_flow, ["test"])
    for i in range(2):
        path = source[i].media_id
        views = [read_views(path, x.clip, x.inputs, num_views=2) for x in (stored, computed)]
        assert [x.shape for x in (views[0]["flow"], views[1]["video"])] == [(2, 4, 64, 64, 2), (2, 5, 64, 64, 3)]
        logits = [predict.make_logits_fn(x)(of) for x, of in zip((stored, computed), views, strict=True)]
        np.testing.assert_allclose(*logits, atol=0.02 * np.abs(logits[0]).max())  # 8 bits


def test_evaluation_and_prediction_agree_on_stored_flow(run, with_flow):
    of_run = restore.from_run(run)
    source = pipeline.open_records(with_flow, ["test"])
    logits_fn = predict.make_logits_fn(of_run)
    found = [predict.predict(of_run, logits_fn, source[i].media_id, num_views=1).argmax() for i in range(8)]
    top1 = np.mean([found[i] == source[i].labels[0] for i in range(8)])
    assert top1 == json.loads((run / "result.json").read_text())["top1"]


def test_one_frame_has_no_flow(on_device, tmp_path):
    video.write_video(tmp_path / "one.mp4", np.zeros((1, 64, 64, 3), np.uint8), 12.0)
    of_run = restore.from_run(on_device)
    with pytest.raises(ValueError, match="one frame: optical flow needs two"):
        predict.predict(of_run, predict.make_logits_fn(of_run), tmp_path / "one.mp4")


def test_features_of_flow(run, on_device, with_flow, tmp_path):
    clip = {"num_frames": 4, "frame_stride": 1, "size": 64, "resize": 0, "sampling": "cover"}
    for workdir, length in ((run, 23), (on_device, 20)):  # 24 frames; of 5 clips of 5 frames 4 fields each
        of_run = restore.from_run(workdir)
        of_clip = {**of_run.clip, **clip, "num_frames": of_run.clip["num_frames"]}
        out = tmp_path / workdir.name
        source = features.extract(of_run, with_flow, "features", out, of_clip, 8, ["test"])
        assert source[0].features["RGB"].shape == (length, 32)
        assert not source[0].flow and not len(source[0].images)


def test_the_summary_of_a_network_on_flow(config):
    for size in (None, "4x64x64"):
        inputs, num_classes, _ = networks.find_inputs(config, size, 1, None)
        assert {name: x.shape for name, x in inputs.items()} == {"flow": (1, 4, 64, 64, 2)}
        assert "(frames x height x width)" in layer_table.table(config, inputs, num_classes, 1)


def test_what_cannot_work_is_told(config, run, tiny_config, tmp_path):
    tiny_config.flow = "raft"
    with pytest.raises(ValueError, match="Unknown flow 'raft'; choose '', stored, farneback, .*tvl1"):
        train.train(tiny_config, tmp_path)
    tiny_config.flow = "stored"
    with pytest.raises(ValueError, match="holds no optical flow"):
        train.train(tiny_config, tmp_path)
    tiny_config.flow, tiny_config.clip.num_frames = "tvl1", 1
    with pytest.raises(ValueError, match="optical flow needs two frames"):
        train.train(tiny_config, tmp_path)
    tiny_config.clip.num_frames = 4
    for change in ({"target": "frame"}, {"clip": {**tiny_config.clip, "sampling": "segments"}}):
        with pytest.raises(ValueError, match="segments go with config.flow = 'stored'"):
            train.train(ConfigDict({**tiny_config.to_dict(), **change}), tmp_path)
    of_run = restore.from_run(run)
    with pytest.raises(ValueError, match="do not name the method of their optical flow"):
        read_views(pipeline.open_records(of_run.config.dataset, ["test"])[0].media_id, of_run.clip, {})
    with pytest.raises(ValueError, match="sees optical flow"):
        stream.init_stream(of_run.params, of_run.model_state, model=make_model("frame_rnn", 8), spec=of_run.preprocess)
