import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import uniform
from vidjax.models.segmentation_loss import segmentation_loss, truncated_smoothing

GOLDEN = json.loads((Path(__file__).parents[1] / "peers" / "segmentation.json").read_text())
# Probabilities (1/2, 1/2), (1/4, 3/4): the logarithms change by log 1/2 and log 3/2
LOGITS = np.array([[0.0, 0.0], [0.0, np.log(3.0)]], np.float32)
CHANGE = (np.log(2) ** 2 + np.log(1.5) ** 2) / 2


def batch(lengths):
    """What make_segmentation.py gives to the authors' training: logits (2, B, 6, 3), target and mask (B, 6)."""
    target = np.arange(6 * len(lengths)).reshape(-1, 6) // 4 % 3
    mask = np.arange(6) < np.array(lengths)[:, None]
    return 6 * uniform("logits", (2, len(lengths), 6, 3)), np.where(mask, target, -100), mask


def test_by_hand():
    np.testing.assert_allclose(truncated_smoothing(LOGITS), [0, CHANGE], rtol=1e-6)
    loss = segmentation_loss(LOGITS[None, None], np.array([[0, 1]]))
    np.testing.assert_allclose(loss, [[np.log(2), np.log(4 / 3) + 0.15 * 2 * CHANGE]], rtol=1e-6)
    two_stages = segmentation_loss(np.stack([LOGITS, LOGITS])[:, None], np.array([[0, 1]]))
    np.testing.assert_allclose(two_stages, 2 * loss, rtol=1e-6)


def test_the_change_is_cut_off():
    logits = np.array([[0.0, 0.0], [0.0, 30.0]], np.float32)  # log-probabilities -0.69, -0.69; -30, 0
    np.testing.assert_allclose(truncated_smoothing(logits), [0, (16 + np.log(2) ** 2) / 2], rtol=1e-6)
    np.testing.assert_allclose(truncated_smoothing(logits, limit=0.25), [0, 0.25], rtol=1e-6)


def test_no_gradient_flows_to_the_frame_before():
    gradient = jax.grad(lambda logits: truncated_smoothing(logits)[1])(LOGITS)
    np.testing.assert_array_equal(gradient[0], 0)
    assert np.abs(gradient[1]).min() > 0.1


def test_equals_the_authors_training():
    """Loss and gradient of one video, as they train."""
    stages, target, mask = batch((6,))
    loss, gradient = jax.value_and_grad(lambda stages: segmentation_loss(stages, target, mask).mean())(stages)
    np.testing.assert_allclose(loss, GOLDEN["loss"]["loss"], atol=1e-5)
    np.testing.assert_allclose(gradient, np.array(GOLDEN["loss"]["gradient"]), atol=1e-6)
    swapped = segmentation_loss(stages[:, :, [0, 1, 3, 2, 4, 5]], target, mask).mean()
    assert abs(swapped - GOLDEN["loss"]["loss"]) > 0.1


def test_in_a_padded_batch_only_the_divisor_of_the_smoothing_differs():
    """The authors divide by all 2 * 5 pairs; 5 + 3 of them are valid."""
    stages, target, mask = batch((6, 4))
    entropy = segmentation_loss(stages, target, mask, smoothing=0.0).sum() / mask.sum()
    pairs = np.broadcast_to(mask, (2, 2, 6))
    smooth = truncated_smoothing(stages, pairs).sum()
    np.testing.assert_allclose(entropy + 0.15 * smooth / 10, GOLDEN["loss_of_padded"]["loss"], atol=1e-5)
    own = segmentation_loss(stages, target, mask)
    of_each = [6 / 5 * truncated_smoothing(stages[:, 0]).sum(), 4 / 3 * truncated_smoothing(stages[:, 1, :4]).sum()]
    np.testing.assert_allclose(own.sum() / mask.sum(), entropy + 0.15 * sum(of_each) / 10, rtol=1e-5)


def test_padding_changes_nothing():
    stages, target, mask = batch((6, 4))
    padded = segmentation_loss(np.where(mask[..., None], stages, 99), target, mask)
    np.testing.assert_allclose(padded[0], segmentation_loss(stages[:, :1], target[:1])[0], rtol=1e-6)
    np.testing.assert_allclose(padded[1, :4], segmentation_loss(stages[:, 1:, :4], target[1:, :4])[0], rtol=1e-6)
    np.testing.assert_array_equal(padded[1, 4:], 0)
    gradient = jax.grad(lambda stages: segmentation_loss(stages, target, mask).sum())(stages)
    np.testing.assert_array_equal(gradient[:, 1, 4:], 0)


def test_a_hole_in_the_mask_breaks_two_pairs():
    stages, target, _ = batch((6,))
    mask = np.array([[1, 1, 0, 1, 1, 1]])
    smooth = truncated_smoothing(stages[:, 0], np.broadcast_to(mask[0], (2, 6)))
    np.testing.assert_array_equal(np.asarray(smooth > 0), [[0, 1, 0, 0, 1, 1]] * 2)
    loss = segmentation_loss(stages, target, mask) - segmentation_loss(stages, target, mask, smoothing=0.0)
    np.testing.assert_allclose(loss.sum() / 5, 0.15 * smooth.sum() / 3, rtol=1e-5)  # 5 frames, 3 pairs


def test_frames_without_a_label_have_no_cross_entropy():
    stages, target, _ = batch((6,))
    unlabelled = np.where(np.arange(6) == 2, -100, target)
    whole, part = (segmentation_loss(stages, t, smoothing=0.0) for t in (target, unlabelled))
    assert part[0, 2] == 0 and whole[0, 2] > 0
    np.testing.assert_array_equal(np.delete(part, 2, axis=1), np.delete(whole, 2, axis=1))


def test_sequences_of_one_frame_and_bfloat16():
    stages, target, _ = batch((6,))
    one = segmentation_loss(stages[:, :, :1], target[:, :1])
    np.testing.assert_array_equal(one, segmentation_loss(stages[:, :, :1], target[:, :1], smoothing=0.0))
    assert np.isfinite(one).all()
    assert segmentation_loss(stages.astype(jnp.bfloat16), target).dtype == jnp.float32


def test_errors():
    stages, target, mask = batch((6, 4))
    message = r"\(stages, batch, time, classes\), \(batch, time\), \(batch, time\); got \(2, 6, 3\), \(2, 6\)"
    with pytest.raises(ValueError, match=message):
        segmentation_loss(stages[0], target)
    with pytest.raises(ValueError, match=r"got \(2, 2, 6, 3\), \(2, 5\), \(2, 6\)"):
        segmentation_loss(stages, target[:, :5], mask)
    with pytest.raises(ValueError, match=r"got \(2, 2, 6, 3\), \(2, 6\), \(2, 5\)"):
        segmentation_loss(stages, target, mask[:, :5])
