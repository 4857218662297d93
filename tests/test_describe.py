import cv2
import numpy as np
import pytest

from vidjax import describe, plots


def test_the_command_prints_and_draws(numbered_records, tmp_path, capsys):
    describe.main(["describe", str(numbered_records), "--out", str(tmp_path / "a.png")])
    out = capsys.readouterr().out
    assert "2 classes" in out and f"Drew {tmp_path / 'a.png'}" in out
    assert cv2.imread(str(tmp_path / "a.png")).shape == (800, 1200, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["nowhere", "--out", "a.png"], "No dataset at nowhere"), (["nowhere"], "nowhere is not a directory")],
)
def test_errors_of_the_command(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=f"vidjax data: .*{message}"):
        describe.main(["describe", *arguments])


def test_a_dataset_of_many_classes_and_rates(tmp_path):
    counts, rates = {"train": np.arange(100), "test": np.ones(100, int)}, np.linspace(10, 30, 50)
    labels = [f"class $_{k}" for k in range(100)]
    plots.dataset(counts, labels, rates, "seconds", [(320, 240)] * 50, rates, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000
