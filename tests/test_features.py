import json
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from tests.conftest import write_numbered
from vidjax import features, metrics, preprocess, progress_bar
from vidjax.data import augment, dataset_info, pipeline, records, tfrecords, video
from vidjax.inference import restore


@pytest.fixture(scope="module")
def run(tiny_run):
    return restore.from_run(tiny_run.workdir)


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["features", *map(str, arguments)])
    features.main()


@pytest.fixture
def arguments(tiny_run, tmp_path):
    return ["--workdir", tiny_run.workdir, "--records", tiny_run.records, "--out", tmp_path / "out"]


def applied(run, path, indices):
    """Applies the backbone to some frames of a video file directly."""
    frames = [augment.resize(frame, 40, 40) for frame in video.read_video(path, short_side=48).frames[indices]]
    inputs = preprocess.preprocess({"video": jnp.asarray(np.stack(frames))[None]}, run.preprocess)
    _, ends = run.model.apply({"params": run.params, **run.model_state}, **inputs)
    return np.asarray(ends["features"][0])


def test_a_network_on_frames_sees_every_frame_once(run, tiny_run, arguments, tmp_path, monkeypatch, capsys):
    command(monkeypatch, *arguments, "--num_frames", 10, "--frame_stride", 1, "--batch_size", 2)
    assert re.search(r"features of .*run, step 3, 24 videos", capsys.readouterr().out)
    source = pipeline.open_records(tmp_path / "out", ["test"])
    assert source.info.labels == run.labels
    assert source.info.inputs == {
        **{"prefix": "RGB", "width": 32, "layer": "features", "source": run.name},
        "clip": {"num_frames": 10, "frame_stride": 1, "size": 40, "resize": 40, "sampling": "cover"},
        "videos": {"fps": 0.0, "short_side": 48},
    }
    originals = pipeline.open_records(tiny_run.records, ["test"])
    for i, path in enumerate(tiny_run.videos["test"][:3]):
        example = source[i]
        assert (example.media_id, example.labels) == (str(path), originals[i].labels)
        expected = applied(run, path, np.arange(24))  # 24 frames in three clips of 10
        np.testing.assert_allclose(example.features["RGB"], expected, rtol=1e-4, atol=1e-5)


def test_segments_and_other_layers(run, tiny_run, arguments, tmp_path, monkeypatch):
    sampling = ["--num_frames", 4, "--sampling", "segments"]
    command(monkeypatch, *arguments, *sampling, "--layer", "pooled", "--batch_size", 16)
    sequence = pipeline.open_records(tmp_path / "out", ["test"])[0].features["RGB"]
    expected = applied(run, tiny_run.videos["test"][0], [3, 9, 15, 21]).mean(axis=0)  # the middles of four parts of 24
    np.testing.assert_allclose(sequence, expected[None], rtol=1e-4, atol=1e-5)
    command(monkeypatch, *arguments[:-1], tmp_path / "maps", *sampling, "--layer", "layer2")
    assert pipeline.open_records(tmp_path / "maps", ["test"])[0].features["RGB"].shape == (4, 8)  # averaged over space


def test_shards_of_videos_that_were_written_again_are_read_again(tiny_run, tmp_path, monkeypatch):
    shutil.copytree(tiny_run.records, tmp_path / "records", ignore=shutil.ignore_patterns("videos"))
    names = ["--workdir", tiny_run.workdir, "--records", tmp_path / "records", "--out", tmp_path / "out"]
    command(monkeypatch, *names)
    before = pipeline.open_records(tmp_path / "out", ["test"])[0]
    (shard,) = (tmp_path / "records").glob("test*.tfrecord")
    backwards = [tfrecords.read_record(shard, offset) for offset in tfrecords.read_index(shard)[::-1]]
    tfrecords.write_shard(shard, backwards, digest="another")
    command(monkeypatch, *names)
    source = pipeline.open_records(tmp_path / "out", ["test"])
    assert source[0].media_id != before.media_id == source[len(source) - 1].media_id


