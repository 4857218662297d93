"""Two streams the whole way: trained together and apart, fused, evaluated, and shown a plain video file."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from ml_collections import ConfigDict

from tests.conftest import tiny_settings
from tests.networks import two_streams
from vidjax import evaluate, features, predict, train
from vidjax.analysis import layer_table, networks
from vidjax.data import make_records, pipeline, records, tfrecords
from vidjax.inference import ensemble, restore
from vidjax.inference.views import views_of

NETWORK = two_streams({"name": "small_cnn", "width": 1 / 4})


@pytest.fixture(scope="module")
def with_flow(tmp_path_factory):
    """Motion, 8 videos a split, with OpenCV's flow; the videos lie in data/videos."""
    out = tmp_path_factory.mktemp("with_flow") / "data"
    arguments = ["motion", "--out", str(out), "--motion_videos", "8", "8", "8", "--short_side", "0", "--format", "png"]
    assert make_records.make_records(make_records.parse_args([*arguments, "--flow", "opencv_farneback"])) is None
    return out


@pytest.fixture
def config(with_flow):
    """Of both streams together, three steps."""
    config = tiny_settings(with_flow)
    config.model, config.flow = ConfigDict({"name": "two_stream", **NETWORK}), "stored"
    config.clip = ConfigDict({"num_frames": 4, "frame_stride": 1, "size": 48, "resize": 0, "sampling": "clip"})
    config.augment.flip = False
    return config


def settings_of(config, stream):
    """One of the streams by itself."""
    config = ConfigDict(config.to_dict())
    network = {"backbone": {"name": "small_cnn", "width": 1 / 4}}
    if stream == "spatial":
        config.model, config.flow, config.clip.num_frames = ConfigDict({"name": "frame_pool", **network}), "", 1
    else:
        config.model = ConfigDict({"name": "stacked_flow", "num_fields": 2, **network})
    return config


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("two_streams")


def trained_at(place, config, name):
    """A work directory of `config`; trained where it is not there yet."""
    if not (place / name / "result.json").exists():
        assert train.train(config, place / name)["num_videos"] == 8
    return place / name


@pytest.fixture
def joint(config, place):
    return trained_at(place, config, "joint")


@pytest.fixture
def apart(config, place):
    return [trained_at(place, settings_of(config, stream), stream) for stream in ("spatial", "temporal")]


def test_one_model_of_both_streams(joint, with_flow):
    run = restore.from_run(joint)
    assert run.clip["streams"] == ("video", "flow") and run.preprocess["flow"] == ""
    kernels = {name: run.params[name]["backbone"]["conv1"]["kernel"].shape for name in ("spatial", "temporal")}
    assert kernels == {"spatial": (3, 3, 3, 8), "temporal": (3, 3, 4, 8)}
    source, logits_fn = pipeline.open_records(with_flow, ["test"]), predict.make_logits_fn(run)
    found = [predict.predict(run, logits_fn, source[i].media_id, num_views=1).argmax() for i in range(8)]
    result = json.loads((joint / "result.json").read_text())
    assert np.mean([found[i] == source[i].labels[0] for i in range(8)]) == result["top1"]


def test_stored_and_computed_flow_give_the_same(joint, place, with_flow):
    computed = place / "computed"
    shutil.copytree(joint, computed)
    content = json.loads((computed / "config.json").read_text())
    content["config"]["flow"] = "farneback"
    content["config"]["clip"]["num_frames"] = 5  # one more than there are fields
    (computed / "config.json").write_text(json.dumps(content))
    path = pipeline.open_records(with_flow, ["test"])[0].media_id
    logits = []
    for run in map(restore.from_run, (joint, computed)):
        views = views_of(run, path, num_views=1)
        if run.preprocess["flow"]:
            assert views["video"].shape == (1, 5, 48, 48, 3) and "flow" not in views
        else:
            assert views["video"].shape == (1, 4, 48, 48, 3) and views["flow"].shape == (1, 4, 48, 48, 2)
        logits.append(predict.make_logits_fn(run)(views))
    np.testing.assert_allclose(*logits, atol=0.05 * np.abs(logits[0]).max())  # 8 bits, and flow of cropped frames


