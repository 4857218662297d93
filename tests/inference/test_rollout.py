import jax
import numpy as np
import pytest

from vidjax import models, step
from vidjax.inference import rollout

SPEC = {"mean": [127.5] * 3, "std": [127.5] * 3}
TOKENS = {"dim": 8, "depth": 2, "num_heads": 2}


def drawn(name, **arguments):
    """A transformer of 3 classes with random parameters, and a clip of 4 frames of 32x32."""
    model = models.make_model(name, 3, **arguments)
    batch = {"video": np.random.default_rng(0).integers(0, 256, (1, 4, 32, 32, 3), np.uint8)}
    params, state = jax.jit(lambda: step.init_variables(0, batch, model=model, spec=SPEC))()
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda x: (x + 0.3 * rng.normal(size=x.shape)).astype(np.float32), params)
    return model, params, state, batch


def attention_by_hand(x, params):
    """The mean over heads, of tokens (N, D) after the norm."""
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
    x = x * params["norm1"]["scale"] + params["norm1"]["bias"]
    query = x @ params["attention"]["query"]["kernel"] + params["attention"]["query"]["bias"]
    key = x @ params["attention"]["key"]["kernel"]
    found = 0
    for head in (slice(0, 4), slice(4, 8)):
        energy = np.exp(query[:, head] @ key[:, head].T / 2)
        found = found + energy / energy.sum(-1, keepdims=True) / 2
    return found


def test_the_rollout_of_two_blocks():
    model, params, state, batch = drawn("videomae_b", **TOKENS, patch=(2, 16, 16))  # 2x2x2 tokens
    _, ends = step.apply_model(params, state, batch, model=model, spec=SPEC)
    encoder = params["encoder"]
    patches = (batch["video"] / 127.5 - 1).reshape(1, 2, 2, 2, 16, 2, 16, 3).transpose(0, 1, 3, 5, 2, 4, 6, 7)
    first = patches.reshape(8, -1) @ encoder["patches"]["kernel"].reshape(-1, 8) + encoder["patches"]["bias"]
    angles = np.arange(8)[:, None] / 10000 ** (2 * (np.arange(8) // 2) / 8)
    first = first + np.where(np.arange(8) % 2, np.cos(angles), np.sin(angles))
    one = attention_by_hand(first, encoder["block0"])
    two = attention_by_hand(np.asarray(ends["block0"]).reshape(8, 8), encoder["block1"])
    passed = (two + np.eye(8)) / 2 @ (one + np.eye(8)) / 2
    maps = jax.image.resize(passed.mean(0).reshape(2, 2, 2), (4, 32, 32), "linear")
    expected = (maps - maps.min()) / (maps.max() - maps.min())
    heat = rollout.make_rollout(params, state, batch, model=model, spec=SPEC)(batch)
    np.testing.assert_allclose(heat.level, expected, atol=2e-4)
    assert heat.is_used.all()


def test_each_frame_of_a_network_on_frames_has_its_own():
    backbone = {"name": "vit_b", **TOKENS, "patch": (8, 8), "positions": (4, 4)}
    model, params, state, batch = drawn("frame_pool", backbone=backbone)
    level = rollout.make_rollout(params, state, batch, model=model, spec=SPEC)(batch).level
    assert level.shape == (4, 32, 32) and level.min() == 0 and level.max() == 1
    batch["video"] = np.concatenate([batch["video"][:, :1]] * 4, 1)
    same = rollout.make_rollout(params, state, batch, model=model, spec=SPEC)(batch).level
    np.testing.assert_allclose(same, np.broadcast_to(same[:1], same.shape), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("timesformer", {**TOKENS, "patch": (8, 8), "positions": (4, 4, 4)}),  # attention over time, then over space
        ("r3d_18", {"width": 1 / 16}),
    ],
)
def test_networks_without_a_rollout(name, arguments):
    model, params, state, batch = drawn(name, **arguments)
    assert rollout.make_rollout(params, state, batch, model=model, spec=SPEC) is None
