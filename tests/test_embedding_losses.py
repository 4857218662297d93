"""The losses over pairs of `vidjax.losses`: by hand, against pytorch-metric-learning, and on eight devices."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import uniform
from vidjax import losses

POINTS = jnp.array([[0.0], [1.0], [3.0]])  # distances 1, 3 and 2
PEER = json.loads((Path(__file__).parent / "peers" / "embedding_losses.json").read_text())
LOSSES = {  # as the peer names them
    "contrastive": losses.contrastive,
    "semi_hard": losses.triplet,
    "batch_hard": functools.partial(losses.triplet, mining="batch_hard"),
    "prototypical": losses.prototypical,
    "siamese": losses.siamese,
}


@functools.cache
def value_and_gradient(name):
    """(embeddings, target) -> the loss of each anchor, and the gradient of their sum."""

    def both(x, target):
        loss, pull = jax.vjp(lambda x: LOSSES[name](x, target), x)
        return loss, pull(jnp.ones_like(loss))[0]

    return jax.jit(both)


def test_contrastive_by_hand():
    loss = losses.contrastive(POINTS, jnp.array([0, 0, 1]), margin=2.5)
    # pairs of one class: 1^2; of two: max(0, 2.5 - 3)^2 = 0 and (2.5 - 2)^2
    np.testing.assert_allclose(loss, [(1 + 0) / 2, (1 + 0.25) / 2, (0 + 0.25) / 2], rtol=1e-6)


def test_triplets_by_hand():
    target = jnp.array([0, 0, 1])
    # squared distances: to the positive 1 and 1, to the negative 9 and 4; the third clip has no positive
    np.testing.assert_allclose(losses.triplet(POINTS, target, margin=10.0), [1 - 9 + 10, 1 - 4 + 10, 0], rtol=1e-6)
    np.testing.assert_allclose(losses.triplet(POINTS, target, margin=5.0), [0, 1 - 4 + 5, 0], rtol=1e-6)
    hard = losses.triplet(POINTS, target, mining="batch_hard")
    np.testing.assert_allclose(hard, [np.log1p(np.exp(1 - 3)), np.log1p(np.exp(1 - 2)), 0], rtol=1e-6)
    assert not losses.triplet(POINTS, jnp.array([0, 1, 0])).any()  # the negative is nearer: hard, not semi-hard


def test_prototypical_by_hand():
    # To the first clip, its class is at 1 (without itself), the other at (3 + 5) / 2 = 4: squares 1 and 16
    loss = losses.prototypical(jnp.array([[0.0], [1.0], [3.0], [5.0], [9.0]]), jnp.array([7, 7, 2, 2, 5]))
    assert loss[0] == pytest.approx(np.log(np.exp(-1) + np.exp(-16) + np.exp(-81)) + 1, abs=1e-6)
    # Its class is at 5, the others at 1/2 and 9
    assert loss[2] == pytest.approx(np.log(np.exp(-4) + np.exp(-(2.5**2)) + np.exp(-36)) + 4, abs=1e-6)
    assert loss[4] == 0  # the only clip of its class


def test_siamese_by_hand():
    logits = jnp.log(jnp.array([[9.0, 3, 1], [3, 9, 3], [1, 3, 9]]))  # probabilities 3/4 for 3, 1/2 for 1
    loss = losses.siamese(logits, jnp.array([0, 0, 1]))
    expected = [(np.log(4 / 3) + np.log(2)) / 2, (np.log(4 / 3) + np.log(4)) / 2, 0]
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_values_and_gradients_are_those_of_the_peer(name):
    x = uniform(name, (12, 12 if name == "siamese" else 5)) * np.float32(0.5)
    found, gradient = value_and_gradient(name)(x, np.array(PEER["labels"]))
    np.testing.assert_allclose(found, PEER[name]["loss"], atol=1e-6)
    np.testing.assert_allclose(gradient, PEER[name]["gradient"], atol=2e-6)
    swapped, _ = value_and_gradient(name)(x, np.array(PEER["labels"])[::-1])
    assert np.abs(swapped - found).max() > 1e-2


def test_the_mined_triplets_are_those_of_the_peer():
    squares = losses.squared_distances(*[uniform("semi_hard", (12, 5)) * np.float32(0.5)] * 2)
    mined, _ = losses.semi_hard_triplets(squares, *losses.pairs_of(squares, jnp.array(PEER["labels"])), 0.2)
    assert np.argwhere(mined).tolist() == PEER["triplets"]


@pytest.mark.parametrize("name", LOSSES)
def test_equal_embeddings_have_finite_gradients(name):
    for target in (
        np.repeat([0, 1], 6),
        np.zeros(12, int),
        np.arange(12),
    ):  # the last: no clip has another of its class
        loss, gradient = value_and_gradient(name)(np.ones((12, 12 if name == "siamese" else 5), np.float32), target)
        assert np.isfinite(loss).all() and np.isfinite(gradient).all()
    assert name == "contrastive" or not loss.any()


def test_shapes_and_names_that_do_not_fit():
    with pytest.raises(
        ValueError, match=r"outputs are \(2, 3, 4\).*one embedding and one class per clip; config.model"
    ):
        losses.contrastive(jnp.zeros((2, 3, 4)), jnp.zeros(2, int))
    with pytest.raises(ValueError, match=r"needs logits of pairs, \(B, B\), not \(2, 4\): set model siamese"):
        losses.siamese(jnp.zeros((2, 4)), jnp.zeros(2, int))
    with pytest.raises(ValueError, match="Unknown mining 'hard' of triplets; choose semi_hard or batch_hard"):
        losses.triplet(POINTS, jnp.zeros(3, int), mining="hard")


ON_A_MESH = """
import jax, jax.numpy as jnp
from tests.peers.formula import uniform
from tests.test_embedding_losses import LOSSES, PEER
from vidjax import sharding

mesh, target = sharding.make_mesh(), jnp.array(PEER["labels"] + [0, 1, 2, 3])
by_row, whole = sharding.batch_sharding(mesh), sharding.replicated(mesh)
for name, loss_fn in LOSSES.items():
    x = uniform(name, (16, 16)) * 0.5
    of_batch = lambda x, target: loss_fn(x, target).mean()
    step = jax.jit(jax.value_and_grad(of_batch), in_shardings=(by_row, by_row), out_shardings=(whole, by_row))
    value, gradient = step(*(jax.device_put(array, by_row) for array in (x, target)))
    shares = {shard.data.shape for shard in gradient.addressable_shards}
    expected, of_one = jax.value_and_grad(of_batch)(x, target)
    print(name, mesh.size, shares, abs(value - expected) < 1e-6, jnp.abs(gradient - of_one).max() < 1e-6)
"""


def test_pairs_reach_across_eight_devices():
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
    settings = {"env": {**os.environ, "XLA_FLAGS": flags}, "cwd": Path(__file__).parent.parent}
    done = subprocess.run([sys.executable, "-c", ON_A_MESH], capture_output=True, text=True, **settings)
    assert done.stdout.splitlines() == [f"{name} 8 {{(2, 16)}} True True" for name in LOSSES], done.stderr[-2000:]