def test_two_runs_name_the_classes_of_a_plain_video(apart, with_flow, monkeypatch, capsys):
    path = pipeline.open_records(with_flow, ["test"])[3].media_id
    runs = [restore.from_run(workdir) for workdir in apart]
    logits_fns = [predict.make_logits_fn(run) for run in runs]
    logits = [of(views_of(run, path, 2))[None] for run, of in zip(runs, logits_fns, strict=True)]
    expected = ensemble.fuse(logits, [1, 3], "logits")[0]
    found = predict.predict_fused(runs, logits_fns, path, 2, weights=[1, 3], fusion="logits")
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    arguments = [path, "--num_views", "2", "--fusion", "logits", "--fusion_weights", "1,3", "--top", "1", "--json"]
    monkeypatch.setattr("sys.argv", ["predict", *arguments, "--workdir", *map(str, apart)])
    with pytest.raises(SystemExit) as stopped:
        predict.main()
    (line,) = capsys.readouterr().out.splitlines()
    assert stopped.value.code == 0
    assert np.isclose(json.loads(line)["top"][0]["probability"], expected.max(), rtol=1e-5)
    for wrong, said in ((["--step", "3"], "for one --workdir"), (["--fusion", "svm"], "invalid choice: 'svm'")):
        monkeypatch.setattr("sys.argv", ["predict", path, "--workdir", *map(str, apart), *wrong])
        with pytest.raises(SystemExit):
            predict.main()
        assert said in capsys.readouterr().err


def test_runs_on_frames_and_on_flow_are_fused(apart, with_flow):
    alone = [restore.from_run(workdir) for workdir in apart]
    source = pipeline.open_records(with_flow, ["test"])
    fused = evaluate.fuse_runs(apart, weights=[1, 3])
    assert fused.scores.shape == (8, 8) and [run["num_videos"] for run in fused.results] == [8, 8]
    logits = [predict.make_logits_fn(run)(views_of(run, source[0].media_id, 1))[None] for run in alone]
    np.testing.assert_allclose(fused.scores[0], ensemble.fuse(logits, [1, 3])[0], rtol=1e-3)
    with_svm = evaluate.fuse_runs(apart, fusion="svm")
    assert with_svm.scores.shape == with_svm.backwards.shape == (8, 8)


def test_other_splits_are_not_fused(apart, tmp_path):
    """Each split of the dataset has videos of the same names and classes in the same order."""

    def tested_on(splits):
        shutil.copytree(apart[1], tmp_path / splits[0])
        content = json.loads((tmp_path / splits[0] / "config.json").read_text())
        content["config"]["test_splits"] = splits
        (tmp_path / splits[0] / "config.json").write_text(json.dumps(content))
        return tmp_path / splits[0]

    for other, fusion in (("val", "scores"), ("train", "svm")):
        with pytest.raises(ValueError, match=rf"differ in the test splits: \['test'\] of .*, \['{other}'\] of"):
            evaluate.fuse_runs([apart[0], tested_on([other])], fusion=fusion)
    with pytest.raises(ValueError, match="an SVM learns its own weights"):
        evaluate.fuse_runs(apart, fusion="svm", weights=[1, 2])


def test_flow_is_computed_while_training(config, place):
    config.flow, config.clip.num_frames = "farneback", 5
    run = restore.from_run(trained_at(place, config, "computed_in_training"))
    assert run.preprocess["flow"] == "farneback" and "streams" not in run.clip


def test_a_model_of_both_starts_from_another_one(config, joint, place, tmp_path):
    config.init_from = str(joint)
    config.schedule.learning_rate, config.optimizer.weight_decay = 0.0, 0.0
    started = restore.from_run(trained_at(place, config, "continued"))
    for one, other in zip(np_leaves(started.params), np_leaves(restore.from_run(joint).params), strict=True):
        np.testing.assert_array_equal(one, other)


