from pathlib import Path

import pytest

from tests import ladder_files
from tests.ladder_files import RUNGS, copied
from vidjax.ladder import rungs
from vidjax.ladder import runs as ladder_runs


@pytest.mark.parametrize("path", sorted(Path("configs/ladder").glob("*.py")), ids=lambda path: path.stem)
def test_the_ladders_of_the_project(path):
    ladder = rungs.read(path)
    assert len(ladder.rungs) >= 25
    runs = [run for rung in ladder.rungs.values() for run in ladder_runs.runs_of(ladder, rung, Path("W"))]
    assert len({run.place for run in runs}) == len(runs) and {run.rung for run in runs} == set(ladder.rungs)
    places = {run.place for run in runs}
    assert all(need in places for run in runs for need in run.needs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "wide", "config": "configs/i4d.py"}, "ladder.py, wide: 'configs/i4d.py' is neither a model"),
        ({"name": "wide", "config": "configs/i3d.py:dataset=motion,size=huge"}, "wide: Unknown size 'huge' of motion"),
        ({"name": "wide", "overrides": {"num_epoch": 1.0}}, "wide: The config has no key num_epoch; valid keys are"),
        ({"name": "wide", "overrides": {"num_epochs": "x"}}, "wide: overrides do not fit the config: .*num_epochs"),
        (
            {"name": "wide", "fuses": ["narrow"]},
            "wide: give exactly one of config, fuses and features; got config and fuses",
        ),
        (
            {"name": "both", "fuses": ["narrow", "max"]},
            "both: 'max' is not one of the trained rungs before it; choose from narrow, wide",
        ),
        ({"name": "both", "fuses": ["narrow"]}, "both: fuses = narrow must list at least two rungs, each once"),
        ({"name": "both", "fuses": ["narrow", "narrow"]}, "both: fuses = narrow, narrow must list at least two rungs"),
        ({"name": "both", "fuses": "narrow"}, "both: a rung's fuses must be of type list or tuple; got 'narrow'"),
        ({"name": "max", "features": "both"}, "max: 'both' is not one of the trained rungs before it"),
        ({"name": "wide", "seeds": "3"}, "wide: a rung's seeds must be of type int; got '3'"),
        (
            {"name": "wide", "overrides": {"seed": 5}},
            "wide: remove seed from the overrides: each run of the ladder sets",
        ),
        ({"name": "wide", "overrides": {"batch_size": 0}}, "wide: config.batch_size = 0 must be 1 or more"),
        ({"name": "both", "seeds": 2}, "both: it has 2 seeds, but wide has only 1; make them equal"),
        ({"name": "both", "fusion": "mean"}, "both: Unknown fusion 'mean'; choose one of scores, logits, svm"),
        ({"name": "max", "classifier": "tree"}, "max: Unknown classifier 'tree'; choose one of svm, linear, nearest"),
        ({"name": "max", "folds": ["set1"]}, "max: the ladder has no folds set1; it has no folds at all"),
        ({"name": "max", "features": "norrow"}, "max: 'norrow' is not one of the trained rungs before it; "),
        ({"name": "max", "pool": "median"}, "max: Unknown pool 'median'; choose one of mean, max, min, max_min, size"),
        ({"name": "wide", "seeds": 0}, "wide: seeds = 0 must be 1 or more"),
        ({"name": "max", "colour": "red"}, "max: a rung has no key colour; valid keys are name, title, group"),
    ],
)
def test_invalid_rungs(change, message, tiny_motion, tmp_path):
    with pytest.raises(ValueError, match=message):
        rungs.read(ladder_files.write(tmp_path, tiny_motion, copied(change)))


def test_files_that_are_not_ladders(tiny_motion, tmp_path):
    with pytest.raises(ValueError, match=r"is not a ladder file; choose one of configs/ladder/motion.py, "):
        rungs.read(tmp_path / "none.py")
    with pytest.raises(ValueError, match="is not a ladder file: define get_ladder"):
        rungs.read(Path("configs/i3d.py"))
    with pytest.raises(ValueError, match="a ladder has no key rows; valid keys are title, rungs"):
        rungs.read(ladder_files.write(tmp_path, tiny_motion, [], rows=1))
    for rung in ({"title": "a"}, {"name": "../a", "title": "a"}):
        with pytest.raises(ValueError, match="a rung needs a title, and a name of letters, digits, _ and -"):
            rungs.read(ladder_files.write(tmp_path, tiny_motion, [{"name": "?", **rung}]))
    with pytest.raises(ValueError, match="the ladder lacks rungs"):
        rungs.read(ladder_files.write(tmp_path, tiny_motion, []))
    with pytest.raises(ValueError, match="choose_on = 'set3' must be one of the ladder's folds, set1"):
        rungs.read(ladder_files.write(tmp_path, tiny_motion, [RUNGS[0]], folds=["set1"], choose_on="set3"))
    with pytest.raises(ValueError, match="wide: it starts from narrow, which has one run per fold; remove folds"):
        rungs.read(ladder_files.write(tmp_path, tiny_motion, [RUNGS[0], RUNGS[1]], folds=["set1"]))
    with pytest.raises(ValueError, match="two rungs are named narrow"):
        rungs.read(ladder_files.write(tmp_path, tiny_motion, [RUNGS[0], RUNGS[0]]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def get_ladder(:", r"ladder.py cannot be run: SyntaxError: .*line 1\)$"),
        ("import no_such_module", r"cannot be run: ModuleNotFoundError: No module named 'no_such_module' \(line"),
        ("def get_ladder():\n    return {}['x']", r"ladder.py cannot be run: KeyError: 'x' \(line 2\)"),
        (
            "def get_ladder():\n    return []",
            r"ladder.py: get_ladder\(\) must return a dict with title, rungs.*; got list",
        ),
        ("def get_ladder():\n    pass", r"ladder.py: get_ladder\(\) must return a dict with .*; got NoneType"),
        ("def get_ladder():\n    return {'title': 3}", "a ladder's title must be of type str; got 3"),
        (
            "def get_ladder():\n    return {'title': 'x', 'rungs': ['i3d']}",
            "a rung needs a title, and a name .*; got i3d",
        ),
        (
            "def get_ladder():\n    return {'title': 'x', 'rungs': [], 'records': []}",
            "a ladder's records must be of type mapping",
        ),
    ],
)
def test_files_that_fail(text, message, tmp_path):
    (tmp_path / "ladder.py").write_text(text)
    with pytest.raises(ValueError, match=message):
        rungs.read(tmp_path / "ladder.py")


def test_invalid_published_results(tiny_motion, tmp_path):
    row = {"method": "a", "source": "b", "set1": 50.0}
    for rows, message in [
        (
            [{"method": "a"}],
            "a row of published needs method and source, and may have names of folds; got {'method': 'a'}",
        ),
        ([{**row, "set3": 1.0}], "a row of published needs method and source"),
        ([row, {"method": "a", "source": "b"}], "all rows of published must have the keys of the first"),
    ]:
        with pytest.raises(ValueError, match=message):
            rungs.read(ladder_files.write(tmp_path, tiny_motion, [RUNGS[0]], folds=["set1"], published=rows))


def test_a_config_file_that_fails(tiny_motion, tmp_path):
    with pytest.raises(ValueError, match=r"wide: .*tiny.py:tall cannot be run: KeyError: 'tall'"):
        rungs.read(ladder_files.write(tmp_path, tiny_motion, copied({"name": "wide", "config": "tiny:tall"})))
