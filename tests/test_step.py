from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from vidjax import losses, step

SPEC = {"mean": [127.5] * 3, "std": [127.5] * 3}


class Tiny(nn.Module):
    """Mean colour of the clip -> classes, with BatchNorm and a penalty."""

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video, *, frame_mask=None, train=False):
        x = nn.Dense(4, dtype=self.dtype, name="stem")(video.mean((1, 2, 3)))  # (B, 4)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9, dtype=self.dtype)(x)
        x = nn.Dropout(0.2, deterministic=not train)(x)
        self.sow("losses", "penalty", 0.25 * jnp.ones(()))
        return nn.Dense(2, dtype=self.dtype, name="head")(x), {"features": x}


def make(tx=None, **kept):
    arguments = {"model": Tiny(), "spec": SPEC, "tx": tx or optax.sgd(0.1), **kept}
    state = step.init_state(0, batch_of(2), **arguments)
    return state, jax.jit(partial(step.train_step, loss_fn=losses.softmax_cross_entropy, **arguments))


def batch_of(size, seed=0):
    rng = np.random.default_rng(seed)
    video = rng.integers(0, 256, (size, 2, 4, 4, 3), dtype=np.uint8)
    return {"video": video, "target": rng.integers(2, size=size), "weight": np.ones(size, np.float32)}


def test_a_step_changes_parameters_and_statistics():
    state, train_step = make()
    after, train_metrics = train_step(state, batch_of(8))
    assert after.step == 1
    assert set(train_metrics) == {"loss", "grad_norm", "top1"}
    changed = jax.tree.map(lambda a, b: bool((a != b).any()), state.params, after.params)
    assert all(jax.tree.leaves(changed["head"]) + jax.tree.leaves(changed["stem"]["kernel"]))
    assert (after.model_state["batch_stats"]["BatchNorm_0"]["mean"] != 0).any()
    assert "losses" not in after.model_state


def test_training_learns():
    state, train_step = make(optax.adam(0.05))
    batch = batch_of(8)
    values = []
    for _ in range(60):
        state, train_metrics = train_step(state, batch)
        values.append(float(train_metrics["loss"]))
    assert values[-1] < values[0] - 0.1


def test_loss_is_the_weighted_mean_plus_the_penalty():
    class Fixed(nn.Module):
        dtype: jnp.dtype = jnp.float32

        @nn.compact
        def __call__(self, video, *, train=False):
            self.sow("losses", "penalty", jnp.float32(10))
            bias = self.param("bias", nn.initializers.zeros, (2,))
            return bias + jnp.zeros((len(video), 2)), {"features": bias}

    batch = {**batch_of(3), "weight": np.array([1, 1, 0], np.float32)}
    arguments = {"model": Fixed(), "spec": SPEC, "tx": optax.sgd(0.1)}
    state = step.init_state(0, batch, **arguments)
    loss_fn = lambda logits, target: jnp.array([1.0, 2.0, 1e9])  # noqa: E731
    _, train_metrics = step.train_step(state, batch, loss_fn=loss_fn, **arguments)
    assert train_metrics["loss"] == 1.5 + 10


def test_padding_does_not_change_the_gradient():
    state, _ = make()
    padded = {**batch_of(8), "weight": np.array([1] * 6 + [0] * 2, np.float32)}
    cut = {name: value[:6] for name, value in batch_of(8).items()}

    def gradient(batch):
        def loss(head):
            logits = batch["video"].mean((1, 2, 3))[:, :2] / 255 @ head
            return losses.softmax_cross_entropy(logits, batch["target"])

        return jax.grad(lambda head: step.metrics.weighted_mean(loss(head), batch["weight"]))(jnp.eye(2))

    np.testing.assert_allclose(gradient(padded), gradient(cut), rtol=1e-6)


class Plain(nn.Module):
    """Mean colour of the clip -> classes, without BatchNorm, with a penalty per example and one for the batch."""

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video, *, train=False):
        x = nn.tanh(nn.Dense(4, name="stem")(video.mean((1, 2, 3))))  # (B, 4)
        self.sow("losses", "of_each", jnp.square(x).sum(-1))
        self.sow("losses", "of_all", jnp.float32(0.5) * jnp.square(self.param("scale", nn.initializers.ones, ())))
        return nn.Dense(2, name="head")(x), {"features": x}


@pytest.mark.parametrize("num_parts", [2, 3, 6])
def test_the_parts_of_a_batch_add_up_to_the_whole(num_parts):
    batch = {**batch_of(6), "weight": np.array([1, 2, 0, 0, 0.5, 1], np.float32)}
    arguments = {"model": Plain(), "spec": SPEC, "tx": optax.sgd(0.1)}
    state = step.init_state(0, batch, **arguments)
    run = partial(step.train_step, state, batch, loss_fn=losses.softmax_cross_entropy, **arguments)
    (whole, train_metrics), (parts, metrics_in_parts) = run(), run(num_parts=num_parts)
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7)
    jax.tree.map(close, (whole, train_metrics), (parts, metrics_in_parts))


def test_the_parts_update_running_statistics_one_after_the_other_and_drop_out_differently():
    state, _ = make()
    batch = {name: np.concatenate([value[:4]] * 2) for name, value in batch_of(8).items()}  # equal halves
    batch = {
        name: value.reshape(2, 4, *value.shape[1:]).swapaxes(0, 1).reshape(value.shape) for name, value in batch.items()
    }
    arguments = {"model": Tiny(), "spec": SPEC, "tx": optax.sgd(0.1), "loss_fn": losses.softmax_cross_entropy}
    once, _ = step.train_step(state, {name: value[::2] for name, value in batch.items()}, **arguments)
    twice, train_metrics = step.train_step(state, batch, num_parts=2, **arguments)
    mean = once.model_state["batch_stats"]["BatchNorm_0"]["mean"]
    np.testing.assert_allclose(twice.model_state["batch_stats"]["BatchNorm_0"]["mean"], 1.9 * mean, rtol=1e-5)
    assert (once.params["head"]["kernel"] != twice.params["head"]["kernel"]).any()
    assert set(train_metrics) == {"loss", "grad_norm", "top1"}


