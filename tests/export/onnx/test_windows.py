import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.onnx_runtime import check_against_jax

pytest.importorskip("vidjax.export.onnx.windows", reason="onnx is not installed")
pytest.importorskip("onnxruntime")

IMAGE = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)), jnp.float32)


def conv(x, kernel, strides, padding, **settings):
    weights = jnp.asarray(np.random.default_rng(1).normal(size=(*kernel, x.shape[-1], 2)), jnp.float32)
    space = "DHW"[-len(kernel) :]
    numbers = (f"N{space}C", f"{space}IO", f"N{space}C")
    return jax.lax.conv_general_dilated(x, weights, strides, padding, dimension_numbers=numbers, **settings)


FUNCTIONS = {  # of x (B, 5, 6, 4)
    "slices": lambda x: x[:, 1:4:2, ::-1] + jnp.split(x, 2, axis=2)[0].sum() + x[:, -1, None, :1],
    "pad": lambda x: jnp.pad(x, ((0, 0), (0, 0), (2, 1), (0, 0)), constant_values=3),
    "pad with edges": lambda x: jnp.pad(x, ((0, 0), (1, 2), (0, 0), (0, 1)), mode="edge"),
    "matmul": lambda x: x @ jnp.arange(8.0).reshape(4, 2),
    "products of batches": lambda x: jnp.einsum("bijc,bikc->bijk", x, x),
    "products over two axes": lambda x: jnp.einsum("bijc,ci->bj", x, jnp.arange(20.0).reshape(4, 5)),
    "gather": lambda x: x[:, jnp.array([0, 3, 3])] + IMAGE[jnp.array([2, 0]), jnp.array([1, 3])].sum(),
    "gather along": lambda x: jnp.take_along_axis(x, x[..., :1].astype(jnp.int32) % 4, 3),
    "dynamic slice": lambda x: jax.lax.dynamic_slice_in_dim(x, 3 + (x.sum() > 1e9).astype(jnp.int32), 2, 1),
    "2-D convolution": lambda x: conv(x, (3, 2), (2, 1), ((1, 1), (0, 1))),
    "dilated convolution": lambda x: conv(x, (2, 2), (1, 1), ((1, 0), (0, 0)), rhs_dilation=(2, 1)),
    "transposed convolution": lambda x: conv(x, (4, 3), (1, 1), ((2, 2), (1, 0)), lhs_dilation=(2, 3)),
    "3-D convolution": lambda x: conv(x[..., None], (3, 3, 2), (1, 2, 1), ((1, 1), (0, 1), (0, 0))),
    "max-pool": lambda x: nn.max_pool(x[:, :, None], (2, 1, 3), (1, 1, 2), ((0, 1), (0, 0), (1, 1))),
    "average pool": lambda x: nn.avg_pool(x, (2, 2), (2, 2), "VALID"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_onnx_runtime_agrees_with_jax(name):
    check_against_jax(FUNCTIONS[name])
