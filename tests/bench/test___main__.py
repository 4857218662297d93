import json
import sys
from pathlib import Path

import pytest

from vidjax.bench import __main__ as command
from vidjax.bench import flow, models, pipeline, predict, recurrent, step, stream, two_stream

FIGURES = {"a": {"median": 2.0, "min": 1.0, "max": 3.0, "runs": 3}}


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
    command.main()


@pytest.mark.parametrize(
    ("module", "function", "arguments", "expected", "unit"),
    [
        (pipeline, "bench_pipeline", ["pipeline", "--rounds", 2, "--clips", 16], (2, 16), "clips/s"),
        (recurrent, "bench_recurrent", ["recurrent"], (20,), "ms"),
        (stream, "bench_stream", ["stream", "--frames", 40], (40,), "ms"),
        (
            flow,
            "bench_flow",
            ["flow", "--rounds", 3, "--methods", "tvl1", "opencv_dis"],
            (3, ["tvl1", "opencv_dis"]),
            "ms",
        ),
        (two_stream, "bench_two_stream", ["two_stream"], (5,), "clips/s"),
        (step, "bench_step", ["step", "runs/a"], (Path("runs/a"),), "ms"),
        (
            predict,
            "bench_predict",
            ["predict", "a.mp4", "--workdir", "w", "--exported", "x", "y"],
            ("a.mp4", Path("w"), [Path("x"), Path("y")], 5),
            "ms",
        ),
    ],
)
def test_a_section_is_measured_shown_and_written(
    module, function, arguments, expected, unit, monkeypatch, tmp_path, capsys
):
    asked = []
    monkeypatch.setattr(module, function, lambda *arguments: asked.append(arguments) or FIGURES)
    monkeypatch.setattr(stream, "bench_skipping", lambda rounds: {"frames used": rounds})
    run(monkeypatch, *arguments, "--out", tmp_path / "b.json")
    assert asked == [expected]
    written = json.loads((tmp_path / "b.json").read_text())
    assert written[arguments[0]]["a"] == FIGURES["a"]
    assert set(written["machine"]) == {"processor", "cores", "backend"}
    assert f"2.00 {unit}" in " ".join(capsys.readouterr().out.split())


def test_the_memory_of_the_pipeline(monkeypatch, capsys):
    monkeypatch.setattr(pipeline, "bench_pipeline", lambda rounds, clips: FIGURES)
    monkeypatch.setattr(pipeline, "bench_memory", lambda clips: {"clips read": clips, "resident MB": [7, 8]})
    run(monkeypatch, "pipeline", "--memory_clips", 160)
    assert "resident MB [7, 8]" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["models", "--vs", "keras"], "invalid choice: 'keras'"),
        (["training"], "invalid choice: 'training'"),
        (["step"], "required: workdir"),
        ([], "required: section"),
    ],
)
def test_unknown_sections_and_options(arguments, message, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, *arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["flow", "--methods", "raft"], "Unknown optical flow .*raft"),
        (["models", "--networks", "x3d"], "Unknown network x3d; choose from i3d, "),
    ],
)
def test_names_that_a_section_refuses(arguments, message, monkeypatch):
    with pytest.raises(SystemExit, match=message):
        run(monkeypatch, *arguments)


def test_networks_are_measured_shown_and_written(monkeypatch, tmp_path, capsys):
    asked, speed = [], {"median": 4.0, "min": 3.0, "max": 5.0, "runs": 2}
    figures = {
        "clips/s": {"vidjax": speed, "torch": speed},
        "ratio": {"torch": speed},
        "compile s": {"vidjax": 7.5, "torch": 0.0},
        "MiB": {},
        "share of peak": 0.5,
    }
    monkeypatch.setattr(models, "bench_models", lambda *args: asked.append(args) or {"i3d float32 forward": figures})
    run(monkeypatch, "models", "--networks", "i3d", "--vs", "torch", "--batch_size", 1, "--out", tmp_path / "b.json")
    assert asked == [(["i3d"], None, 1, 5, True)]
    assert json.loads((tmp_path / "b.json").read_text())["models"]["i3d float32 forward"] == figures
    out = " ".join(capsys.readouterr().out.split())
    assert "i3d float32 forward clips/s: vidjax 4.00, torch 4.00; 4.00 x torch [3.00, 5.00]; 50 % of" in out
    assert "compile s vidjax 7.5, torch 0.0" in out and "MiB" not in out


def test_a_directory_that_is_not_a_run(tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="vidjax.bench: .*it has no config.json"):
        run(monkeypatch, "step", tmp_path)
