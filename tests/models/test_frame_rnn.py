import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import draw_tree, uniform
from vidjax.models import make_model
from vidjax.models.frame_rnn import ClipRNN, FrameRNN

SEQUENCE = uniform("sequence", (3, 7, 5))
MASK = np.array([[1] * 7, [1, 1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 0, 1, 1]])


def test_on_features():
    model = FrameRNN(num_classes=3, hidden=4)
    variables = jax.jit(model.init)(jax.random.key(0), features=SEQUENCE)
    apply = jax.jit(model.apply)
    assert set(variables["params"]) == {"head"}  # no backbone without frames
    assert set(variables["params"]["head"]) == {"lstm", "classifier"}
    logits, ends = apply(variables, features=SEQUENCE, frame_mask=MASK)
    assert logits.shape == (3, 3)
    assert {name: x.shape for name, x in ends.items()} == {"features": (3, 7, 5), "hidden": (3, 7, 4), "last": (3, 4)}
    np.testing.assert_allclose(ends["last"][0], ends["hidden"][0, -1], atol=1e-6)
    np.testing.assert_allclose(ends["last"][1], ends["hidden"][1, 3], atol=1e-6)
    backwards = apply(variables, features=SEQUENCE[:1, ::-1], frame_mask=MASK[:1])[0]
    assert np.abs(backwards - logits[:1]).max() > 1e-3


@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_one_label_a_frame(cell):
    model = FrameRNN(num_classes=3, hidden=4, cell=cell, num_layers=2, bidirectional=True, per_frame=True)
    variables = jax.eval_shape(model.init, jax.random.key(0), features=SEQUENCE)
    assert set(variables["params"]["head"]) == {cell, f"{cell}_reverse", f"{cell}_1", f"{cell}_1_reverse", "classifier"}
    logits, ends = jax.eval_shape(model.apply, variables, features=SEQUENCE)
    assert logits.shape == (3, 7, 3) and ends["hidden"].shape == (3, 7, 8) and ends["last"].shape == (3, 8)


def test_on_frames():
    model = make_model("frame_rnn", None, hidden=4, backbone={"name": "resnet18", "width": 1 / 16}, dtype="bfloat16")
    video = uniform("video", (2, 3, 32, 32, 3))
    variables = jax.eval_shape(model.init, jax.random.key(0), video)
    assert set(variables["params"]) == {"backbone", "head"}
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    last, ends = jax.eval_shape(model.apply, variables, video)
    assert (last.shape, last.dtype) == ((2, 4), jnp.bfloat16)
    assert ends["features"].shape == (2, 3, 32)


def test_over_clips():
    network = {"network": {"name": "c3d", "width": 1 / 16, "hidden": 0}, "clip_frames": 4, "hidden": 4}
    video = uniform("video", (2, 12, 32, 32, 3))
    mask = np.array([[1] * 12, [1] * 6 + [0] * 6])
    model = make_model("clip_rnn", 3, **network)
    variables = {"params": draw_tree(jax.eval_shape(model.init, jax.random.key(0), video)["params"])}
    logits, ends = jax.jit(model.apply)(variables, video, frame_mask=mask)
    assert {name: x.shape for name, x in ends.items()} == {"features": (2, 3, 32), "hidden": (2, 3, 4), "last": (2, 4)}
    np.testing.assert_allclose(ends["last"][1], ends["hidden"][1, 1], atol=1e-6)  # the third clip does not count
    alone = jax.jit(model.apply)(variables, video[1:, :8], frame_mask=mask[1:, :8])[0]
    np.testing.assert_allclose(logits[1:], alone, atol=1e-5)
    per_frame = jax.eval_shape(make_model("clip_rnn", 3, per_frame=True, **network).apply, variables, video)[0]
    assert per_frame.shape == (2, 12, 3)


def test_errors():
    with pytest.raises(ValueError, match="Unknown cell 'mlp'"):
        FrameRNN(num_classes=3, cell="mlp")
    for inputs in ({}, {"video": jnp.zeros((1, 2, 32, 32, 3)), "features": SEQUENCE}):
        with pytest.raises(ValueError, match="either a video or features"):
            FrameRNN(num_classes=3).init(jax.random.key(0), **inputs)
    model = FrameRNN(num_classes=3, hidden=4)
    variables = jax.eval_shape(model.init, jax.random.key(0), features=SEQUENCE)
    with pytest.raises(ValueError, match="parameters are for features of width 5; got 4"):
        jax.eval_shape(model.apply, variables, features=SEQUENCE[..., :4])
    with pytest.raises(ValueError, match="A video of 10 frames is not cut into clips of 16"):
        ClipRNN(num_classes=3).init(jax.random.key(0), jnp.zeros((1, 10, 16, 16, 3)))


def test_the_network_of_montes():
    """BatchNorm, LSTM of 512, 201 outputs on C3D's 4096 features: 9,550,537 parameters (Montes et al., 2016)."""
    model = FrameRNN(201, hidden=512, per_frame=True, normalise=True, dropout=0.5)
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), features=jnp.zeros((1, 20, 4096))))
    assert sum(x.size for x in jax.tree.leaves(variables["params"])) == 9_550_537
    assert sum(x.size for x in jax.tree.leaves(variables["batch_stats"])) == 8_192


def test_statistics_leave_out_masked_steps():
    model = FrameRNN(2, hidden=3, normalise=True)
    x, mask = (
        jnp.stack([jnp.ones((4, 1)), jnp.full((4, 1), 3.0)]).at[1, 2:].set(100.0),
        jnp.ones((2, 4)).at[1, 2:].set(0),
    )
    variables = model.init(jax.random.key(0), features=x)
    _, updates = model.apply(variables, features=x, frame_mask=mask, train=True, mutable=["batch_stats"])
    mean = updates["batch_stats"]["head"]["norm"]["mean"]
    np.testing.assert_allclose(mean, 0.1 * (4 * 1 + 2 * 3) / 6, rtol=1e-6)
