import dataclasses

import pytest
from ml_collections import ConfigDict

from vidjax.evaluation import run_outputs


def test_views_are_those_of_the_run_by_default(tiny_trained):
    assert run_outputs.views_of(tiny_trained, {}) == {"num_views": 1, "num_crops": 1}
    views = run_outputs.views_of(tiny_trained, {"num_views": 4, "num_crops": None})
    assert views == {"num_views": 4, "num_crops": 1}


def test_the_records_of_a_run(tiny_trained):
    assert len(run_outputs.open_run(tiny_trained, ["val", "test"])) == 16
    with pytest.raises(ValueError, match="No split 'holdout'"):
        run_outputs.open_run(tiny_trained, ["holdout"])


def test_records_that_changed_since_training(tiny_trained):
    labels = [f"class {i}" for i in range(12)]
    changed = dataclasses.replace(tiny_trained, labels=labels)
    message = r"was trained with the classes class 0, .*class 9, ... \(12\), but .* now has .*\(8\)[.]"
    with pytest.raises(ValueError, match=message):
        run_outputs.open_run(changed, ["test"])
    changed = dataclasses.replace(tiny_trained, inputs={"prefix": "RGB", "width": 4})
    with pytest.raises(ValueError, match="was trained on records of {'prefix': 'RGB', 'width': 4}; these hold {'fps'"):
        run_outputs.open_run(changed, ["test"])


def test_the_method_of_stored_flow_must_be_that_of_the_training(tiny_trained):
    of_flow = {"flow": "opencv_dis"}
    run_outputs.check_inputs(dataclasses.replace(tiny_trained, inputs=of_flow), {"flow": "opencv_tvl1"})
    config = ConfigDict({**tiny_trained.config.to_dict(), "flow": "stored"})
    with pytest.raises(ValueError, match="was trained on records of {'flow': 'opencv_dis'}; these hold"):
        run_outputs.check_inputs(
            dataclasses.replace(tiny_trained, inputs=of_flow, config=config), {"flow": "opencv_tvl1"}
        )
