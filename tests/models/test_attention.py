import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import uniform
from vidjax.models.attention import Attention, Block, Patches, drop_path_rates, gelu, resize_positions, sinusoids


def test_patches_are_a_convolution_with_stride():
    video, model = uniform("video", (2, 5, 8, 6, 3)), Patches(4, (2, 4, 3))
    variables = model.init(jax.random.key(0), video)
    kernel = variables["params"]["kernel"]  # (2, 4, 3, 3, 4)
    expected = jax.lax.conv_general_dilated(
        video, kernel, (2, 4, 3), "VALID", dimension_numbers=("NDHWC", "DHWIO", "NDHWC")
    )
    assert expected.shape == (2, 2, 2, 2, 4)  # the fifth frame fills no patch
    np.testing.assert_allclose(model.apply(variables, video), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 8, 6, 3), (1, 2, 7, 6, 3), (1, 2, 8, 7, 3)])
def test_a_video_that_patches_do_not_fit(shape):
    with pytest.raises(ValueError, match="Patches of 2 frames of 4x3 do not fit .*: give at least 2 frames, of"):
        jax.eval_shape(Patches(4, (2, 4, 3)).init, jax.random.key(0), jnp.zeros(shape))


@pytest.mark.parametrize("dtype, tolerance", [(jnp.float32, 1e-6), (jnp.bfloat16, 2e-2)])
def test_the_gradient_of_gelu(dtype, tolerance):
    x = jnp.linspace(-9, 9, 101, dtype=dtype)
    derived = jax.vmap(jax.grad(lambda x: jax.nn.gelu(x, approximate=False)))(x.astype(jnp.float32))
    gradient = jax.vmap(jax.grad(gelu))(x)
    assert gradient.dtype == dtype
    np.testing.assert_allclose(gradient.astype(jnp.float32), derived, atol=tolerance)


def test_attention_by_hand():
    """One head of width 1: query 2 x, keys x, values x + 1; the mask hides the last token."""
    x = jnp.array([[[0.0], [1.0], [5.0]]])
    layer = {"kernel": jnp.ones((1, 1)), "bias": jnp.zeros(1)}
    params = {"query": {**layer, "kernel": jnp.full((1, 1), 2.0)}, "key": layer, "out": layer}
    params["value"] = {**layer, "bias": jnp.ones(1)}
    mask = jnp.array([True, True, False])[None, None, None]
    outputs = Attention(1).apply({"params": params}, x, mask=mask)[0, :, 0]
    expected = [1 + 1 / (1 + np.exp(-2 * query)) for query in (0, 1, 5)]  # values 1 and 2
    np.testing.assert_allclose(outputs, expected, rtol=1e-6)


def test_tokens_that_are_masked_do_not_matter():
    x, block = uniform("tokens", (2, 6, 8)), Block(2)
    variables = block.init(jax.random.key(0), x)
    mask = (jnp.arange(6) < 4)[None, None, None]
    alone, masked = block.apply(variables, x[:, :4]), block.apply(variables, x, jnp.broadcast_to(mask, (2, 1, 1, 6)))
    np.testing.assert_allclose(masked[:, :4], alone, atol=1e-6)


def test_drop_path_drops_whole_branches_of_an_example():
    x, block = uniform("tokens", (64, 3, 4)), Block(2, drop_path=0.75)
    variables = block.init(jax.random.key(0), x)
    outputs = block.apply(variables, x, train=True, rngs={"dropout": jax.random.key(1)})
    dropped = np.asarray(outputs == x).all(-1)  # both branches, of each token
    assert (dropped == dropped[:, :1]).all()  # one draw for all tokens
    assert np.isclose(dropped.mean(), 0.75**2, atol=0.2)
    assert drop_path_rates(0.2, 3) == pytest.approx([0, 0.1, 0.2])


def test_kernels_are_drawn_by_their_width():
    params = Block(3).init(jax.random.key(0), jnp.zeros((1, 2, 96)))["params"]
    kernels = params["attention"]["query"]["kernel"], params["mlp"]["fc1"]["kernel"]
    expected = (2 / (96 + 96)) ** 0.5, (2 / (96 + 384)) ** 0.5  # Glorot and Bengio (2010), equation 16
    np.testing.assert_allclose([kernel.std() for kernel in kernels], expected, rtol=0.05)


def test_sinusoids_of_the_paper():
    table = sinusoids(3, 4)
    np.testing.assert_allclose(table[2], [np.sin(2), np.cos(2), np.sin(0.02), np.cos(0.02)], rtol=1e-6)


@pytest.mark.parametrize(
    "method, expected",
    [
        ("nearest", [0, 0, 1, 1, 2, 3, 3, 4]),  # entry floor(5 i / 8)
        ("linear", [0, 0.4375, 1.0625, 1.6875, 2.3125, 2.9375, 3.5625, 4]),  # 0.625 (i + 0.5) - 0.5, cut at the ends
    ],
)
def test_a_ramp_is_resized(method, expected):
    ramp = jnp.arange(5.0)[:, None]
    np.testing.assert_allclose(resize_positions(ramp, (8,), method)[:, 0], expected, atol=1e-6)


def test_cubic_resizing_is_pytorchs():
    """torch.nn.functional.interpolate([0, 0, 1, 0], size=7, mode="bicubic") along one axis."""
    pulse = jnp.array([0.0, 0, 1, 0])[:, None, None] * jnp.ones((1, 2, 1))
    resized = resize_positions(pulse, (7, 2), "cubic")[:, 0, 0]
    expected = [0, -0.0615, -0.0462, 0.5938, 0.9890, 0.4022, -0.0992]
    np.testing.assert_allclose(resized, expected, atol=1e-4)


def test_each_axis_is_resized_by_itself():
    table = uniform("table", (2, 3, 4))
    np.testing.assert_array_equal(resize_positions(jnp.asarray(table), (2, 3), "cubic"), table)
    resized = resize_positions(jnp.asarray(table), (4, 3), "nearest")
    np.testing.assert_allclose(resized, table[[0, 0, 1, 1]], rtol=1e-6)
