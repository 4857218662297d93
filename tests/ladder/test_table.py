import csv
import json
from pathlib import Path

from tests import ladder_files
from vidjax.ladder import rungs, table
from vidjax.ladder.costs import Cost
from vidjax.ladder.runs import Run

COSTS = {"lstm": Cost(1000, 2_000_000, 10_000_000, on_features=True), "gru": Cost(500, 10**9, 10**9)}
COSTS |= {"both": Cost(1500, 10**9), "svm": Cost()}
CONFIG = "configs/frame_rnn.py:dataset=ut_interaction_i3d"


def cross_validated(tmp_path) -> rungs.Ladder:
    """An LSTM with three seeds on two sets, a GRU on the first set, a fusion that is not finished, and an SVM."""
    of_rungs = [
        {"name": "lstm", "config": CONFIG, "seeds": 3, "title": "LSTM"},
        {"name": "gru", "config": CONFIG + ",cell=gru", "seeds": 3, "title": "GRU"},
        {"name": "both", "fuses": ["lstm", "gru"], "title": "both"},
        {"name": "svm", "features": "data/ut_interaction_i3d", "title": "SVM", "sees_order": False},
    ]
    published = [{"method": "by others", "set1": 83.3, "set2": None, "source": "a paper, table 1"}]
    more = {"folds": ["set1", "set2"], "choose_on": "set1", "published": published}
    ladder = rungs.read(ladder_files.write(tmp_path, tmp_path, of_rungs, **more))
    ladder_files.write_result(tmp_path / "lstm/set1", [0.75, 0.875, 1.0])
    ladder_files.write_result(tmp_path / "lstm/set2", [0.5, 0.5, 0.5])
    ladder_files.write_result(tmp_path / "gru/set1", [0.5, 0.5, 0.5])
    for fold in range(2):
        ladder_files.write_result(tmp_path / f"gru/set1/seed_0/fold_{fold}", 0.5, seconds=90.0)
    for folds in ("set1", "set2"):
        ladder_files.write_result(tmp_path / "svm" / folds, 0.625, pool="mean", classifier="svm")
    ladder_files.write_result(tmp_path / "both/set1", [0.75], fusion="scores")
    speeds = {"training step": {"median": 12.3}, "forward clips/s": 200.0, "step MiB": 7.5, "batch size": 16}
    machine = {"cores": 2, "processor": "x86_64", "backend": "cpu"}
    for name in ("lstm", "gru"):
        (tmp_path / name / "set1/speed.json").write_text(json.dumps({"step": speeds, "machine": machine}))
    return ladder


def test_the_table_of_a_ladder(tmp_path):
    text = table.write(cross_validated(tmp_path), COSTS, tmp_path, {"both": "out of luck"})
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    rows = {first: others for first, *others in cells}
    heads = rows["rung"]
    row = dict(zip(heads, rows["LSTM"], strict=True))
    assert row["set1, top1 % [95 %]"] == "87.5 ± 12.5 [64.0, 96.5]"  # 14 of 16
    assert row["set2, top1 % [95 %]"] == "50.0 ± 0.0 [28.0, 72.0]"
    assert (row["parameters"], row["multiply-adds"], row["ms a step"]) == ("1,000", "2.000 M on features", "12")
    assert row["note"] == ""
    row = dict(zip(heads, rows["GRU"], strict=True))
    assert row["set2, top1 % [95 %]"] == "" and row["note"] == "1 of 2 runs" and row["minutes"] == "3.0"
    row = dict(zip(heads, rows["both"], strict=True))
    assert (
        row["note"] == "1 of 2 runs: out of luck" and row["forward clips/s"] == "100"
    )  # the members run one after the other
    row = dict(zip(heads, rows["SVM"], strict=True))
    assert row["set1, top1 % [95 %]"] == "62.5 [38.6, 81.5]" and row["parameters"] == ""
    assert "within pairs" not in text  # an empty column
    assert "Chosen on set1: LSTM, 87.5 ± 12.5 [64.0, 96.5]. Reported: set2 50.0 ± 0.0 [28.0, 72.0]." in text
    assert rows["by others"] == ["83.3", "", "a paper, table 1"]
    assert "2 cores of x86_64, backend cpu" in text
    assert (tmp_path / "ladder.md").read_text() == text + "\n"


