"""Losses: (outputs, target) -> unreduced loss, one value per example or frame. The step weights and averages them."""

import math
from collections.abc import Sequence

import einops
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
        target: int (...), class indices; or float (..., K), shares of the classes.
        label_smoothing: in [0, 1): mixes the one-hot target with the uniform one (Szegedy et al., 2016, section 7).
        class_weights: K factors, applied by the target class; empty for none.

    Returns:
        float (...), nats.

    Raises:
        ValueError: if the shapes do not fit each other, or the number of class weights is wrong; so do the others.
    """
    num_classes, is_index = logits.shape[-1], jnp.issubdtype(target.dtype, jnp.integer)
    check_shapes(logits, target, has_classes=is_index)
    target = jax.nn.one_hot(target, num_classes, dtype=logits.dtype) if is_index else target
    loss = optax.softmax_cross_entropy(logits, optax.smooth_labels(target, label_smoothing))
    if class_weights:
        if len(class_weights) != num_classes:
            raise ValueError(f"class_weights has {len(class_weights)} entries for {num_classes} classes.")
        loss = loss * (target * jnp.asarray(class_weights, loss.dtype)).sum(-1)
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


def reconstruction(errors: jax.Array, target: jax.Array) -> jax.Array:
    """The mean over masked tokens, float (B, M) -> (B,), of the errors that `models.videomae_pretrain` returns.

    The targets are pixels of the clip itself; labels, int (B,), do not matter.
    """
    if errors.ndim != 2:
        raise ValueError(f"The loss 'reconstruction' needs errors of masked tokens, (B, M), not {errors.shape}.")
    return errors.mean(-1)


# --- Losses of optical flow: predictions float (B, 1, h, w, 2), pixels, target (B, H, W, 2) -> float (B, H, W) --------


def flow_sequence(predictions: Sequence[jax.Array], target: jax.Array, *, gamma: float = 0.8) -> jax.Array:
    """The L1 loss of all iterations, discounted: the sum over i of gamma^(N - 1 - i) |flow_i - target|.

    Teed and Deng, "RAFT" (ECCV 2020), equation 7; like the authors' code, the mean over u and v.

    Args:
        predictions: N predictions at full size, the last one is the result.
        gamma: 0.8 in the paper, 0.85 for its fine-tuning on Sintel and KITTI.
    """
    check_flow(predictions, target)
    weights = [gamma ** (len(predictions) - 1 - i) for i in range(len(predictions))]
    errors = (jnp.abs(flow[:, 0] - target).mean(-1) for flow in predictions)
    return sum(weight * error for weight, error in zip(weights, errors, strict=True))


def flow_pyramid(
    predictions: Sequence[jax.Array], target: jax.Array, *, weights: Sequence[float] = (0.32, 0.08, 0.02, 0.01, 0.005)
) -> jax.Array:
    """The end-point errors of all scales, weighted, each against the target averaged over the area of its pixels.

    Dosovitskiy et al., "FlowNet" (ICCV 2015), as in github.com/ClementPinard/FlowNetPytorch: in units of 20 pixels,
    and summed over the pixels of a scale. Each pixel of a scale shares its error out to the pixels of the target, times
    their number, so that their mean is the published sum. The target must be known everywhere: an average would take
    unknown flow for 0.

    Args:
        predictions: the coarsest first; their sizes divide that of the target.
        weights: one per prediction.
    """
    check_flow(predictions, target, of_equal_size=False)
    if len(weights) != len(predictions):
        raise ValueError(f"loss.weights has {len(weights)} entries for {len(predictions)} predictions.")
    total, num_pixels = jnp.zeros(target.shape[:3]), math.prod(target.shape[1:3])
    for weight, flow in zip(weights, predictions, strict=True):
        cells = [size // of for size, of in zip(target.shape[1:3], flow.shape[2:4], strict=True)]  # pixels per cell
        mean = einops.reduce(target, "b (h i) (w j) c -> b h w c", "mean", i=cells[0], j=cells[1])
        error = end_point_error(flow[:, 0], mean) / 20
        share = weight * num_pixels / math.prod(cells) * error
        total += jnp.repeat(jnp.repeat(share, cells[0], axis=1), cells[1], axis=2)
    return total


def end_point_error(flow: jax.Array, target: jax.Array) -> jax.Array:
    """Length of the difference, (..., 2) -> (...); its gradient is 0 where the difference is."""
    return root(jnp.square(flow - target).sum(-1))


def check_flow(predictions: Sequence[jax.Array], target: jax.Array, *, of_equal_size: bool = True):
    """Raises a ValueError unless the predictions are flow for the target: of its size, or one that divides it."""
    for flow in predictions:
        fits = flow.ndim == 5 and flow.shape[:2] == (len(target), 1) and flow.shape[-1] == target.shape[-1] == 2
        if not fits or any(big % small for big, small in zip(target.shape[1:3], flow.shape[2:4], strict=True)):
            raise ValueError(f"Predictions of the shape {flow.shape} are not flow for the target {target.shape}.")
        if of_equal_size and flow.shape[2:4] != target.shape[1:3]:
            raise ValueError(
                f"The loss 'flow_sequence' needs predictions at full size, not {flow.shape} for the target "
                f"{target.shape}: use flow_pyramid."
            )


# --- Losses over pairs: embeddings float (B, D), target int (B,) -> float (B,) ----------------------------------------
# Each clip is an anchor, which is compared with all others of the global batch. Training batches hold no padding.


def contrastive(embeddings: jax.Array, target: jax.Array, *, margin: float = 1.0) -> jax.Array:
    """Contrastive loss, the mean over an anchor's pairs: d^2 with its class, max(0, margin - d)^2 with other classes.

    Hadsell et al., "Dimensionality Reduction by Learning an Invariant Mapping" (CVPR 2006), equation 4, without its
    factor 1/2. d is the Euclidean distance.
    """
    same, other = pairs_of(embeddings, target)
    squares = squared_distances(embeddings, embeddings)
    return mean_where(same | other, jnp.where(same, squares, jax.nn.relu(margin - root(squares)) ** 2))


def triplet(embeddings: jax.Array, target: jax.Array, *, mining: str = "semi_hard", margin: float = 0.2) -> jax.Array:
    """Triplet loss: an anchor is nearer to its class (positives) than to other classes (negatives), by a margin.

    Args:
        mining: "semi_hard": the mean of d_ap^2 - d_an^2 + margin over the triplets of `semi_hard_triplets`.
            "batch_hard": softplus(d_ap - d_an) of the farthest positive and the nearest negative (Hermans et al., "In
            Defense of the Triplet Loss for Person Re-Identification", 2017, https://arxiv.org/abs/1703.07737).
        margin: of semi-hard mining.

    Returns:
        float (B,); 0 for anchors without a triplet.

    Raises:
        ValueError: for an unknown mining.
    """
    same, other = pairs_of(embeddings, target)
    squares = squared_distances(embeddings, embeddings)
    if mining == "semi_hard":
        mined, gap = semi_hard_triplets(squares, same, other, margin)
        return mean_where(mined, margin - gap)
    if mining == "batch_hard":
        distances = root(squares)
        farthest = jnp.max(distances, axis=1, where=same, initial=0)
        nearest = jnp.min(distances, axis=1, where=other, initial=jnp.inf)
        return jnp.where(same.any(1) & other.any(1), jax.nn.softplus(farthest - nearest), 0)
    raise ValueError(f"Unknown mining {mining!r} of triplets; choose semi_hard or batch_hard.")


def semi_hard_triplets(squares: jax.Array, same: jax.Array, other: jax.Array, margin: float):
    """Triplets whose negative is farther from the anchor than the positive, by the margin at most.

    Schroff et al., "FaceNet" (CVPR 2015), section 3.2, for embeddings of unit length.

    Args:
        squares: float (B, B), squared distances; same, other: see `pairs_of`.

    Returns:
        Which triplets are such, bool (B, B, B), by anchor, positive and negative; and d_an^2 - d_ap^2 of all.
    """
    gap = squares[:, None, :] - squares[:, :, None]
    return same[:, :, None] & other[:, None, :] & (gap > 0) & (gap <= margin), gap


def prototypical(embeddings: jax.Array, target: jax.Array) -> jax.Array:
    """Cross-entropy of classes scored by the negative squared distance to their prototypes, the means of their clips.

    Snell et al., "Prototypical Networks for Few-shot Learning" (NeurIPS 2017), equations 1 and 2. Each clip is a query
    once, and the prototype of its own class leaves it out: a batch of P classes x K clips is an episode of P ways with
    K - 1 shots. Returns 0 for a clip that is the only one of its class.
    """
    same, _ = pairs_of(embeddings, target)
    members = same | jnp.eye(len(target), dtype=bool)  # (B, B)
    count = members.sum(1).astype(embeddings.dtype)  # (B,), clips in the class of each
    prototypes = members.astype(embeddings.dtype) @ embeddings / count[:, None]  # (B, D), that of each clip's class
    left_out = count / jnp.maximum(count - 1, 1)  # x - mean of the others = (x - mean of all) n / (n - 1)
    logits = -squared_distances(embeddings, prototypes) * jnp.where(members, left_out[:, None], 1) ** 2
    is_first = members.argmax(1) == jnp.arange(len(target))  # counts each class once
    loss = jax.nn.logsumexp(logits, axis=1, where=is_first) - jnp.diagonal(logits)
    return jnp.where(count > 1, loss, 0)


def siamese(logits: jax.Array, target: jax.Array) -> jax.Array:
    """Binary cross-entropy of "same class" for pairs of clips, as if half of an anchor's pairs were of its class.

    Koch et al., "Siamese Neural Networks for One-shot Image Recognition" (ICML Deep Learning Workshop 2015). Takes the
    outputs of `models.siamese` in training, float (B, B). Returns 0 for anchors without both kinds of pairs.
    """
    same, other = pairs_of(logits, target)
    if logits.shape[1] != len(target):
        raise ValueError(f"The loss 'siamese' needs logits of pairs, (B, B), not {logits.shape}: set model siamese.")
    loss = optax.sigmoid_binary_cross_entropy(logits, same)
    return jnp.where(same.any(1) & other.any(1), (mean_where(same, loss) + mean_where(other, loss)) / 2, 0)


def pairs_of(embeddings: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Which pairs of clips are of one class, without those of a clip with itself, and of two classes: bool (B, B) each.

    Raises:
        ValueError: unless embeddings are (B, D) and targets (B,).
    """
    if embeddings.ndim != 2 or target.shape != embeddings.shape[:1]:
        raise ValueError(
            f"The model's outputs are {embeddings.shape}, the targets {target.shape}: this loss needs one embedding "
            "and one class per clip; config.model = {'name': 'embedding', 'network': {...}} pools any network."
        )
    equal = target[:, None] == target[None]
    return equal & ~jnp.eye(len(target), dtype=bool), ~equal


def squared_distances(a: jax.Array, b: jax.Array) -> jax.Array:
    """Squared Euclidean distances of the rows: (A, D), (B, D) -> (A, B). Those of equal rows are 0 exactly."""
    return jnp.square(a[:, None] - b[None]).sum(-1)


def root(x: jax.Array) -> jax.Array:
    """Square root whose gradient at 0 is 0, not infinite."""
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1)), 0)


