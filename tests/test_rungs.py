import json
import os
from pathlib import Path

import pytest

from tests import ladder_files
from vidjax import config as configs
from vidjax import rungs

THREE = [
    {"name": "narrow", "config": "tiny:narrow", "seeds": 2},
    {"name": "wide", "config": "tiny:wide", "overrides": {"num_epochs": 1.0, "init_from": "{narrow}"}},
    {"name": "both", "fuses": ["narrow", "wide"], "fusion": "logits"},
    {"name": "max", "features": "narrow", "pool": "max", "sees_order": False},
]


def copied(changes: dict) -> list[dict]:
    """The rungs above, that of the name with changes."""
    return [{**rung, **(changes if rung["name"] == changes["name"] else {})} for rung in THREE]


def test_commands_of_rungs(tiny_motion, tmp_path):
    ladder = rungs.read(ladder_files.write(tmp_path, tiny_motion, copied({"name": ""})))
    runs = {name: rungs.runs_of(ladder, rung, Path("W")) for name, rung in ladder.rungs.items()}
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
    assert [command[0] for command in pooled.commands] == ["vidjax.features", "vidjax.classify"]
    assert pooled.commands[1][1:4] == ["W/narrow/seed_0/features", "--pool", "max"]
    assert pooled.needs == [Path("W/narrow/seed_0")]


def test_commands_of_cross_validations(tmp_path):
    of_rungs = [
        {"name": "lstm", "config": "configs/frame_rnn.py:ut_interaction_i3d,small", "seeds": 3, "title": ""},
        {"name": "gru", "config": "configs/frame_rnn.py:ut_interaction_i3d,small,cell=gru", "seeds": 3, "title": ""},
        {"name": "both", "fuses": ["lstm", "gru"], "seeds": 3, "folds": ["set1"]},
        {"name": "svm", "features": "data/ut_interaction_i3d"},
    ]
    path = ladder_files.write(tmp_path, tmp_path, of_rungs, folds=["set1", "set2"], choose_on="set1")
    ladder = rungs.read(path, seeds=2)
    lstm = rungs.runs_of(ladder, ladder.rungs["lstm"], Path("W"))
    assert [str(run.place) for run in lstm] == ["W/lstm/set1", "W/lstm/set2"]
    assert lstm[0].commands[0][0] == "vidjax.crossval"
    assert lstm[0].commands[0][-4:] == ["--folds", "ut_interaction_i3d:set1", "--seeds", "2"]
    (both,) = rungs.runs_of(ladder, ladder.rungs["both"], Path("W"))
    assert both.commands[0][:3] == ["vidjax.crossval_fusion", "W/lstm/set1", "W/gru/set1"]
    svm = rungs.runs_of(ladder, ladder.rungs["svm"], Path("W"))
    assert svm[1].commands[0][-4:] == ["--folds", "ut_interaction_i3d:set2", "--out", "W/svm/set2/result.json"]


@pytest.mark.parametrize("path", sorted(Path("configs/ladder").glob("*.py")), ids=lambda path: path.stem)
def test_the_ladders_of_the_project(path):
    ladder = rungs.read(path)
    assert len(ladder.rungs) >= 25
    runs = [run for rung in ladder.rungs.values() for run in rungs.runs_of(ladder, rung, Path("W"))]
    assert len({run.place for run in runs}) == len(runs) and {run.rung for run in runs} == set(ladder.rungs)
    places = {run.place for run in runs}
    assert all(need in places for run in runs for need in run.needs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "wide", "config": "configs/i4d.py"}, "ladder.py, wide: 'configs/i4d.py' is neither a model"),
        ({"name": "wide", "config": "configs/i3d.py:motion,huge"}, "wide: Unknown size 'huge' of motion"),
        ({"name": "wide", "overrides": {"num_epoch": 1.0}}, "wide: The config has no key num_epoch; valid keys are"),
        ({"name": "wide", "overrides": {"num_epochs": "x"}}, "wide: overrides do not fit the config: .*num_epochs"),
        ({"name": "wide", "fuses": ["narrow"]}, "wide: a rung has either a config, or others that it fuses"),
        ({"name": "both", "fuses": ["narrow", "max"]}, "both: 'max' is no rung before it; there are narrow, wide"),
        ({"name": "both", "seeds": 2}, "both: it has 2 seeds, and wide only 1"),
        ({"name": "both", "fusion": "mean"}, "both: Unknown fusion 'mean'; choose one of scores, logits, svm"),
        ({"name": "max", "classifier": "tree"}, "max: Unknown classifier 'tree'; choose one of svm, linear, nearest"),
        ({"name": "max", "folds": ["set1"]}, "max: the ladder has no folds set1; it has none"),
        ({"name": "max", "features": "norrow"}, "max: 'norrow' is no rung before it; there are narrow, wide, both"),
        ({"name": "max", "pool": "median"}, "max: Unknown pool 'median'; choose one of mean, max, min, max_min, size"),
        ({"name": "wide", "seeds": 0}, "wide: seeds = 0 must be 1 or more"),
        ({"name": "max", "colour": "red"}, "max: a rung has no colour; it has name, title, group"),
    ],
)
def test_what_is_wrong_with_a_rung_is_said(change, message, tiny_motion, tmp_path):
    with pytest.raises(ValueError, match=message):
        rungs.read(ladder_files.write(tmp_path, tiny_motion, copied(change)))


