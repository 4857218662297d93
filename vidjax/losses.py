"""Losses: (outputs, target) -> unreduced loss, one value per example or frame. The step weights and averages them."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax


def softmax_cross_entropy(
    logits: jax.Array,
    target: jax.Array,
    *,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] = (),
) -> jax.Array:
    """Softmax cross-entropy, for one class per example or per frame.

    Args:
        logits: float (..., K).
        target: int (...), class indices.
        label_smoothing: in [0, 1): mixes the one-hot target with the uniform one (Szegedy et al., 2016, section 7).
        class_weights: K factors, applied by the target class; empty for none.

    Returns:
        float (...), nats.
    """
    num_classes = logits.shape[-1]
    smoothed = optax.smooth_labels(jax.nn.one_hot(target, num_classes, dtype=logits.dtype), label_smoothing)
    loss = optax.softmax_cross_entropy(logits, smoothed)
    if class_weights:
        if len(class_weights) != num_classes:
            raise ValueError(f"class_weights has {len(class_weights)} entries for {num_classes} classes.")
        loss = loss * jnp.asarray(class_weights, loss.dtype)[target]
    return loss


def sigmoid_cross_entropy(
    logits: jax.Array,
    target: jax.Array,
    *,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] = (),
) -> jax.Array:
    """Binary cross-entropy, summed over the classes, for examples that may have several labels.

    Args:
        logits: float (..., K).
        target: float (..., K), multi-hot.
        label_smoothing: in [0, 1): moves the targets 0 and 1 towards 1/2.
        class_weights: K factors, one per class; empty for none.

    Returns:
        float (...), nats.
    """
    target = (1 - label_smoothing) * target + label_smoothing / 2
    loss = optax.sigmoid_binary_cross_entropy(logits, target)
    if class_weights:
        if len(class_weights) != logits.shape[-1]:
            raise ValueError(f"class_weights has {len(class_weights)} entries for {logits.shape[-1]} classes.")
        loss = loss * jnp.asarray(class_weights, loss.dtype)
    return loss.sum(axis=-1)


def squared_error(outputs: jax.Array, target: jax.Array) -> jax.Array:
    """Squared difference, averaged over the last axis: float (..., H) twice -> (...)."""
    return jnp.square(outputs - target).mean(-1)


LOSSES = {"softmax": softmax_cross_entropy, "sigmoid": sigmoid_cross_entropy, "squared_error": squared_error}
