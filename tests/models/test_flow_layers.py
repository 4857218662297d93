import jax
import jax.numpy as jnp
import numpy as np

from vidjax.models import flow_layers
from vidjax.models.backend import traced_for


def test_padding_repeats_the_border_and_is_cut_off():
    video = jnp.arange(2 * 5 * 9.0).reshape(1, 2, 5, 9, 1)
    for centred, smallest, shape in ((False, 0, (8, 16)), (True, 24, (24, 24))):
        more, inside = flow_layers.padded(video, 8, smallest, centred)
        assert more.shape[2:4] == shape
        np.testing.assert_array_equal(more[:, :, *inside], video)
        assert (more[:, :, -1, -1] == video[:, :, -1, -1]).all() and (more[:, :, 0, 0] == video[:, :, 0, 0]).all()
    np.testing.assert_array_equal(flow_layers.padded(video, 1)[0], video)


def test_pairs_are_neighbours():
    first, second = flow_layers.pairs(jnp.arange(6).reshape(2, 3))
    assert first.tolist() == [0, 1, 3, 4] and second.tolist() == [1, 2, 4, 5]


def test_resizing_keeps_corners_and_ramps():
    y, x = np.mgrid[:4, :7].astype(np.float32)
    ramp = (3 * x - 2 * y)[None, ..., None]
    found = flow_layers.resized(jnp.asarray(ramp), 10, 13)[0, ..., 0]
    y, x = np.mgrid[:10, :13].astype(np.float32)
    np.testing.assert_allclose(found, 3 * x / 12 * 6 - 2 * y / 9 * 3, atol=1e-5)


def test_warping_moves_pixels_and_repeats_the_border():
    maps = jnp.asarray(np.random.default_rng(0).normal(size=(1, 6, 8, 2)), jnp.float32)
    flow = jnp.broadcast_to(jnp.array([2.0, -1.0]), (1, 6, 8, 2))
    rows, columns = np.clip(np.arange(6) - 1, 0, 5), np.clip(np.arange(8) + 2, 0, 7)
    np.testing.assert_array_equal(flow_layers.warp(maps, flow), maps[:, rows][:, :, columns])
    half = flow_layers.warp(maps, flow / 2)[0, 3, 2]  # at (3, 2.5)
    np.testing.assert_allclose(half, (maps[0, 2, 3] + maps[0, 3, 3]) / 2, atol=1e-6)
    np.testing.assert_array_equal(flow_layers.warp(maps[:, :1, :1], 9 * flow[:, :1, :1]), maps[:, :1, :1])


def test_a_deconvolution_and_its_gradient_are_those_of_jax():
    rng = np.random.default_rng(0)
    x, module = jnp.asarray(rng.normal(size=(2, 33, 34, 3)), jnp.float32), flow_layers.Deconv(5)  # many places
    kernel = jnp.asarray(rng.normal(size=(4, 4, 5, 3)), jnp.float32)
    weights = jnp.asarray(rng.normal(size=(2, 66, 68, 5)), jnp.float32)

    def loss(x, kernel):
        return (weights * module.apply({"params": {"kernel": kernel}}, x)).sum()

    found = jax.value_and_grad(loss, (0, 1))(x, kernel)
    with traced_for("reference"):
        expected = jax.value_and_grad(loss, (0, 1))(x, kernel)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3), found, expected)
    one = np.zeros((1, 2, 2, 1), np.float32)
    one[0, 1, 0] = 1  # covers rows 1..4 and columns -1..2
    kernel = np.arange(16.0).reshape(4, 4, 1, 1)
    spread = flow_layers.Deconv(1).apply({"params": {"kernel": kernel}}, one)[0, ..., 0]
    np.testing.assert_array_equal(spread, [[0] * 4, [1, 2, 3, 0], [5, 6, 7, 0], [9, 10, 11, 0]])
