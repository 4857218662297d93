import json
import sys

from vidjax import bench


def test_the_pipeline_section_measures_and_writes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "VIDEO_FRAMES", 17)
    monkeypatch.setattr(
        sys,
        "argv",
        [*"bench pipeline --rounds 1 --clips 16 --memory_clips 160 --out".split(), str(tmp_path / "b.json")],
    )
    bench.main()
    result = json.loads((tmp_path / "b.json").read_text())
    assert result["pipeline"]["vidjax"]["median"] > 0
    assert len(result["memory"]["resident_mb"]) == 20
    assert "clips/s" in capsys.readouterr().out


def test_summary():
    assert bench.summary([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0, "runs": 3}


def test_the_recurrent_section_compares(tmp_path, monkeypatch, capsys):
    for name, size in {"SEQUENCES": 2, "STEPS": 3, "WIDTH_IN": 8, "WIDTH_OUT": 4}.items():
        monkeypatch.setattr(bench, name, size)
    monkeypatch.setattr(sys, "argv", [*"bench recurrent --rounds 2 --out".split(), str(tmp_path / "b.json")])
    bench.main()
    result = json.loads((tmp_path / "b.json").read_text())["recurrent"]
    for what in ("forward", "training step"):
        ours, theirs = result[f"{what}, vidjax"], result[f"{what}, nn.RNN"]
        assert ours["runs"] == theirs["runs"] == 2
        assert result[f"{what}, nn.RNN / vidjax"]["median"] == theirs["median"] / ours["median"]
    assert "training step, nn.RNN / vidjax" in capsys.readouterr().out


def test_the_stream_section_measures_time_and_memory(monkeypatch, capsys):
    arguments = {"width": 0.0625, "causal": True}
    monkeypatch.setattr(bench, "STREAMED", {"r3d": ("r3d_18", arguments), "tcn": ("tcn", bench.SMALL)})
    monkeypatch.setattr(sys, "argv", "bench stream --frames 40".split())
    bench.main()
    lines = {line.split("  ")[0].strip(): line for line in capsys.readouterr().out.splitlines()}
    assert {"r3d, first tenth", "r3d, last tenth", "tcn, live kB"} <= set(lines)
    low, high = map(float, lines["r3d, live kB"].split("[")[1].split("]")[0].split(","))
    assert 0 < low == high
