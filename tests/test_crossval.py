import json

import pytest
from ml_collections import ConfigDict

from tests.conftest import tiny_settings
from vidjax import crossval, metrics


@pytest.fixture
def config(numbered_features) -> ConfigDict:
    """A linear classifier of features, three steps."""
    config = tiny_settings(numbered_features)
    config.clip = ConfigDict({"num_frames": 2, "sampling": "clip"})
    config.model = ConfigDict({"name": "frame_pool"})
    config.batch_size, config.num_epochs = 2, 1.0
    return config


def test_each_fold_and_seed_is_a_run_of_its_own(config, numbered_features, tmp_path, monkeypatch):
    folds = [(["train"], ["train"])] * 2  # the six videos twice
    result = crossval.run(config, folds, tmp_path, num_seeds=2)
    runs = sorted(path.parent.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("config.json"))
    assert runs == ["seed_0/fold_0", "seed_0/fold_1", "seed_1/fold_0", "seed_1/fold_1"]
    of_runs = [json.loads((tmp_path / run / "result.json").read_text())["top1"] for run in runs]
    assert of_runs[0] == of_runs[1] and of_runs[2] == of_runs[3]  # equal folds
    assert result["top1"] == pytest.approx([of_runs[0], of_runs[2]])
    assert result["mean"] == pytest.approx((of_runs[0] + of_runs[2]) / 2)
    assert result["num_videos"] == 12
    assert result["interval"] == metrics.wilson_interval(12 * result["mean"], 12)

    monkeypatch.setattr(crossval.train, "train", lambda *a: pytest.fail("what is finished is trained again"))
    assert crossval.run(config, folds, tmp_path, num_seeds=2) == result
    config.optimizer.weight_decay = 0.5
    with pytest.raises(ValueError, match=r"seed_0.fold_0 holds a run of another config:\n  optimizer: .*0.01.*0.5"):
        crossval.run(config, folds, tmp_path, num_seeds=2)
    config.optimizer.weight_decay = 0.01
    monkeypatch.setattr(crossval.train, "train", lambda *a: None)  # interrupted
    assert crossval.run(config, folds, tmp_path, num_seeds=3) is None


def test_the_config_of_a_fold(config):
    fold = crossval.of_fold(config, (["a", "b"], ["c"]), seed=7)
    assert (fold.train_splits, fold.val_splits, fold.test_splits, fold.seed) == (("a", "b"), (), ("c",), 7)
    assert config.seed == 0 and config.test_splits == ("test",)


def test_all_folds_are_checked_before_the_first_is_trained(config, tmp_path, monkeypatch):
    monkeypatch.setattr(crossval.train, "train", lambda *given: pytest.fail("it has begun"))
    folds = [(["train"], ["train"]), (["train"], ["fold_1"])]
    with pytest.raises(
        ValueError, match=r"Fold 1, trained on \['train'\] and tested on \['fold_1'\]: No split 'fold_1'"
    ):
        crossval.run(config, folds, tmp_path, num_seeds=2)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="--workdir .*file cannot be written to"):
        crossval.run(config, folds[:1], tmp_path / "file", num_seeds=1)


def test_accuracies_of_all_folds_are_weighted_by_their_videos(config, tmp_path):
    for number, (top1, count) in enumerate([(1.0, 1), (0.5, 4)]):
        place = tmp_path / f"seed_0/fold_{number}"
        place.mkdir(parents=True)
        (place / "result.json").write_text(json.dumps({"top1": top1, "num_videos": count}))
    result = crossval.run(config, [([], [])] * 2, tmp_path, num_seeds=1)
    assert (result["top1"], result["mean"], result["deviation"], result["num_videos"]) == ([0.6], 0.6, 0.0, 5)
    assert result["mean_of_folds"] == 0.75


def test_folds_evaluated_in_different_ways_are_not_pooled(config, tmp_path):
    for number, convention in enumerate(["1 clip", "10 clips"]):
        place = tmp_path / f"seed_0/fold_{number}"
        place.mkdir(parents=True)
        result = {"top1": 1.0, "num_videos": 1, "convention": convention}
        (place / "result.json").write_text(json.dumps(result))
    with pytest.raises(ValueError, match=r"in different ways:\n  fold_0: 1 clip\n  fold_1: 10 clips\nRemove"):
        crossval.run(config, [([], [])] * 2, tmp_path, num_seeds=1)


@pytest.mark.parametrize("loss", ["triplet", "reconstruction", "flow_sequence"])
def test_a_loss_without_an_accuracy_is_refused_before_training(loss, config, tmp_path, monkeypatch):
    monkeypatch.setattr(crossval.train, "train", lambda *given: pytest.fail("it has begun"))
    config.loss = ConfigDict({"name": loss})
    with pytest.raises(ValueError, match=f"config.loss.name = '{loss}' has no accuracy to pool"):
        crossval.run(config, [(["train"], ["train"])], tmp_path, num_seeds=1)
