import importlib
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from ml_collections import ConfigDict

from configs import (
    clip_rnn,
    conv_lstm,
    finetune_i3d,
    finetune_transformer,
    forecast_airline,
    forecast_steps,
    frame_labels,
    frame_rnn,
    one_shot,
    quickstart,
    skip_rnn,
    tcn,
)
from configs.common import data
from vidjax import config as configs
from vidjax import config_checks, losses, models, optimizer
from vidjax.data import dataset_info
from vidjax.data.folds import read_folds


@pytest.mark.parametrize("path", sorted(Path("configs").glob("*.py")), ids=lambda path: path.stem)
def test_every_config_is_valid(path):
    config = importlib.import_module(f"configs.{path.stem}").get_config()
    config_checks.check(config)
    has_no_classes = config.loss.name in losses.WITHOUT_CLASSES
    assert configs.model_from(config, 5).num_classes == (None if has_no_classes else 5)
    schedule = optimizer.make_schedule(**config.schedule, total_steps=1000)
    optimizer.make_optimizer(schedule=schedule, **config.optimizer)


def test_finetune_i3d_trains_the_parts_it_names():
    model = models.make_model("i3d", 6, width=0.0625)
    params = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8, 32, 32, 3)))["params"]
    layers = {}
    for part in ("full", "upper", "head"):
        trainable, _ = optimizer.split_frozen(params, finetune_i3d.get_config(f"part={part}").freeze)
        layers[part] = sorted({path.partition("/")[0] for path in trainable})
    assert layers["full"] == sorted(params)
    assert layers["upper"] == ["Logits", "Mixed_4e", "Mixed_4f", "Mixed_5b", "Mixed_5c"]
    assert layers["head"] == ["Logits"]
    with pytest.raises(ValueError, match="Unknown part 'tail'; choose one of full, upper, head"):
        finetune_i3d.get_config("part=tail")


def test_finetune_transformer_keeps_the_best_where_there_is_validation():
    assert finetune_transformer.get_config("network=videomae_s").keep_best == "val_loss"
    config = finetune_transformer.get_config("dataset=ut_interaction")
    assert (config.keep_best, config.fold) == ("", "set1/0")
    with pytest.raises(ValueError, match="Unknown network 'i3d'; choose one of videomae_s, videomae_b, videomae_l"):
        finetune_transformer.get_config("network=i3d")


@pytest.mark.parametrize("model", ["i3d", "frame_pool"])
def test_the_quickstart_is_a_valid_config(model):
    config = quickstart.get_config(f"model={model}")
    config_checks.check(config)
    assert configs.model_from(config, 8).num_classes == 8


@pytest.mark.parametrize("loss", ["prototypical", "triplet", "contrastive", "siamese"])
def test_the_losses_of_one_shot_are_valid_configs(loss):
    config = one_shot.get_config(f"loss={loss}")
    config_checks.check(config)
    assert configs.model_from(config, 5).num_classes is None and config.batch_size % config.batch_classes == 0
    with pytest.raises(ValueError, match="Unknown loss 'softmax'; choose one of prototypical, triplet"):
        one_shot.get_config("loss=softmax")


def test_unknown_names_of_the_quickstart():
    with pytest.raises(ValueError, match="choose i3d or frame_pool"):
        quickstart.get_config("model=lstm")


def test_a_config_survives_writing(tiny_config, tmp_path):
    configs.write(tmp_path, tiny_config, ["a", "b"], {"fps": 12.0})
    config, labels, inputs = configs.read(tmp_path)
    assert labels == ["a", "b"]
    assert config.to_json() == tiny_config.to_json()
    configs.write(tmp_path, tiny_config, ["a", "b"], {"fps": 12.0})  # the same config again
    tiny_config.log_every = 77  # may change
    configs.write(tmp_path, tiny_config, ["a", "b"], {"fps": 12.0})
    tiny_config.seed = 1
    with pytest.raises(ValueError, match="seed: 0 there, 1 now"):
        configs.write(tmp_path, tiny_config, ["a", "b"], {"fps": 12.0})


