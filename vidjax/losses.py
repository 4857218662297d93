"""Losses: (outputs, target) -> unreduced loss, one value per example or frame. The step weights and averages them."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax

from vidjax.models.segmentation_loss import segmentation_loss


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

    Raises:
        ValueError: if the shapes do not fit each other, or the number of class weights is wrong; so do the others.
    """
    check_shapes(logits, target, has_classes=True)
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
    check_shapes(logits, target)
    target = (1 - label_smoothing) * target + label_smoothing / 2
    loss = optax.sigmoid_binary_cross_entropy(logits, target)
    if class_weights:
        if len(class_weights) != logits.shape[-1]:
            raise ValueError(f"class_weights has {len(class_weights)} entries for {logits.shape[-1]} classes.")
        loss = loss * jnp.asarray(class_weights, loss.dtype)
    return loss.sum(axis=-1)


def squared_error(outputs: jax.Array, target: jax.Array) -> jax.Array:
    """Squared difference, averaged over the last axis: float (..., H) twice -> (...)."""
    check_shapes(outputs, target)
    return jnp.square(outputs - target).mean(-1)


def segmentation(
    logits: jax.Array, target: jax.Array, *, smoothing: float = 0.15, class_weights: Sequence[float] = ()
) -> jax.Array:
    """The loss of MS-TCN and ASFormer, see `models.segmentation_loss`.

    Args:
        logits: float (B, T, S, K), of all stages, as these networks return them in training; or (B, T, K).
        target: int (B, T), class indices.
        smoothing: weight of the truncated smoothing; 0.15 in both papers.
        class_weights: K factors of the cross-entropy, applied by the target class; empty for none.

    Returns:
        float (B, T), nats, summed over the stages.
    """
    stages = logits[:, :, None] if logits.ndim == 3 else logits
    check_shapes(stages[:, :, 0], target, has_classes=True)
    if class_weights and len(class_weights) != stages.shape[-1]:
        raise ValueError(f"class_weights has {len(class_weights)} entries for {stages.shape[-1]} classes.")
    stages = jnp.moveaxis(stages, 2, 0)  # (S, B, T, K)
    return segmentation_loss(stages, target, smoothing=smoothing, class_weights=class_weights)


LOSSES = {
    "softmax": softmax_cross_entropy,
    "sigmoid": sigmoid_cross_entropy,
    "squared_error": squared_error,
    "segmentation": segmentation,
}


def check_shapes(outputs: jax.Array, target: jax.Array, *, has_classes: bool = False):
    """Raises a ValueError unless outputs and target have one shape, but for the classes, the last axis of outputs."""
    if (outputs.shape[:-1] if has_classes else outputs.shape) == target.shape:
        return
    text = f"The model's outputs are {outputs.shape}, the targets {target.shape}"
    if has_classes and outputs.ndim == 4 and outputs.shape[:2] == target.shape:
        raise ValueError(f"{text}: a model of several stages needs config.loss.name = 'segmentation'.")
    if has_classes:
        text += (
            ": a model that classifies frames (model.per_frame = True) needs one label per frame "
            "(config.target = 'frame'), and vice versa"
        )
    raise ValueError(f"{text}.")