def test_raw_numbers(tmp_path):
    table.write(cross_validated(tmp_path), COSTS, tmp_path, {})
    with open(tmp_path / "ladder.csv") as file:
        lstm, gru, both, svm = csv.DictReader(file)
    assert (float(lstm["top1 set1"]), float(lstm["top1 set1 deviation"])) == (0.875, 0.125)
    assert float(lstm["ms a step"]) == 12.3 and gru["top1 set2"] == "" and both["note"] == "1 of 2 runs"
    assert svm["sees_order"] == "False" and svm["top1 set1 deviation"] == ""
    assert (lstm["seeds set1"], lstm["num_videos set1"], lstm["batch size"]) == ("3", "16", "16")
    assert (lstm["on_features"], lstm["multiply-adds a video"]) == ("True", "10000000")
    rows = json.loads(Path(tmp_path / "ladder.json").read_text())["rungs"]
    assert rows[0]["runs"] == ["lstm/set1", "lstm/set2"] and rows[0]["members"] == []
    assert rows[2]["runs"] == ["both/set1"] and rows[2]["members"] == ["lstm/set1", "gru/set1"]
    assert rows[0]["figures"]["set1"]["seeds"] == 3 and rows[0]["figures"]["set1"]["num_videos"] == 16


def test_the_time_of_training_sums_over_runs(tmp_path):
    text = table.write(cross_validated(tmp_path), COSTS, tmp_path, {})
    assert "Training took 0.1 hours in all." in text  # 2 folds of 90 s


def test_stale_rungs_have_no_figures(tmp_path):
    table.write(cross_validated(tmp_path), COSTS, tmp_path, {"lstm": "of another config"}, ["lstm"])
    rows = json.loads((tmp_path / "ladder.json").read_text())
    lstm = rows["rungs"][0]
    assert (lstm["figures"], lstm["speed"], lstm["runs"], lstm["note"]) == ({}, {}, [], "of another config")
    assert rows["chosen"]["name"] == "both"


def test_notes_on_missing_runs(tmp_path):
    runs = [Run("a", tmp_path / f"seed_{seed}", [], []) for seed in range(3)]
    assert table.note_of(runs, runs, "") == "" and table.note_of(runs, [], "") == "not run"
    for run in runs[:2]:
        run.failure.write_text("out of memory\n")
    assert table.note_of(runs, runs[2:], "") == "1 of 3 runs: out of memory"
    assert table.note_of(runs, [], "interrupted") == "interrupted"


def test_the_chosen_rung_without_other_folds():
    figures = {"top1": {"mean": 0.5, "deviation": None, "interval": (0.25, 0.75)}}
    content = {"chosen": {"title": "LSTM", "on": "set1", "figures": {"set1": figures}}}
    assert table.chosen_text(content) == "Chosen on set1: LSTM, 50.0 [25.0, 75.0]."


def test_figures_under_several_conventions_say_so(tmp_path):
    for place, text in (("a", "1 clip"), ("b/seed_0/fold_0", "10 clips"), ("b/seed_0/fold_1", "10 clips")):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "result.json").write_text(json.dumps({"convention": text}))
    (tmp_path / "b/result.json").write_text("{}")
    runs = {name: Run(name, tmp_path / name, [], []) for name in "ab"}
    assert table.conventions_of([runs["b"]]) == ["10 clips"] and table.conventions_of(runs.values()) == [
        "1 clip",
        "10 clips",
    ]
    rungs = [{"name": name, "conventions": table.conventions_of([run])} for name, run in runs.items()]
    assert table.conventions_text({"rungs": rungs}) == "Conventions: 1 clip (a); 10 clips (b)."
    assert table.conventions_text({"rungs": rungs[:1]}) == "Convention: 1 clip."
    assert table.conventions_text({"rungs": [{"name": "c"}]}) == ""
