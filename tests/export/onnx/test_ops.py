import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.onnx_runtime import check_against_jax

onnx_graph = pytest.importorskip("vidjax.export.onnx.graph", reason="onnx is not installed")
onnx_ops = pytest.importorskip("vidjax.export.onnx.ops")
onnxruntime = pytest.importorskip("onnxruntime")


def loop(x):
    return jax.lax.fori_loop(0, 3, lambda _, y: y * 0.5 + x, x)


def scan(x, reverse=False):
    return jnp.stack(jax.lax.scan(lambda c, y: (c + y, c * y), x[:, 0], x.swapaxes(0, 1), reverse=reverse)[1])


FUNCTIONS = {  # of x (B, 5, 6, 4)
    "arithmetic": lambda x: (x - 2) / (3 + jnp.abs(x)) * -x + jnp.maximum(x, 0.1) - jnp.minimum(x, 0),
    "powers": lambda x: jnp.sqrt(x**2) + jnp.abs(x) ** 1.5 + jax.lax.rsqrt(1 + jnp.square(x)),
    "activations": lambda x: nn.relu(x) + nn.sigmoid(x) + jnp.tanh(x) + jnp.exp(x) + nn.softmax(x),
    "gelu": lambda x: nn.gelu(x, approximate=False) + nn.gelu(x) + jax.lax.erf(x),
    "comparisons": lambda x: jnp.where((x > 0) & ~(x >= 1) | (x < -1), x, jnp.floor(x) + (x != 0) + (x <= 2)),
    "clip": lambda x: jnp.clip(x, -0.5, 0.5),
    "reductions": lambda x: x.sum((1, 2)) + x.max(1).min(1) + x.mean((1, 2)) + x[:, :, :, 0].prod(1).sum(1)[:, None],
    "reductions of no axis": lambda x: x.sum(()) + x.mean(()) + x.max(()),
    "order": lambda x: x.argmax(2).astype(jnp.float32) + jnp.cumsum(x, axis=2)[:, :, -1],
    "shapes": lambda x: jnp.concatenate([x.reshape(-1, 24), x.transpose(0, 2, 1, 3).reshape(-1, 24)], 1)[..., None],
    "broadcast": lambda x: x + jnp.broadcast_to(jnp.arange(4.0), x.shape) + jnp.ones((2 * x.shape[0], 30)).sum(),
    "loop": loop,
    "scan": scan,
    "scan backwards": lambda x: scan(x, reverse=True),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_onnx_runtime_agrees_with_jax(name):
    check_against_jax(FUNCTIONS[name])


def test_known_arguments_become_constants():
    closed = jax.make_jaxpr(lambda w, x: [x @ w])(np.eye(4), jax.ShapeDtypeStruct((2, 4), jnp.float32))
    model = onnx_ops.to_model(closed, ["x"], ["y"], {0: 2 * np.eye(4, dtype=np.float32)})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert session.run(["y"], {"x": np.ones((2, 4), np.float32)})[0].tolist() == [[2.0] * 4] * 2


@pytest.mark.parametrize(
    "function, operation",
    [(lambda x: jnp.sort(x), "'sort', on float32"), (lambda x: jax.lax.fft(x, "RFFT", (4,)).real, "'fft'")],
)
def test_an_unsupported_operation_is_named(function, operation):
    with pytest.raises(onnx_graph.Unsupported, match=operation):
        onnx_ops.to_model(jax.make_jaxpr(lambda x: [function(x)])(jnp.ones((2, 4))), ["x"], ["y"], {})