def test_a_run_from_before_a_key_goes_on_unless_the_key_is_set(tiny_config):
    before = json.loads(tiny_config.to_json())
    del before["batch_classes"]
    assert configs.differences(before, tiny_config) == []
    tiny_config.batch_classes = 2
    assert configs.differences(before, tiny_config) == ["\n  batch_classes: None there, 2 now"]
    before = json.loads(tiny_config.to_json())
    del before["augment"]["mixup"]
    assert configs.differences(before, tiny_config) == []
    tiny_config.augment.mixup = 0.8
    assert "'mixup': 0.8" in configs.differences(before, tiny_config)[0]


def test_a_dataset_is_found_from_another_directory(tiny_config, tmp_path, monkeypatch):
    home, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    (home / "data").mkdir(parents=True)
    elsewhere.mkdir()
    monkeypatch.chdir(home)
    tiny_config.dataset = "data"
    configs.write(home / "run", tiny_config, ["a"], {})
    assert configs.read(home / "run")[0].dataset == "data"
    monkeypatch.chdir(elsewhere)
    assert configs.read(home / "run")[0].dataset == str(home / "data")
    configs.check_dataset(home / "run")

    tiny_config.dataset = str(home / "data")  # the same, as an absolute path
    configs.write(home / "run", tiny_config, ["a"], {})
    tiny_config.dataset = "../here/data"
    configs.write(home / "run", tiny_config, ["a"], {})
    tiny_config.dataset = "data"  # another directory from here
    with pytest.raises(ValueError, match="dataset: ../here/data there, data now"):
        configs.write(home / "run", tiny_config, ["a"], {})

    (home / "data").rename(home / "moved")
    message = f"No dataset at {elsewhere}/../here/data, on which {home}/run was trained.* --dataset DIR"
    with pytest.raises(ValueError, match=message):
        configs.check_dataset(home / "run")
    monkeypatch.chdir(home)
    with pytest.raises(ValueError, match=f"{elsewhere}/../here/data and {home}/../here/data, on which"):
        configs.check_dataset(home / "run")


def test_model_names_are_strings():
    assert all(isinstance(name, str) for name in models.MODELS)


def test_the_folds_of_ut_interaction_leave_one_sequence_out(tmp_path):
    sequences = [f"sequence_{i}" for i in range(1, 21)]
    folds = read_folds(Path("configs/common/ut_interaction_folds.json"), sequences)
    for name, there in (("set1", sequences[:10]), ("set2", sequences[10:])):
        assert [fold["test"] for fold in folds[name]] == [[sequence] for sequence in there]
        assert all(sorted(fold["train"] + fold["test"]) == sorted(there) for fold in folds[name])
    dataset_info.write(tmp_path, dataset_info.DatasetInfo(["a"], "forbidden", folds=folds), complete=True)
    config = data.get_config("ut_interaction_i3d", fold="set1/3")
    config.dataset = str(tmp_path)
    config = configs.with_fold(config)
    assert config.test_splits == ("sequence_4",) and len(config.train_splits) == 9 and not config.val_splits
    config.fold = "set1/10"
    with pytest.raises(ValueError, match="no fold 'set1/10': choose set1/0 to set1/9"):
        configs.with_fold(config)


def test_the_official_splits_of_ucf101():
    groups = [f"group_{i}" for i in range(1, 26)]
    folds = read_folds(Path("configs/common/ucf101_folds.json"), groups)
    assert [fold["test"] for (fold,) in folds.values()] == [groups[:7], groups[7:14], groups[14:21]]
    assert all(len(fold["train"]) == 18 for (fold,) in folds.values())