def test_what_is_no_ladder(tiny_motion, tmp_path):
    with pytest.raises(ValueError, match=r"is no file of a ladder; there are configs/ladder/motion.py, "):
        rungs.read(tmp_path / "none.py")
    with pytest.raises(ValueError, match="is no ladder: it has no get_ladder"):
        rungs.read(Path("configs/i3d.py"))
    with pytest.raises(ValueError, match="a ladder has no rows; it has title, rungs"):
        rungs.read(ladder_files.write(tmp_path, tiny_motion, [], rows=1))
    for rung in ({"title": "a"}, {"name": "../a", "title": "a"}):
        with pytest.raises(ValueError, match="a rung needs a name of letters, digits, _ and -, and a title"):
            rungs.read(ladder_files.write(tmp_path, tiny_motion, [{"name": "?", **rung}]))
    with pytest.raises(ValueError, match="the ladder lacks rungs"):
        rungs.read(ladder_files.write(tmp_path, tiny_motion, []))
    with pytest.raises(ValueError, match="choose_on = 'set3' is none of its folds, set1"):
        rungs.read(ladder_files.write(tmp_path, tiny_motion, [dict(THREE[0])], folds=["set1"], choose_on="set3"))
    with pytest.raises(ValueError, match="wide: it starts from narrow, which is a run for each fold here"):
        rungs.read(ladder_files.write(tmp_path, tiny_motion, [dict(THREE[0]), dict(THREE[1])], folds=["set1"]))
    with pytest.raises(ValueError, match="there are two rungs narrow"):
        rungs.read(ladder_files.write(tmp_path, tiny_motion, [dict(THREE[0]), dict(THREE[0])]))


def test_what_is_finished(tiny_motion, tmp_path):
    ladder = rungs.read(ladder_files.write(tmp_path, tiny_motion, copied({"name": ""})))
    runs = {name: rungs.runs_of(ladder, rung, tmp_path)[0] for name, rung in ladder.rungs.items()}
    assert not any(map(rungs.is_finished, runs.values()))
    for number, name in enumerate(("narrow", "wide", "both")):
        ladder_files.write_result(runs[name].place, 0.5)
        os.utime(runs[name].place / "result.json", (number, number))
    assert [name for name, run in runs.items() if rungs.is_finished(run)] == ["narrow", "wide", "both"]
    os.utime(runs["wide"].place / "result.json")  # trained again: the fusion is of the run before
    assert not rungs.is_finished(runs["both"])

    config = rungs.config_of(ladder.rungs["wide"])
    configs.write(runs["wide"].place, config, [], {})
    ladder_files.write_result(runs["wide"].place, 0.5, splits=["val"])  # evaluated on other videos since
    assert not rungs.is_finished(runs["wide"])
    ladder_files.write_result(runs["wide"].place, 0.5, splits=["test"])
    assert rungs.is_finished(runs["wide"])

    ladder_files.write_result(tmp_path / "folds", [0.5])  # of one seed, where three are wanted
    assert not rungs.is_finished(rungs.Run("a", tmp_path / "folds", [], [], seeds=3))
    assert rungs.is_finished(rungs.Run("a", tmp_path / "folds", [], [], seeds=1))


def test_runs_that_cannot_count(tiny_motion, tmp_path):
    ladder = rungs.read(ladder_files.write(tmp_path, tiny_motion, copied({"name": ""})))
    rung = ladder.rungs["wide"]
    (narrow, _), (wide,) = (rungs.runs_of(ladder, ladder.rungs[name], tmp_path) for name in ("narrow", "wide"))
    config = rungs.config_of(rung)
    configs.write(narrow.place, rungs.config_of(ladder.rungs["narrow"]), [], {})
    config.init_from = "/somewhere/else/narrow/seed_0"  # the ladder has been moved since
    configs.write(wide.place, config, [], {})
    assert rungs.stale(rung, [wide]) == ""
    os.utime(narrow.place / "config.json", (2e9, 2e9))
    assert "wide/seed_0 started from an earlier " in rungs.stale(rung, [wide])
    config.batch_size = 4
    (wide.place / "config.json").write_text(json.dumps({"config": json.loads(config.to_json())}))
    assert "holds a run of another config (batch_size: 4 there, 8 now): remove it" in rungs.stale(rung, [wide])


def test_figures_over_seeds_and_folds(tmp_path):
    for seed, top1 in enumerate((0.5, 0.75)):
        ladder_files.write_result(tmp_path / f"seed_{seed}", top1, top1_reversed=top1 / 2)
    runs = [rungs.Run("a", tmp_path / f"seed_{seed}", [], []) for seed in range(2)]
    assert rungs.figures_of(runs) == {"top1": [0.5, 0.75], "top1_reversed": [0.25, 0.375], "num_videos": 16}
    ladder_files.write_result(tmp_path / "set1", [0.25, 0.5, 0.75], mean=0.5)
    figures = rungs.figures_of([rungs.Run("a", tmp_path / "set1", [], [])])
    summary = rungs.summarised(figures["top1"], figures["num_videos"])
    assert (summary["mean"], summary["deviation"]) == (0.5, 0.25)
    assert summary["interval"] == pytest.approx((0.28, 0.72), abs=0.01)  # 8 of 16
    assert rungs.summarised([0.5], 16)["deviation"] is None
