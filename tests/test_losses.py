import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import losses

LOGITS = jnp.array([[0.0, 0.0], [0.0, np.log(3.0)]])


def test_softmax_cross_entropy_by_hand():
    # probabilities (1/2, 1/2) and (1/4, 3/4)
    np.testing.assert_allclose(losses.softmax_cross_entropy(LOGITS, jnp.array([0, 1])), np.log([2, 4 / 3]), rtol=1e-6)


def test_label_smoothing_mixes_with_the_uniform_target():
    smoothed = losses.softmax_cross_entropy(LOGITS[1:], jnp.array([1]), label_smoothing=0.2)
    np.testing.assert_allclose(smoothed, [0.9 * np.log(4 / 3) + 0.1 * np.log(4)], rtol=1e-6)


def test_soft_targets_weigh_the_losses_of_the_classes():
    by_class = [losses.softmax_cross_entropy(LOGITS, jnp.full(2, i), class_weights=(2.0, 3.0)) for i in (0, 1)]
    hard = losses.softmax_cross_entropy(LOGITS, jnp.eye(2), class_weights=(2.0, 3.0))
    np.testing.assert_array_equal(hard, [by_class[0][0], by_class[1][1]])
    soft = losses.softmax_cross_entropy(LOGITS, jnp.array([[0.25, 0.75]] * 2))
    np.testing.assert_allclose(soft, [np.log(2), 0.25 * np.log(4) + 0.75 * np.log(4 / 3)], rtol=1e-6)
    with pytest.raises(ValueError, match=r"outputs are \(2, 2\), the targets \(2, 3\)"):
        losses.softmax_cross_entropy(LOGITS, jnp.ones((2, 3)))


def test_class_weights():
    weighted = losses.softmax_cross_entropy(LOGITS, jnp.array([0, 1]), class_weights=(2.0, 3.0))
    np.testing.assert_allclose(weighted, [2 * np.log(2), 3 * np.log(4 / 3)], rtol=1e-6)
    for loss in (losses.softmax_cross_entropy, losses.sigmoid_cross_entropy):
        with pytest.raises(ValueError, match="3 entries for 2 classes"):
            loss(
                LOGITS,
                jnp.zeros((2, 2)) if loss is losses.sigmoid_cross_entropy else jnp.zeros(2, int),
                class_weights=(1, 1, 1),
            )


def test_one_loss_per_frame():
    logits = jax.random.normal(jax.random.key(0), (2, 5, 3))
    target = jnp.array([[0, 1, 2, 0, 1], [2, 2, 1, 1, 0]])
    loss = losses.softmax_cross_entropy(logits, target)
    assert loss.shape == (2, 5)
    np.testing.assert_allclose(loss[1, 3], losses.softmax_cross_entropy(logits[1, 3], target[1, 3]), rtol=1e-6)


def test_sigmoid_cross_entropy_by_hand():
    # sigmoid(log 3) = 3/4
    loss = losses.sigmoid_cross_entropy(LOGITS, jnp.array([[1.0, 0.0], [0.0, 1.0]]))
    np.testing.assert_allclose(loss, [2 * np.log(2), np.log(2) + np.log(4 / 3)], rtol=1e-6)
    smoothed = losses.sigmoid_cross_entropy(LOGITS[1:], jnp.array([[0.0, 1.0]]), label_smoothing=0.2)
    np.testing.assert_allclose(smoothed, [np.log(2) + 0.9 * np.log(4 / 3) + 0.1 * np.log(4)], rtol=1e-6)


def test_squared_error_by_hand():
    loss = losses.squared_error(jnp.array([[1.0, 3.0], [0.0, 0.0]]), jnp.array([[0.0, 1.0], [0.0, 0.0]]))
    np.testing.assert_allclose(loss, [(1 + 4) / 2, 0])


def test_segmentation_sums_the_stages():
    logits = jax.random.normal(jax.random.key(0), (1, 6, 2, 3))
    target = jnp.array([[0, 0, 1, 1, 2, 2]])
    loss = losses.segmentation(logits, target)
    assert loss.shape == (1, 6)
    of_stages = sum(losses.segmentation(logits[:, :, i], target) for i in range(2))
    np.testing.assert_allclose(loss, of_stages, rtol=1e-6)
    plain = losses.segmentation(logits[:, :, 0], target, smoothing=0.0)
    np.testing.assert_allclose(plain, losses.softmax_cross_entropy(logits[:, :, 0], target), rtol=1e-6)
    weighted = losses.segmentation(logits[:, :, 0], target, smoothing=0.0, class_weights=(0.0, 1.0, 2.0))
    np.testing.assert_allclose(weighted, plain * np.array([0, 0, 1, 1, 2, 2]), rtol=1e-6)


def test_shapes_that_do_not_fit():
    frames, clips = jnp.zeros((2, 4, 3)), jnp.zeros((2, 3))
    for outputs, target, message in (
        (frames, jnp.zeros(2, int), r"outputs are \(2, 4, 3\), the targets \(2,\): a model that classifies frames"),
        (clips, jnp.zeros((2, 4), int), "needs one label per frame"),
        (jnp.zeros((2, 4, 2, 3)), jnp.zeros((2, 4), int), "several stages needs config.loss.name = 'segmentation'"),
    ):
        with pytest.raises(ValueError, match=message):
            losses.softmax_cross_entropy(outputs, target)
    for loss in (losses.sigmoid_cross_entropy, losses.squared_error):
        with pytest.raises(ValueError, match=r"outputs are \(2, 3\), the targets \(2, 4, 3\)\."):
            loss(clips, frames)
    with pytest.raises(ValueError, match="class_weights has 2 entries for 3 classes"):
        losses.segmentation(frames, jnp.zeros((2, 4), int), class_weights=(1.0, 2.0))
