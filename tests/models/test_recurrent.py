import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.peers.formula import uniform
from vidjax.models.recurrent import LSTM, FrameRNN

SEQUENCE = uniform("sequence", (3, 7, 5))
MASK = np.array([[1] * 7, [1, 1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 0, 1, 1]])


def lstm():
    model = LSTM(4)
    return model, model.init(jax.random.key(0), SEQUENCE)


def run(variables, sequence=SEQUENCE, mask=None):
    return LSTM(4).apply(variables, sequence, mask)


def test_equals_flax_on_the_same_weights():
    """flax.linen.LSTMCell has a matrix for each gate: input and hidden to i, f, g, o; its biases are at the latter."""
    _, variables = lstm()
    inputs, recurrent = variables["params"]["input"], variables["params"]["step"]["recurrent"]
    theirs = {}
    for k, gate in enumerate("ifgo"):
        part = slice(4 * k, 4 * k + 4)
        theirs[f"i{gate}"] = {"kernel": inputs["kernel"][:, part]}
        theirs[f"h{gate}"] = {"kernel": recurrent["kernel"][:, part], "bias": inputs["bias"][part]}
    expected = nn.RNN(nn.LSTMCell(4)).apply({"params": {"cell": theirs}}, SEQUENCE)
    np.testing.assert_allclose(run(variables), expected, atol=1e-6)


def test_the_forget_gate_starts_open():
    _, variables = lstm()
    assert variables["params"]["input"]["bias"].tolist() == [0] * 4 + [1] * 4 + [0] * 8


def test_masked_steps_are_passed_over():
    _, variables = lstm()

    def last(sequence, mask=None):
        return run(variables, sequence, mask)[:, -1]

    gradient = jax.grad(lambda x: last(x, MASK).sum())(SEQUENCE)
    for i in range(3):
        alone = SEQUENCE[i : i + 1, MASK[i] == 1]
        np.testing.assert_allclose(last(SEQUENCE, MASK)[i : i + 1], last(alone), atol=1e-6)
        expected = jax.grad(lambda x: last(x).sum())(alone)
        np.testing.assert_allclose(gradient[i, MASK[i] == 1], expected[0], atol=1e-6)
        np.testing.assert_array_equal(gradient[i, MASK[i] == 0], 0)


def test_no_output_sees_the_future():
    _, variables = lstm()
    changed = SEQUENCE.copy()
    changed[:, 4] += 1
    before, after = run(variables), run(variables, changed)
    np.testing.assert_array_equal(before[:, :4], after[:, :4])
    assert (np.abs(before[:, 4:] - after[:, 4:]).max(axis=(0, 2)) > 1e-3).all()


def test_on_features():
    model = FrameRNN(num_classes=3, hidden=4)
    variables = model.init(jax.random.key(0), features=SEQUENCE)
    assert set(variables["params"]) == {"lstm", "classifier"}  # no backbone where there are no frames
    logits, ends = model.apply(variables, features=SEQUENCE, frame_mask=MASK)
    assert logits.shape == (3, 3)
    assert {name: x.shape for name, x in ends.items()} == {"features": (3, 7, 5), "hidden": (3, 7, 4), "last": (3, 4)}
    shuffled = model.apply(variables, features=SEQUENCE[:, ::-1])[0]
    assert np.abs(shuffled - model.apply(variables, features=SEQUENCE)[0]).max() > 1e-3


def test_on_frames():
    model = FrameRNN(num_classes=None, hidden=4, backbone_arguments={"width": 1 / 16}, dtype=jnp.bfloat16)
    video = uniform("video", (2, 3, 32, 32, 3))
    variables = jax.eval_shape(model.init, jax.random.key(0), video)
    assert set(variables["params"]) == {"backbone", "lstm"}
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    last, ends = jax.eval_shape(model.apply, variables, video)
    assert (last.shape, last.dtype) == ((2, 4), jnp.bfloat16)
    assert ends["features"].shape == (2, 3, 32)


def test_errors():
    with pytest.raises(ValueError, match="Unknown backbone on single frames 'i3d'; choose one of .*inception_v1"):
        FrameRNN(num_classes=3, backbone="i3d")
    for inputs in ({}, {"video": jnp.zeros((1, 2, 32, 32, 3)), "features": SEQUENCE}):
        with pytest.raises(ValueError, match="either a video or features"):
            FrameRNN(num_classes=3).init(jax.random.key(0), **inputs)
