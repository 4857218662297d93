"""Models of sequences in the whole story: one label a frame, chunks with a carried state, resuming, evaluation."""

import functools
import json
import shutil
import sys

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs.common import data
from vidjax import config as configs
from vidjax import evaluate, sharding, step, train
from vidjax.data import clips, pipeline
from vidjax.evaluation import result_file, segment_rule
from vidjax.evaluation.evaluator import Evaluator
from vidjax.inference import restore
from vidjax.predict import make_logits_fn

STATEFUL = {"name": "frame_rnn", "hidden": 8, "stateful": True}


def settings(dataset, *, num_frames=4, num_chunks=3, target="frame", model=STATEFUL):
    config = data.get_config("ut_interaction_i3d", "small")
    config.dataset = str(dataset)
    sampling = "chunks" if num_chunks > 1 else "clip"
    config.clip = ConfigDict({"num_frames": num_frames, "sampling": sampling, "num_chunks": num_chunks})
    config.val_splits, config.target = (), target
    config.model = ConfigDict({**model, "per_frame": target == "frame"})
    config.optimizer = ConfigDict({"name": "adamw"})
    config.schedule = ConfigDict({"name": "constant", "learning_rate": 0.01})
    config.batch_size, config.num_epochs = 2, 2.0
    config.log_every, config.checkpoint_every = 6, 5
    config.eval = ConfigDict({"num_views": 1, "num_crops": 1, "batch_size": 4})
    config.num_threads = 2
    return config


@pytest.fixture(scope="module")
def run(frame_labels, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("stateful")
    return workdir, train.train(settings(frame_labels), workdir)


def test_a_stateful_run_with_one_label_a_frame(run):
    workdir, result = run
    assert (result["steps"], result["num_videos"], result["num_frames"]) == (18, 6, 45)
    assert 0 <= result["top1"] <= 1 and result_file.read_confusion(workdir / "result.json").sum() == 45
    restored = restore.from_run(workdir)
    assert {x.shape for x in jax.tree.leaves(restored.model_state["carry"])} == {(2, 8)}
    with pytest.raises(ValueError, match="classifies frames or chunks, not whole videos: evaluate it with"):
        make_logits_fn(restored)


def test_a_rule_is_chosen_on_other_splits_than_those_of_the_test(run, tmp_path, monkeypatch, capsys):
    workdir = shutil.copytree(run[0], tmp_path / "run")

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["evaluate", "--workdir", str(workdir), *arguments])
        evaluate.main()
        return capsys.readouterr().out

    for arguments, message in (
        ([], "has no validation splits: name splits to choose the rule on, --splits NAME"),
        (["--splits", "train", "test"], "test is tested by .*: choose the rule on splits that are not"),
        (["--out", "x.json"], "--choose_rule is for one --workdir and its own records"),
    ):
        with pytest.raises(SystemExit, match=message):
            command("--choose_rule", *arguments)
    assert segment_rule.read(workdir) is None
    out = command("--choose_rule", "--splits", "train")
    rule = segment_rule.read(workdir)
    assert "rules in seconds are left out" in out and f"{segment_rule.described(rule)} has the highest mAP" in out
    assert json.loads((workdir / "segment_rule.json").read_text())["splits"] == ["train"]

    segment_rule.write(workdir, segment_rule.Rule("threshold", 0.25))
    assert f"Detections by {workdir}/segment_rule.json: threshold 0.25" in command()
    result = json.loads((workdir / "result.json").read_text())
    assert result["detection"]["rule"]["how"] == "threshold" and run[1]["detection"]["rule"]["how"] == "argmax"
    assert result["segments"] == run[1]["segments"]


def test_a_run_that_skips_frames_says_how_many(frame_labels, tmp_path):
    model = {"name": "skip_rnn", "hidden": 8, "update_cost": 0.01}
    config = settings(frame_labels, num_frames=6, num_chunks=1, target="clip", model=model)
    result = train.train(config, tmp_path)
    assert 0 < result["frames_used"] <= 1 and np.shape(result["frames_used_per_class"])[1] == 6
    assert (tmp_path / "frames_used.png").stat().st_size > 0
    restored = restore.from_run(tmp_path)
    batch = next(pipeline.eval_batches(pipeline.open_records(frame_labels, ["test"]), config.clip, batch_size=4))
    batch = {name: array[:, 0] for name, array in batch.items() if name in ("features", "frame_mask")}
    arguments = {"model": restored.model, "spec": restored.preprocess}
    updates = step.apply_model(restored.params, restored.model_state, batch, **arguments)[1]["updates"]
    assert (updates[:, 0] == 1).all() and not updates[batch["frame_mask"] == 0].any()


