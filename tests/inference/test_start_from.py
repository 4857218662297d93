import dataclasses
import functools
import json
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from flax import traverse_util

from configs.common import data
from tests.networks import two_streams
from tests.peers.formula import draw_as_torch
from vidjax import models, optimizer, sharding, step
from vidjax.data import clips
from vidjax.inference import restore, start_from
from vidjax.weights import convnet_names, importers

SPEC = {"mean": [127.5] * 3, "std": [127.5] * 3}


BLANK = clips.blank_batch({}, {"num_frames": 2, "size": 32}, 1)


def fresh(model, ema_decay=0.0, batch=BLANK):
    tx = optimizer.make_optimizer("sgd", optimizer.make_schedule("constant", learning_rate=1.0, total_steps=1))
    make = functools.partial(step.init_state, 7, batch, model=model, spec=SPEC, tx=tx, ema_decay=ema_decay)
    return jax.jit(make, out_shardings=sharding.replicated(sharding.make_mesh()))()


def flat(state):
    return traverse_util.flatten_dict({"params": state.params, **state.model_state}, sep="/")


@pytest.fixture(scope="module")
def run(tiny_run):
    return restore.from_run(tiny_run.workdir)


def start(tiny_run, model, labels, **changes):
    state = fresh(model, **changes)
    started = start_from.start_from(str(tiny_run.workdir), state, model=model, batch=BLANK, spec=SPEC, labels=labels)
    return state, started


def test_starting_from_a_run_of_the_same_classes_takes_everything_over(run, tiny_run):
    _, started = start(tiny_run, run.model, run.labels, ema_decay=0.9)
    jax.tree.map(np.testing.assert_array_equal, started.params, run.params)
    jax.tree.map(np.testing.assert_array_equal, started.model_state, run.model_state)
    jax.tree.map(np.testing.assert_array_equal, started.ema, run.params)
    assert started.step == 0


@pytest.mark.parametrize("labels", [["a", "b", "c"], list("hgfedcba")])  # fewer classes, and as many others
def test_other_classes_get_a_fresh_classifier(run, tiny_run, labels):
    state, started = start(tiny_run, run.model.clone(num_classes=len(labels)), labels)
    before, after = flat(state), flat(started)
    loaded = traverse_util.flatten_dict({"params": run.params, **run.model_state}, sep="/")
    for path, array in after.items():
        expected = before if path.startswith("params/classifier/") else loaded
        np.testing.assert_array_equal(array, expected[path], err_msg=path)


def test_anything_else_that_differs_is_listed(run, tiny_run):
    wider = run.model.clone(backbone=models.make_model("resnet18", width=1 / 8))
    with pytest.raises(ValueError, match=r"structure:\n  .*conv1/kernel: the model has \(7, 7, 3, 8\), the other"):
        start(tiny_run, wider, run.labels)
    with pytest.raises(ValueError, match="'nowhere' is neither the name of weights nor a file .* The names are i3d"):
        restore.load("nowhere")


def test_an_encoder_published_without_its_head():
    """VideoPrism's files have no pooler and no classifier; a layer of the encoder must not be missing."""
    encoder = types.SimpleNamespace(params={"patches": {"kernel": np.ones(2)}}, model_state={}, labels=[])
    fresh = {f"params/{path}": np.zeros(2) for path in ("patches/kernel", "pooler/query", "classifier/kernel")}
    arguments = {"params/classifier/kernel"}, ["a", "b"], "repeat"
    assert list(start_from._take(encoder, fresh, *arguments)) == ["params/patches/kernel"]
    with pytest.raises(ValueError, match="patches/bias"):
        start_from._take(encoder, {**fresh, "params/patches/bias": np.zeros(2)}, *arguments)


