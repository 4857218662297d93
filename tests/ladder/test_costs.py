import types

from tests import ladder_files
from vidjax.data import dataset_info, pipeline
from vidjax.ladder import costs as ladder_costs
from vidjax.ladder import rungs
from vidjax.ladder.costs import Cost


def test_costs_of_trained_rungs_and_of_rungs_made_from_them(tiny_motion, tmp_path):
    of_rungs = [
        {"name": "narrow", "config": "tiny:narrow", "seeds": 2, "overrides": {"eval.num_views": 5}},
        {"name": "wide", "config": "tiny:wide"},
        {"name": "gone", "config": "tiny:wide", "overrides": {"dataset": str(tmp_path / "none")}},
        {"name": "both", "fuses": ["narrow", "wide"]},
        {"name": "with_gone", "fuses": ["narrow", "gone"]},
        {"name": "max", "features": "narrow"},
        {"name": "stored", "features": "data/none"},
    ]
    ladder = rungs.read(ladder_files.write(tmp_path, tiny_motion, of_rungs))
    costs, problems = ladder_costs.costs_of(ladder, list(ladder.rungs))
    narrow, wide = costs["narrow"], costs["wide"]
    assert narrow.num_params == 45036 and narrow.of_video == 5 * narrow.multiply_adds and not narrow.on_features
    videos = len(pipeline.open_records(tiny_motion, ["train"]))
    assert narrow.training == 3 * narrow.multiply_adds * 3 * videos * 2  # epochs and seeds
    assert wide.training == 3 * wide.multiply_adds * 3 * videos
    sums = [getattr(narrow, of) + getattr(wide, of) for of in ("num_params", "multiply_adds", "of_video")]
    assert costs["both"] == Cost(*sums) and costs["max"] == narrow._replace(training=0)
    assert costs["gone"] == Cost() == costs["with_gone"] and list(problems) == ["gone"]
    assert problems["gone"].startswith("No dataset at ")
    assert costs["stored"] == Cost(on_features=True)
    some, problems = ladder_costs.costs_of(ladder, ["max"])  # traces the network that gives the features, too
    assert {name for name, cost in some.items() if cost.num_params} == {"narrow", "max"} and not problems


def test_costs_on_features_and_of_folds(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "open_records", lambda dataset, splits: splits)  # one video per split
    monkeypatch.setattr(ladder_costs.networks, "find_inputs", lambda *_: ({"features": None}, 6, None))
    network = types.SimpleNamespace(num_params=10, multiply_adds=100)
    monkeypatch.setattr(ladder_costs.layer_table, "layers_of", lambda *_: ([network], None, None))
    folds = [types.SimpleNamespace(train_splits=["a"] * 9)] * 10
    monkeypatch.setattr(ladder_costs, "find_folds", lambda dataset, name: folds)
    config = "configs/frame_rnn.py:dataset=ut_interaction_i3d"
    of_rungs = [{"name": "lstm", "config": config, "seeds": 3, "overrides": {"num_epochs": 2.0}}]
    path = ladder_files.write(tmp_path, tmp_path, of_rungs, folds=["set1", "set2"])
    costs, problems = ladder_costs.costs_of(rungs.read(path), ["lstm"])
    assert not problems and costs["lstm"].on_features
    assert costs["lstm"].training == 3 * 100 * 2 * (2 * 10 * 9) * 3  # 2 sets with 10 folds, each trained on 9 sequences


def test_costs_of_a_config_with_a_fold(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(pipeline, "open_records", lambda dataset, splits: opened.append(splits) or splits)
    monkeypatch.setattr(ladder_costs.networks, "find_inputs", lambda *_: ({}, 6, None))
    network = types.SimpleNamespace(num_params=10, multiply_adds=100)
    monkeypatch.setattr(ladder_costs.layer_table, "layers_of", lambda *_: ([network], None, None))
    folds = {"set1": [{"train": ["a", "b"], "test": ["c"]}]}
    dataset_info.write(tmp_path, dataset_info.DatasetInfo(["x", "y"], "unchanged", folds=folds))
    of_rungs = [{"name": "fold", "config": "tiny:wide", "overrides": {"fold": "set1/0"}}]
    ladder = rungs.read(ladder_files.write(tmp_path, tmp_path, of_rungs))
    costs, problems = ladder_costs.costs_of(ladder, ["fold"])
    assert not problems and costs["fold"].training == 3 * 100 * 3 * 2 and opened == [("a", "b")]
