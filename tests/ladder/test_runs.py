import json
from pathlib import Path

import pytest

from tests import ladder_files
from tests.ladder_files import copied
from vidjax import config as configs
from vidjax.ladder import rungs
from vidjax.ladder import runs as ladder_runs


def test_commands_of_rungs(tiny_motion, tmp_path):
    ladder = rungs.read(ladder_files.write(tmp_path, tiny_motion, copied({"name": ""})))
    runs = {name: ladder_runs.runs_of(ladder, rung, Path("W")) for name, rung in ladder.rungs.items()}
    assert [str(run.place) for run in runs["narrow"]] == ["W/narrow/seed_0", "W/narrow/seed_1"]
    config = f"{tmp_path}/tiny.py"
    assert runs["narrow"][1].commands == [
        ["vidjax.train", "--config", f"{config}:narrow", "--workdir", "W/narrow/seed_1", "--config.seed=1"]
    ]
    (wide,) = runs["wide"]
    settings = ["--config.num_epochs=1.0", "--config.init_from=W/narrow/seed_0", "--config.seed=0"]
    assert wide.commands == [["vidjax.train", "--config", f"{config}:wide", "--workdir", "W/wide/seed_0", *settings]]
    assert wide.needs == [Path("W/narrow/seed_0")]
    (both,), (pooled,) = runs["both"], runs["max"]
    places = ["W/narrow/seed_0", "W/wide/seed_0"]
    assert both.commands == [
        ["vidjax.evaluate", "--workdir", *places, "--fusion", "logits", "--out", "W/both/seed_0/result.json"]
    ]
    assert [command[0] for command in pooled.commands] == ["vidjax.features", "vidjax.evaluation.classify"]
    assert pooled.commands[1][1:4] == ["W/narrow/seed_0/features", "--pool", "max"]
    assert pooled.needs == [Path("W/narrow/seed_0")]


def test_a_run_of_one_fold_is_finished_with_the_splits_of_the_fold(tiny_motion, tmp_path):
    of_rungs = [{"name": "fold", "config": "tiny:wide", "overrides": {"fold": "set1/0"}}]
    ladder = rungs.read(ladder_files.write(tmp_path, tiny_motion, of_rungs))
    (run,) = ladder_runs.runs_of(ladder, ladder.rungs["fold"], tmp_path)
    ladder_files.write_result(run.place, 0.5, **{**ladder_files.TRAINED, "splits": ["c"]})
    assert ladder_runs.is_finished(run)


def test_commands_of_cross_validations(tmp_path):
    of_rungs = [
        {"name": "lstm", "config": "configs/frame_rnn.py:dataset=ut_interaction_i3d", "seeds": 3, "title": ""},
        {"name": "gru", "config": "configs/frame_rnn.py:dataset=ut_interaction_i3d,cell=gru", "seeds": 3, "title": ""},
        {"name": "both", "fuses": ["lstm", "gru"], "seeds": 3, "folds": ["set1"]},
        {"name": "svm", "features": "data/ut_interaction_i3d"},
    ]
    path = ladder_files.write(tmp_path, tmp_path, of_rungs, folds=["set1", "set2"], choose_on="set1")
    ladder = rungs.read(path, seeds=2)
    lstm = ladder_runs.runs_of(ladder, ladder.rungs["lstm"], Path("W"))
    assert [str(run.place) for run in lstm] == ["W/lstm/set1", "W/lstm/set2"]
    assert lstm[0].commands[0][0] == "vidjax.crossval"
    assert lstm[0].commands[0][-4:] == ["--folds", "set1", "--seeds", "2"]
    (both,) = ladder_runs.runs_of(ladder, ladder.rungs["both"], Path("W"))
    assert both.commands[0][:3] == ["vidjax.evaluation.crossval_fusion", "W/lstm/set1", "W/gru/set1"]
    svm = ladder_runs.runs_of(ladder, ladder.rungs["svm"], Path("W"))
    assert svm[1].commands[0][-4:] == ["--folds", "set2", "--out", "W/svm/set2/result.json"]


def made(tiny_motion, tmp_path) -> tuple[rungs.Ladder, dict[str, ladder_runs.Run]]:
    """Returns a ladder and the first run of each rung. All have results; the first also has a metrics.jsonl."""
    ladder = rungs.read(ladder_files.write(tmp_path, tiny_motion, copied({"name": ""})))
    runs = {name: ladder_runs.runs_of(ladder, rung, tmp_path)[0] for name, rung in ladder.rungs.items()}
    assert not any(map(ladder_runs.is_finished, runs.values()))
    for run in runs.values():
        ladder_files.write_result(run.place, 0.5, **run.expects)
    (runs["narrow"].place / "metrics.jsonl").write_text('{"step": 1, "clips_per_second": 7.25}\n{"step": 2}\n')
    return ladder, runs