def test_the_same_command_continues_with_missing_shards(arguments, tmp_path, monkeypatch, capsys):
    command(monkeypatch, *arguments)
    shards = sorted((tmp_path / "out").glob("*.tfrecord"))
    whole = [shard.read_bytes() for shard in shards]
    shards[1].unlink()
    times = [shard.stat().st_mtime_ns for shard in (shards[0], shards[2])]
    command(monkeypatch, *arguments)
    assert [shard.read_bytes() for shard in shards] == whole
    assert [shard.stat().st_mtime_ns for shard in (shards[0], shards[2])] == times
    with pytest.raises(SystemExit, match="holds other features: .*'layer': 'features'.*, not .*'layer': 'pooled'"):
        command(monkeypatch, *arguments, "--layer", "pooled")


def test_an_interruption_leaves_no_half_shard(arguments, tmp_path, monkeypatch):
    encode = records.encode

    def broken(example):
        if "val" in example.media_id:
            raise KeyboardInterrupt
        return encode(example)

    monkeypatch.setattr(records, "encode", broken)
    with pytest.raises(KeyboardInterrupt):
        command(monkeypatch, *arguments)
    shards = sorted(path.name for path in (tmp_path / "out").glob("*.tfrecord"))
    assert shards == ["test-00000-of-00001.tfrecord", "train-00000-of-00001.tfrecord"]
    with pytest.raises(ValueError, match="is not finished"):
        pipeline.open_records(tmp_path / "out", ["test"])


def test_pooling_and_classifying(arguments, tmp_path, monkeypatch, capsys):
    command(monkeypatch, *arguments, "--pool", "mean", "--classifier", "linear")
    out = capsys.readouterr().out
    assert re.search(r"nearest neighbour by size and length \| +\d+ \| +8 \|.*\n\| mean linear .* 8 \|", out)
    assert np.load(tmp_path / "out/descriptors_mean.npy").shape == (24, 32)
    result = json.loads((tmp_path / "out/result_mean_linear.json").read_text())
    right = result["mean linear"]["right"]
    assert result["mean linear"]["interval"] == list(metrics.wilson_interval(right, 8))


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--layer", "Mixed_5c"], "has no layer 'Mixed_5c'; choose from features, layer1, .*pooled, stem"),
        (
            ["--pool", "mean", "--classifier", "svm", "--train_splits", "a"],
            "No videos to train on .*there are test, tr",
        ),
        (["--pool", "mean", "--classifier", "svm", "--folds", "set1"], "has no folds 'set1': it has none"),
        (["--out", "/dev/null/out"], "--out /dev/null/out cannot be written to"),
    ],
)
def test_errors_of_the_command(extra, message, arguments, monkeypatch):
    """Errors come before the first clip goes through the network."""
    monkeypatch.setattr(features, "make_features_fn", lambda *_: pytest.fail("was reached"))
    with pytest.raises(SystemExit, match=message):
        command(monkeypatch, *arguments, *extra)


def test_splits_that_are_folds(tmp_path, monkeypatch):
    """The existing splits are listed before the network is loaded."""
    for split in ("fold_0", "fold_1"):
        write_numbered(tmp_path, split, 4, 2)
    dataset_info.write(tmp_path, dataset_info.DatasetInfo(["a", "b"], "forbidden"), complete=True)
    arguments = ["--workdir", "nowhere", "--records", tmp_path, "--out", tmp_path / "out", "--pool", "mean"]
    with pytest.raises(SystemExit, match="has no split train; there are fold_0, fold_1. Name some with --train_splits"):
        command(monkeypatch, *arguments, "--classifier", "svm")
    write_numbered(tmp_path, "fold_1", 4, 2, lambda v: [0, 1])
    with pytest.raises(SystemExit, match="'video 0' has 2 labels: a classifier needs exactly one"):
        command(monkeypatch, *arguments)  # the file of descriptors names a class for each


