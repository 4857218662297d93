import copy
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.runs import assert_same_run, assert_same_scalars, lines_of
from vidjax import evaluate, sharding, train
from vidjax.checkpoint import Checkpoints
from vidjax.data import pipeline, tfrecords
from vidjax.evaluation.evaluator import Evaluator
from vidjax.inference import restore
from vidjax.training import interrupts, metrics_log


@pytest.fixture(scope="module")
def finished(tmp_path_factory, request):
    """The work directory of a run that nothing disturbed, and its result; made by the first test that asks."""
    return {}


def run_once(finished, config, tmp_path_factory):
    if not finished:
        workdir = tmp_path_factory.mktemp("finished")
        finished.update(workdir=workdir, result=train.train(config, workdir))
    return finished["workdir"], finished["result"]


def test_a_run_writes_what_it_promises(finished, tiny_config, tmp_path_factory):
    workdir, result = run_once(finished, tiny_config, tmp_path_factory)
    assert result == json.loads((workdir / "result.json").read_text())
    assert set(result) >= {"top1", "top5", "num_videos", "num_params", "steps", "seconds", "clips_per_second"}
    assert (result["num_videos"], result["steps"]) == (16, 12)
    assert result["top1_within_pairs"] is not None and result["top1_reversed"] is not None
    for name in ("config.json", "curves.png", "confusion.png", "confusion.csv"):
        assert (workdir / name).stat().st_size > 0
    lines = lines_of(workdir)
    assert [line["step"] for line in lines] == list(range(1, 13))
    assert [line["step"] for line in lines if "val_top1" in line] == [6, 12]
    assert all(line["step_ms"] > 0 for line in lines[1:]) and "share_of_peak_flops" not in lines[-1]  # of a CPU
    assert_same_scalars(workdir)
    assert lines[0]["learning_rate"] == 0
    assert lines[2]["learning_rate"] == pytest.approx(1e-3)


def test_a_finished_run_started_again_only_evaluates(finished, tiny_config, tmp_path_factory):
    workdir, result = run_once(finished, tiny_config, tmp_path_factory)
    before = (workdir / "metrics.jsonl").read_text()
    again = train.train(tiny_config, workdir)
    assert again["per_class"] == result["per_class"] and again["confusion"] == "confusion.csv"
    assert (workdir / "metrics.jsonl").read_text() == before


def test_a_run_that_crashed_goes_on_with_the_same_numbers(
    finished, tiny_config, tmp_path_factory, tmp_path, monkeypatch
):
    workdir, _ = run_once(finished, tiny_config, tmp_path_factory)
    whole = pipeline.train_batches

    def crashing(*args, **kwargs):
        for i, batch in enumerate(whole(*args, **kwargs)):
            if i == 9:
                raise RuntimeError("power cut")
            yield batch

    monkeypatch.setattr(pipeline, "train_batches", crashing)
    with pytest.raises(RuntimeError, match="power cut"):
        train.train(tiny_config, tmp_path)
    monkeypatch.undo()
    assert lines_of(tmp_path)[-1]["step"] < 12
    (tmp_path / "metrics.jsonl").open("a").write('{"step": 11, "lo')  # a line that the power cut interrupted
    train.train(tiny_config, tmp_path)
    assert_same_run(tmp_path, workdir, num_steps=12)


def test_ctrl_c_saves_and_stops_and_the_run_goes_on(
    finished, tiny_config, tmp_path_factory, tmp_path, monkeypatch, capsys
):
    workdir, _ = run_once(finished, tiny_config, tmp_path_factory)
    write = metrics_log.MetricsLog.write

    def interrupted(log, line):
        write(log, line)
        if line["step"] == 6:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(metrics_log.MetricsLog, "write", interrupted)
    assert train.train(tiny_config, tmp_path) is None
    assert "Interrupted at step 7 of 12" in capsys.readouterr().out
    monkeypatch.undo()
    train.train(tiny_config, tmp_path)
    assert_same_run(tmp_path, workdir, num_steps=12)


