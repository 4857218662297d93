"""A pretraining without labels, and what starts from it."""

import jax
import numpy as np
import pytest

from tests.conftest import tiny_settings
from tests.runs import assert_same_run, lines_of
from vidjax import features, train
from vidjax.data import pipeline
from vidjax.inference import embedding, restore
from vidjax.report import __main__ as report
from vidjax.training.splits import open_splits

SIZES = {"dim": 16, "depth": 2, "num_heads": 2, "patch": (2, 8, 8)}
PRETRAIN = {"name": "videomae_pretrain", **SIZES, "decoder_dim": 8, "decoder_depth": 1, "decoder_heads": 2}


def pretraining(config):
    config.model, config.loss = PRETRAIN, {"name": "reconstruction"}
    config.model.mask_ratio = 0.75
    config.optimizer.beta2 = 0.95
    return config


@pytest.fixture(scope="module")
def pretrained(tiny_motion, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("pretrained") / "run"
    result = train.train(pretraining(tiny_settings(tiny_motion)), workdir)
    return workdir, result


def test_a_pretraining_writes_its_loss_and_a_picture(pretrained):
    workdir, result = pretrained
    assert result["loss"] == pytest.approx(1, abs=0.1) and result["num_videos"] == 16 and "top1" not in result
    lines = lines_of(workdir)
    assert [line["step"] for line in lines if "val_loss" in line] == [6, 12] and "top1" not in lines[0]
    assert (workdir / "reconstructions.png").exists() and not (workdir / "predictions.csv").exists()


def test_an_interrupted_pretraining_ends_with_the_same_bits(pretrained, tiny_config, tmp_path, monkeypatch):
    config, saved = pretraining(tiny_config), train.Checkpoints.save

    def crashing(checkpoints, state, position):
        saved(checkpoints, state, position)
        if position["step"] == 8:
            checkpoints.close()
            raise RuntimeError("power cut")

    monkeypatch.setattr(train.Checkpoints, "save", crashing)
    with pytest.raises(RuntimeError, match="power cut"):
        train.train(config, tmp_path / "run")
    monkeypatch.undo()
    train.train(config, tmp_path / "run")
    assert_same_run(tmp_path / "run", pretrained[0], num_steps=12)


def test_a_classifier_starts_from_its_encoder(pretrained, tiny_config, tmp_path, capsys):
    workdir, _ = pretrained
    tiny_config.model, tiny_config.init_from = {"name": "videomae_b", **SIZES}, str(workdir)
    tiny_config.label_fraction, tiny_config.freeze = 0.25, ("encoder/",)
    assert len(open_splits(tiny_config).train) == 8  # of 32: one of each class
    train.train(tiny_config, tmp_path / "run")
    assert (
        "randomly initialised: params/classifier/bias, params/classifier/kernel, params/norm" in capsys.readouterr()[0]
    )
    before, after = (restore.from_run(x).params["encoder"] for x in (workdir, tmp_path / "run"))
    jax.tree.map(np.testing.assert_array_equal, before, after)


def test_another_network_does_not_start_from_a_pretraining(pretrained, tiny_config, tmp_path):
    tiny_config.init_from = str(pretrained[0])  # for a frame_pool
    with pytest.raises(ValueError, match="The two networks differ in structure"):
        train.train(tiny_config, tmp_path / "run")


def test_features_are_those_of_whole_clips(pretrained, tiny_motion, tmp_path):
    run = embedding.encoder_of(restore.from_run(pretrained[0]))
    source = pipeline.open_records(tiny_motion, ["test"])
    clip = {"num_frames": 4, "frame_stride": 2, "size": 32, "resize": 0, "sampling": "segments"}
    features.extract(run, tiny_motion, "features", tmp_path / "stored", clip, 8, ["test"])
    stored = pipeline.open_records(tmp_path / "stored", ["test"])
    assert len(stored) == len(source) and stored[0].features["RGB"].shape == (2, 16)


def test_the_report_shows_its_picture(pretrained, tmp_path):
    report.report([pretrained[0]], tmp_path / "page.html", 0, with_maps=False)
    assert "what the network sees of them" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"model": {"name": "videomae_b", **SIZES}}, "'reconstruction' and the model 'videomae_pretrain' need each"),
        ({"loss": {"name": "softmax"}}, "'reconstruction' and the model 'videomae_pretrain' need each other"),
        ({"target": "frame"}, "over frames: set config.flow = '' and config.target = 'clip'"),
        ({"label_fraction": 1.5}, "config.label_fraction = 1.5 must be between 0 and 1"),
        ({"model": PRETRAIN | {"mask_ratio": 1.0}}, "mask_ratio = 1.0 masks 16 of the 16 places"),
    ],
)
def test_a_config_that_cannot_work(changes, message, tiny_config, tmp_path):
    config = pretraining(tiny_config)
    config.update(changes)
    with pytest.raises(ValueError, match=message):
        train.train(config, tmp_path / "run")
