import json
import sys

import pytest

from vidjax.ladder import results

RESULT = {"model": "i3d", "num_params": 1234567, "num_videos": 8, "steps": 5, "seconds": 90, "clips_per_second": 12.34}


def write(directory, **figures):
    directory.mkdir()
    (directory / "result.json").write_text(json.dumps({**RESULT, **figures}))
    return directory


def test_table(tmp_path):
    a, b = write(tmp_path / "a", top1=0.5, top1_reversed=0.25), write(tmp_path / "b", top1=0.75, clips_per_second=None)
    header, rule, first, second = results.table([a, b]).splitlines()
    assert [cell.strip() for cell in header.strip("|").split("|")] == [
        *("run", "model", "parameters", "top1 %", "reversed %", "videos", "steps", "clips/s", "minutes")
    ]
    assert "| 1,234,567  | 50.0   | 25.0       | 8      | 5     | 12.3    | 1.5" in first
    assert "| 75.0   |            |" in second
    assert len(header) == len(rule) == len(first) == len(second)


def test_figures_under_several_conventions_say_so(tmp_path):
    a, b = (write(tmp_path / name, top1=0.5, convention=f"{views} clips") for name, views in (("a", 1), ("b", 10)))
    assert results.table([a, a]).endswith("|\n\nConvention: 1 clips.")
    lines = results.table([a, b]).splitlines()
    assert "convention" in lines[0] and "1 clips" in lines[2] and "10 clips" in lines[3] and len(lines) == 4


def test_a_directory_without_a_result(tmp_path, monkeypatch, capsys):
    with pytest.raises(ValueError, match="No result.json in .*nowhere"):
        results.table([tmp_path / "nowhere"])
    (tmp_path / "folds").mkdir()
    (tmp_path / "folds/result.json").write_text('{"top1": [0.5], "num_videos": 8}')
    with pytest.raises(
        ValueError, match="No result of vidjax.train in .*folds: give .* of single runs, such as seed_0"
    ):
        results.table([tmp_path / "folds"])
    monkeypatch.setattr(sys, "argv", ["results", str(write(tmp_path / "a", top1=1.0))])
    results.main()
    assert "result.json" in capsys.readouterr().out
