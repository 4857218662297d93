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
        ({"name": "wide", "fuses": ["narrow"]}, "wide: a rung has either a config, or others that it fuses"),
        ({"name": "both", "fuses": ["narrow", "max"]}, "both: 'max' is no rung before it that is trained; "),
        ({"name": "both", "fuses": ["narrow"]}, "both: it fuses narrow: name two rungs or more, each once"),
        ({"name": "both", "fuses": ["narrow", "narrow"]}, "both: it fuses narrow, narrow: name two rungs or more"),
        ({"name": "both", "fuses": "narrow"}, "both: a rung's fuses is a list or tuple; got 'narrow'"),
        ({"name": "max", "features": "both"}, "max: 'both' is no rung before it that is trained"),
        ({"name": "wide", "seeds": "3"}, "wide: a rung's seeds is a int; got '3'"),
        ({"name": "wide", "overrides": {"seed": 5}}, "wide: seed cannot be overridden: each run of the ladder has its"),
        ({"name": "wide", "overrides": {"batch_size": 0}}, "wide: config.batch_size = 0 must be 1 or more"),
        ({"name": "both", "seeds": 2}, "both: it has 2 seeds, and wide only 1"),
        ({"name": "both", "fusion": "mean"}, "both: Unknown fusion 'mean'; choose one of scores, logits, svm"),
        ({"name": "max", "classifier": "tree"}, "max: Unknown classifier 'tree'; choose one of svm, linear, nearest"),
        ({"name": "max", "folds": ["set1"]}, "max: the ladder has no folds set1; it has none"),
        ({"name": "max", "features": "norrow"}, "max: 'norrow' is no rung before it that is trained; there "),
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
        rungs.read(ladder_files.write(tmp_path, tiny_motion, [RUNGS[0]], folds=["set1"], choose_on="set3"))
    with pytest.raises(ValueError, match="wide: it starts from narrow, which is a run for each fold here"):
        rungs.read(ladder_files.write(tmp_path, tiny_motion, [RUNGS[0], RUNGS[1]], folds=["set1"]))
    with pytest.raises(ValueError, match="there are two rungs narrow"):
        rungs.read(ladder_files.write(tmp_path, tiny_motion, [RUNGS[0], RUNGS[0]]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def get_ladder(:", r"ladder.py cannot be run: SyntaxError: .*line 1\)$"),
        ("import no_such_module", r"cannot be run: ModuleNotFoundError: No module named 'no_such_module' \(line"),
        ("def get_ladder():\n    return {}['x']", r"ladder.py cannot be run: KeyError: 'x' \(line 2\)"),
        ("def get_ladder():\n    return []", r"ladder.py: get_ladder\(\) gives list, and not a dict of title, rungs"),
        ("def get_ladder():\n    pass", r"ladder.py: get_ladder\(\) gives NoneType"),
        ("def get_ladder():\n    return {'title': 3}", "a ladder's title is a str; got 3"),
        ("def get_ladder():\n    return {'title': 'x', 'rungs': ['i3d']}", "a rung needs a name .*; got i3d"),
        ("def get_ladder():\n    return {'title': 'x', 'rungs': [], 'records': []}", "a ladder's records is a mapping"),
    ],
)
def test_files_that_are_wrong(text, message, tmp_path):
    (tmp_path / "ladder.py").write_text(text)
    with pytest.raises(ValueError, match=message):
        rungs.read(tmp_path / "ladder.py")


def test_published_figures_of_other_columns(tiny_motion, tmp_path):
    row = {"method": "a", "source": "b", "set1": 50.0}
    for rows, message in [
        ([{"method": "a"}], "a row of published has method, source and names of folds; got {'method': 'a'}"),
        ([{**row, "set3": 1.0}], "a row of published has method, source and names of folds"),
        ([row, {"method": "a", "source": "b"}], "all rows of published have the same keys"),
    ]:
        with pytest.raises(ValueError, match=message):
            rungs.read(ladder_files.write(tmp_path, tiny_motion, [RUNGS[0]], folds=["set1"], published=rows))


def test_the_file_of_a_config_that_fails(tiny_motion, tmp_path):
    with pytest.raises(ValueError, match=r"wide: .*tiny.py:tall cannot be run: KeyError: 'tall'"):
        rungs.read(ladder_files.write(tmp_path, tiny_motion, copied({"name": "wide", "config": "tiny:tall"})))
