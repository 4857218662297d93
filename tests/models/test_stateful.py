import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from vidjax import models
from vidjax.models.layers import LastValid, MeanOverTime
from vidjax.models.stateful import Stateful, continued, plain, with_past

NUMBERS = jnp.arange(1.0, 9).reshape(1, 8, 1)  # (B, T, D): 1, 2, ..., 8


class Past(nn.Module):
    window: int
    stride: int = 1

    @nn.compact
    def __call__(self, x, sequence_start=None):
        return with_past(self, x, self.window, self.stride, sequence_start)


class Continued(nn.Module):
    """A layer that continues from piece to piece."""

    layer: nn.Module

    def __call__(self, x, frame_mask=None, sequence_start=None):
        with nn.intercept_methods(continued((type(self.layer),), sequence_start)):
            return self.layer(x, frame_mask)


def pieces(module, *lengths, x=NUMBERS):
    """What the module returns for the pieces of these lengths, one after the other."""
    carry, outputs, start = {}, [], 0
    for length in lengths:
        output, carry = module.apply(carry, x[:, start : start + length], mutable=["carry"])
        outputs.append(np.asarray(output)[0, ..., 0].tolist())
        start += length
    return outputs


def test_the_past_comes_before_the_new_steps():
    assert pieces(Past(3), 2, 3) == [[0, 0, 1, 2], [1, 2, 3, 4, 5]]
    assert pieces(Past(3), 1, 1, 1) == [[0, 0, 1], [0, 1, 2], [1, 2, 3]]


def test_with_a_stride_some_pieces_give_no_output():
    assert pieces(Past(3, stride=2), 1, 1, 1, 1) == [[0, 0, 1], [], [1, 2, 3], []]
    assert pieces(Past(3, stride=2), 4, 4) == [[0, 0, 1, 2, 3], [3, 4, 5, 6, 7]]
    assert pieces(Past(1, stride=2), 1, 1, 1, 1) == [[1], [], [3], []]


def test_rows_that_begin_a_sequence_have_no_past():
    x = jnp.stack([NUMBERS[0], 10 * NUMBERS[0]])
    _, carry = Past(2).apply({}, x[:, :3], mutable=["carry"])
    output, _ = Past(2).apply(carry, x[:, 3:4], jnp.array([0, 1]), mutable=["carry"])
    assert output[..., 0].tolist() == [[3, 4], [0, 40]]


def test_the_last_valid_step():
    x, layer, carry, seen = jnp.stack([NUMBERS[0], 10 * NUMBERS[0]]), Continued(LastValid()), {}, []
    for start, mask in ((0, [[1, 1], [1, 0]]), (2, [[1, 0], [0, 0]]), (4, [[0, 0], [1, 1]])):
        last, carry = layer.apply(carry, x[:, start : start + 2], np.array(mask), mutable=["carry"])
        seen.append(last[:, 0].tolist())
    assert seen == [[2, 10], [3, 10], [3, 60]]
    last, _ = layer.apply(carry, x[:, 6:], np.zeros((2, 2)), jnp.array([1, 0]), mutable=["carry"])
    assert last[:, 0].tolist() == [0, 60]


def test_the_mean_of_all_steps_so_far():
    x = NUMBERS[..., 0].T.reshape(1, 8, 1)
    carry, means = {}, []
    for start, end in ((0, 1), (1, 1), (1, 4), (4, 8)):
        mean, carry = Continued(MeanOverTime()).apply(carry, x[:, start:end], mutable=["carry"])
        means.append(float(mean[0, 0]))
    assert means == [1, 1, 2.5, 4.5]


def test_a_long_mean_stays_exact():
    """After 80,000 steps in float32; a sum of them all would be off by more."""
    x = jnp.tile(jnp.array([0.1, 0.2, 0.3, 0.4]), 2000).reshape(1, -1, 1)
    step = jax.jit(lambda carry: Continued(MeanOverTime()).apply(carry, x, mutable=["carry"]))
    _, carry = Continued(MeanOverTime()).apply({}, x, mutable=["carry"])
    for _ in range(9):
        mean, carry = step(carry)
    np.testing.assert_allclose(mean, 0.25, rtol=1e-6)