def test_a_backbone_starts_from_the_network_alone(tmp_path, capsys):
    """A ResNet-18 of torchvision's names, with a classifier of other classes, under `frame_pool`."""
    names = json.loads((Path(__file__).parents[1] / "peers/names.json").read_text())["resnet18"]
    arrays = draw_as_torch({**names, "fc.weight": (5, 512), "fc.bias": (5,)}, convnet_names.resnet)
    safetensors.numpy.save_file(arrays, tmp_path / "resnet18.safetensors")
    drawn, _ = importers.translate(arrays, importers.RESNET)
    model = models.make_model("frame_pool", 3, backbone={"name": "resnet18"})
    state = fresh(model)
    arguments = {"model": model, "batch": BLANK, "labels": ["a", "b", "c"]}
    with pytest.raises(
        ValueError, match=r"trained with config.preprocess = {'mean': \[123.675, .*this config has .*127"
    ):
        start_from.start_from(str(tmp_path / "resnet18.safetensors"), state, spec=SPEC, **arguments)
    started = start_from.start_from(str(tmp_path / "resnet18.safetensors"), state, spec=data.IMAGENET, **arguments)
    assert "randomly initialised: params/classifier/bias, params/classifier/kernel." in capsys.readouterr().out
    before, after = flat(state), flat(started)
    assert any("batch_stats/backbone/" in path for path in after)
    for path, array in after.items():
        expected = drawn[path.replace("backbone/", "")] if "backbone/" in path else before[path]
        np.testing.assert_array_equal(array, expected, err_msg=path)

    # With the same number of classes the network keeps its classifier
    model = models.make_model("resnet18", 5)
    arguments = {"model": model, "batch": BLANK, "spec": data.IMAGENET, "labels": list("abcde")}
    after = flat(start_from.start_from(str(tmp_path / "resnet18.safetensors"), fresh(model), **arguments))
    np.testing.assert_array_equal(after["params/fc/kernel"], drawn["params/fc/kernel"])


def test_a_network_on_clips_starts_from_the_network_alone(run, monkeypatch):
    arguments = {"width": 0.0625}
    alone = models.make_model("r3d_18", 5, **arguments)
    loaded = fresh(alone)
    pretrained = dataclasses.replace(
        run, model=alone, params=loaded.params, model_state=loaded.model_state, labels=list("abcde"), preprocess=SPEC
    )
    monkeypatch.setattr(start_from, "load", lambda source: pretrained)
    model = models.make_model("clip_rnn", 3, network={"name": "r3d_18", **arguments}, clip_frames=2, hidden=4)
    state = fresh(model)
    started = start_from.start_from("r3d", state, model=model, batch=BLANK, spec=SPEC, labels=list("abc"))
    alone, before = flat(loaded), flat(state)
    for path, array in flat(started).items():
        expected = alone[path.replace("network/", "")] if "network/" in path else before[path]
        np.testing.assert_array_equal(array, expected, err_msg=path)


def test_both_streams_start_from_one_network(run, monkeypatch, capsys):
    """Across modality: the first kernel of the temporal stream is the mean over RGB, for each channel of flow."""
    alone = models.make_model("small_cnn", 5, width=1 / 4)
    loaded = fresh(alone)
    pretrained = dataclasses.replace(
        run, model=alone, params=loaded.params, model_state=loaded.model_state, labels=list("abcde"), preprocess=SPEC
    )
    monkeypatch.setattr(start_from, "load", lambda source: pretrained)
    model = models.make_model("two_stream", 3, **two_streams({"name": "small_cnn", "width": 1 / 4}))
    batch = clips.blank_batch({}, {"num_frames": 2, "size": 32, "streams": ("video", "flow")}, 1)
    state = fresh(model, batch=batch)
    started = flat(start_from.start_from("net", state, model=model, batch=batch, spec=SPEC, labels=list("abc")))
    before = flat(state)
    drawn = {path for path in started if path.endswith("kernel") and np.array_equal(started[path], before[path])}
    assert drawn == {"params/spatial/classifier/kernel", "params/temporal/classifier/kernel"}
    for path, array in flat(loaded).items():
        if path in restore.classifier_paths(alone, BLANK, SPEC):
            continue
        inner = path.split("/", 1)
        np.testing.assert_array_equal(started[f"{inner[0]}/spatial/backbone/{inner[1]}"], array)
        temporal = started[f"{inner[0]}/temporal/backbone/{inner[1]}"]
        if path == "params/conv1/kernel":
            assert temporal.shape == (3, 3, 4, 8)  # u and v of two fields
            array = np.repeat(array.mean(-2, keepdims=True), 4, -2)
        np.testing.assert_allclose(temporal, array, atol=1e-7)


def test_a_network_that_splits_space_from_time_has_no_two_streams(run, monkeypatch):
    """R(2+1)D's kernels are called spatial and temporal too."""
    model = models.make_model("r2plus1d_18", 3, width=1 / 16)
    loaded = fresh(model)
    changes = {"params": loaded.params, "model_state": loaded.model_state, "labels": list("abc"), "preprocess": SPEC}
    monkeypatch.setattr(start_from, "load", lambda source: dataclasses.replace(run, model=model, **changes))
    zeros = loaded.replace(params=jax.tree.map(jnp.zeros_like, loaded.params))
    started = start_from.start_from("run", zeros, model=model, batch=BLANK, spec=SPEC, labels=list("abc"))
    jax.tree.map(np.testing.assert_array_equal, started.params, loaded.params)
