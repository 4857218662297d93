import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vidjax import batch_augment, optimizer, sharding
from vidjax import config as configs
from vidjax.training import setup
from vidjax.training.setup import check_batch_sizes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 9}, "batch_size = 9 does not divide over 2 devices[.]"),
        ({"accumulate": 3}, "batch_size = 8 does not divide over 2 devices in accumulate = 3 parts"),
        ({"eval.batch_size": 7}, "eval.batch_size = 7 does not divide over 2 devices"),
    ],
)
def test_batches_that_do_not_divide(change, message, tiny_config):
    two = types.SimpleNamespace(size=2)
    check_batch_sizes(tiny_config, two)
    tiny_config.update_from_flattened_dict(change)
    with pytest.raises(ValueError, match=message):
        check_batch_sizes(tiny_config, two)


BATCH = {
    "video": np.random.default_rng(0).integers(0, 256, (4, 2, 16, 16, 3)).astype(np.uint8),
    "target": np.array([0, 1, 2, 1]),
    "weight": np.ones(4),
}


def test_parts_of_a_batch_are_augmented_as_the_whole(tiny_config, monkeypatch):
    """One step of a tiny transformer, in float64, with the clips of different parts mixed."""
    tiny_config.dtype, measured = "float64", []
    tiny_config.model = {"name": "videomae_b", "dim": 8, "depth": 1, "num_heads": 1, "patch": (2, 8, 8)}
    monkeypatch.setattr(batch_augment, "draw_kept", lambda *arguments: jnp.full((16, 16), 0.7))
    with jax.enable_x64(True):
        model, mesh = configs.model_from(tiny_config, 3), sharding.make_mesh()
        tx = optimizer.make_optimizer(schedule=optax.constant_schedule(0.1), name="sgd", layer_decay=0.75)
        init = functools.partial(setup.make_init(tiny_config, model, tx), 0, BATCH)
        state = jax.jit(init)()
        shardings = sharding.state_shardings(mesh, state)
        for tiny_config.augment.mixup, tiny_config.accumulate in ((0.8, 1), (0.8, 2), (0.0, 1)):
            update = setup.make_update(tiny_config, model, tx, mesh, shardings)
            measured.append(update(jax.tree.map(jnp.copy, state), BATCH)[1])
    whole, parts, other = measured
    assert set(whole) == {"loss", "grad_norm"}  # no top1: the targets are mixed
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9), whole, parts)
    assert whole["loss"] != other["loss"]
