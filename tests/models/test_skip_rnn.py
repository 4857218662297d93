import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models, step
from vidjax.inference import stream
from vidjax.models.skip_rnn import SkipRecurrent, SkipRNN, binarize
from vidjax.models.stateful import Stateful

SPEC = {"mean": [127.5] * 3, "std": [127.5] * 3}
CNN = {"backbone": {"name": "small_cnn", "width": 0.125}}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def reference(variables, x, cell):
    """The paper's equations 1 to 5, frame by frame: the outputs and which frames are used."""
    params = jax.tree.map(np.asarray, variables["params"])
    w, b = params["input"]["kernel"], params["input"]["bias"]
    u, of_update = params["step"]["recurrent"]["kernel"], params["step"]["update_probability"]
    outputs, updates = [], []
    for sequence in x:
        h = c = np.zeros(u.shape[0])
        total, probability = 1.0, None  # u~ of the first frame is 1
        for frame in sequence:
            used = total >= 0.5
            if used and cell == "lstm":
                i, f, g, o = np.split(frame @ w + b + h @ u, 4)
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(c)
            elif used:
                bias = params["step"]["recurrent"]["bias"]
                (r, z, n), (rr, zr, nr) = np.split(frame @ w + b, 3), np.split(h @ u + bias, 3)
                r, z = sigmoid(r + rr), sigmoid(z + zr)
                h = (1 - z) * np.tanh(n + r * nr) + z * h
            if used:
                state = c if cell == "lstm" else h
                probability = sigmoid(state @ of_update["kernel"] + of_update["bias"])[0]
                total = probability
            else:
                total = total + min(probability, 1 - total)
            outputs.append(h)
            updates.append(used)
    return np.reshape(outputs, (*x.shape[:2], -1)), np.reshape(updates, x.shape[:2])


def drawn(cell, bias=-1.0):
    """A layer that skips about half of the frames, and its input."""
    x = jax.random.normal(jax.random.key(1), (3, 12, 5))
    layer = SkipRecurrent(4, cell)
    variables = layer.init(jax.random.key(0), x)
    of_update = variables["params"]["step"]["update_probability"]
    of_update["bias"] = of_update["bias"] * 0 + bias
    of_update["kernel"] = 3 * of_update["kernel"]
    return layer, variables, x


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_equals_the_papers_equations(cell):
    layer, variables, x = drawn(cell)
    hidden, updates, carry = layer.apply(variables, x)
    expected, used = reference(variables, np.asarray(x, np.float64), cell)
    np.testing.assert_array_equal(updates, used)
    assert 0.2 < used.mean() < 0.8 and used[:, 0].all()
    np.testing.assert_allclose(hidden, expected, atol=1e-6)
    np.testing.assert_array_equal(carry[-3], hidden[:, -1])
    for row, steps in np.argwhere(~used):
        np.testing.assert_array_equal(hidden[row, steps], hidden[row, steps - 1])  # copied, to the bit


def test_the_gradient_is_straight_through():
    assert jax.grad(binarize)(0.2) == jax.grad(binarize)(0.7) == 1
    assert binarize(jnp.array([0.0, 0.49, 0.5, 1.0])).tolist() == [0, 0, 1, 1]
    layer, variables, x = drawn("lstm")
    gradient = jax.grad(lambda v: layer.apply(v, x)[1].sum())(variables)["params"]["step"]["update_probability"]
    assert (gradient["bias"] > 0).all()  # a higher probability uses more frames


def test_what_a_frame_costs_is_sown_for_each_example():
    x = jax.random.normal(jax.random.key(1), (3, 6, 5))
    model = SkipRNN(2, update_cost=0.25, hidden=4)
    variables = model.init(jax.random.key(0), features=x)
    (_, ends), sown = model.apply({"params": variables["params"]}, features=x, mutable=["losses"])
    (penalty,) = jax.tree.leaves(sown["losses"])
    np.testing.assert_allclose(penalty, 0.25 * ends["updates"].sum(1))
    weight = jnp.array([1.0, 0.0, 1.0])
    np.testing.assert_allclose(step.penalty_of(penalty, weight, weight), (penalty[0] + penalty[2]) / 2)


def test_a_padded_batch_gives_each_sequence_what_it_has_alone():
    layer, variables, x = drawn("gru")
    mask = jnp.arange(12) < jnp.array([[12], [7], [1]])
    hidden, updates, carry = layer.apply(variables, jnp.where(mask[..., None], x, 1e3), mask)
    for row, length in enumerate((12, 7, 1)):
        alone = layer.apply(variables, x[row : row + 1, :length])
        np.testing.assert_allclose(hidden[row, :length], alone[0][0], atol=1e-6)
        np.testing.assert_allclose(carry[-3][row], alone[0][0, -1], atol=1e-6)
        np.testing.assert_array_equal(updates[row, :length], alone[1][0])
        assert not updates[row, length:].any()


def test_on_a_stream_skipped_frames_are_not_looked_at():
    """The features of a skipped frame are zeros: the 2-D network was not run. The outputs are those of the clip."""
    video = np.random.default_rng(0).integers(0, 256, (1, 12, 32, 32, 3), np.uint8)
    model = models.make_model("skip_rnn", 3, hidden=6, **CNN)
    params, state = step.init_variables(0, {"video": video}, model=model, spec=SPEC)
    params["skip_lstm"]["step"]["update_probability"]["bias"] -= 2.0
    ends = step.apply_model(params, state, {"video": video}, model=model, spec=SPEC)[1]
    used = np.asarray(ends["updates"][0])
    assert 0.2 < used.mean() < 0.8
    carry, seen = {}, []
    for t in range(12):
        batch = {"video": video[:, t : t + 1]}
        outputs, of_frame, carry = step.carried_step(params, state, carry, batch, model=Stateful(model), spec=SPEC)
        seen.append(float(jnp.abs(of_frame["features"]).max()))
        np.testing.assert_allclose(of_frame["hidden"][0, 0], ends["hidden"][0, t], atol=1e-6)
    np.testing.assert_array_equal(np.asarray(seen) > 0, used > 0)
    final, advance = stream.init_stream(params, state, model=model, spec=SPEC)
    for t in range(12):
        final, last = advance(final, video[:, t : t + 1])
    np.testing.assert_allclose(last, outputs, atol=1e-6)


def test_in_half_precision_small_probabilities_still_add_up():
    x = jnp.zeros((1, 3000, 2), jnp.bfloat16)
    layer = SkipRecurrent(4, "lstm", dtype=jnp.bfloat16)
    variables = layer.init(jax.random.key(0), x[:, :1])
    of_update = variables["params"]["step"]["update_probability"]
    of_update["bias"] = of_update["bias"] * 0 - 7.0  # 9e-4: every 548th frame
    updates = layer.apply(variables, x)[1]
    assert updates.dtype == jnp.float32 and 5 <= updates.sum() <= 7


def test_errors():
    with pytest.raises(ValueError, match="Unknown cell 'rnn'; choose one of lstm, gru"):
        models.make_model("skip_rnn", 3, cell="rnn")
    with pytest.raises(ValueError, match="update_cost = -1: what a used frame costs is not negative"):
        models.make_model("skip_rnn", 3, update_cost=-1)
