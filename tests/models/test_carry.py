import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.models.carry import LastThatCounts, Past, RunningMean, check_start

NUMBERS = jnp.arange(1.0, 9).reshape(1, 8, 1)  # (B, T, D): 1, 2, ..., 8


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


def test_the_last_step_that_counts():
    x, layer, carry, seen = jnp.stack([NUMBERS[0], 10 * NUMBERS[0]]), LastThatCounts(), {}, []
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
        mean, carry = RunningMean().apply(carry, x[:, start:end], mutable=["carry"])
        means.append(float(mean[0, 0]))
    assert means == [1, 1, 2.5, 4.5]


def test_a_long_mean_stays_exact():
    """After 80,000 steps in float32; a sum of them all would be off by more."""
    x = jnp.tile(jnp.array([0.1, 0.2, 0.3, 0.4]), 2000).reshape(1, -1, 1)
    step = jax.jit(lambda carry: RunningMean().apply(carry, x, mutable=["carry"]))
    _, carry = RunningMean().apply({}, x, mutable=["carry"])
    for _ in range(9):
        mean, carry = step(carry)
    np.testing.assert_allclose(mean, 0.25, rtol=1e-6)


def test_errors():
    _, carry = Past(2).apply({}, jnp.zeros((2, 1, 3)), mutable=["carry"])
    with pytest.raises(ValueError, match="carries the state of 2 sequences .* this batch has 1"):
        Past(2).apply(carry, jnp.zeros((1, 1, 3)), mutable=["carry"])
    with pytest.raises(ValueError, match=r"carries is \(2, 1, 3\), but these frames need \(2, 1, 4\)"):
        Past(2).apply(carry, jnp.zeros((2, 1, 4)), mutable=["carry"])
    with pytest.raises(ValueError, match="cannot begin a sequence by themselves"):
        Past(3, stride=2).apply({}, NUMBERS, jnp.array([1]), mutable=["carry"])
    with pytest.raises(ValueError, match="train it on batches in which it does"):
        check_start(True, True, None)
