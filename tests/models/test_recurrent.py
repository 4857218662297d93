import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.peers.formula import draw_tree, uniform
from vidjax.models.recurrent import CELLS, Recurrent, check_cell, masked_carry, recurrent_stack

SEQUENCE = uniform("sequence", (3, 7, 5))
MASK = np.array([[1] * 7, [1, 1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 0, 1, 1]])
GOLDEN = json.loads((Path(__file__).parents[1] / "peers" / "recurrent.json").read_text())


def layer(cell, **arguments):
    """A layer with parameters from the formula."""
    model = Recurrent(4, cell, **arguments)
    shapes = jax.eval_shape(model.init, jax.random.key(0), SEQUENCE)["params"]
    return model, {"params": draw_tree(shapes)}


class Stack(nn.Module):
    cell: str
    bidirectional: bool = True

    @nn.compact
    def __call__(self, x, frame_mask=None):
        return recurrent_stack(
            x, frame_mask, features=4, cell=self.cell, num_layers=2, bidirectional=self.bidirectional
        )


@pytest.mark.parametrize("cell", CELLS)
def test_equals_torch_on_packed_sequences(cell):
    """Two layers, both directions, 7, 4 and 1 steps."""
    model = Stack(cell)
    params = draw_tree(jax.eval_shape(model.init, jax.random.key(0), SEQUENCE)["params"])
    assert set(params) == {cell, f"{cell}_reverse", f"{cell}_1", f"{cell}_1_reverse"}
    mask = np.arange(7) < np.array([[7], [4], [1]])
    outputs, last = jax.jit(model.apply)({"params": params}, SEQUENCE, mask)
    expected = np.array(GOLDEN[cell]["outputs"])
    np.testing.assert_allclose(np.where(mask[..., None], outputs, 0), expected, atol=1e-6)
    of_last_layer = np.concatenate(GOLDEN[cell]["last"][2:], axis=-1)  # both directions
    np.testing.assert_allclose(last, of_last_layer, atol=1e-6)


@pytest.mark.parametrize("cell", CELLS)
def test_its_backward_pass_is_that_of_automatic_differentiation(cell):
    model, variables = layer(cell)

    def step_by_step(variables, x):
        params, carry, hidden = variables["params"], model.first_carry(x), []
        for t in range(7):
            step = params["step"]["recurrent"]
            projected = x[:, t] @ params["input"]["kernel"] + params["input"]["bias"]
            recurrent = carry[-1] @ step["kernel"] + step.get("bias", 0)
            carry = masked_carry(CELLS[cell], MASK[:, t, None] == 1, carry, projected, recurrent, {})
            hidden.append(carry[-1])
        return jnp.stack(hidden, 1), carry[-1]

    def gradients(function):
        def loss(variables, x):
            hidden, last = function(variables, x)
            return jnp.sin(hidden).sum() + jnp.square(last).sum()

        return jax.jit(jax.grad(loss, (0, 1)))(variables, SEQUENCE)

    def at_once(variables, x):
        hidden, carry = model.apply(variables, x, MASK)
        return hidden, carry[-1]

    expected, found = gradients(step_by_step), gradients(at_once)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), found, expected)


def test_the_forget_gate_starts_open():
    variables = Recurrent(4).init(jax.random.key(0), SEQUENCE)
    assert variables["params"]["input"]["bias"].tolist() == [0] * 4 + [1] * 4 + [0] * 8


@pytest.mark.parametrize(("cell", "reverse"), [("rnn", False), ("lstm", False), ("lstm", True), ("gru", False)])
def test_a_padded_batch_gives_each_sequence_what_it_has_alone(cell, reverse):
    model, variables = layer(cell, reverse=reverse)

    def loss(variables, x, mask=None):
        hidden, (*_, last) = model.apply(variables, x, mask)
        weight = 1 if mask is None else mask[..., None]
        return (jnp.sin(hidden) * weight).sum() + jnp.square(last).sum(), last

    gradient = jax.jit(jax.grad(loss, (0, 1), has_aux=True))
    of_batch, last = gradient(variables, SEQUENCE, MASK)
    total = jax.tree.map(jnp.zeros_like, variables)
    for i in range(3):
        counts = MASK[i] == 1
        (of_params, of_sequence), own_last = gradient(variables, SEQUENCE[i : i + 1, counts])
        total = jax.tree.map(jnp.add, total, of_params)
        np.testing.assert_allclose(last[i : i + 1], own_last, atol=1e-6)
        np.testing.assert_allclose(of_batch[1][i, counts], of_sequence[0], atol=1e-5)
        np.testing.assert_array_equal(of_batch[1][i, ~counts], 0)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), of_batch[0], total)


@pytest.mark.parametrize("cell", CELLS)
def test_no_output_sees_the_future(cell):
    model, variables = layer(cell)
    changed = SEQUENCE.copy()
    changed[:, 4] += 1
    before, after = (jax.jit(model.apply)(variables, x)[0] for x in (SEQUENCE, changed))
    np.testing.assert_array_equal(before[:, :4], after[:, :4])
    assert (np.abs(before[:, 4:] - after[:, 4:]).max(axis=(0, 2)) > 1e-4).all()


@pytest.mark.parametrize("cell", CELLS)
def test_two_halves_are_the_whole(cell):
    model, variables = layer(cell)
    apply = jax.jit(model.apply)
    whole, last = apply(variables, SEQUENCE, MASK)
    first, carry = apply(variables, SEQUENCE[:, :3], MASK[:, :3])
    second, own_last = apply(variables, SEQUENCE[:, 3:], MASK[:, 3:], carry)
    np.testing.assert_allclose(np.concatenate([first, second], 1), whole, atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), own_last, last)


def test_half_precision():
    model, variables = layer("lstm", dtype=jnp.bfloat16)
    gradient = jax.eval_shape(jax.grad(lambda v: model.apply(v, SEQUENCE)[0].astype(jnp.float32).sum()), variables)
    assert jax.eval_shape(model.apply, variables, SEQUENCE)[0].dtype == jnp.bfloat16
    assert {x.dtype for x in jax.tree.leaves(gradient)} == {jnp.dtype("float32")}


def test_errors():
    model, variables = layer("lstm")
    with pytest.raises(ValueError, match="Unknown cell 'mlp'; choose one of rnn, lstm, gru"):
        Recurrent(4, "mlp")
    with pytest.raises(ValueError, match="num_layers = 0: a recurrent network has at least one layer"):
        check_cell("lstm", 0)
    with pytest.raises(ValueError, match=r"parameters are for features of width 5; got 3: .* of another layer"):
        model.apply(variables, SEQUENCE[..., :3])
    with pytest.raises(ValueError, match=r"frame_mask leaves the sequences \[1\] of the batch without a frame"):
        model.apply(variables, SEQUENCE, MASK * np.array([[1], [0], [1]]))
    with pytest.raises(ValueError, match=r"\(batch, time, width\), of at least one step; got the shape \(3, 0, 5\)"):
        model.apply(variables, SEQUENCE[:, :0])
