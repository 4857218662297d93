import csv
import json
from pathlib import Path

from tests import ladder_files
from vidjax import ladder_table, rungs
from vidjax.ladder import Cost

COSTS = {"lstm": Cost(1000, 2_000_000, 7, on_features=True), "gru": Cost(500, 10**9, 7)}
COSTS |= {"both": Cost(1500, 10**9, 0), "svm": Cost(0, 0, 0)}
CONFIG = "configs/frame_rnn.py:ut_interaction_i3d,small"


def cross_validated(tmp_path) -> rungs.Ladder:
    """Three seeds of an LSTM on two sets, a GRU on the first set, a fusion that has not run, a SVM."""
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
        ladder_files.write_result(tmp_path / "svm" / folds, 0.625)
    speeds = {"training step": {"median": 12.3}, "forward clips/s": 200.0, "step MiB": 7.5, "batch size": 16}
    machine = {"cores": 2, "processor": "x86_64", "backend": "cpu"}
    for name in ("lstm", "gru"):
        (tmp_path / name / "set1/speed.json").write_text(json.dumps({"step": speeds, "machine": machine}))
    return ladder


def test_the_table_of_a_ladder(tmp_path):
    text = ladder_table.write(cross_validated(tmp_path), COSTS, tmp_path, {"both": "out of luck"})
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
    assert row["note"] == "out of luck" and row["forward clips/s"] == "100"  # one after the other
    row = dict(zip(heads, rows["SVM"], strict=True))
    assert row["set1, top1 % [95 %]"] == "62.5 [38.6, 81.5]" and row["parameters"] == ""
    assert "within pairs" not in text  # which nobody has
    assert "Chosen on set1: LSTM, 87.5 ± 12.5 [64.0, 96.5]. Reported: set2 50.0 ± 0.0 [28.0, 72.0]." in text
    assert rows["by others"] == ["83.3", "", "a paper, table 1"]
    assert "2 cores of x86_64, backend cpu" in text
    assert (tmp_path / "ladder.md").read_text() == text + "\n"


def test_numbers_as_they_are(tmp_path):
    ladder_table.write(cross_validated(tmp_path), COSTS, tmp_path, {})
    with open(tmp_path / "ladder.csv") as file:
        lstm, gru, both, svm = csv.DictReader(file)
    assert (float(lstm["top1 set1"]), float(lstm["top1 set1 deviation"])) == (0.875, 0.125)
    assert float(lstm["ms a step"]) == 12.3 and gru["top1 set2"] == "" and both["note"] == "not run"
    assert svm["sees_order"] == "False" and svm["top1 set1 deviation"] == ""
    rows = json.loads(Path(tmp_path / "ladder.json").read_text())["rungs"]
    assert rows[0]["runs"] == ["lstm/set1", "lstm/set2"]
    assert rows[0]["figures"]["set1"]["seeds"] == 3 and rows[0]["figures"]["set1"]["num_videos"] == 16
