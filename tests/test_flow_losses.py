import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import losses


def constant(u, v, height, width):
    return jnp.tile(jnp.array([u, v], jnp.float32), (1, height, width, 1))


def test_sequence_discounts_early_predictions():
    """Errors 3 and 1 in u only: means over u and v are 1.5 and 0.5; 0.8 * 1.5 + 0.5."""
    target = constant(4, 0, 2, 3)
    predictions = [constant(1, 0, 2, 3)[:, None], constant(5, 0, 2, 3)[:, None]]
    np.testing.assert_allclose(losses.flow_sequence(predictions, target), np.full((1, 2, 3), 1.7), rtol=1e-6)
    np.testing.assert_allclose(losses.flow_sequence(predictions, target, gamma=1)[0, 0, 0], 2.0, rtol=1e-6)


def test_pyramid_is_the_weighted_sum_over_the_pixels_of_each_scale():
    """Scales of 1x1, with an error of 5 pixels, and 2x2, one pixel of which errs by 2; in units of 20 pixels."""
    target = constant(3, 4, 4, 4)
    fine = constant(3, 4, 2, 2).at[0, 0, 1].add(jnp.array([0.0, 2.0]))
    predictions = [jnp.zeros((1, 1, 1, 1, 2)), fine[:, None]]
    loss = losses.flow_pyramid(predictions, target, weights=(0.32, 0.08))
    np.testing.assert_allclose(loss.mean(), (0.32 * 5 + 0.08 * 2) / 20, rtol=1e-6)
    assert loss.shape == (1, 4, 4) and loss[0, 0, 3] > loss[0, 0, 0] == loss[0, 3, 3]


def test_pyramid_averages_the_target_over_areas():
    target = jnp.zeros((1, 2, 2, 2)).at[0, 0, 0, 0].set(8.0)
    assert losses.flow_pyramid([constant(2, 0, 1, 1)[:, None]], target, weights=(1,)).sum() == 0


def test_the_gradient_is_finite_where_the_error_is_zero():
    target = constant(1, 1, 2, 2)
    gradient = jax.grad(lambda x: losses.flow_pyramid([x], target, weights=(1,)).sum())(target[:, None])
    assert (gradient == 0).all()


def test_shapes_that_do_not_fit():
    target = constant(0, 0, 4, 4)
    with pytest.raises(ValueError, match="needs predictions at full size"):
        losses.flow_sequence([constant(0, 0, 2, 2)[:, None]], target)
    with pytest.raises(ValueError, match=r"Predictions of the shape \(1, 1, 3, 3, 2\) are not flow for the target"):
        losses.flow_pyramid([constant(0, 0, 3, 3)[:, None]], target, weights=(1,))
    with pytest.raises(ValueError, match="loss.weights has 5 entries for 1 predictions"):
        losses.flow_pyramid([target[:, None]], target)