def finished(runs: dict[str, ladder_runs.Run]) -> list[str]:
    return [name for name, run in runs.items() if ladder_runs.is_finished(run)]


def test_which_runs_are_finished(tiny_motion, tmp_path):
    _, runs = made(tiny_motion, tmp_path)
    assert finished(runs) == ["narrow", "wide", "both", "max"]
    for name, changes in [
        ("wide", {"splits": ["val"]}),  # evaluated on other videos
        ("wide", {"num_views": 25}),
        ("wide", {"steps": 8, "checkpoint": 4, "keep_best": ""}),
        ("both", {"fusion": "scores"}),
        ("max", {"pool": "mean"}),
    ]:
        ladder_files.write_result(runs[name].place, 0.5, **{**runs[name].expects, **changes})
        assert name not in finished(runs), changes
        ladder_files.write_result(runs[name].place, 0.5, **runs[name].expects)
    for broken in ("", '{"top1": 0', '{"mAP": 1}'):
        (runs["narrow"].place / "result.json").write_text(broken)
        assert "narrow" not in finished(runs)
    (runs["narrow"].place / "result.json").unlink()
    assert finished(runs) == []  # all others start from it


def test_runs_that_started_from_a_run_that_is_trained_again(tiny_motion, tmp_path):
    ladder, runs = made(tiny_motion, tmp_path)
    configs.write(runs["wide"].place, rungs.config_of(ladder.rungs["wide"]), [], {})
    for run in runs.values():
        run.parents.write_text(json.dumps(ladder_runs.parents_of(run)))
    assert finished(runs) == ["narrow", "wide", "both", "max"]
    metrics = runs["narrow"].place / "metrics.jsonl"
    metrics.write_text(metrics.read_text() + '{"step": 3}\n')  # it only continued
    assert len(finished(runs)) == 4 and ladder_runs.stale(ladder.rungs["wide"], [runs["wide"]]) == ""
    metrics.write_text('{"step": 1, "clips_per_second": 8.5}\n')
    assert finished(runs) == ["narrow"]
    why = ladder_runs.stale(ladder.rungs["wide"], [runs["wide"]])
    assert why.endswith("wide/seed_0 started from an earlier narrow/seed_0: remove it to run it again")


def test_results_of_fewer_seeds(tmp_path):
    ladder_files.write_result(tmp_path / "folds", [0.5])  # one seed of three
    assert not ladder_runs.is_finished(ladder_runs.Run("a", tmp_path / "folds", [], [], seeds=3))
    assert ladder_runs.is_finished(ladder_runs.Run("a", tmp_path / "folds", [], [], seeds=1))


def test_runs_of_another_config(tiny_motion, tmp_path):
    ladder, runs = made(tiny_motion, tmp_path)
    rung, wide = ladder.rungs["wide"], runs["wide"]
    config = rungs.config_of(rung)
    config.init_from = "/somewhere/else/narrow/seed_0"  # the ladder has been moved
    configs.write(wide.place, config, [], {})
    assert ladder_runs.stale(rung, [wide]) == ""
    config.batch_size = 4
    (wide.place / "config.json").write_text(json.dumps({"config": json.loads(config.to_json())}))
    assert "holds a run of another config (batch_size: 4 there, 8 now): remove it" in ladder_runs.stale(rung, [wide])
    (wide.place / "config.json").write_text("{")
    assert "wide/seed_0/config.json cannot be read: Expecting " in ladder_runs.stale(rung, [wide])


def test_metrics_over_seeds_and_folds(tmp_path):
    for seed, top1 in enumerate((0.5, 0.75)):
        ladder_files.write_result(tmp_path / f"seed_{seed}", top1, top1_reversed=top1 / 2)
    runs = [ladder_runs.Run("a", tmp_path / f"seed_{seed}", [], []) for seed in range(2)]
    assert ladder_runs.metrics_of(runs) == {"top1": [0.5, 0.75], "top1_reversed": [0.25, 0.375], "num_videos": 16}
    ladder_files.write_result(tmp_path / "set1", [0.25, 0.5, 0.75], mean=0.5)
    metrics = ladder_runs.metrics_of([ladder_runs.Run("a", tmp_path / "set1", [], [])])
    summary = ladder_runs.summarise(metrics["top1"], metrics["num_videos"])
    assert (summary["mean"], summary["deviation"]) == (0.5, 0.25)
    assert summary["interval"] == pytest.approx((0.28, 0.72), abs=0.01)  # 8 of 16
    assert ladder_runs.summarise([0.5], 16)["deviation"] is None
