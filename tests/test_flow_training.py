"""A network of optical flow, trained on pairs with exact flow, through the one training step."""

import dataclasses
import json
from pathlib import Path

import cv2
import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from tests.conftest import tiny_settings
from tests.runs import assert_same_run, lines_of
from vidjax import config_checks, evaluate, flow, step, train
from vidjax.data import clips, dataset_info, flow_files, make_records, pipeline, records, tfrecords, video
from vidjax.data import flow_pairs as flow_pairs_of
from vidjax.data.synthetic import flow_pairs, motion
from vidjax.evaluation import flow_errors, flow_methods
from vidjax.export import __main__ as export
from vidjax.export import program
from vidjax.flow import __main__ as flow_command
from vidjax.inference import embedding, restore, views
from vidjax.preprocess import preprocess
from vidjax.report import __main__ as report


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Records of 12 pairs of 32x64 pixels."""
    out = tmp_path_factory.mktemp("pairs") / "flow"
    counts = ["--motion_videos", "8", "2", "2", "--pair_size", "32", "64", "--num_shards", "1", "--workers", "1"]
    make_records.make_records(make_records.parse_args(["flow", *counts, "--format", "png", "--out", str(out)]))
    return out


def of_flow(config):
    config.target, config.loss = "flow", {"name": "flow_pyramid", "weights": (1.0, 1.0)}
    config.clip = {"num_frames": 2, "size": (16, 64), "eval_size": (32, 64)}
    config.model = {"name": "spynet", "num_levels": 2}
    config.augment.crop, config.augment.flip = "resized", True
    config.batch_size, config.num_epochs, config.eval_every, config.checkpoint_every = 4, 2.0, 2, 2
    config.eval.batch_size = 2
    config.log_every = 1
    return config


@pytest.fixture(scope="module")
def trained(pairs, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("trained") / "run"
    return workdir, train.train(of_flow(tiny_settings(pairs)), workdir)


def test_a_run_writes_end_point_errors_and_a_picture(trained):
    workdir, result = trained
    assert 0 < result["epe"] < 40 and 0 <= result["fl_all"] <= 1 and result["num_videos"] == 2
    lines = lines_of(workdir)
    assert [line["step"] for line in lines if "val_epe" in line] == [2, 4] and "top1" not in lines[0]
    assert (workdir / flow_errors.NAME).exists() and not (workdir / "predictions.csv").exists()


def test_an_interrupted_run_ends_with_the_same_bits(trained, pairs, tmp_path, monkeypatch):
    config, saved = of_flow(tiny_settings(pairs)), train.Checkpoints.save

    def crashing(checkpoints, state, position):
        saved(checkpoints, state, position)
        checkpoints.close()
        raise RuntimeError("power cut")

    monkeypatch.setattr(train.Checkpoints, "save", crashing)
    with pytest.raises(RuntimeError, match="power cut"):
        train.train(config, tmp_path / "run")
    monkeypatch.undo()
    train.train(config, tmp_path / "run")
    assert_same_run(tmp_path / "run", trained[0], num_steps=4)


def test_the_report_shows_the_picture(trained, tmp_path, monkeypatch):
    page = tmp_path / "page.html"
    monkeypatch.setattr("sys.argv", ["report", str(trained[0]), "--out", str(page)])
    report.main()
    assert "their true and their estimated optical flow" in page.read_text()


def test_configs_that_do_not_fit(pairs, tiny_motion, tmp_path):
    config = of_flow(tiny_settings(pairs))
    config.clip = {"num_frames": 2, "size": 32}
    with pytest.raises(ValueError, match=r"needs config.flow = '' and config.clip.size = \(height, width\)"):
        train.train(config, tmp_path / "a")
    with pytest.raises(ValueError, match="holds no true optical flow"):
        train.train(of_flow(tiny_settings(tiny_motion)), tmp_path / "b")
    with pytest.raises(ValueError, match="holds pairs of frames with true optical flow"):
        train.train(tiny_settings(pairs), tmp_path / "c")
    config = of_flow(tiny_settings(pairs))
    config.target = "clip"
    with pytest.raises(ValueError, match="need each other"):
        train.train(config, tmp_path / "d")


def test_arguments_of_make_records(tmp_path, capsys):
    for arguments, message in [
        (["motion", "--photographs", str(tmp_path)], "--photographs is for the source flow"),
        (["flow", "--pair_size", "8", "64"], "--pair_size 8 64: give 32 to"),
        (["motion", "--pair_speed", "0.5"], "--pair_speed is for the source flow"),
        (["flow", "--pair_speed", "0"], "--pair_speed is 0; give a factor above 0 and up to 1"),
        (["flow", "--fps", "12"], "--fps, --flow and --label_fraction are for videos"),
        (["sintel"], "Give sintel and its folder"),
        (["sintel", str(tmp_path / "none")], "is not a directory"),
    ]:
        with pytest.raises(ValueError, match=message):
            make_records.make_records(make_records.parse_args([*arguments, "--out", str(tmp_path / "out")]))
    assert flow_pairs.SIZE == (192, 256)


@pytest.fixture(scope="module")
def on_flow(trained, tiny_motion):
    """A temporal stream that sees the flow of the trained network, on clips of four frames."""
    config = tiny_settings(tiny_motion)
    config.flow, config.flow_weights = "spynet", str(trained[0])
    backbone = {"name": "small_cnn", "width": 1 / 4}
    config.model = ConfigDict({"name": "stacked_flow", "num_fields": 2, "backbone": backbone})
    config.num_epochs, config.schedule.warmup_steps = 0.5, 0
    return config


@pytest.fixture(scope="module")
def temporal(on_flow, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("temporal") / "run"
    assert train.train(on_flow, workdir)["num_videos"] == 16
    return restore.from_run(workdir)


def test_a_trained_network_is_a_method_inside_another(temporal, trained, tiny_motion):
    method = temporal.preprocess["flow"]
    assert method == restore.LearnedFlow("spynet", str(trained[0]))
    assert "spynet" not in str(jax.tree.map(np.shape, temporal.params))  # it is not a parameter of the run
    example = pipeline.open_records(tiny_motion, ["test"])[0]
    video = np.stack([clips.decoder(example)(i) for i in range(4)])[None]
    flow_network = restore.from_run(trained[0])
    found = preprocess({"video": video}, temporal.preprocess)["video"]  # (1, 3, 32, 32, 2)
    for i in range(3):
        pair = {"video": video[:, i : i + 2]}
        expected = step.eval_step(
            flow_network.params, flow_network.model_state, pair, model=flow_network.model, spec=flow_network.preprocess
        )
        np.testing.assert_allclose(20 * found[:, i], expected[:, 0].clip(-20, 20), atol=1e-4)
    np.testing.assert_allclose(method(video[0]), 20 * found[0], atol=1e-4)


def test_a_trained_network_goes_on_learning_inside_another(on_flow, trained, tmp_path):
    config = on_flow.copy_and_resolve_references()
    config.flow, config.flow_weights, config.init_from = "", "", str(trained[0])
    network = restore.from_run(trained[0])
    parts = {"network": {"name": "spynet", "num_levels": 2}, "stream": on_flow.model.to_dict()}
    config.model = ConfigDict({"name": "flow_stream", **parts})
    train.train(config, tmp_path / "run")
    tuned = restore.from_run(tmp_path / "run").params["network"]
    assert jax.tree.structure(tuned) == jax.tree.structure(network.params)
    moved = [np.abs(a - b).max() for a, b in zip(*map(jax.tree.leaves, (tuned, network.params)), strict=True)]
    assert 0 < max(moved) < 0.05, moved  # one step from the trained network


def test_a_run_with_a_network_of_flow_is_exported_and_moved(temporal, trained, tmp_path, monkeypatch):
    json.dumps([export.make_manifest(temporal, program.of_clips(temporal), "stablehlo"), embedding.digest_of(temporal)])
    workdir = Path(temporal.name.partition(",")[0])
    content = json.loads((workdir / "config.json").read_text())
    content["config"]["flow_weights"] = trained[0].name
    content["started_in"] = str(trained[0].parent)
    (workdir / "config.json").write_text(json.dumps(content))
    monkeypatch.chdir(tmp_path)
    assert restore.from_run(workdir).preprocess["flow"].weights == str(trained[0])


@pytest.mark.parametrize(
    ("method", "weights", "message"),
    [
        ("spynet", "", "config.flow spynet is a network: set config.flow_weights to a name of vidjax.weights, a file"),
        (
            "tvl1",
            "x",
            "config.flow_weights x is for networks, not for 'tvl1': remove it, or set config.flow to one",
        ),
        ("", "x", "config.flow_weights x is for networks, not for ''"),
        ("raft_small", "{run}", "holds the network spynet, not raft_small"),
        ("raft_small", "torchvision_raft", "'torchvision_raft' is neither the name of weights nor a file"),
    ],
)
def test_weights_that_do_not_fit(on_flow, trained, tmp_path, method, weights, message):
    config = ConfigDict(on_flow.to_dict())
    config.flow, config.flow_weights = method, weights.format(run=trained[0])
    with pytest.raises(ValueError, match=message):
        train.train(config, tmp_path / "run")


def test_records_store_the_flow_of_a_network(trained, tmp_path, monkeypatch):
    """The clips of a plain file have the same flow as its record."""
    arguments = ["motion", "--motion_videos", "8", "0", "0", "--short_side", "32", "--format", "png", "--workers", "1"]
    with_flow = ["--flow", "spynet", "--flow_weights", str(trained[0])]
    make_records.make_records(make_records.parse_args([*arguments, *with_flow, "--out", str(tmp_path / "data")]))
    source = pipeline.open_records(tmp_path / "data", ["train"])
    assert (source.info.inputs["flow"], source.info.inputs["flow_weights"]) == ("spynet", str(trained[0]))
    clip = {"num_frames": 3, "size": 32, "resize": 0}
    stored = clips.eval_clips(source[0], source.info, num_views=1, num_crops=1, streams=("video", "flow"), **clip)
    method = restore.stored_flow(source.info.inputs)
    levels = flow.to_levels(method(stored["video"][0]))
    np.testing.assert_allclose(stored["flow"][0, :2], levels, atol=0.51)
    of_file = views.read_views(source[0].media_id, {**clip, "streams": ("flow",)}, source.info.inputs, 1)["flow"]
    np.testing.assert_array_equal(of_file, stored["flow"])
    for wrong, message in (
        (["--flow", "spynet"], "spynet is of a network: give its weights too"),
        (["--flow", "raft_small", *with_flow[2:]], "holds the network spynet, not raft_small"),
        (["--flow", "tvl1", *with_flow[2:]], "--flow_weights .* is for networks, not for 'tvl1': remove it"),
    ):
        with pytest.raises(ValueError, match=message):
            make_records.make_records(make_records.parse_args([*arguments, *wrong, "--out", str(tmp_path / "x")]))


def test_the_flow_of_a_video_file(trained, tmp_path, monkeypatch, capsys):
    video.write_video(tmp_path / "clip.mp4", motion.clip(0, 0, num_frames=3, size=32), 8.0)
    arguments = [str(tmp_path / "clip.mp4"), "--out", str(tmp_path / "fields"), "--method", "spynet"]
    monkeypatch.setattr("sys.argv", ["flow", *arguments, "--weights", str(trained[0])])
    flow_command.main()
    frames = video.read_video(tmp_path / "clip.mp4").frames
    found = flow_files.read_flo(tmp_path / "fields" / "000001.flo")
    expected = restore.find_flow("spynet", str(trained[0]))(frames)[1]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    monkeypatch.setattr("sys.argv", ["flow", *arguments])
    with pytest.raises(SystemExit, match="--method spynet is a network: set --weights to a name of vidjax.weights"):
        flow_command.main()


def test_other_records_are_evaluated_whole(trained, pairs, tmp_path, monkeypatch):
    """The errors of frames of two sizes are those of the method alone."""
    source = pipeline.open_records(pairs, ["test"])
    examples = [source[0], cropped(source[1], 24, 40)]
    tfrecords.write_shard(tfrecords.shard_path(tmp_path / "other", "test", 0, 1), map(records.encode, examples))
    dataset_info.write(tmp_path / "other", source.info, complete=True)
    arguments = ["--workdir", str(trained[0]), "--dataset", str(tmp_path / "other"), "--out", str(tmp_path / "x.json")]
    monkeypatch.setattr("sys.argv", ["evaluate", *arguments])
    evaluate.main()
    found = json.loads((tmp_path / "x.json").read_text())
    method = restore.find_flow("spynet", str(trained[0]))
    expected = flow_methods.measure(method, pipeline.open_records(tmp_path / "other", ["test"]))
    assert found["num_videos"] == 2 and expected["num_params"] == 2 * 240_050
    for name in ("epe", "epe_2_8", "fl_all"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4)


def cropped(example, height, width):
    """The upper left part of a pair."""
    frames, true_flow, mask = flow_pairs_of.read_pair(example)
    images = [cv2.imencode(".png", frame[:height, :width, ::-1])[1].tobytes() for frame in frames]
    field = flow_files.to_png(true_flow[:height, :width], mask[:height, :width])
    return dataclasses.replace(example, images=images, true_flow=[field], height=height, width=width)


def test_whole_frames_in_batches(pairs):
    source = pipeline.open_records(pairs, ["test"])
    batches = list(pipeline.eval_batches(source, {"size": ()}, batch_size=1))
    assert [batch["video"].shape for batch in batches] == 2 * [(1, 1, 2, 32, 64, 3)]
    with pytest.raises(ValueError, match="one pair at a time, not 2: use one device"):
        pipeline.eval_batches(source, {"size": ()}, batch_size=2)
    config = of_flow(tiny_settings(pairs))
    config.clip.eval_size = ()
    with pytest.raises(ValueError, match=r"config.clip.eval_size = \(\) is for frames of any size"):
        config_checks.check(config)


def test_an_exported_network_returns_flow(trained, pairs, tmp_path):
    pytest.importorskip("onnxruntime")
    run = restore.from_run(trained[0])
    manifest = export.export(run, "onnx", tmp_path / "onnx", export.record_clips(run, 2))
    assert manifest["output"] == "flow" and manifest["verified"]["clips"] == 2
    assert "It returns the displacement of each pixel" in (tmp_path / "onnx/README.md").read_text()
