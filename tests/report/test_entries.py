import json
import re

import pytest

from tests import ladder_files
from vidjax.report import entries as report_entries

ROW = {"name": "pool", "title": "Pool", "group": "", "sees_order": True, "parameters": 10, "multiply-adds": 20}
ROW |= {"on_features": False, "speed": {}, "seconds": 0.0, "note": ""}


def write_ladder(workdir, rows, parts=("",)):
    workdir.mkdir(exist_ok=True)
    content = {"title": "L", "parts": list(parts), "rungs": rows, "chosen": {}, "machines": [], "published": []}
    (workdir / "ladder.json").write_text(json.dumps(content))


def figures(**of_parts):
    return {part: {"top1": {"mean": mean, "deviation": None, "interval": [0, 1]}} for part, mean in of_parts.items()}


def write_run(place, top1=0.5):
    ladder_files.write_result(place, top1)
    config = {"dataset": "data", "test_splits": ["test"], "clip": {}, "model": {"name": "x"}}
    (place / "config.json").write_text(json.dumps({"config": config, "labels": ["a", "b"], "inputs": {}}))


def test_folds_are_in_the_order_of_their_numbers(tmp_path):
    for name in ("seed_0/fold_10", "seed_0/fold_2", "seed_1/fold_0", "seed_10/fold_0"):
        write_run(tmp_path / "cv" / name)
    found = [str(run.relative_to(tmp_path / "cv")) for run in report_entries.trainings_in(tmp_path / "cv")]
    assert found == ["seed_0/fold_2", "seed_0/fold_10", "seed_1/fold_0", "seed_10/fold_0"]
    write_run(tmp_path / "run")
    assert report_entries.trainings_in(tmp_path / "run") == [tmp_path / "run"]
    ladder_files.write_result(tmp_path / "fused", 0.5)
    assert report_entries.trainings_in(tmp_path / "fused") == []


def test_the_places_of_parts_and_members(tmp_path):
    for part in ("set1", "set2"):
        ladder_files.write_result(tmp_path / "late" / part, [0.5, 0.7])
    row = {**ROW, "figures": figures(set1=0.6, set2=0.6), "runs": ["late/set1", "late/set2"]}
    write_ladder(tmp_path, [row, {**row, "members": ["rgb/set1"]}], ["set1", "set2"])
    _, (old, new) = report_entries.entries_of(tmp_path)
    assert old.places == [tmp_path / "late/set1", tmp_path / "late/set2"] and old.members == []
    assert old.places_of("set2") == [tmp_path / "late/set2"] and old.places_of("") == old.places
    assert new.members == [tmp_path / "rgb/set1"]
    assert old.row["note"] == ""  # the table holds the mean over the seeds


def test_an_outdated_table(tmp_path):
    for seed, top1 in (("seed_0", 0.4), ("seed_1", 0.6)):
        write_run(tmp_path / "pool" / seed, top1)
    row = {**ROW, "figures": {"": figures(x=0.5)["x"]}, "runs": ["pool/seed_0", "pool/seed_1"], "note": "1 of 3 runs"}
    write_ladder(tmp_path, [row])
    assert report_entries.entries_of(tmp_path)[1][0].row["note"] == "1 of 3 runs"
    ladder_files.write_result(tmp_path / "pool/seed_1", 0.61)
    content, entries = report_entries.entries_of(tmp_path)
    assert entries[0].row["note"] == f"1 of 3 runs; {report_entries.OUTDATED}" == content["rungs"][0]["note"]
    (tmp_path / "pool/seed_1/result.json").unlink()
    assert "pool/seed_1 no longer has a result.json" in report_entries.entries_of(tmp_path)[1][0].row["note"]


def test_source_files_of_numbers(tmp_path):
    for name in ("rgb", "flow"):
        write_run(tmp_path / name / "seed_0")
        (tmp_path / name / "seed_0/speed.json").write_text("{}")
    ladder_files.write_result(tmp_path / "both/seed_0", 0.5)
    run = report_entries.Entry({}, [tmp_path / "rgb/seed_0"])
    assert named(run, tmp_path) == {
        "rgb/seed_0/result.json": "seed_0",
        "rgb/seed_0/config.json": "config",
        "rgb/seed_0/speed.json": "seed_0 speed",
    }
    fused = report_entries.Entry({}, [tmp_path / "both/seed_0"], [tmp_path / "rgb/seed_0", tmp_path / "flow/seed_0"])
    assert named(fused, tmp_path) == {
        "both/seed_0/result.json": "seed_0",
        "rgb/seed_0/config.json": "rgb/seed_0 config",
        "rgb/seed_0/speed.json": "rgb/seed_0 speed",
        "flow/seed_0/config.json": "flow/seed_0 config",
        "flow/seed_0/speed.json": "flow/seed_0 speed",
    }


