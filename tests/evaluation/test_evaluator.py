import dataclasses

import numpy as np
import pytest

from vidjax import sharding
from vidjax.data import pipeline
from vidjax.data.synthetic import motion
from vidjax.evaluation import evaluator, split_metrics


@pytest.fixture(scope="module")
def source(tiny_run):
    return pipeline.open_records(tiny_run.records, ["test"])


@pytest.fixture(scope="module")
def evaluate(tiny_trained):
    run = tiny_trained
    shardings = sharding.shardings_of((run.params, run.model_state))
    return evaluator.Evaluator(run.model, run.config, run.mesh, shardings)


def test_metrics_and_outputs_of_a_split(evaluate, tiny_trained, source):
    result, outputs = evaluate(tiny_trained.params, tiny_trained.model_state, source, num_views=2)
    assert outputs.logits.shape == outputs.backwards.shape == (8, 2, 8) and result["num_videos"] == 8
    frames = tiny_trained.config.clip.num_frames
    assert result.pop("convention") == f"2 clips of {frames} frames x 1 crop, mean of probabilities"
    assert result == split_metrics.metrics_of(outputs, tiny_trained.config, source.info)
    assert {"loss", "top1", "top1_clip", "top1_reversed"} <= set(result)


def test_clips_are_played_backwards_if_the_dataset_maps_each_class_to_its_reversal(evaluate, tiny_trained, source):
    assert source.info.time_reversal == list(motion.REVERSED)
    variables = tiny_trained.params, tiny_trained.model_state
    forwards = evaluate.outputs(*variables, source, backwards=False)
    assert forwards.backwards is None
    both = evaluate.outputs(*variables, source)
    np.testing.assert_array_equal(both.logits, forwards.logits)
    np.testing.assert_allclose(both.backwards, both.logits, rtol=1e-4, atol=1e-5)  # the network ignores order
    unknown = dataclasses.replace(source, info=dataclasses.replace(source.info, time_reversal=None))
    assert evaluate.outputs(*variables, unknown).backwards is None
