"""What ONNX Runtime makes of the graphs, against JAX, on batches of one and of three."""

import jax
import jax.numpy as jnp
import numpy as np


def check_against_jax(function):
    """Asserts that ONNX Runtime computes a function of x, float32 (B, 5, 6, 4), as JAX does."""
    import onnxruntime

    from vidjax.export.onnx import ops

    shape = jax.ShapeDtypeStruct(jax.export.symbolic_shape("b, 5, 6, 4"), jnp.float32)
    closed = jax.make_jaxpr(lambda x: [function(x)])(shape)
    model = ops.to_model(closed, ["x"], ["y"], {})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for batch in (1, 3):
        x = np.random.default_rng(batch).normal(size=(batch, 5, 6, 4)).astype(np.float32)
        (y,) = session.run(["y"], {"x": x})
        expected = np.asarray(function(jnp.asarray(x)))
        assert y.dtype == expected.dtype and y.shape == expected.shape
        np.testing.assert_allclose(y, expected, rtol=2e-5, atol=2e-5)