def test_a_signal_while_a_run_that_goes_on_is_starting_stops_it_after_a_step(
    finished, tiny_config, tmp_path_factory, tmp_path, monkeypatch, capsys
):
    workdir, _ = run_once(finished, tiny_config, tmp_path_factory)
    write, restore = metrics_log.MetricsLog.write, Checkpoints.restore

    def interrupted(log, line):
        write(log, line)
        if line["step"] == 3:
            os.kill(os.getpid(), signal.SIGUSR1)

    def restored(self, *arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return restore(self, *arguments)

    monkeypatch.setattr(metrics_log.MetricsLog, "write", interrupted)
    assert train.train(tiny_config, tmp_path) is None
    monkeypatch.setattr(Checkpoints, "restore", restored)
    assert train.train(tiny_config, tmp_path) is None
    said = capsys.readouterr().out
    assert "Interrupted at step 4 of 12" in said and "Interrupted at step 5 of 12" in said
    monkeypatch.undo()
    train.train(tiny_config, tmp_path)
    assert_same_run(tmp_path, workdir, num_steps=12)


def test_a_signal_in_the_final_evaluation_ends_at_once_and_the_same_command_evaluates(
    finished, tiny_config, tmp_path_factory, tmp_path, monkeypatch
):
    workdir, result = run_once(finished, tiny_config, tmp_path_factory)
    handler, evaluated = signal.getsignal(signal.SIGTERM), Evaluator.__call__

    def terminated(evaluator, params, model_state, records, **views):
        if len(records) == 16:  # the test videos
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
        return evaluated(evaluator, params, model_state, records, **views)

    monkeypatch.setattr(Evaluator, "__call__", terminated)
    with pytest.raises(SystemExit) as raised:
        train.train(tiny_config, tmp_path)
    assert raised.value.code == interrupts.INTERRUPTED and not (tmp_path / "result.json").exists()
    assert signal.getsignal(signal.SIGTERM) is handler
    monkeypatch.undo()
    assert train.train(tiny_config, tmp_path)["top1"] == result["top1"]
    assert_same_run(tmp_path, workdir, num_steps=12)


def test_signals_go_back_when_a_config_is_refused(tiny_config, tmp_path):
    before = [signal.getsignal(number) for number in interrupts.SIGNALS]
    tiny_config.dataset = "nowhere"
    with pytest.raises(ValueError, match="No dataset at nowhere"):
        train.train(tiny_config, tmp_path)
    assert [signal.getsignal(number) for number in interrupts.SIGNALS] == before


def test_a_batch_of_the_evaluation_that_does_not_divide(tiny_config, tmp_path, monkeypatch):
    two = type("Mesh", (), {"size": 2})
    monkeypatch.setattr(sharding, "make_mesh", lambda fsdp: two)
    tiny_config.eval.batch_size = 7
    with pytest.raises(ValueError, match="eval.batch_size = 7 does not divide over 2 devices"):
        train.train(tiny_config, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_finite_stops_and_says_where(tiny_config, tmp_path):
    tiny_config.optimizer = {"name": "sgd"}
    tiny_config.schedule = {"name": "constant", "learning_rate": 1e30}
    tiny_config.checkpoint_every = 1
    with pytest.raises(
        FloatingPointError, match=r"Step (\d+): .* learning rate 1e\+30.* last good checkpoint is (of step|none)"
    ):
        train.train(tiny_config, tmp_path)
    for line in lines_of(tmp_path):
        assert np.isfinite(line["loss"])


def wait_for(path, seconds=60):
    """Waits for a checkpoint: a thread writes it while training goes on, and is slower than these small steps."""
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} was not written"
        time.sleep(0.01)


def test_a_shard_that_is_deleted_while_training_is_named_and_the_run_goes_on_when_it_is_back(
    finished, tiny_config, tiny_motion, tmp_path_factory, tmp_path, monkeypatch
):
    workdir, _ = run_once(finished, tiny_config, tmp_path_factory)
    shard = tfrecords.shard_path(tiny_motion, "train", 0, 1)
    hidden = shard.with_suffix(".hidden")
    write = metrics_log.MetricsLog.write

    def deleting(log, line):
        write(log, line)
        if line["step"] == 5:
            wait_for(tmp_path / "checkpoints/4")
            shard.rename(hidden)

    monkeypatch.setattr(metrics_log.MetricsLog, "write", deleting)
    try:
        with pytest.raises(ValueError, match=f"{shard.name}: the record at byte .* cannot be read: No such file"):
            train.train(tiny_config, tmp_path)
    finally:
        hidden.rename(shard)
    monkeypatch.undo()
    train.train(tiny_config, tmp_path)
    assert_same_run(tmp_path, workdir, num_steps=12)


def test_a_disk_that_fills_up_while_training(finished, tiny_config, tmp_path_factory, tmp_path, monkeypatch):
    workdir, _ = run_once(finished, tiny_config, tmp_path_factory)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    write = metrics_log.MetricsLog.write

    def filling(log, line):
        write(log, line)
        if line["step"] == 7:
            wait_for(tmp_path / "checkpoints/4")
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))

    monkeypatch.setattr(metrics_log.MetricsLog, "write", filling)
    try:
        with pytest.raises(OSError, match="could not be written to (.*\n)*The last complete checkpoint is of step 4"):
            train.train(tiny_config, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    monkeypatch.undo()
    train.train(tiny_config, tmp_path)
    assert_same_run(tmp_path, workdir, num_steps=12)


def test_another_config_needs_another_directory(finished, tiny_config, tmp_path_factory):
    workdir, _ = run_once(finished, tiny_config, tmp_path_factory)
    tiny_config.batch_size = 4
    with pytest.raises(ValueError, match=r"holds a run of another config:\n  batch_size: 8 there, 4 now"):
        train.train(tiny_config, workdir)


def test_a_flip_on_a_dataset_that_forbids_it(tiny_config, tmp_path):
    tiny_config.augment.flip = True
    with pytest.raises(ValueError, match="forbids horizontal flips"):
        train.train(tiny_config, tmp_path)


def test_a_checkpoint_of_another_model_is_refused(finished, tiny_config, tmp_path_factory, tmp_path):
    workdir, _ = run_once(finished, tiny_config, tmp_path_factory)
    tiny_config.model.backbone.width = 1 / 8
    (tmp_path / "checkpoints").symlink_to(workdir / "checkpoints")
    with pytest.raises(ValueError, match="params is of another model:\n"):
        train.train(tiny_config, tmp_path)


def test_freezing_averaging_and_class_weights_work_together(tiny_config, tmp_path):
    tiny_config.num_epochs = 0.75
    tiny_config.freeze = ("backbone/.*",)
    tiny_config.ema_decay = 0.5
    tiny_config.loss = {"name": "softmax", "label_smoothing": 0.1, "class_weights": (1.0,) * 7 + (2.0,)}
    result = train.train(tiny_config, tmp_path)
    assert result["steps"] == 3
    assert restore.from_run(tmp_path).step == 3


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--config.clip.sise=1", "the config has no key 'sise'; valid keys are.*clip: num_frames, frame_stride, size"),
        ("--config.batch_size=many", "batch_size"),
        ("--config.num_epochs=2.5", "No dataset at data/motion|No split|not finished"),  # parsed; no data where it runs
    ],
)
def test_settings_on_the_command_line(argument, message, tmp_path):
    root = Path(__file__).parent.parent
    config = ["--config", str(root / "configs/quickstart.py"), "--workdir", str(tmp_path / "w"), argument]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-m", "vidjax.train", *config], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert re.search(message, done.stderr, re.DOTALL), done.stderr
    assert "Traceback" not in done.stderr