def test_the_space_that_features_need(run, tiny_run, tmp_path, monkeypatch):
    """24 videos of 24 frames: in 4 clips of 7, where each frame counts once, or in 3 clips of one step each."""
    shards = [shard for split in ("train", "val", "test") for shard in tfrecords.find_shards(tiny_run.records, split)]
    clip = {**run.clip, "num_frames": 7, "frame_stride": 1, "sampling": "cover"}
    for steps, needed in ((7, 24 * 24 * 32 * 4), (1, 24 * 4 * 32 * 4)):
        for free in (needed, needed - 1):
            monkeypatch.setattr(features.shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
            if free == needed:
                features.check_space(tmp_path, shards, clip, steps, 32)
                continue
            with pytest.raises(ValueError, match="need about 0.00 GiB in .*, where 0.00 GiB are free: free some space"):
                features.check_space(tmp_path, shards, clip, steps, 32)
    with pytest.raises(ValueError, match="where 0.00 GiB are free"):
        features.extract(run, tiny_run.records, "features", tmp_path / "out", clip, run.mesh.size, ["test"])


def test_layers_have_steps_and_channels(run):
    clip = {**run.clip, "num_frames": 4}
    assert features.layer_shape(run, clip, "features") == (4, 32)  # one step per frame
    assert features.layer_shape(run, clip, "pooled") == (1, 32)
    assert features.layer_shape(run, clip, "layer2") == (4, 8)  # maps


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--num_frames", "0"], "--num_frames: 0 must be 1 or more"),
        (["--batch_size", "-1"], "--batch_size: -1 must be 1 or more"),
        (["--resize", "1", "2", "3"], "--resize takes one or two numbers, not 3"),
        (["--folds", "set1"], "--folds needs --classifier"),
        (["--train_splits", "a"], "--train_splits needs --classifier"),
    ],
)
def test_arguments_that_are_refused(extra, message, arguments, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        command(monkeypatch, *arguments, *extra)
    assert message in capsys.readouterr().err


def test_a_classifier_needs_a_pool(arguments, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        command(monkeypatch, *arguments, "--classifier", "svm")
    assert "--classifier needs --pool" in capsys.readouterr().err


def test_features_of_features_are_refused(numbered_features, tiny_run, tmp_path, monkeypatch):
    arguments = ["--workdir", tiny_run.workdir, "--records", numbered_features, "--out", tmp_path]
    with pytest.raises(SystemExit, match="must both be of videos"):
        command(monkeypatch, *arguments)


@pytest.mark.parametrize(
    ("clips", "num_steps", "expected"),
    [
        ([np.arange(4), np.arange(4, 8)], 2, [1, 3, 5, 7]),  # the middles of steps of two frames
        ([np.arange(5), np.arange(3, 8)], 5, [*range(8)]),  # a step per frame; the clips overlap
    ],
)
def test_labels_and_segments_go_with_the_steps(clips, num_steps, expected):
    segments = [records.IndexedSegment(0.1, 0.3, 2, "wave")]
    example = records.Example([b""] * 8, [2], fps=10.0, frame_labels=[*range(8)], segments=segments)
    done = ((features.Task(Path("a"), 0, example, clip), np.ones((num_steps, 3))) for clip in clips)
    (data,) = features._encoded(done, progress_bar.progress_bar(disable=True))
    found = records.decode(data)
    assert found.frame_labels == expected and list(found.segments) == segments
    assert found.feature_times == {"RGB": [round(0.1 * frame + 0.05, 6) for frame in expected]}
    assert found.features["RGB"].shape == (len(expected), 3)


def test_the_frame_in_the_middle_of_each_step():
    assert features.step_middles(np.arange(16), 2).tolist() == [4, 12]
    assert features.step_middles(np.arange(48), 5).tolist() == [4, 14, 24, 33, 43]
    assert features.step_middles(10 + 2 * np.arange(4), 4).tolist() == [10, 12, 14, 16]
