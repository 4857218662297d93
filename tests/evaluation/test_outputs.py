import numpy as np
import pytest

from vidjax import sharding
from vidjax.data import pipeline
from vidjax.evaluation import outputs
from vidjax.inference import restore


@pytest.fixture(scope="module")
def logits_with(tiny_run):
    run = restore.from_run(tiny_run.workdir)
    source = pipeline.open_records(tiny_run.records, ["test"])
    shardings = sharding.shardings_of((run.params, run.model_state))
    eval_fn = outputs.make_eval_fn(run.model, run.preprocess, run.mesh, shardings)

    def logits_with(batch_size, order="forwards", **views):
        batches = pipeline.eval_batches(source, {**run.clip, **views}, batch_size=batch_size)
        return outputs.clip_logits(eval_fn, run.params, run.model_state, batches, run.mesh, order=order)[:2]

    return logits_with


def test_every_video_counts_once_whatever_the_batch(logits_with):
    logits, target = logits_with(8)
    assert logits.shape == (8, 1, 8)
    assert target.tolist() == list(range(8))
    other, other_target = logits_with(5)  # 8 videos in batches of 5: the last is padded
    np.testing.assert_allclose(other, logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(other_target, target)


def test_views_are_evaluated_one_by_one(logits_with):
    logits, _ = logits_with(8, num_views=2, num_crops=3)
    assert logits.shape == (8, 6, 8)
    np.testing.assert_allclose(logits[:, 0], logits[:, 2], rtol=1e-4, atol=1e-5)  # 40x40 frames have one crop of 40
    assert np.abs(logits[:, 0] - logits[:, 1]).max() > 1e-4  # but two places in time


def test_an_order_blind_model_sees_no_difference_in_reverse(logits_with):
    np.testing.assert_allclose(logits_with(8, order="backwards")[0], logits_with(8)[0], rtol=1e-4, atol=1e-5)


def test_orders_of_clips():
    video = np.arange(24, dtype=np.int16).reshape(3, 8, 1, 1, 1)
    inputs = {"video": video, "frame_mask": video[..., 0, 0, 0]}
    assert outputs.in_order(inputs, "forwards", None) is inputs
    np.testing.assert_array_equal(outputs.in_order(inputs, "backwards", None)["video"], video[:, ::-1])
    shuffled = outputs.in_order(inputs, "shuffled", np.random.default_rng(0))
    np.testing.assert_array_equal(shuffled["video"][..., 0, 0, 0], shuffled["frame_mask"])
    np.testing.assert_array_equal(np.sort(shuffled["frame_mask"]), inputs["frame_mask"])
    orders = shuffled["frame_mask"] - 8 * np.arange(3)[:, None]  # each clip has its own
    assert len({tuple(order) for order in orders} | {tuple(range(8))}) == 4


@pytest.mark.parametrize(("order", "inputs"), [("sideways", {}), ("shuffled", {"flow": np.zeros((1, 2, 1, 1, 2))})])
def test_impossible_orders(order, inputs):
    with pytest.raises(ValueError, match=f"cannot be played {order}; choose one of forwards, backwards, shuffled"):
        outputs.in_order(inputs, order, np.random.default_rng(0))