def test_it_resumes_within_a_video_to_the_same_bits(run, frame_labels, tmp_path):
    workdir, result = run
    shutil.copytree(workdir, tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        if path.name.isdigit() and int(path.name) > 5:  # the middle of the second group of videos
            shutil.rmtree(path)
    again = train.train(settings(frame_labels), tmp_path / "run")
    assert again["loss"] == result["loss"] and again["per_class"] == result["per_class"]
    for a, b in zip(*(jax.tree.leaves(restore.from_run(w).params) for w in (workdir, tmp_path / "run")), strict=True):
        np.testing.assert_array_equal(a, b)


def test_evaluation_in_chunks_is_that_of_the_whole(run, frame_labels):
    """The carry goes from view to view: three chunks of 4 steps give what one clip of 12 gives."""
    restored = restore.from_run(run[0])
    source = pipeline.open_records(frame_labels, ["test"])
    shardings = sharding.shardings_of((restored.params, restored.model_state))
    for target in ("frame", "clip"):
        found = []
        for num_frames, num_chunks in ((4, 3), (12, 1)):
            config = settings(frame_labels, num_frames=num_frames, num_chunks=num_chunks, target=target)
            model = configs.model_from(config, 2)
            evaluator = Evaluator(model, config, restored.mesh, shardings)
            found.append(evaluator.outputs(restored.params, restored.model_state, source))
        in_chunks, whole = found
        np.testing.assert_array_equal(in_chunks.target.reshape(6, -1)[:, 0], whole.target.reshape(6, -1)[:, 0])
        if target == "frame":
            counted = whole.weight[:, 0] > 0
            chunk_logits = in_chunks.logits.reshape(6, 12, 2)
            np.testing.assert_array_equal(in_chunks.weight.reshape(6, 12), whole.weight[:, 0])
            np.testing.assert_allclose(chunk_logits[counted], whole.logits[:, 0][counted], atol=1e-6)
        else:
            np.testing.assert_allclose(in_chunks.logits, whole.logits, atol=1e-6)


def test_training_carries_the_state(frame_labels):
    """After the three chunks of a group the carry is that of the whole videos, and the next group starts from zeros."""
    config = settings(frame_labels)
    model = configs.model_from(config, 2)
    source = pipeline.open_records(frame_labels, ["train"])
    arguments = {**config.clip, "per_frame": True}
    batches = list(pipeline.train_batches(source, arguments, batch_size=2, num_steps=6, num_threads=2))
    blank = clips.blank_batch(source.info.inputs, config.clip, 2)
    init = functools.partial(step.init_variables, model=model, spec=config.preprocess)
    params, model_state = jax.jit(init)(0, blank)
    apply = jax.jit(functools.partial(model.apply, train=True, mutable=["carry"]))
    for group in (batches[:3], batches[3:]):
        for batch in group:
            inputs = step.model_inputs(model, batch)
            assert "sequence_start" in inputs
            _, model_state = apply({"params": params, **model_state}, **inputs)
        whole = {name: np.concatenate([batch[name] for batch in group], 1) for name in ("features", "frame_mask")}
        (_, ends), _ = apply({"params": params}, **whole, sequence_start=np.ones(2))
        np.testing.assert_allclose(model_state["carry"]["head"]["lstm"]["state"][-1], ends["last"], atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clip.sampling": "clip", "clip.num_chunks": 1}, "A stateful network continues from the previous batch"),
        ({"model.per_frame": False}, r"outputs are \(2, 2\), the targets \(2, 4\): a model that classifies frames"),
        ({"target": "clip"}, r"outputs are \(2, 4, 2\), the targets \(2,\): a model that classifies frames"),
        ({"target": "frames"}, "Unknown target 'frames'; choose clip, frame, words or flow"),
        ({"clip.num_chunks": 0}, "clip.num_chunks = 0: at least 1"),
    ],
)
def test_what_is_wrong_is_said(changes, message, frame_labels, tmp_path):
    config = settings(frame_labels)
    for key, value in changes.items():
        part, _, name = key.rpartition(".")
        (config[part] if part else config)[name] = value
    with pytest.raises(ValueError, match=message):
        train.train(config, tmp_path)
