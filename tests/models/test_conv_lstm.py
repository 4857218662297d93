import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import draw_tree, uniform
from vidjax.models import make_model
from vidjax.models.conv_lstm import CONV_LSTM, ConvLSTM, FrameConvLSTM, convolve
from vidjax.models.recurrent import masked_carry

VIDEO = uniform("video", (2, 4, 5, 6, 3))
MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0]])
GOLDEN = json.loads((Path(__file__).parents[1] / "peers" / "recurrent.json").read_text())

RESNET = {"name": "resnet18", "width": 1 / 16}


def layer(**arguments):
    model = ConvLSTM(2, **arguments)
    return model, {"params": draw_tree(jax.eval_shape(model.init, jax.random.key(0), VIDEO)["params"])}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_equals_keras():
    model, variables = layer()
    hidden, last = jax.jit(model.apply)(variables, VIDEO)
    np.testing.assert_allclose(hidden, np.array(GOLDEN["conv_lstm"]), atol=1e-6)
    np.testing.assert_array_equal(last[1], hidden[:, -1])


def test_peepholes_are_those_of_the_paper():
    """Equation 3 at a kernel of 1x1, where a convolution is a matrix product at each place."""
    model = ConvLSTM(2, kernel_size=1, peepholes=True)
    params = jax.jit(model.init)(jax.random.key(0), VIDEO)["params"]
    assert params["step"]["peephole_output"].shape == (5, 6, 2)  # Keras has none: they start as if there were none
    params = jax.tree.map(lambda x: x + uniform("noise", x.shape), params)
    weights, recurrent = params["input"]["kernel"][0, 0], params["step"]["recurrent"]["kernel"][0, 0]
    peep = {name: params["step"][f"peephole_{name}"] for name in ("input", "forget", "output")}
    hidden, _ = jax.jit(model.apply)({"params": params}, VIDEO)
    c = h = np.zeros((2, 5, 6, 2))
    for t in range(4):
        i, f, g, o = np.split(VIDEO[:, t] @ weights + params["bias"] + h @ recurrent, 4, axis=-1)
        i, f = sigmoid(i + peep["input"] * c), sigmoid(f + peep["forget"] * c)
        c = f * c + i * np.tanh(g)
        h = sigmoid(o + peep["output"] * c) * np.tanh(c)
        np.testing.assert_allclose(hidden[:, t], h, atol=1e-5)


def test_the_gradient_is_that_of_the_steps_one_after_the_other():
    model = ConvLSTM(2, peepholes=True)
    params = jax.jit(model.init)(jax.random.key(0), VIDEO)["params"]
    params = jax.tree.map(lambda x: x + uniform("noise", x.shape), params)

    def one_by_one(params, x):
        step, carry, total = params["step"], model.first_carry(x), 0.0
        peepholes = {name: step[f"peephole_{name}"] for name in ("input", "forget", "output")}
        for t in range(x.shape[1]):
            projected = convolve(params["input"], x[:, t]) + params["bias"]
            mask = MASK[:, t, None, None, None] == 1
            recurrent = convolve(step["recurrent"], carry[1])
            carry = masked_carry(CONV_LSTM, mask, carry, projected, recurrent, {"peepholes": peepholes})
            total += jnp.sin(carry[1]).sum()
        return total + jnp.cos(carry[1]).sum()

    def at_once(params, x):
        hidden, (_, last) = model.apply({"params": params}, x, MASK)
        return jnp.sin(hidden).sum() + jnp.cos(last).sum()

    gradient = jax.jit(jax.grad(at_once, (0, 1)))(params, VIDEO)
    expected = jax.jit(jax.grad(one_by_one, (0, 1)))(params, VIDEO)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), gradient, expected)


def test_a_padded_batch_gives_each_sequence_what_it_has_alone():
    model, variables = layer()

    def loss(x, mask=None):
        _, (_, last) = model.apply(variables, x, mask)
        return jnp.sin(last).sum(), last

    gradient_of = jax.jit(jax.grad(loss, has_aux=True))
    gradient, last = gradient_of(VIDEO, MASK)
    own_gradient, own_last = gradient_of(VIDEO[1:, :2])
    np.testing.assert_allclose(last[1:], own_last, atol=1e-6)
    np.testing.assert_allclose(gradient[1:, :2], own_gradient, atol=1e-6)
    np.testing.assert_array_equal(gradient[1, 2:], 0)


def test_no_output_sees_the_future():
    model, variables = layer()
    changed = VIDEO.copy()
    changed[:, 2] += 1
    apply = jax.jit(model.apply)
    before, after = apply(variables, VIDEO)[0], apply(variables, changed)[0]
    np.testing.assert_array_equal(before[:, :2], after[:, :2])
    assert (np.abs(before[:, 2:] - after[:, 2:]).max(axis=(0, 2, 3, 4)) > 1e-3).all()


def test_two_halves_are_the_whole():
    model, variables = layer()
    apply = jax.jit(model.apply)
    first, carry = apply(variables, VIDEO[:, :2])
    second, _ = apply(variables, VIDEO[:, 2:], None, carry)
    whole, _ = apply(variables, VIDEO)
    np.testing.assert_allclose(np.concatenate([first, second], 1), whole, atol=1e-6)


@pytest.mark.parametrize(("per_frame", "outputs"), [(False, (2, 3)), (True, (2, 4, 3))])
def test_on_pixels_and_on_maps(per_frame, outputs):
    video = uniform("frames", (2, 4, 32, 32, 3))
    model = FrameConvLSTM(3, patch_size=4, channels=(4, 6), per_frame=per_frame)
    variables = jax.eval_shape(model.init, jax.random.key(0), video)
    assert set(variables["params"]) == {"conv_lstm", "conv_lstm_1", "classifier"}
    logits, ends = jax.eval_shape(model.apply, variables, video)
    assert logits.shape == outputs and ends["maps"].shape == (2, 4, 4, 4, 6) and ends["features"].shape == (2, 4, 6)
    model = make_model("conv_lstm", 3, backbone=RESNET, channels=(4,), per_frame=per_frame, dtype="bfloat16")
    variables = jax.eval_shape(model.init, jax.random.key(0), video)
    logits, ends = jax.eval_shape(model.apply, variables, video)
    assert (logits.shape, logits.dtype) == (outputs, jnp.bfloat16) and ends["maps"].shape == (2, 4, 4, 4, 4)


def test_errors():
    video = jnp.zeros((1, 2, 34, 32, 3))
    with pytest.raises(ValueError, match="no maps 'features'; choose model.layer from stem, layer1"):
        jax.eval_shape(make_model("conv_lstm", 3, backbone=RESNET, layer="features").init, jax.random.key(0), video)
    with pytest.raises(ValueError, match="Frames of 34x32 are not cut into patches of 4x4"):
        FrameConvLSTM(3, patch_size=4).init(jax.random.key(0), video)
