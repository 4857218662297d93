"""The training state, the training step and the evaluation step: pure functions without input or output."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from vidjax import metrics, optimizer
from vidjax.preprocess import Spec, preprocess

Batch = dict[str, jax.Array]


class TrainState(flax.struct.PyTreeNode):
    """All values that training changes.

    Attributes:
        step: int32, number of updates.
        params: nested dict, float32.
        model_state: the model's collections other than `params`, by name (`batch_stats`, ...).
        ema: moving average of `params`, or {} for none.
        opt_state: optimizer state of the trainable parameters; frozen ones have none.
    """

    step: jax.Array
    params: dict
    model_state: dict
    ema: dict
    opt_state: Any


def model_inputs(model: nn.Module, batch: Batch) -> Batch:
    """The entries of the batch that the model's signature names.

    Raises:
        ValueError: if the batch lacks an input without a default.
    """
    parameters = inspect.signature(type(model).__call__).parameters
    required = [name for name, p in parameters.items() if p.default is inspect.Parameter.empty and name != "self"]
    if missing := [name for name in required if name not in batch]:
        raise ValueError(f"{type(model).__name__} needs the inputs {missing}; the batch has {sorted(batch)}.")
    return {name: value for name, value in batch.items() if name in parameters}


def init_variables(seed: int, batch: Batch, *, model: nn.Module, spec: Spec) -> tuple[dict, dict]:
    """Initial parameters and model state, as a pure function of the seed; only the shapes of `batch` matter."""
    key = jax.random.key(seed)
    inputs = model_inputs(model, preprocess(batch, spec, model.dtype))
    variables = dict(model.init({"params": key, "dropout": key}, **inputs))
    params = variables.pop("params")
    variables.pop("losses", None)
    if model.dtype == jnp.float64:  # for proofs of equality; with any other compute type the state is float32
        params, variables = jax.tree.map(lambda x: x.astype(jnp.float64), (params, variables))
    return params, variables


def init_state(
    seed: int,
    batch: Batch,
    *,
    model: nn.Module,
    spec: Spec,
    tx: optax.GradientTransformation,
    freeze: Sequence[str] = (),
    ema_decay: float = 0.0,
) -> TrainState:
    """The state before the first step; for the arguments see `init_variables` and `train_step`."""
    params, model_state = init_variables(seed, batch, model=model, spec=spec)
    trainable, _ = optimizer.split_frozen(params, freeze)
    ema = jax.tree.map(jnp.copy, params) if ema_decay else {}
    return TrainState(jnp.zeros((), jnp.int32), params, model_state, ema, tx.init(trainable))


def keep_frozen_statistics(freeze: Sequence[str]) -> Callable:
    """A Flax interceptor that makes frozen BatchNorm layers use and keep their running statistics during training.

    Otherwise the running statistics of the frozen part would still change, and training would normalise with batch
    statistics that evaluation does not use. Torch code calls `.eval()` on the frozen part for the same effect.

    Args:
        freeze: patterns of parameters; a layer is frozen if all its parameters match (or its path, if it has none).
    """

    def intercept(next_function, arguments, settings, context):
        layer = context.module
        is_norm = context.method_name == "__call__" and isinstance(layer, nn.BatchNorm)
        if not is_norm or layer.use_running_average or settings.get("use_running_average"):
            return next_function(*arguments, **settings)
        path = "/".join(layer.path) + "/"
        names = layer.variables.get("params", {"": None})
        if not all(optimizer.is_frozen(path + name, freeze) for name in names):
            return next_function(*arguments, **settings)
        settings = {**settings, "use_running_average": True}
        return layer.clone(use_running_average=None, parent=None).apply(layer.variables, *arguments, **settings)

    return intercept


def train_step(
    state: TrainState,
    batch: Batch,
    *,
    model: nn.Module,
    spec: Spec,
    loss_fn: Callable[[jax.Array, jax.Array], jax.Array],
    tx: optax.GradientTransformation,
    seed: int = 0,
    freeze: Sequence[str] = (),
    ema_decay: float = 0.0,
    num_parts: int = 1,
    has_logits: bool = True,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """One update from one global batch.

    Args:
        batch: inputs by name, `target` and `weight`, see `pipeline`.
        loss_fn: (outputs, target) -> unreduced loss, in the shape of `weight`. Outputs are an array or,
            for `losses.FLOW_LOSSES`, a tuple of arrays.
        seed: seed of dropout; the random numbers of a step derive from (seed, step).
        freeze: patterns of parameters without gradient, see `optimizer.split_frozen`; BatchNorm layers among them use
            and keep their running statistics.
        ema_decay: decay of the moving average of the parameters; 0 for none.
        num_parts: number of parts in which the batch is processed, so that memory holds the activations of one part
            only. The gradients of the parts add up to that of the batch; BatchNorm normalises each part by itself.
        has_logits: whether the outputs are logits of classes.

    Returns:
        The next state, and scalar metrics: loss (with the model's own penalties), grad_norm, and top1 if the target is
        one class per vector of logits.
    """
    trainable, frozen = optimizer.split_frozen(state.params, freeze)
    step_key = jax.random.fold_in(jax.random.key(seed), state.step)

    def loss_of(trainable, model_state, part, dropout_key):
        """Returns the part's share of the loss, and (its share of the metrics, the next model state)."""
        inputs = model_inputs(model, preprocess(part, spec, model.dtype))
        target, weight = part["target"], part["weight"]
        variables = {"params": optimizer.join_frozen(trainable, frozen), **model_state}
        with nn.intercept_methods(keep_frozen_statistics(freeze)):
            (outputs, _), updates = model.apply(
                variables, **inputs, train=True, rngs={"dropout": dropout_key}, mutable=[*model_state, "losses"]
            )
        outputs = jax.tree.map(precise, outputs)
        penalties = [penalty_of(x, weight, batch["weight"]) for x in jax.tree.leaves(updates.pop("losses", {}))]
        loss = metrics.weighted_mean(loss_fn(outputs, target), weight, batch["weight"]) + sum(penalties)
        train_metrics = {"loss": loss}
        if has_logits and target.ndim == outputs.ndim - 1:
            hits = metrics.hit_at_k(outputs, target, 1)
            train_metrics["top1"] = metrics.weighted_mean(hits, weight, batch["weight"])
        return loss, (train_metrics, dict(updates))

    gradient_of = jax.grad(loss_of, has_aux=True)
    if num_parts == 1:
        gradient, (train_metrics, model_state) = gradient_of(trainable, state.model_state, batch, step_key)
    else:
        gradient, train_metrics, model_state = accumulate_gradient(
            gradient_of, trainable, state.model_state, batch, step_key, num_parts
        )
    updates, opt_state = tx.update(gradient, state.opt_state, trainable)
    params = optimizer.join_frozen(optax.apply_updates(trainable, updates), frozen)
    ema = jax.tree.map(lambda old, new: ema_decay * old + (1 - ema_decay) * new, state.ema, params) if ema_decay else {}
    train_metrics["grad_norm"] = optax.tree.norm(gradient)
    return TrainState(state.step + 1, params, model_state, ema, opt_state), train_metrics


def precise(x: jax.Array) -> jax.Array:
    """Casts to float32, or leaves float64."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def accumulate_gradient(
    gradient_of: Callable, trainable: dict, model_state: dict, batch: Batch, key: jax.Array, num_parts: int
):
    """Gradient, metrics and next model state of a batch, processed part by part.

    Args:
        gradient_of: (trainable, model_state, part, key) -> gradient, (train_metrics, model_state): a part's share.
        batch: part i is its rows i, i + num_parts, ..., so that each device splits its own rows.

    Raises:
        ValueError: if the batch does not divide into `num_parts` parts.
    """
    num_rows = len(batch["target"])
    if num_rows % num_parts:
        raise ValueError(
            f"accumulate = {num_parts} does not divide a batch of {num_rows}; choose a divisor of the batch size."
        )
    parts = {name: x.reshape(-1, num_parts, *x.shape[1:]).swapaxes(0, 1) for name, x in batch.items()}

    def add(carry, part_and_number):
        carry, (part, number) = jax.lax.optimization_barrier((carry, part_and_number))
        gradient, (train_metrics, model_state) = gradient_of(trainable, carry[1], part, jax.random.fold_in(key, number))
        return (jax.tree.map(jnp.add, carry[0], (gradient, train_metrics)), model_state), None

    first = {name: x[0] for name, x in parts.items()}
    gradient, (train_metrics, _) = jax.eval_shape(gradient_of, trainable, model_state, first, key)
    nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), (gradient, train_metrics))
    # On CPUs XLA's convolutions are 6 times slower inside loops; the barrier keeps the unrolled parts in sequence
    unroll = jax.default_backend() == "cpu"
    numbered = parts, jnp.arange(num_parts)
    (sums, model_state), _ = jax.lax.scan(add, (nothing, model_state), numbered, unroll=unroll)
    return *sums, model_state


def penalty_of(penalty: jax.Array, weight: jax.Array, whole: jax.Array) -> jax.Array:
    """The mean of a penalty that a model sowed in `losses`, over the examples whose weight is not zero.

    Args:
        penalty: a scalar, or one value per example (B,).
        weight, whole: weights of these examples, and of the batch of which they are a part, see
            `metrics.weighted_mean`.
    """
    if not penalty.ndim:
        return penalty * (len(weight) / len(whole))
    counts, all_counts = ((w.reshape(len(w), -1) > 0).any(1).astype(penalty.dtype) for w in (weight, whole))
    return metrics.weighted_mean(penalty, counts, all_counts)


def apply_model(
    params: dict, model_state: dict, batch: Batch, *, model: nn.Module, spec: Spec
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The model's outputs and endpoints for a batch, in inference mode.

    A stateful model starts from zeros, not from the state after its last training batch.
    """
    inputs = model_inputs(model, preprocess(batch, spec, model.dtype))
    return model.apply({"params": params, **without_carry(model_state)}, **inputs)


def without_carry(model_state: dict) -> dict:
    return {name: collection for name, collection in model_state.items() if name != "carry"}


def carried_step(
    params: dict, model_state: dict, carry: dict, batch: Batch, *, model: nn.Module, spec: Spec
) -> tuple[jax.Array, dict[str, jax.Array], dict]:
    """`eval_step` for batches that continue each other.

    Args:
        carry: the carry that the call for the previous batch returned; {} starts from zeros.

    Returns:
        The outputs, the endpoints, and the carry: {} if the model is not stateful.
    """
    inputs = model_inputs(model, preprocess(batch, spec, model.dtype))
    variables = {"params": params, **without_carry(model_state), **carry}
    (outputs, ends), carry = model.apply(variables, **inputs, mutable=["carry"])
    return precise(outputs), ends, dict(carry)


def eval_step(params: dict, model_state: dict, batch: Batch, *, model: nn.Module, spec: Spec) -> jax.Array:
    """The model's outputs for a batch of clips: float32 (B, ..., K)."""
    outputs, _ = apply_model(params, model_state, batch, model=model, spec=spec)
    return precise(outputs)
