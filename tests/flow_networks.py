"""The cases in which networks of optical flow are compared with other libraries; see make_flow_networks.py."""

import contextlib
import json
import math
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.peers.formula import draw_tree, uniform
from vidjax import trees
from vidjax.export import torch_names
from vidjax.models import make_model
from vidjax.weights import importers

# Drawn weights move RAFT's flow by 20 pixels per iteration, out of the frames, and rounding grows by 1.6 each time.
# These cases are for float64; those in float32 have a small last layer
GENTLE = 0.1
CASES = {  # our network, its arguments, (height, width) of the frames
    "raft_large": ("raft_large", {"frozen_norm": True}, (136, 170)),
    "raft_small": ("raft_small", {}, (90, 150)),
    "raft_large, gentle": ("raft_large", {"frozen_norm": True}, (136, 170)),
    "raft_small, gentle": ("raft_small", {}, (133, 160)),
    "flownet_s": ("flownet_s", {}, (64, 128)),
    "flownet_c": ("flownet_c", {}, (128, 64)),
    "spynet": ("spynet", {}, (64, 160)),
}


def frames_of(size: tuple[int, int]) -> np.ndarray:
    """Two smooth frames, the second moved by (3, -2) pixels: float32 (2, height, width, 3) in -1..1."""
    y, x = np.mgrid[: size[0], : size[1], :1].astype(np.float32)[:2]
    phases, waves = 3 * uniform("phases", (2, 6, 3)), 0.3 * uniform("waves", (2, 6, 3))
    moved = ((x - u, y - v) for u, v in ((0, 0), (3, -2)))
    frames = [np.sin(waves[0] * x[..., None] + waves[1] * y[..., None] + phases[0]).mean(2) for x, y in moved]
    return np.stack(frames).astype(np.float32)


def drawn(case: str):
    """Our network of a case, its variables, and a video of two frames."""
    network, of_case, size = CASES[case]
    dtype = "float64" if case in ("raft_large", "raft_small") else "float32"
    video = frames_of(size)[None]
    shapes = jax.eval_shape(make_model(network, **of_case).init, jax.random.key(0), video)
    variables = {collection: draw_tree(tree) for collection, tree in shapes.items()}
    if "gentle" in case:
        variables["params"]["update"]["head"]["conv2"]["kernel"] *= GENTLE
    return make_model(network, dtype=dtype, **of_case), variables, video.astype(dtype)


@contextlib.contextmanager
def exact():
    """Allows float64, and computes float32 in full precision."""
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        yield


def golden(case: str) -> list[np.ndarray]:
    """The stored rows and columns of their flows: of RAFT the first and the last."""
    stored = json.loads((Path(__file__).parent / "peers/flow_networks.json").read_text())
    return [np.array(x) for x in stored[case]["flows"]]


def check_flows(case: str, limits: tuple[float, ...], every: int = 1):
    """Our flows in training are theirs to `limits` in pixels; those of the swapped frames are not.

    Returns:
        The last flow (1, 1, H, W, 2), of the given frames.
    """
    expected = golden(case)
    with exact():
        model, variables, video = drawn(case)
        apply = jax.jit(lambda *inputs: model.apply(*inputs, train=True, mutable=["batch_stats"])[0][0])
        flows, swapped = jax.device_get([apply(variables, x) for x in (video, video[:, ::-1])])
    flows = [flows[0], flows[-1]] if case.startswith("raft") else flows[-len(expected) :]
    for flow, theirs, limit in zip(flows, expected, limits, strict=True):
        np.testing.assert_allclose(flow[0, 0, ::every, ::every], theirs, rtol=0, atol=limit)
    assert np.abs(swapped[-1][0, 0, ::every, ::every] - expected[-1]).max() > 1
    return flows[-1]


def check_number_of_parameters(network: str, expected: int):
    """Small frames have all parameters too."""
    shapes = jax.eval_shape(make_model(network).init, jax.random.key(0), np.zeros((1, 2, 32, 40, 3), np.float32))
    assert sum(math.prod(x.shape) for x in jax.tree.leaves(shapes["params"])) == expected


def check_names(library: str, layout: importers.Layout, network: str):
    """Ours -> theirs -> ours, by the names of their library, keeps every array."""
    shapes = jax.eval_shape(make_model(network).init, jax.random.key(0), np.zeros((1, 2, 32, 40, 3), np.float32))
    rng = np.random.default_rng(0)
    flat = {path: rng.integers(0, 9, shape).astype(np.float32) for path, shape in trees.shapes(dict(shapes)).items()}
    name_of = next(name for other, name in torch_names.NAMES[library] if other is layout)
    theirs = torch_names.to_torch(flat, layout, name_of)
    back, _ = importers.translate(theirs, layout)
    assert len(theirs) == len(flat) and back.keys() == flat.keys()
    assert all(np.array_equal(back[path], x) for path, x in flat.items())
    return theirs


def check_wrong_inputs(network: str):
    model = make_model(network)
    for shape, dtype, message in (
        ((1, 1, 64, 64, 3), np.float32, "at least 2 frames"),
        ((1, 2, 64, 64, 2), np.float32, "red, green and blue"),
        ((1, 2, 64, 64, 3), np.uint8, "normalised float video"),
        ((2, 64, 64, 3), np.float32, "batch, time"),
    ):
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(model.init, jax.random.key(0), np.zeros(shape, dtype))
