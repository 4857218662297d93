"""Runs with all that fine-tuning on few videos needs: augmented batches, rates by depth, and the best checkpoint."""

import jax
import numpy as np
import pytest

from tests.runs import assert_same_run, lines_of
from vidjax import train
from vidjax.data import pipeline
from vidjax.inference import restore
from vidjax.training import metrics_log
from vidjax.training.splits import open_splits


@pytest.fixture
def config(tiny_config):
    tiny_config.model = {"name": "videomae_b", "dim": 16, "depth": 2, "num_heads": 2, "patch": (2, 8, 8)}
    tiny_config.model.drop_path = 0.1
    tiny_config.optimizer.layer_decay = 0.75
    tiny_config.augment.update({"rand_augment": (2, 7.0), "erase": 0.25, "mixup": 0.8, "cutmix": 1.0, "repeat": 2})
    tiny_config.num_epochs, tiny_config.eval_every, tiny_config.checkpoint_every = 2.0, 2, 3
    tiny_config.keep_best = "val_loss"
    return tiny_config


def test_a_run_that_crashed_ends_with_the_same_bits_and_the_same_best(config, tmp_path, monkeypatch):
    result = train.train(config, tmp_path / "whole")
    write = metrics_log.MetricsLog.write

    def crashing(log, line):
        write(log, line)
        if line["step"] == 5:
            raise RuntimeError("power cut")

    monkeypatch.setattr(metrics_log.MetricsLog, "write", crashing)
    with pytest.raises(RuntimeError, match="power cut"):
        train.train(config, tmp_path / "crashed")  # its last checkpoint is of step 3, its best of step 2 or 4
    monkeypatch.undo()
    again = train.train(config, tmp_path / "crashed")
    assert_same_run(tmp_path / "crashed", tmp_path / "whole", num_steps=8)

    validated = {line["step"]: line["val_loss"] for line in lines_of(tmp_path / "whole") if "val_loss" in line}
    best = min(validated, key=validated.get)
    assert [*validated] == [2, 4, 6, 8] and result["checkpoint"] == again["checkpoint"] == best
    assert result["keep_best"] == "val_loss" and result["loss"] == again["loss"]
    run = restore.from_run(tmp_path / "whole")
    assert run.name == f"{tmp_path / 'whole'}, step {best}, the best val_loss"
    last = restore.from_run(tmp_path / "whole", 8)
    assert last.step == 8


def test_repeated_clips_follow_each_other_with_their_own_draws(config, numbered_records):
    config.dataset, config.val_splits, config.test_splits, config.keep_best = str(numbered_records), (), ("train",), ""
    config.clip.size, config.clip.num_frames, config.clip.frame_stride, config.model.patch = 8, 2, 1, (2, 8, 8)
    splits = open_splits(config)
    arguments = {"batch_size": 4, "num_steps": 11, "seed": config.seed, "order": splits.order}
    batches = list(pipeline.train_batches(splits.train, splits.clip_arguments, **arguments))
    videos = np.concatenate([batch["video"][:, 0, 0, 0, 0] for batch in batches]) // 10  # red is 10 * the number
    np.testing.assert_array_equal(videos[::2], videos[1::2])
    assert sorted(videos[:22:2]) == sorted(videos[22::2]) == list(range(11))  # two passes
    starts = np.concatenate([batch["video"][:, 0, 0, 0, 1:] for batch in batches])  # frame and column
    assert (starts[::2] == starts[1::2]).all(1).mean() < 0.3
    resumed = list(pipeline.train_batches(splits.train, splits.clip_arguments, **arguments, start_step=7))
    jax.tree.map(np.testing.assert_array_equal, resumed, batches[7:])
