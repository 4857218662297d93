import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from vidjax.analysis.training_step import training_step


@pytest.fixture
def blank(tiny_config):
    return {"video": jax.ShapeDtypeStruct((8, 4, 32, 32, 3), np.uint8)}


def test_the_step_follows_the_config(tiny_config, blank):
    tiny_config.ema_decay = 0.5
    prepared = training_step(tiny_config, 8, blank)
    assert prepared.mesh.size == 1 and prepared.model.num_classes == 8
    assert jax.tree.structure(prepared.abstract) == jax.tree.structure(prepared.shardings)
    assert isinstance(jax.tree.leaves(prepared.abstract)[0], jax.ShapeDtypeStruct)  # nothing is allocated
    shapes = [jax.tree.map(jnp.shape, tree) for tree in (prepared.abstract.params, prepared.abstract.ema)]
    assert shapes[0] == shapes[1]


def test_the_step_trains_unfrozen_parameters_and_donates_the_state(tiny_config, blank):
    tiny_config.freeze, tiny_config.accumulate = ("backbone",), 2
    prepared = training_step(tiny_config, 8, blank)
    video = np.random.default_rng(0).integers(0, 256, (8, 4, 32, 32, 3), np.uint8)
    batch = {"video": video, "target": np.arange(8), "weight": np.ones(8, np.float32)}
    state = prepared.init(0, blank | {"video": video})
    before = jax.tree.map(np.asarray, state.params)
    state, _ = prepared.update(state, batch)
    kept = state.params
    after, metrics = prepared.update(state, batch)  # the warm-up starts at a learning rate of 0
    assert set(metrics) == {"loss", "grad_norm", "top1"} and np.isfinite(metrics["loss"])
    assert all(x.is_deleted() for x in jax.tree.leaves(kept))
    after, before = (traverse_util.flatten_dict(tree, sep="/") for tree in (after.params, before))
    changed = {path for path in before if (np.asarray(after[path]) != before[path]).any()}
    assert changed and not any(path.startswith("backbone") for path in changed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accumulate": 3}, "batch_size = 8 does not divide over 1 devices in accumulate = 3 parts"),
        ({"mesh.fsdp": 3}, "mesh.fsdp = 3 must divide"),
        ({"model.name": "i4d"}, "unknown network 'i4d'"),
        ({"optimizer.name": "lion"}, "Unknown optimizer 'lion'"),
    ],
)
def test_invalid_configs(change, message, tiny_config, blank):
    for key, value in change.items():
        part, _, name = key.rpartition(".")
        (tiny_config[part] if part else tiny_config)[name] = value
    with pytest.raises(ValueError, match=message):
        training_step(tiny_config, 8, blank)
