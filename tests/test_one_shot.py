"""A run with a loss over pairs, from records to result.json."""

import sys

import numpy as np
import pytest

from vidjax import evaluate, train
from vidjax.inference import restore
from vidjax.training import metrics_log


def test_a_run_trains_an_embedder_and_measures_retrieval(tiny_config, tmp_path, monkeypatch, capsys):
    config = tiny_config
    config.loss = {"name": "triplet", "mining": "batch_hard"}
    config.batch_classes, config.batch_size, config.num_epochs = 4, 16, 1.0  # 2 steps
    config.schedule.warmup_steps = 0
    config.model = {"name": "embedding", "network": {"name": "small_cnn", "width": 0.125}, "size": 6, "normalise": True}
    with pytest.raises(ValueError, match="8 clips of val-00000-of-00001.tfrecord and others are of different classes"):
        train.train(config, tmp_path)
    config.val_splits = ("train",)
    result = train.train(config, tmp_path)
    assert {"recall_at_1", "recall_at_5"} < set(result) and "top1" not in result and result["num_queries"] == 16
    lines = metrics_log.read_metrics(tmp_path / "metrics.jsonl")
    assert np.isfinite(lines[-1]["loss"]) and 0 <= lines[-1]["val_recall_at_1"] <= 1 and "top1" not in lines[-1]
    run = restore.from_run(tmp_path)
    assert (
        run.model.num_classes is None
        and run.classifier_paths() == set()
        and run.params["embedding"]["kernel"].shape == (8, 6)
    )
    monkeypatch.setattr(sys, "argv", ["evaluate", "--workdir", str(tmp_path)])
    evaluate.main()
    printed = capsys.readouterr().out
    assert f" {100 * result['recall_at_1']:.2f} %" in printed and "\n16 videos of ['test']" in printed