def mean_where(kept: jax.Array, x: jax.Array) -> jax.Array:
    """Mean over the kept entries of each row, 0 for a row without any: bool and float (B, ...) -> (B,)."""
    axes = tuple(range(1, x.ndim))
    return jnp.where(kept, x, 0).sum(axes) / jnp.maximum(kept.sum(axes), 1)


# --- Table ------------------------------------------------------------------------------------------------------------

# The outputs are embeddings, not one logit per class: these networks have no classifier
EMBEDDING_LOSSES = {
    "contrastive": contrastive,
    "triplet": triplet,
    "prototypical": prototypical,
    "siamese": siamese,
}
FLOW_LOSSES = {"flow_sequence": flow_sequence, "flow_pyramid": flow_pyramid}
WITHOUT_CLASSES = (*EMBEDDING_LOSSES, *FLOW_LOSSES, "reconstruction")  # the network has no classifier
LOSSES = {
    "softmax": softmax_cross_entropy,
    "sigmoid": sigmoid_cross_entropy,
    "squared_error": squared_error,
    "segmentation": segmentation,
    "reconstruction": reconstruction,
    **FLOW_LOSSES,
    **EMBEDDING_LOSSES,
}


def check_shapes(outputs: jax.Array, target: jax.Array, *, has_classes: bool = False):
    """Raises a ValueError unless outputs and target have one shape, but for the classes, the last axis of outputs."""
    if (outputs.shape[:-1] if has_classes else outputs.shape) == target.shape:
        return
    text = f"The model's outputs are {outputs.shape}, the targets {target.shape}"
    if outputs.ndim == 4 and not has_classes and target.ndim == 3:
        raise ValueError(f"{text}: a model of several stages needs exclusive classes, loss.name = 'segmentation'.")
    if has_classes and outputs.ndim == 4 and outputs.shape[:2] == target.shape:
        raise ValueError(f"{text}: a model of several stages needs config.loss.name = 'segmentation'.")
    if has_classes:
        text += (
            ": a model that classifies frames (model.per_frame = True) needs one label per frame "
            "(config.target = 'frame'), and vice versa"
        )
    raise ValueError(f"{text}.")
