import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.gradients import check_equal, value_and_gradients
from tests.peers.formula import uniform
from vidjax.models import cpu_pool
from vidjax.models.layers import tf_same

VIDEO = uniform("video", (2, 5, 8, 7, 3))


@pytest.mark.parametrize(
    "window, strides",
    [((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (2, 2, 2)), ((3, 3, 3), (1, 1, 1)), ((2, 2, 2), (2, 2, 2))],
)
def test_max_pool_is_flaxs(window, strides, float64):
    video = np.round(4 * VIDEO.astype(np.float64))  # with many equal maxima
    assert len(np.unique(video)) < 10
    padding = tf_same(VIDEO.shape[1:4], window, strides)
    ours = value_and_gradients(lambda x: cpu_pool.max_pool(x, window, strides, padding), video)
    theirs = value_and_gradients(lambda x: nn.max_pool(x, window, strides, padding), video)
    check_equal(ours, theirs)


def test_the_gradient_goes_to_the_first_of_equal_maxima():
    image = jnp.asarray([[1.0, 5.0], [5.0, 5.0]]).reshape(1, 1, 2, 2, 1)
    gradient = jax.grad(lambda x: cpu_pool.max_pool(x, (1, 2, 2), (1, 2, 2), ((0, 0),) * 3).sum())(image)
    np.testing.assert_array_equal(gradient[0, 0, ..., 0], [[0, 1], [0, 0]])
