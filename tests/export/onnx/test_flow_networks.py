"""Networks of optical flow in ONNX Runtime: RAFT's iterations as a loop, FlowNet's transposed convolutions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.flow_networks import GENTLE, frames_of
from tests.peers.formula import draw_tree
from vidjax.models import make_model
from vidjax.models.backend import traced_for

onnx_ops = pytest.importorskip("vidjax.export.onnx.ops", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime")

NARROW = {"channels": (8, 12, 16), "features": 16, "hidden": 16, "context": 16, "iterations": 3}
NARROW |= {"of_correlation": (16,), "of_flow": (16, 8), "motion": 18, "head": 16}


@pytest.mark.parametrize(
    ("network", "arguments"),
    [
        ("raft_large", NARROW),
        ("raft_large", {**NARROW, "volume": False}),
        ("flownet_s", {"width": 1 / 16}),
        ("flownet_c", {"width": 1 / 16}),
        ("spynet", {"num_levels": 2}),
    ],
)
def test_flow_is_equal(network, arguments):
    model, video = make_model(network, **arguments), frames_of((64, 128))[None]
    shapes = jax.eval_shape(model.init, jax.random.key(0), video)
    variables = {collection: draw_tree(tree) for collection, tree in shapes.items()}
    if network == "raft_large":
        variables["params"]["update"]["head"]["conv2"]["kernel"] *= GENTLE
    leaves, tree = jax.tree.flatten(variables)
    shape = jax.ShapeDtypeStruct(jax.export.symbolic_shape("b, 2, 64, 128, 3"), jnp.float32)
    with traced_for("onnx"):
        closed = jax.make_jaxpr(lambda leaves, x: [model.apply(tree.unflatten(leaves), x)[0]])(leaves, shape)
    proto = onnx_ops.to_model(closed, ["x"], ["y"], {i: np.asarray(x) for i, x in enumerate(leaves)})
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    both = np.concatenate([video, video[:, ::-1]])
    (found,) = session.run(["y"], {"x": both})
    expected = jax.jit(model.apply)(variables, both)[0]
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