def test_unknown_datasets_and_sizes():
    for arguments, message in [
        (("motion", "huge"), "Unknown size 'huge' of motion; choose one of full, small"),
        (("mnist", "small"), "Unknown dataset 'mnist'; choose one of airline, "),
    ]:
        with pytest.raises(ValueError, match=message):
            data.get_config(*arguments)


@pytest.mark.parametrize(
    ("module", "argument"),
    [
        (frame_rnn, ""),
        (frame_rnn, "size=full,cell=gru,num_layers=2,bidirectional=true"),
        (frame_rnn, "dataset=ut_interaction_i3d,fold=set1/0"),
        (conv_lstm, ""),
        (conv_lstm, "size=full,backbone=resnet18"),
        (clip_rnn, ""),
        (clip_rnn, "dataset=ut_interaction,fold=set1/0,network=c3d"),
        (tcn, "size=full"),
        (tcn, "kind=encoder_decoder"),
        (tcn, "dataset=ut_interaction_i3d,fold=set1/0"),
        (frame_labels, ""),
        (frame_labels, "size=full,model=stateful"),
        (frame_labels, "model=tcn"),
        (frame_labels, "model=encoder_decoder"),
        (skip_rnn, "cost=1e-2,cell=gru"),
        (skip_rnn, "dataset=ut_interaction_vgg16,fold=set1/0"),
        *((module, f"variant={name}") for module in (forecast_steps, forecast_airline) for name in module.VARIANTS),
    ],
)
def test_the_configs_of_sequence_models(module, argument):
    config = module.get_config(argument)
    config_checks.check(config)
    configs.model_from(config, 6)


def test_settings_in_the_argument_of_a_config():
    defaults = {"a": 1, "b": "", "c": 0.5, "d": False}
    assert vars(data.parse("a=2,c=1e-2,d=true", **defaults)) == {"a": 2, "b": "", "c": 0.01, "d": True}
    assert vars(data.parse("", **defaults)) == defaults
    for argument, message in [
        (
            "layers=2",
            "Unknown setting 'layers=2' of the config; give NAME=VALUE, with defaults dataset=motion, .*cell=lstm, ",
        ),
        ("motion", "Unknown setting 'motion' of the config; give NAME=VALUE"),
        ("num_layers=two", "The setting 'num_layers=two' of the config must be a value like 1"),
        ("bidirectional=yes", "The setting 'bidirectional=yes' of the config must be true or false"),
    ]:
        with pytest.raises(ValueError, match=message):
            frame_rnn.get_config(argument)
    with pytest.raises(ValueError, match="Unknown model 'gru'; choose one of bidirectional, encoder_decoder, tcn"):
        frame_labels.get_config("model=gru")


@pytest.mark.parametrize("path", sorted(Path("configs/papers").glob("*.py")), ids=lambda path: path.stem)
def test_every_published_recipe_is_valid_and_marked(path):
    module = importlib.import_module(f"configs.papers.{path.stem}")
    config = module.get_config()
    config_checks.check(config)
    model = configs.model_from(config, 5)
    schedule = optimizer.make_schedule(**config.schedule, total_steps=10_000_000)
    optimizer.make_optimizer(schedule=schedule, **config.optimizer)
    text = " ".join(module.__doc__.split())
    assert (
        f"configs/papers/{path.name}" in text and "Published" in text and "Recipe: " in text and "Not measured." in text
    )
    assert model.num_classes == (None if config.loss.name in losses.WITHOUT_CLASSES else 5)


def test_a_protocol_sets_the_views():
    config = ConfigDict({"fold": "", "eval": {"num_views": 1, "num_crops": 1, "protocol": "10x3 views"}})
    resolved = configs.resolved(config)
    assert (resolved.eval.num_views, resolved.eval.num_crops, config.eval.num_views) == (10, 3, 1)
    config.eval.protocol = ""
    assert configs.resolved(config) == config
    assert configs.with_protocol(config, "25 frames x 10 crops").eval.num_crops == 10
