"""A series through training, evaluation and cross-validation: `configs/forecast_steps.py`."""

import json

import cv2
import pytest

from configs import forecast_steps
from vidjax import crossval, evaluate, train
from vidjax.data.synthetic import series


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    directory = tmp_path_factory.mktemp("steps")
    series.main(["steps", "--window", "3", "--period", "3", "--out", str(directory)])
    config = forecast_steps.get_config()
    config.dataset, config.num_epochs = str(directory), 100.0
    return config


def test_what_follows_70_80_90(config, tmp_path, monkeypatch, capsys):
    result = train.train(config, tmp_path)
    assert abs(result["forecast"][0][0] - 100) < 1 and result["rmse"] < 1
    assert result["baselines"] == {"last value": 10.0, "3 before": 30.0}
    assert cv2.imread(str(tmp_path / "forecast.png")).std() > 0
    monkeypatch.setattr("sys.argv", ["evaluate", "--workdir", str(tmp_path)])
    evaluate.main()
    assert "rmse of last value    10.00" in capsys.readouterr().out
    assert json.loads((tmp_path / "result.json").read_text())["forecast"] == result["forecast"]


def test_folds_are_averaged_as_squares(config, tmp_path):
    config = config.copy_and_resolve_references()
    config.num_epochs = 30.0
    folds = [(["train"], ["test"]), (["train"], ["train"])]
    result = crossval.run(config, folds, tmp_path, 1)
    of_folds = [json.loads((tmp_path / f"seed_0/fold_{i}/result.json").read_text()) for i in range(2)]
    expected = sum(of_fold["rmse"] ** 2 * of_fold["num_videos"] for of_fold in of_folds) / 4
    assert result["rmse"] == [pytest.approx(expected**0.5)] and result["num_videos"] == 4


def test_a_series_is_not_classified(config, tmp_path):
    config = config.copy_and_resolve_references()
    config.loss = {"name": "softmax"}
    with pytest.raises(ValueError, match="holds a series to forecast, which does not go with the loss 'softmax'"):
        train.train(config, tmp_path)
