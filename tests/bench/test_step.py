import pytest

from vidjax.bench import step


def test_a_run_is_timed(tiny_run, monkeypatch):
    monkeypatch.setattr(step, "SECONDS", 0.0)
    result = step.bench_step(tiny_run.workdir)
    for name, clips_a_second in (("training step", "training clips/s"), ("forward pass", "forward clips/s")):
        assert 0 < result[name]["min"] <= result[name]["median"] <= result[name]["max"]
        assert result[name]["runs"] == step.ROUNDS
        assert result[clips_a_second] == pytest.approx(1e3 * 8 / result[name]["median"], abs=0.01)
    assert result["batch size"] == 8 and 1 < result["step MiB"] < 100


def test_calls_are_timed_until_it_is_enough(monkeypatch):
    clock = iter(range(10**6))  # each call is a second later
    monkeypatch.setattr(step.time, "perf_counter", lambda: next(clock))
    calls = []
    assert step.timed(lambda: calls.append(1)) == {"median": 1000, "min": 1000, "max": 1000, "runs": step.ROUNDS}
    assert len(calls) == step.ROUNDS + 1  # the first call compiles
    monkeypatch.setattr(step, "SECONDS", 20.0)
    assert step.timed(lambda: None)["runs"] == 20
    monkeypatch.setattr(step, "SECONDS", 1e9)
    assert step.timed(lambda: None)["runs"] == 10 * step.ROUNDS


def test_a_directory_that_is_not_a_run(tmp_path):
    with pytest.raises(ValueError, match="it has no config.json"):
        step.bench_step(tmp_path)
