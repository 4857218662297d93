import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import draw_tree, uniform
from vidjax.models import make_model
from vidjax.models.conv_lstm import ConvLSTM, ConvLSTMStep, FrameConvLSTM, convolve

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
    np.testing.assert_array_equal(last, hidden[:, -1])


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


@pytest.mark.parametrize("remat", [False, True])
def test_the_gradient_is_that_of_the_steps_one_after_the_other(remat):
    model = ConvLSTM(2, peepholes=True, remat=remat)
    params = jax.jit(model.init)(jax.random.key(0), VIDEO)["params"]
    params = jax.tree.map(lambda x: x + uniform("noise", x.shape), params)

    def one_by_one(params, x):
        step = ConvLSTMStep(3, peepholes=True)
        carry, total = (jnp.zeros((2, 5, 6, 2)),) * 2, 0.0
        for t in range(x.shape[1]):
            projected = convolve(x[:, t], params["input"]["kernel"]) + params["bias"]
            mask = MASK[:, t, None, None, None].astype(bool)
            carry, _ = step.apply({"params": params["step"]}, carry, (projected, mask))
            total += jnp.sin(carry[1]).sum()
        return total + jnp.cos(carry[1]).sum()

    def at_once(params, x):
        hidden, last = model.apply({"params": params}, x, MASK)
        return jnp.sin(hidden).sum() + jnp.cos(last).sum()

    gradient = jax.jit(jax.grad(at_once, (0, 1)))(params, VIDEO)
    expected = jax.jit(jax.grad(one_by_one, (0, 1)))(params, VIDEO)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), gradient, expected)


def test_a_padded_batch_gives_each_sequence_what_it_has_alone():
    model, variables = layer()
    other, _ = layer(remat=True, unroll=2)

    def loss(x, mask=None, model=model):
        _, last = model.apply(variables, x, mask)
        return jnp.sin(last).sum(), last

    gradient_of = jax.jit(jax.grad(loss, has_aux=True))
    gradient, last = gradient_of(VIDEO, MASK)
    own_gradient, own_last = gradient_of(VIDEO[1:, :2])
    np.testing.assert_allclose(last[1:], own_last, atol=1e-6)
    np.testing.assert_allclose(gradient[1:, :2], own_gradient, atol=1e-6)
    np.testing.assert_array_equal(gradient[1, 2:], 0)
    through_remat = jax.jit(jax.grad(lambda x: loss(x, MASK, other)[0]))(VIDEO)
    np.testing.assert_allclose(through_remat, gradient, atol=1e-6)


def test_no_output_sees_the_future():
    model, variables = layer()
    changed = VIDEO.copy()
    changed[:, 2] += 1
    apply = jax.jit(model.apply)
    before, after = apply(variables, VIDEO)[0], apply(variables, changed)[0]
    np.testing.assert_array_equal(before[:, :2], after[:, :2])
    assert (np.abs(before[:, 2:] - after[:, 2:]).max(axis=(0, 2, 3, 4)) > 1e-3).all()


def test_two_halves_of_a_stateful_layer_are_the_whole():
    model, variables = layer()
    stateful = ConvLSTM(2, stateful=True)
    carry = {"state": (jnp.zeros((2, 5, 6, 2)),) * 2}
    apply = jax.jit(functools.partial(stateful.apply, mutable=["carry"]))
    parts = []
    for part in (VIDEO[:, :2], VIDEO[:, 2:]):
        (hidden, _), updated = apply({**variables, "carry": carry}, part)
        parts.append(hidden)
        carry = updated["carry"]
    whole, _ = jax.jit(model.apply)(variables, VIDEO)
    np.testing.assert_allclose(np.concatenate(parts, 1), whole, atol=1e-6)
    with pytest.raises(ValueError, match="this batch has 1: a stateful model needs batches of one size"):
        stateful.apply({**variables, "carry": carry}, VIDEO[:1])
    with pytest.raises(ValueError, match=r"carries is \(2, 5, 6, 2\), but these frames need \(2, 4, 6, 2\)"):
        stateful.apply({**variables, "carry": carry}, VIDEO[:, :, :4])


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