def named(entry, start):
    return {str(path.relative_to(start)): text for path, text in report_entries.files_of(entry).items()}


@pytest.mark.parametrize("text", ["{}", "[]", '{"title": ', '{"rungs": [{}]}', ""])
def test_a_broken_ladder_json(text, tmp_path):
    (tmp_path / "ladder.json").write_text(text)
    with pytest.raises(ValueError, match=rf"{re.escape(str(tmp_path))}/ladder.json .* Run vidjax.ladder again"):
        report_entries.entries_of(tmp_path)


def test_a_ladder_json_without_rungs_or_with_an_incomplete_one(tmp_path):
    write_ladder(tmp_path, [])
    with pytest.raises(ValueError, match="ladder.json has no rungs"):
        report_entries.entries_of(tmp_path)
    write_ladder(tmp_path, [{**ROW, "figures": {}}])
    with pytest.raises(ValueError, match="ladder.json, rung 1 lacks runs"):
        report_entries.entries_of(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
@pytest.mark.parametrize("name", ["result.json", "config.json"])
@pytest.mark.parametrize("is_ladder", [False, True])
def test_broken_files_of_a_run(is_ladder, name, text, tmp_path):
    place = tmp_path / "pool/seed_0"
    write_run(place)
    write_ladder(tmp_path, [{**ROW, "figures": {}, "runs": ["pool/seed_0"]}])
    (place / name).write_text(text)
    expected = "has no top1" if (name, text, is_ladder) == ("result.json", "{}", False) else f"seed_0/{name} "
    with pytest.raises(ValueError, match=expected):
        report_entries.entries_of(tmp_path if is_ladder else place)


def test_an_incomplete_config(tmp_path):
    write_run(tmp_path / "run")
    (tmp_path / "run/config.json").write_text('{"config": {"dataset": "x", "clip": {}}, "labels": [], "inputs": {}}')
    with pytest.raises(ValueError, match="run/config.json lacks config.test_splits, config.model"):
        report_entries.entries_of(tmp_path / "run")


def test_broken_metrics(tmp_path):
    write_run(tmp_path / "run")
    (tmp_path / "run/metrics.jsonl").write_text("{\n")
    with pytest.raises(ValueError, match="run/metrics.jsonl cannot be read"):
        report_entries.entries_of(tmp_path / "run")


def test_directories_without_a_report(tmp_path):
    def check(place, message):
        with pytest.raises(ValueError, match=message):
            report_entries.entries_of(tmp_path / place)

    check("nowhere", "nowhere does not exist")
    (tmp_path / "file").write_text("")
    check("file", "file is a file; give the directory")
    check("", "is not a finished run or ladder: it has neither result.json nor ladder.json")
    write_run(tmp_path / "ladder/max/seed_0")
    place = re.escape(str(tmp_path))
    check("ladder/max", rf"max contains several runs; give their directories, {place}/ladder/max/seed_0\.")
    check("ladder", "ladder has no ladder.json yet; wait until vidjax.ladder ends")
    write_ladder(tmp_path / "ladder", [])
    check("ladder/max", rf"{place}/ladder/max/seed_0, or give {place}/ladder, the directory of the ladder\.")
    write_run(tmp_path / "folds/lstm/set1/seed_0/fold_0")
    check("folds", "folds has no ladder.json yet")
    check("folds/lstm/set1", "set1 is not finished; run its command again")
    (tmp_path / "ladder/max/seed_0/result.json").unlink()
    check("ladder/max/seed_0", "seed_0 is not finished; run its command again")
    ladder_files.write_result(tmp_path / "forecast", 0.5)
    (tmp_path / "forecast/result.json").write_text('{"rmse": 1.0}')
    check("forecast", "forecast has no top1; give a classifier")


def test_a_cross_validation_is_one_rung(tmp_path):
    ladder_files.write_result(tmp_path / "ut", [0.25, 0.75], mean=0.5)
    content, (entry,) = report_entries.entries_of(tmp_path / "ut")
    assert entry.places == [tmp_path / "ut"] and content["parts"] == [""]
    assert entry.row["figures"][""]["top1"]["mean"] == 0.5