def give_flags(monkeypatch, **given):
    values = {"workdir": None, "profile_steps": None, **given}
    monkeypatch.setattr(train, "flags", type("Flags", (), {"FLAGS": type("Values", (), values)}))


def test_the_command(tiny_config, tmp_path, monkeypatch, capsys):
    bad = copy.deepcopy(tiny_config)
    bad.model.name = "i4d"
    give_flags(monkeypatch, config=bad, workdir=str(tmp_path))
    with pytest.raises(SystemExit, match="model: unknown network 'i4d'; choose one of alexnet, .*c3d, .*i3d"):
        train.main(["train"])
    give_flags(monkeypatch, config=tiny_config, workdir=str(tmp_path), profile_steps="3:2")
    with pytest.raises(SystemExit, match="vidjax.train: --profile_steps 3:2: the first step comes after the last"):
        train.main(["train"])
    assert sharding.make_mesh().size == 1 and sys.argv


def test_training_in_parts(tiny_config, tmp_path):
    tiny_config.accumulate, tiny_config.num_epochs = 2, 1.0
    tiny_config.schedule.warmup_steps = 1
    result = train.train(tiny_config, tmp_path, profile_steps=(2, 3))
    assert len(list(tmp_path.glob("profile/plugins/profile/*/*.xplane.pb"))) == 1
    assert result["steps"] == 4 and np.isfinite([line["loss"] for line in lines_of(tmp_path)]).all()
    with pytest.raises(ValueError, match="--profile_steps 4:5: the run ends with step 4"):
        train.train(tiny_config, tmp_path / "other", profile_steps=(4, 5))
    tiny_config.accumulate = 3
    with pytest.raises(ValueError, match="batch_size = 8 does not divide over 1 devices in accumulate = 3 parts"):
        train.train(tiny_config, tmp_path / "other")