def test_errors():
    _, carry = Past(2).apply({}, jnp.zeros((2, 1, 3)), mutable=["carry"])
    with pytest.raises(ValueError, match="carries the state of 2 sequences .* this batch has 1"):
        Past(2).apply(carry, jnp.zeros((1, 1, 3)), mutable=["carry"])
    with pytest.raises(ValueError, match=r"carries is \(2, 1, 3\), but these frames need \(2, 1, 4\)"):
        Past(2).apply(carry, jnp.zeros((2, 1, 4)), mutable=["carry"])
    with pytest.raises(ValueError, match="Single rows of a batch cannot begin a sequence in a network with a stride"):
        Past(3, stride=2).apply({}, NUMBERS, jnp.array([1]), mutable=["carry"])
    for name, arguments, message in (
        ("i3d", {}, "^model: i3d has no argument stateful"),
        ("r2plus1d_18", {}, "A ResNet that sees the future cannot be stateful: set model.causal = True"),
        ("frame_rnn", {"bidirectional": True}, "A bidirectional network cannot be stateful"),
        ("tcn", {"causal": False}, "Only a causal dilated TCN can be stateful"),
        ("ms_tcn", {}, "An MS-TCN that sees the future cannot be stateful"),
        ("ms_tcn", {"causal": True, "look_ahead": 1}, "A network with a look-ahead is trained on whole sequences"),
    ):
        with pytest.raises(ValueError, match=message):
            models.make_model(name, 3, stateful=True, **arguments)
    with pytest.raises(ValueError, match="Inception sees a clip at once, so it cannot be stateful"):
        Stateful(models.make_model("i3d", 3))
    with pytest.raises(ValueError, match="streams of valid frames: it cannot be trained or masked"):
        model = models.make_model("resnet18", 3, stateful=True)
        jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 1, 32, 32, 3)), train=True))
    with pytest.raises(ValueError, match="train it on batches that continue each other"):
        model = models.make_model("frame_rnn", 3, stateful=True)
        jax.eval_shape(lambda: model.init(jax.random.key(0), features=NUMBERS, train=True))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("frame_rnn", {"per_frame": True}),
        ("skip_rnn", {"per_frame": True}),
        ("tcn", {"per_frame": True}),
        ("ms_tcn", {"causal": True, "num_stages": 2, "num_layers": 3, "channels": 4}),
    ],
)
def test_it_has_the_parameters_of_the_network_and_its_outputs_so_far(name, arguments):
    model = models.make_model(name, 3, stateful=True, **arguments)
    x = jax.random.normal(jax.random.key(1), (2, 7, 5))
    mask = np.array([[1] * 7, [0, 1, 0, 0, 0, 1, 1]])
    variables = jax.jit(lambda: model.init(jax.random.key(0), features=x))()
    network = plain(model)
    expected = jax.eval_shape(lambda: network.init(jax.random.key(0), features=x))
    assert jax.tree.map(jnp.shape, variables["params"]) == jax.tree.map(jnp.shape, expected["params"])
    assert all((leaf == 0).all() or leaf.shape == (2, 1) for leaf in jax.tree.leaves(variables["carry"]))
    params = {"params": variables["params"]}

    @jax.jit
    def apply(carry, x, mask):
        return model.apply({**params, **carry}, features=x, frame_mask=mask, mutable=["carry"])

    carry, outputs = {}, []
    for start, end in ((0, 1), (1, 4), (4, 7)):
        (logits, _), carry = apply(carry, x[:, start:end], mask[:, start:end])
        outputs.append(logits)
    whole, _ = jax.jit(lambda: network.apply(params, features=x, frame_mask=mask))()
    np.testing.assert_allclose(np.concatenate(outputs, 1), whole, atol=1e-6)
