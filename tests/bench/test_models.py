import importlib.util

import pytest

from vidjax.bench import models

HAS_TORCH = all(importlib.util.find_spec(package) for package in ("torch", "torchvision"))


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(models, "CASES", {"r3d_18": models.Case("r3d_18", {"width": 0.0625}, "2x16x16")})
    monkeypatch.setattr(models, "DEFAULT", ("r3d_18",))


def test_each_pass_is_timed(small):
    result = models.bench_models(None, ["float32"], batch_size=1, rounds=2, vs_torch=False)
    assert list(result) == ["r3d_18 float32 forward", "r3d_18 float32 training"]
    forward, training = result.values()
    assert forward["clips/s"]["vidjax"]["runs"] == 2
    assert forward["ratio"] == training["ratio"] == forward["MiB"] == {}
    assert forward["clips/s"]["vidjax"]["median"] > training["clips/s"]["vidjax"]["median"] > 0
    assert 0 < training["share of peak"] < 1
    assert training["compile s"]["vidjax"] > 0 and training["MiB"]["vidjax"] > 0


@pytest.mark.parametrize(
    ("networks", "batch_size", "message"),
    [(["x3d"], 2, "Unknown network x3d; choose from i3d, "), (["i3d"], 0, "--batch_size 0 must be 1 or more")],
)
def test_arguments_that_are_refused(networks, batch_size, message):
    with pytest.raises(ValueError, match=message):
        models.bench_models(networks, None, batch_size, rounds=1, vs_torch=False)


@pytest.mark.skipif(HAS_TORCH, reason="PyTorch is installed")
def test_without_pytorch():
    with pytest.raises(ValueError, match="PyTorch is not installed: pip install torch torchvision"):
        models.bench_models(["i3d"], None, 1, rounds=1, vs_torch=True)
