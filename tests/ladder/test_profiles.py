import csv

import cv2
import pytest

from tests import ladder_files
from tests.level_rows import rows_of
from vidjax.evaluation import predictions
from vidjax.ladder import profiles, rungs, table
from vidjax.ladder.costs import Cost


@pytest.fixture
def ladder(tmp_path):
    """Two networks on one dial, of which one is also run on another."""
    of_rungs = [
        {"name": "gap-tcn", "config": "configs/tcn.py:dataset=sight_order", "title": "TCN", "dial": "gap"},
        {"name": "gap-c3d", "config": "configs/c3d.py:dataset=sight_gap", "title": "C3D", "dial": "gap"},
        {"name": "speed-c3d", "config": "configs/c3d.py:dataset=sight_speed", "title": "C3D", "dial": "speed"},
    ]
    return rungs.read(ladder_files.write(tmp_path, tmp_path, of_rungs))


def write_table(ladder, workdir):
    return table.write(ladder, dict.fromkeys(ladder.rungs, Cost()), workdir, {})


def finish(workdir, name, right):
    place = workdir / name / "seed_0"
    ladder_files.write_result(place, 0.5, **ladder_files.TRAINED)
    predictions.write(place, rows_of(right))


def test_the_matrix_and_the_curves(tmp_path, ladder):
    finish(tmp_path, "gap-tcn", {0: (20, 20), 1: (20, 20), 4: (10, 20)})
    finish(tmp_path, "gap-c3d", {0: (10, 20), 1: (11, 20), 4: (12, 20)})
    finish(tmp_path, "speed-c3d", {0.25: (20, 20), 1: (19, 20)})
    text = write_table(ladder, tmp_path)
    assert [line.split("|")[1:3] for line in text.splitlines() if "| C3D" in line] == [
        [" C3D  ", " gap   "],
        [" C3D  ", " speed "],
    ]
    matrix = profiles.write(tmp_path)
    assert "| TCN  | <= 2 [" in matrix and "| C3D  | none (mean 55 %)" in matrix and "| all " in matrix
    assert "| rung | gap: empty frames between" in matrix and "speed: speed (pixels per frame) |" in matrix
    assert (tmp_path / "matrix.md").read_text() == matrix + "\n"
    with open(tmp_path / "profiles.csv") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 8 and lines[7] == {
        **{"rung": "C3D", "dial": "speed", "level": "1.0", "videos": "20", "accuracy": "0.95"},
        **{"low": lines[7]["low"], "high": lines[7]["high"]},
    }
    with open(tmp_path / "matrix.csv") as file:
        tcn, c3d, _ = csv.DictReader(file)
    assert (tcn["chance"], tcn["seen from"], tcn["seen to"], c3d["seen to"]) == ("0.5", "0.0", "2.0", "")
    for name in profiles.PICTURES:
        assert cv2.imread(str(tmp_path / name)).shape[1] > 300


def test_ladders_without_results_of_dials_have_no_matrix(tmp_path, ladder):
    write_table(ladder, tmp_path)
    assert profiles.write(tmp_path) == "" and not (tmp_path / "matrix.md").exists()


def test_unknown_dials_are_refused(tmp_path):
    of_rungs = [{"name": "x", "title": "x", "config": "configs/c3d.py", "dial": "colour"}]
    with pytest.raises(ValueError, match="Unknown dial 'colour'; choose one of direction, form, gap"):
        rungs.read(ladder_files.write(tmp_path, tmp_path, of_rungs))