def test_training_and_evaluating_on_features(tiny_config, numbered_features, tmp_path, monkeypatch):
    tiny_config.dataset = str(numbered_features)
    tiny_config.train_splits = tiny_config.test_splits = ("train",)
    tiny_config.val_splits = ()
    tiny_config.clip = {"num_frames": 4}
    tiny_config.model = {"name": "frame_rnn", "hidden": 4}
    tiny_config.batch_size, tiny_config.num_epochs = 2, 1.0
    result = train.train(tiny_config, tmp_path / "run")
    assert (result["num_videos"], result["steps"]) == (6, 3)

    other = tmp_path / "other"
    shutil.copytree(numbered_features, other)
    content = json.loads((other / "dataset.json").read_text())
    content["inputs"]["layer"] = "Mixed_4f"
    (other / "dataset.json").write_text(json.dumps(content))
    tiny_config.dataset = str(other)
    with pytest.raises(
        ValueError, match="holds a run of another config:(.|\n)*'layer': 'features'.*'layer': 'Mixed_4f'"
    ):
        train.train(tiny_config, tmp_path / "run")
    config = json.loads((tmp_path / "run/config.json").read_text())
    config["config"]["dataset"] = str(other)
    (tmp_path / "run/config.json").write_text(json.dumps(config))
    monkeypatch.setattr(sys, "argv", ["evaluate", "--workdir", str(tmp_path / "run")])
    with pytest.raises(SystemExit, match="was trained on records of"):
        evaluate.main()


def test_starting_from_a_trained_run(tiny_run, tiny_config, tmp_path):
    tiny_config.init_from = str(tiny_run.workdir)
    tiny_config.num_epochs = 0.75
    tiny_config.freeze = ("backbone/.*",)
    train.train(tiny_config, tmp_path)
    before, after = restore.from_run(tiny_run.workdir), restore.from_run(tmp_path)
    assert before.labels == after.labels
    jax.tree.map(np.testing.assert_array_equal, before.params["backbone"], after.params["backbone"])
    kernels = [run.params["classifier"]["kernel"] for run in (before, after)]
    assert 0 < np.abs(kernels[0] - kernels[1]).max() < 0.02  # taken over, then trained for three steps
    tiny_config.init_from = "resnet_of_nobody"
    with pytest.raises(ValueError, match="neither the name of weights nor a file"):
        train.train(tiny_config, tmp_path / "other")
