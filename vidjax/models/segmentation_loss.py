"""The loss of MS-TCN and ASFormer: cross-entropy and truncated smoothing of the predictions of every stage.

Farha and Gall, "MS-TCN: Multi-Stage Temporal Convolutional Network for Action Segmentation" (CVPR 2019),
https://arxiv.org/abs/1903.01945, with the constants of the authors' code (github.com/yabufarha/ms-tcn,
model.py). ASFormer's code has the same loss.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


def truncated_smoothing(logits: jax.Array, mask: jax.Array | None = None, *, limit: float = 16.0) -> jax.Array:
    """Squared change of the log-probabilities from the frame before, cut off at `limit`, averaged over the classes.

    The paper's threshold tau = 4 is the square root of `limit`. No gradient flows to the frame before.

    Args:
        logits: float (..., T, C).
        mask: (..., T), boolean or 0 and 1; None means that all frames are valid.

    Returns:
        float (..., T), float32 or better. Zero at the first frame and unless a frame and the one before are valid.
    """
    precise = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    log_probabilities = jax.nn.log_softmax(precise)
    change = log_probabilities[..., 1:, :] - jax.lax.stop_gradient(log_probabilities[..., :-1, :])
    smoothing = jnp.minimum(jnp.square(change), limit).mean(-1)  # (..., T - 1)
    if mask is not None:
        mask = jnp.asarray(mask).astype(bool)
        smoothing = jnp.where(mask[..., 1:] & mask[..., :-1], smoothing, 0)
    return jnp.pad(smoothing, [(0, 0)] * (smoothing.ndim - 1) + [(1, 0)])


def segmentation_loss(
    stages: jax.Array,
    target: jax.Array,
    mask: jax.Array | None = None,
    *,
    smoothing: float = 0.15,
    limit: float = 16.0,
    class_weights: Sequence[float] = (),
) -> jax.Array:
    """Cross-entropy plus `smoothing` times the truncated smoothing, summed over the stages.

    The average over the valid frames of a sequence is the authors' loss of that sequence: the mean of the cross-entropy
    over its n frames, and the mean of the smoothing over its n - 1 pairs of neighbours. For this, the smoothing is
    multiplied by n / (n - 1), or n / m for m pairs if the mask has holes.

    In a padded batch the authors' code divides the smoothing by the number of all pairs, padding included, but the
    cross-entropy by the number of valid frames, so padding weakens the smoothing. Here it does not. The two agree for
    batches without padding. The authors train with batches of one video.

    Args:
        stages: float (S, B, T, C), the logits of all stages.
        target: int (B, T), class indices; a frame with a negative index, such as -100, has no cross-entropy.
        mask: (B, T), boolean or 0 and 1; None means that all frames are valid.
        smoothing: the paper's lambda.
        limit: see `truncated_smoothing`.
        class_weights: C factors of the cross-entropy, applied by the target class; empty for none.

    Returns:
        float (B, T), nats, float32 or better; zero at masked frames.

    Raises:
        ValueError: if the shapes do not fit together.
    """
    if stages.ndim != 4 or target.shape != stages.shape[1:3] or mask is not None and mask.shape != target.shape:
        shapes = f"{stages.shape}, {target.shape}" + ("" if mask is None else f", {mask.shape}")
        raise ValueError(
            f"The shapes must be (stages, batch, time, classes), (batch, time), (batch, time); got {shapes}."
        )
    mask = jnp.ones(target.shape, bool) if mask is None else jnp.asarray(mask).astype(bool)
    precise = stages.astype(jnp.promote_types(stages.dtype, jnp.float32))
    labelled = jax.nn.one_hot(target, stages.shape[-1], dtype=precise.dtype)  # (B, T, C), zeros at negative indices
    entropy = -(labelled * jax.nn.log_softmax(precise)).sum((0, -1))  # (B, T)
    if class_weights:
        entropy = entropy * jnp.asarray(class_weights, entropy.dtype)[target]
    smooth = truncated_smoothing(precise, jnp.broadcast_to(mask, stages.shape[:3]), limit=limit).sum(0)  # (B, T)
    num_frames, num_pairs = mask.sum(1, keepdims=True), (mask[:, 1:] & mask[:, :-1]).sum(1, keepdims=True)  # (B, 1)
    smooth = smooth * (num_frames / jnp.maximum(num_pairs, 1))
    return jnp.where(mask, entropy + smoothing * smooth, 0)
