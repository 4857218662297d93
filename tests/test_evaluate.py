import json
import sys

import numpy as np
import pytest

from vidjax import evaluate, sharding, train, trained
from vidjax.data import pipeline


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return tmp_path_factory.mktemp("evaluate")


@pytest.fixture
def run(tiny_config, workdir):
    """A run of three steps."""
    tiny_config.num_epochs = 0.75
    if not (workdir / "result.json").exists():
        train.train(tiny_config, workdir)
    return trained.from_run(workdir)


def logits_with(run, batch_size, reverse=False, **views):
    source = pipeline.open_records(run.config.dataset, ["test"])
    shardings = sharding.shardings_of((run.params, run.model_state))
    eval_fn = evaluate.make_eval_fn(run.model, run.preprocess, run.mesh, shardings)
    batches = pipeline.eval_batches(source, {**run.clip, **views}, batch_size=batch_size)
    return evaluate.clip_logits(eval_fn, run.params, run.model_state, batches, run.mesh, reverse=reverse)


def test_every_video_counts_once_whatever_the_batch(run):
    logits, target = logits_with(run, 8)
    assert logits.shape == (16, 1, 8)
    assert target.tolist() == list(range(8)) * 2
    other, other_target = logits_with(run, 5)  # 16 videos in batches of 5: the last is padded
    np.testing.assert_allclose(other, logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(other_target, target)


def test_views_are_evaluated_one_by_one(run):
    logits, _ = logits_with(run, 8, num_views=2, num_crops=3)
    assert logits.shape == (16, 6, 8)
    np.testing.assert_allclose(logits[:, 0], logits[:, 2], rtol=1e-4, atol=1e-5)  # 32x32 frames have one crop of 32
    assert np.abs(logits[:, 0] - logits[:, 1]).max() > 1e-4  # but two places in time


def test_an_order_blind_model_sees_no_difference_in_reverse(run):
    np.testing.assert_allclose(logits_with(run, 8, reverse=True)[0], logits_with(run, 8)[0], rtol=1e-4, atol=1e-5)


def test_measure_is_the_loss_and_the_metrics(run):
    logits, target = logits_with(run, 8)
    loss = lambda outputs, labels: np.full(labels.shape, 3.0)  # noqa: E731
    figures = evaluate.measure(logits, target, loss, multi_label=False, pairs=[1, 0, 7, 6, 5, 4, 3, 2])
    assert figures["loss"] == 3
    assert 0 <= figures["top1_within_pairs"] <= 1
    multi_hot = np.eye(8)[target]
    assert "mAP" in evaluate.measure(logits, multi_hot, lambda o, t: o.sum(-1), multi_label=True)


def test_the_command_prints_and_writes(run, workdir, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["evaluate", "--workdir", str(workdir), "--num_views", "2", "--splits", "val"])
    evaluate.main()
    out = capsys.readouterr().out
    assert "top1" in out and "8 videos of ['val'], 2 x 1 views, checkpoint of step 3" in out
    result = json.loads((workdir / "result.json").read_text())
    assert (result["num_videos"], result["num_views"], result["steps"]) == (8, 2, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--step", "9"], r"No checkpoint of step 9"), (["--splits", "holdout"], "No split 'holdout'")],
)
def test_the_command_says_what_is_wrong(run, workdir, arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["evaluate", "--workdir", str(workdir), *arguments])
    with pytest.raises(SystemExit):
        evaluate.main()
    assert message in capsys.readouterr().err
