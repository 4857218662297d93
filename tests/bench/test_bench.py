import json
import sys

import pytest

from vidjax import bench
from vidjax.bench import __main__ as command
from vidjax.bench import flow, pipeline, recurrent, stream


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
    command.main()


def test_figures_of_rounds(capsys):
    assert bench.summary([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0, "runs": 3}
    compared = bench.compare(theirs=[2.0, 8.0, 6.0], ours=[1.0, 2.0, 4.0])
    assert compared == {"median": 3.0, "min": 1.5, "max": 4.0, "runs": 3}
    calls = []
    times = bench.alternate({name: lambda name=name: calls.append(name) for name in "ab"}, rounds=2)
    assert calls == ["a", "b"] * 3 and [len(x) for x in times.values()] == [2, 2]
    bench.show({"b / a": compared}, "ms")
    assert "b / a     3.00 x" in capsys.readouterr().out


def test_the_pipeline_section_measures_and_writes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pipeline, "VIDEO_FRAMES", 17)
    out = tmp_path / "b.json"
    run(monkeypatch, "pipeline", "--rounds", 1, "--clips", 16, "--memory_clips", 160, "--out", out)
    result = json.loads(out.read_text())
    assert result["pipeline"]["vidjax"]["median"] > 0
    assert len(result["memory"]["resident_mb"]) == 20
    assert "clips/s" in capsys.readouterr().out


def test_the_recurrent_section_compares(tmp_path, monkeypatch, capsys):
    for name, size in {"SEQUENCES": 2, "STEPS": 3, "WIDTH_IN": 8, "WIDTH_OUT": 4}.items():
        monkeypatch.setattr(recurrent, name, size)
    run(monkeypatch, "recurrent", "--rounds", 2, "--out", tmp_path / "b.json")
    result = json.loads((tmp_path / "b.json").read_text())["recurrent"]
    for what in ("forward", "training step"):
        ours, theirs = result[f"{what}, vidjax"], result[f"{what}, nn.RNN"]
        assert ours["runs"] == theirs["runs"] == 2
        assert result[f"{what}, nn.RNN / vidjax"]["median"] == theirs["median"] / ours["median"]
    assert "training step, nn.RNN / vidjax" in capsys.readouterr().out


def test_the_stream_section_measures_time_and_memory(monkeypatch):
    arguments = {"width": 0.0625, "causal": True}
    monkeypatch.setattr(stream, "STREAMED", {"r3d": ("r3d_18", arguments), "tcn": ("tcn", stream.SMALL)})
    result = stream.bench_stream(40)
    assert {"r3d, first tenth", "r3d, last tenth", "tcn, live kB"} <= set(result)
    assert 0 < result["r3d, live kB"]["min"] == result["r3d, live kB"]["max"]


def test_the_stream_section_counts_the_frames_that_are_used(monkeypatch):
    monkeypatch.setattr(stream, "SKIPPING", stream.SMALL)
    result = stream.bench_skipping(rounds=1, num_frames=9, size=32)
    assert (result["frames used, all"], result["frames used, one of 4"]) == (9, 3)  # 0, 4 and 8
    assert result["skip lstm, all / skipping"]["median"] > 0


def test_the_flow_section_compares_with_opencv(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(flow, "NUM_PAIRS", 1)
    monkeypatch.setattr(flow, "SIZE", 32)
    methods = ["farneback", "opencv_farneback", "opencv_dis"]
    run(monkeypatch, "flow", "--rounds", 2, "--methods", *methods, "--out", tmp_path / "b.json")
    result = json.loads((tmp_path / "b.json").read_text())["flow"]
    assert set(result) == {*methods, "opencv_farneback / farneback"}
    with pytest.raises(SystemExit):
        run(monkeypatch, "flow", "--methods", "raft")
    assert "invalid choice: 'raft'" in capsys.readouterr().err
