import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vidjax import optimizer

PARAMS = {"stem": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}, "head": {"kernel": jnp.ones((2, 3))}}


def test_cosine_with_warmup():
    schedule = optimizer.make_schedule("cosine", learning_rate=1.0, total_steps=110, warmup_steps=10)
    np.testing.assert_allclose([schedule(s) for s in (0, 5, 10, 60, 110)], [0, 0.5, 1, 0.5, 0], atol=1e-6)


def test_linear_with_warmup():
    schedule = optimizer.make_schedule("linear", learning_rate=1.0, total_steps=110, warmup_steps=10)
    np.testing.assert_allclose([schedule(s) for s in (0, 5, 10, 60, 85, 110)], [0, 0.5, 1, 0.5, 0.25, 0], atol=1e-6)


def test_steps_count_from_the_first_step_whatever_the_warmup():
    schedule = optimizer.make_schedule(
        "steps", learning_rate=1.0, total_steps=100, warmup_steps=10, boundaries=(0.5, 0.8), factor=0.1
    )
    np.testing.assert_allclose([schedule(s) for s in (10, 49, 51, 79, 81)], [1, 1, 0.1, 0.1, 0.01], rtol=1e-5)


def test_two_boundaries_at_one_step_of_a_short_run():
    schedule = optimizer.make_schedule("steps", learning_rate=1.0, total_steps=3, boundaries=(0.5, 0.6))
    np.testing.assert_allclose([schedule(s) for s in (0, 1, 2)], [1, 1, 0.01], rtol=1e-5)


def test_schedule_errors():
    with pytest.raises(ValueError, match="choose cosine, linear, steps or constant"):
        optimizer.make_schedule("exponential", learning_rate=1.0, total_steps=10)
    with pytest.raises(ValueError, match="warmup_steps = 10 must be below the 10 steps of the run: lower it"):
        optimizer.make_schedule("cosine", learning_rate=1.0, total_steps=10, warmup_steps=10)
    with pytest.raises(ValueError, match=r"schedule.boundaries has \[30, 60\]: give fractions of the run"):
        optimizer.make_schedule("steps", learning_rate=1.0, total_steps=100, boundaries=(30, 60))


def updates(tx, params=PARAMS, gradient=None):
    gradient = gradient or jax.tree.map(jnp.zeros_like, params)
    return tx.update(gradient, tx.init(params), params)[0]


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_weight_decay_applies_to_kernels_only(name):
    tx = optimizer.make_optimizer(name, optax.constant_schedule(0.5), weight_decay=0.1)
    moved = updates(tx)
    np.testing.assert_allclose(moved["stem"]["kernel"], -0.05)
    np.testing.assert_allclose(moved["stem"]["bias"], 0)


def test_adamw_is_optax_adamw():
    gradient = jax.tree.map(lambda p: jnp.arange(p.size, dtype=jnp.float32).reshape(p.shape) - 1, PARAMS)
    ours = updates(
        optimizer.make_optimizer("adamw", optax.constant_schedule(0.1), weight_decay=0.01), gradient=gradient
    )
    mask = {"stem": {"kernel": True, "bias": False}, "head": {"kernel": True}}
    theirs = updates(optax.adamw(0.1, weight_decay=0.01, mask=mask), gradient=gradient)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), ours, theirs)


def test_sgd_is_momentum_on_the_decayed_gradient():
    tx = optimizer.make_optimizer("sgd", optax.constant_schedule(1.0), momentum=0.9, weight_decay=0.5)
    params, state = {"kernel": jnp.full((1, 1), 2.0)}, tx.init({"kernel": jnp.full((1, 1), 2.0)})
    gradient = {"kernel": jnp.full((1, 1), 3.0)}
    first, state = tx.update(gradient, state, params)
    second, _ = tx.update(gradient, state, params)
    assert first["kernel"].item() == -4  # 3 + 0.5 * 2
    assert second["kernel"].item() == pytest.approx(-7.6)  # 4 + 0.9 * 4


def test_clipping_bounds_the_global_norm():
    tx = optimizer.make_optimizer("sgd", optax.constant_schedule(1.0), clip_norm=1.0)
    moved = updates(tx, gradient=jax.tree.map(lambda p: jnp.full_like(p, 100.0), PARAMS))
    np.testing.assert_allclose(optax.tree.norm(moved), 1, rtol=1e-5)


def test_unknown_optimizer():
    with pytest.raises(ValueError, match="choose sgd or adamw"):
        optimizer.make_optimizer("lamb", optax.constant_schedule(1.0))


# BEiT's rule for three layers: embeddings 1/8, then 1/4, 1/2, and the classifier 1
VIT = {"patches/kernel": 1 / 8, "positions/class_token": 1 / 8, "block0/mlp/kernel": 1 / 4, "block1/mlp/kernel": 1 / 2}
VIT |= {"norm/scale": 1, "classifier/bias": 1}


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_layer_decay_multiplies_the_updates(name):
    params = {path: jnp.full((2, 2), 3.0) for path in VIT}
    arguments = {"name": name, "schedule": optax.constant_schedule(0.5), "weight_decay": 0.1}
    plain, off, decayed = (
        updates(optimizer.make_optimizer(**arguments, layer_decay=decay), params, params) for decay in (0.0, 1.0, 0.5)
    )
    for path, scale in VIT.items():
        np.testing.assert_array_equal(decayed[path], scale * plain[path])
        np.testing.assert_array_equal(off[path], plain[path])


def test_layers_of_inner_networks_stages_and_frozen_blocks():
    scales = optimizer.layer_scales(
        ["backbone/encoder/patches/bias", "backbone/encoder/block10/x", "backbone/encoder/block9/x", "rnn/kernel"], 0.5
    )
    assert list(scales.values()) == [1 / 8, 1 / 2, 1 / 4, 1]
    swin = ["patch_norm/scale", "stage0_block0/x", "stage0_block1/x", "merge0/x", "stage1_block0/x", "norm/scale"]
    assert list(optimizer.layer_scales(swin, 0.5).values()) == [1 / 16, 1 / 8, 1 / 4, 1 / 4, 1 / 2, 1]
    assert list(optimizer.layer_scales(["time_block0/x", "block3/x", "fc/x"], 0.5).values()) == [1 / 2, 1 / 4, 1]
    with pytest.raises(ValueError, match=r"numbered blocks, such as block0; this one has \['fc', 'layer1'\]"):
        optimizer.layer_scales(["layer1/conv/kernel", "fc/bias"], 0.5)


def test_split_and_join_frozen():
    trainable, frozen = optimizer.split_frozen(PARAMS, ["st.m/kernel"])
    assert sorted(trainable) == ["head/kernel", "stem/bias"]
    assert sorted(frozen) == ["stem/kernel"]
    assert jax.tree.structure(optimizer.join_frozen(trainable, frozen)) == jax.tree.structure(PARAMS)


def test_freeze_errors():
    with pytest.raises(ValueError, match=r"'Conv.*' matches no parameter; the model has \['head', 'stem'\]"):
        optimizer.split_frozen(PARAMS, ["Conv.*"])
    with pytest.raises(ValueError, match="no parameter to train"):
        optimizer.split_frozen(PARAMS, [".*"])
