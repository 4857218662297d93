import json
import sys

import numpy as np
import pytest

from vidjax.data import feature_clips, pipeline
from vidjax.data.synthetic import series


def test_airline_is_the_published_series():
    """Sum, first and last value of series G, and its largest, July 1960."""
    values = series.read("airline").values
    assert (len(values), values.sum(), values[0], values[-1], values.argmax()) == (144, 40363, 112, 432, 138)


def test_the_parts_of_a_series():
    airline = series.read("airline")
    assert airline.splits == {"train": range(72), "val": range(72, 96), "test": range(96, 144)}
    steps = series.read("steps")
    forecasts = {name: series.windows(steps.values, 3, 1, of) for name, of in steps.splits.items()}
    pairs = {name: [(list(past), list(future)) for past, future in of] for name, of in forecasts.items()}
    assert pairs["train"] == [([10, 20, 30], [40]), ([20, 30, 40], [50]), ([30, 40, 50], [60])]
    assert pairs["test"] == [([70, 80, 90], [100])]


def test_windows_forecast_within_their_part():
    windows = series.windows(np.arange(20), 4, 2, range(10, 14))
    assert [(list(past), list(future)) for past, future in windows] == [
        ([6, 7, 8, 9], [10, 11]),
        ([7, 8, 9, 10], [11, 12]),
        ([8, 9, 10, 11], [12, 13]),
    ]


def test_the_scaler_knows_only_the_training_part(tmp_path):
    series.main(["airline", "--out", str(tmp_path), "--log"])
    scaler = series.Scaler(**json.loads((tmp_path / "dataset.json").read_text())["inputs"]["scaler"])
    known = np.log(series.AIRLINE[:72])
    np.testing.assert_allclose((scaler.mean, scaler.std), (known.mean(), known.std()))
    np.testing.assert_allclose(scaler.invert(scaler.apply(np.asarray(series.AIRLINE))), series.AIRLINE)


def test_baselines_by_hand():
    of = {"train": range(4), "test": range(4, 6)}
    numbers = series.Series(np.array([1.0, 2, 3, 5, 8, 13]), of)
    errors = series.baselines(numbers, window=3, horizon=1, period=3)
    assert errors == {"last value": np.sqrt((9 + 25) / 2), "3 before": np.sqrt((36 + 100) / 2)}
    errors = series.baselines(numbers, window=2, horizon=2, period=1)  # both 8 and 13 from 5
    assert errors == {"last value": np.sqrt((9 + 64) / 2), "1 before": np.sqrt((9 + 64) / 2)}


def test_records_to_batches(tmp_path, capsys):
    series.main(["steps", "--window", "3", "--period", "3", "--out", str(tmp_path)])
    assert "last value      10.00" in capsys.readouterr().out
    source = pipeline.open_records(tmp_path, ["test"])
    (batch,) = pipeline.eval_batches(source, {"num_frames": 3}, batch_size=2)
    scaler = series.Scaler(**source.info.inputs["scaler"])
    np.testing.assert_allclose(scaler.invert(batch["features"][0, 0, :, 0]), [70, 80, 90], rtol=1e-6)
    np.testing.assert_allclose(scaler.invert(batch["target"][0]), [100], rtol=1e-6)
    assert batch["weight"].tolist() == [1, 0] and source.info.labels == ["1 ahead"]
    with pytest.raises(ValueError, match="The records hold windows of 3 values: set config.clip.num_frames to that"):
        feature_clips.eval_features(source[0], source.info, num_frames=2)


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ("1\n2\n3\n", ["--window", "12"], "A window of 12 and a horizon of 1 do not fit in values 0 to 1"),
        ("month,value\n1,2\n2,nan\n", [], "line 3: '2,nan' does not end in a number"),
        ("1\n2\nthree\n", [], "line 3: 'three' does not end in a number"),
        ("1\n\n3\n", [], "line 2: '' does not end in a number"),
        ("value\n", [], "holds no values: give one number per line"),
        ("1\n0\n3\n", ["--log"], "--log needs positive values; the smallest is 0"),
        (
            "1\n2\n3\n",
            ["--period", "0"],
            "--window 12, --horizon 1, --period 0: give at least 1",
        ),
        ("1\n2\n3\n", ["--val_share", "0"], "--test_share 0.333333, --val_share 0: give shares between 0 and 1"),
        (None, [], "is neither a file nor a known series; give a CSV file, airline or steps"),
    ],
)
def test_errors(content, arguments, message, tmp_path, capsys):
    path = tmp_path / "mine.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SystemExit) as stopped:
        series.main([str(path), "--out", str(tmp_path / "out"), *arguments])
    assert message in stopped.value.code
    assert not (tmp_path / "out").exists()


def test_a_csv_file_with_a_header(tmp_path, monkeypatch):
    (tmp_path / "mine.csv").write_text("month,value\n" + "".join(f"{i},{i * i}\n" for i in range(30)))
    monkeypatch.setattr(
        sys, "argv", ["series", str(tmp_path / "mine.csv"), "--window", "4", "--out", str(tmp_path / "o")]
    )
    series.main()
    assert len(pipeline.open_records(tmp_path / "o", ["test"])) == 10