def test_a_batch_that_does_not_divide_into_parts():
    state, _ = make()
    with pytest.raises(ValueError, match="accumulate = 3 does not divide a batch of 8"):
        step.train_step(
            state, batch_of(8), model=Tiny(), spec=SPEC, tx=optax.sgd(0.1), loss_fn=lambda *a: 0.0, num_parts=3
        )


def test_frozen_parameters_stay_and_have_no_optimizer_state():
    state, train_step = make(optax.adam(0.1), freeze=("stem.*",))
    assert not any(
        "stem" in jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(state.opt_state)
    )
    after, _ = train_step(state, batch_of(8))
    np.testing.assert_array_equal(after.params["stem"]["kernel"], state.params["stem"]["kernel"])
    assert (after.params["head"]["kernel"] != state.params["head"]["kernel"]).any()


def test_frozen_norms_use_and_keep_their_running_statistics():
    state, train_step = make(freeze=("stem", "BatchNorm_0"))
    statistics = {"mean": jnp.arange(4.0), "var": 1 + jnp.arange(4.0)}
    state = state.replace(model_state={"batch_stats": {"BatchNorm_0": statistics}})
    batch = batch_of(8)
    after, train_metrics = train_step(state, batch)
    jax.tree.map(np.testing.assert_array_equal, after.model_state, state.model_state)
    video = (jnp.float32(batch["video"]) - 127.5) / 127.5
    key = jax.random.fold_in(jax.random.key(0), 0)  # of dropout, which still applies

    class Expected(nn.Module):
        @nn.compact
        def __call__(self, video):
            x = nn.Dense(4, name="stem")(video.mean((1, 2, 3)))
            x = nn.BatchNorm(use_running_average=True)(x)
            return nn.Dense(2, name="head")(nn.Dropout(0.2, deterministic=False)(x))

    logits = Expected().apply({"params": state.params, **state.model_state}, video, rngs={"dropout": key})
    expected = losses.softmax_cross_entropy(logits, batch["target"]).mean() + 0.25
    np.testing.assert_allclose(train_metrics["loss"], expected, rtol=1e-6)


def test_a_norm_with_its_mode_given_at_the_call_is_frozen_too():
    class AtTheCall(nn.Module):
        dtype: jnp.dtype = jnp.float32

        @nn.compact
        def __call__(self, video, *, train=False):
            x = nn.BatchNorm(name="norm")(video.mean((1, 2, 3)), use_running_average=not train)
            return nn.Dense(2)(x), {"features": x}

    arguments = {"model": AtTheCall(), "spec": SPEC, "tx": optax.sgd(0.1), "freeze": ("norm",)}
    state = step.init_state(0, batch_of(2), **arguments)
    after, _ = step.train_step(state, batch_of(8), loss_fn=losses.softmax_cross_entropy, **arguments)
    jax.tree.map(np.testing.assert_array_equal, after.model_state, state.model_state)


def test_a_partly_trainable_norm_is_not_frozen():
    state, train_step = make(freeze=("stem", "BatchNorm_0/scale"))
    after, _ = train_step(state, batch_of(8))
    assert (after.model_state["batch_stats"]["BatchNorm_0"]["mean"] != 0).any()


def test_moving_average_of_the_parameters():
    state, train_step = make(ema_decay=0.9)
    after, _ = train_step(state, batch_of(8))
    expected = 0.9 * state.params["head"]["kernel"] + 0.1 * after.params["head"]["kernel"]
    np.testing.assert_allclose(after.ema["head"]["kernel"], expected, rtol=1e-6)


def test_dropout_depends_on_seed_and_step_alone():
    state, train_step = make()
    same = [train_step(state, batch_of(8))[1]["loss"] for _ in range(2)]
    assert same[0] == same[1]
    later = train_step(state.replace(step=jnp.int32(5)), batch_of(8))[1]["loss"]
    assert later != same[0]


def test_evaluation_does_not_depend_on_the_rest_of_the_batch():
    state, _ = make()
    whole = step.eval_step(state.params, state.model_state, batch_of(8), model=Tiny(), spec=SPEC)
    alone = {name: value[2:3] for name, value in batch_of(8).items()}
    single = step.eval_step(state.params, state.model_state, alone, model=Tiny(), spec=SPEC)
    assert whole.dtype == jnp.float32
    np.testing.assert_allclose(whole[2:3], single, rtol=1e-5, atol=1e-6)


def test_bfloat16_computes_in_half_and_keeps_parameters_in_float32():
    model = Tiny(dtype=jnp.bfloat16)
    state = step.init_state(0, batch_of(2), model=model, spec=SPEC, tx=optax.sgd(0.1))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((state.params, state.model_state)))
    assert step.eval_step(state.params, state.model_state, batch_of(2), model=model, spec=SPEC).dtype == jnp.float32


def test_the_model_gets_the_inputs_that_its_signature_names():
    batch = {**batch_of(2), "frame_mask": np.ones((2, 2)), "flow": np.ones((2, 2, 4, 4, 2))}
    assert set(step.model_inputs(Tiny(), batch)) == {"video", "frame_mask"}
    with pytest.raises(ValueError, match=r"Tiny needs the inputs \['video'\]; the batch has \['target', 'weight'\]"):
        step.model_inputs(Tiny(), {"target": 0, "weight": 0})
