"""What ONNX Runtime makes of the graphs, against JAX, on batches of one and of three."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

onnx_graph = pytest.importorskip("vidjax.onnx_graph", reason="onnx is not installed")
onnx_ops = pytest.importorskip("vidjax.onnx_ops")
onnxruntime = pytest.importorskip("onnxruntime")

IMAGE = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)), jnp.float32)


def loop(x):
    return jax.lax.fori_loop(0, 3, lambda _, y: y * 0.5 + x, x)


def scan(x, reverse=False):
    return jnp.stack(jax.lax.scan(lambda c, y: (c + y, c * y), x[:, 0], x.swapaxes(0, 1), reverse=reverse)[1])


def conv(x, kernel, strides, padding, **settings):
    weights = jnp.asarray(np.random.default_rng(1).normal(size=(*kernel, x.shape[-1], 2)), jnp.float32)
    space = "DHW"[-len(kernel) :]
    numbers = (f"N{space}C", f"{space}IO", f"N{space}C")
    return jax.lax.conv_general_dilated(x, weights, strides, padding, dimension_numbers=numbers, **settings)


FUNCTIONS = {  # of x (B, 5, 6, 4)
    "arithmetic": lambda x: (x - 2) / (3 + jnp.abs(x)) * -x + jnp.maximum(x, 0.1) - jnp.minimum(x, 0),
    "powers": lambda x: jnp.sqrt(x**2) + jnp.abs(x) ** 1.5 + jax.lax.rsqrt(1 + jnp.square(x)),
    "activations": lambda x: nn.relu(x) + nn.sigmoid(x) + jnp.tanh(x) + jnp.exp(x) + nn.softmax(x),
    "comparisons": lambda x: jnp.where((x > 0) & ~(x >= 1) | (x < -1), x, jnp.floor(x) + (x != 0) + (x <= 2)),
    "clip": lambda x: jnp.clip(x, -0.5, 0.5),
    "reductions": lambda x: x.sum((1, 2)) + x.max(1).min(1) + x.mean((1, 2)) + x[:, :, :, 0].prod(1).sum(1)[:, None],
    "order": lambda x: x.argmax(2).astype(jnp.float32) + jnp.cumsum(x, axis=2)[:, :, -1],
    "shapes": lambda x: jnp.concatenate([x.reshape(-1, 24), x.transpose(0, 2, 1, 3).reshape(-1, 24)], 1)[..., None],
    "broadcast": lambda x: x + jnp.broadcast_to(jnp.arange(4.0), x.shape) + jnp.ones((2 * x.shape[0], 30)).sum(),
    "slices": lambda x: x[:, 1:4:2, ::-1] + jnp.split(x, 2, axis=2)[0].sum() + x[:, -1, None, :1],
    "pad": lambda x: jnp.pad(x, ((0, 0), (0, 0), (2, 1), (0, 0)), constant_values=3),
    "pad with edges": lambda x: jnp.pad(x, ((0, 0), (1, 2), (0, 0), (0, 1)), mode="edge"),
    "matmul": lambda x: x @ jnp.arange(8.0).reshape(4, 2),
    "products of batches": lambda x: jnp.einsum("bijc,bikc->bijk", x, x),
    "products over two axes": lambda x: jnp.einsum("bijc,ci->bj", x, jnp.arange(20.0).reshape(4, 5)),
    "gather": lambda x: x[:, jnp.array([0, 3, 3])] + IMAGE[jnp.array([2, 0]), jnp.array([1, 3])].sum(),
    "gather along": lambda x: jnp.take_along_axis(x, x[..., :1].astype(jnp.int32) % 4, 3),
    "dynamic slice": lambda x: jax.lax.dynamic_slice_in_dim(x, 3 + (x.sum() > 1e9).astype(jnp.int32), 2, 1),
    "loop": loop,
    "scan": scan,
    "scan backwards": lambda x: scan(x, reverse=True),
    "2-D convolution": lambda x: conv(x, (3, 2), (2, 1), ((1, 1), (0, 1))),
    "dilated convolution": lambda x: conv(x, (2, 2), (1, 1), ((1, 0), (0, 0)), rhs_dilation=(2, 1)),
    "3-D convolution": lambda x: conv(x[..., None], (3, 3, 2), (1, 2, 1), ((1, 1), (0, 1), (0, 0))),
    "max-pool": lambda x: nn.max_pool(x[:, :, None], (2, 1, 3), (1, 1, 2), ((0, 1), (0, 0), (1, 1))),
    "average pool": lambda x: nn.avg_pool(x, (2, 2), (2, 2), "VALID"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_onnx_runtime_agrees_with_jax(name):
    shape = jax.ShapeDtypeStruct(jax.export.symbolic_shape("b, 5, 6, 4"), jnp.float32)
    closed = jax.make_jaxpr(lambda x: [FUNCTIONS[name](x)])(shape)
    model = onnx_ops.to_model(closed, ["x"], ["y"], {})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for batch in (1, 3):
        x = np.random.default_rng(batch).normal(size=(batch, 5, 6, 4)).astype(np.float32)
        (y,) = session.run(["y"], {"x": x})
        expected = np.asarray(FUNCTIONS[name](jnp.asarray(x)))
        assert y.dtype == expected.dtype and y.shape == expected.shape
        np.testing.assert_allclose(y, expected, rtol=2e-5, atol=2e-5)


def test_constants_are_arguments_that_are_known():
    closed = jax.make_jaxpr(lambda w, x: [x @ w])(np.eye(4), jax.ShapeDtypeStruct((2, 4), jnp.float32))
    model = onnx_ops.to_model(closed, ["x"], ["y"], {0: 2 * np.eye(4, dtype=np.float32)})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert session.run(["y"], {"x": np.ones((2, 4), np.float32)})[0].tolist() == [[2.0] * 4] * 2


@pytest.mark.parametrize(
    "function, operation",
    [(lambda x: jnp.sort(x), "'sort', on float32"), (lambda x: jax.lax.fft(x, "RFFT", (4,)).real, "'fft'")],
)
def test_an_operation_that_it_cannot_hold_is_named(function, operation):
    with pytest.raises(onnx_graph.Unsupported, match=operation):
        onnx_ops.to_model(jax.make_jaxpr(lambda x: [function(x)])(jnp.ones((2, 4))), ["x"], ["y"], {})