def test_both_streams_start_from_runs_that_were_trained_apart(config, apart, place):
    config.init_from = ",".join(map(str, apart))
    config.schedule.learning_rate, config.optimizer.weight_decay = 0.0, 0.0
    started = restore.from_run(trained_at(place, config, "started"))
    for stream, workdir in zip(("spatial", "temporal"), apart, strict=True):
        for of_run, expected in zip(
            np_leaves(started.params[stream]), np_leaves(restore.from_run(workdir).params), strict=True
        ):
            np.testing.assert_array_equal(of_run, expected)


def np_leaves(tree):
    return [np.asarray(x) for _, x in sorted(flatten(tree))]


def flatten(tree, path=()):
    for name, x in tree.items():
        yield from flatten(x, (*path, name)) if hasattr(x, "items") else [((*path, name), x)]


def test_the_summary_knows_both_inputs(config):
    for of, size, shape in ((config, None, 48), (config, "4x64x64", 64), (networks.find_config("two_stream"), None, 0)):
        if not shape:
            of.model, size, shape = config.model, "4x64x64", 64
        inputs, num_classes, _ = networks.find_inputs(of, size, 1, 8)
        shapes = {name: x.shape for name, x in inputs.items()}
        assert shapes == {"video": (1, 4, shape, shape, 3), "flow": (1, 4, shape, shape, 2)}
        table = layer_table.table(of, inputs, num_classes, 2)
        assert "spatial" in table and "temporal" in table and "(frames x height x width)" in table
    alone = networks.find_config("stacked_flow")
    assert {name: x.shape for name, x in networks.find_inputs(alone, "10x64x64", 1, 8)[0].items()} == {
        "flow": (1, 10, 64, 64, 2)
    }


def test_what_cannot_work_is_told(config, joint, apart, tiny_motion, tmp_path, monkeypatch, capsys):
    def refused(message, **changes):
        changed = ConfigDict({**config.to_dict(), **changes})
        with pytest.raises(ValueError, match=message):
            train.train(changed, tmp_path / str(len(list(tmp_path.iterdir()))))

    refused("two_stream sees optical flow: set config.flow to 'stored' or to a method", flow="")
    refused("stacked_flow sees optical flow: set config.flow", flow="", model={"name": "stacked_flow"})
    refused("holds no optical flow", dataset=str(tiny_motion))  # RGB records
    refused("A stack is of 2 fields of optical flow", clip={**config.clip, "num_frames": 1})
    refused("of 2 fields of optical flow", flow="farneback", clip={**config.clip, "num_frames": 2})
    refused("needs consecutive flow fields", clip={**config.clip, "sampling": "segments"})
    refused("names 3 networks for 2 streams", init_from="a,b,c")
    refused("structure:", init_from=",".join(map(str, apart[::-1])))  # flow for frames, frames for flow
    with pytest.raises(ValueError, match="store the features of each stream by itself"):
        run = restore.from_run(joint)
        features.extract(run, config.dataset, "features", tmp_path / "out", run.clip, 8, ["test"])


def test_records_of_flow_alone_have_no_frames(config, with_flow, tmp_path):
    source = pipeline.open_records(with_flow, ["train"])
    for split in ("train", "val", "test"):
        examples = [dataclasses.replace(source[i], images=()) for i in range(8)]
        tfrecords.write_shard(tfrecords.shard_path(tmp_path / "data", split, 0, 1), map(records.encode, examples))
    for name in ("labels.txt", "dataset.json"):
        shutil.copy(with_flow / name, tmp_path / "data" / name)
    config.dataset = str(tmp_path / "data")
    for of_frames in (config, settings_of(config, "spatial")):
        with pytest.raises(ValueError, match="holds no frames"):
            train.train(of_frames, tmp_path / of_frames.model.name)
    assert train.train(settings_of(config, "temporal"), tmp_path / "temporal")["num_videos"] == 8
