"""A 2-D network on each frame, pooling over time, and a linear classifier: it ignores the order of frames.

This is the standard baseline. Karpathy et al., "Large-scale Video Classification with Convolutional Neural Networks"
(CVPR 2014), call it the single-frame model. Simonyan and Zisserman, "Two-Stream Convolutional Networks" (NeurIPS 2014,
https://arxiv.org/abs/1406.2199), average the scores of sampled frames in the same way.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.layers import mean_over_time

POOLS = ("mean", "max", "min", "max_min")


def pool_over_time(features: jax.Array, pool: str, frame_mask: jax.Array | None = None) -> jax.Array:
    """Pool the features of the valid frames over time.

    Args:
        features: (B, T, D), float.
        pool: "mean", "max", "min", or "max_min", which concatenates the two.
        frame_mask: (B, T), boolean or 0 and 1; None means that all frames are valid.

    Returns:
        (B, D), or (B, 2 D) for "max_min". A clip without a valid frame gives zeros.

    Raises:
        ValueError: for an unknown pool.
    """
    if pool not in POOLS:
        raise ValueError(f"Unknown pool {pool!r}; choose one of {', '.join(POOLS)}.")
    if pool == "mean":
        return mean_over_time(features, frame_mask)
    if pool == "max_min":
        return jnp.concatenate([pool_over_time(features, p, frame_mask) for p in ("max", "min")], -1)  # (B, 2 D)
    if pool == "min":
        return -pool_over_time(-features, "max", frame_mask)
    if frame_mask is None:
        return features.max(1)
    mask = frame_mask.astype(bool)[..., None]  # (B, T, 1)
    maximum = jnp.where(mask, features, jnp.finfo(features.dtype).min).max(1)  # (B, D)
    return jnp.where(mask.any(1), maximum, 0)


def frame_features(
    backbone: nn.Module | None, video: jax.Array | None, features: jax.Array | None, *, train: bool, dtype
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return the features of frames, either given or computed by a 2-D network.

    Args:
        backbone: a network on single frames; required for a video.
        video: (B, T, H, W, C), for the backbone; or
        features: (B, T, D), returned as they are.

    Returns:
        Features (B, T, D) in `dtype`, and the endpoints, which include "features".

    Raises:
        ValueError: unless exactly one of video and features is given, or if a video comes without a backbone.
    """
    if (video is None) == (features is None):
        raise ValueError("The model takes either a video or features, and one of them is needed.")
    if features is not None:
        return features.astype(dtype), {"features": features}
    if backbone is None:
        raise ValueError("The model has no backbone for videos: set model.backbone, such as {'name': 'resnet18'}.")
    return backbone(video, train=train)


class FramePool(nn.Module):
    """A 2-D backbone on each frame, pooling over time, dropout, and a linear classifier.

    The frame features come from a 2-D network that is trained jointly, or from records. With features from records, of
    any network, the model is only the classifier.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        backbone: a network on single frames, without a classifier; None if the inputs are features.
        pool: one of `POOLS`.
        per_frame: classify every frame by itself, without pooling.
        dropout: dropout rate of the pooled features, in training.
        dtype: dtype of the computation; parameters are float32.

    Raises:
        ValueError: on construction, for an unknown pool.
    """

    num_classes: int | None = None
    backbone: nn.Module | None = None
    pool: str = "mean"
    per_frame: bool = False
    dropout: float = 0.0
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        if self.pool not in POOLS:
            raise ValueError(f"Unknown pool {self.pool!r}; choose one of {', '.join(POOLS)}.")
        super().__post_init__()

    @nn.compact
    def __call__(self, video=None, *, features=None, frame_mask=None, train=False):
        """Classifies clips, or each frame of clips.

        Args:
            video: (B, T, H, W, C), normalised float; or
            features: (B, T, D), float.
            frame_mask: (B, T), boolean or 0 and 1; frames with 0 are ignored.
            train: whether to use batch statistics and dropout.

        Returns:
            Logits (B, num_classes), or (B, T, num_classes) per frame; without a classifier their inputs. Endpoints:
            those of the backbone, whose "features" are (B, T, D), and "pooled", (B, D) or (B, 2 D), unless per frame.

        Raises:
            ValueError: unless exactly one of video and features is given.
        """
        x, ends = frame_features(self.backbone, video, features, train=train, dtype=self.dtype)
        if not self.per_frame:
            x = ends["pooled"] = pool_over_time(x, self.pool, frame_mask)  # (B, D) or (B, 2 D)
        if not self.num_classes:
            return x, ends
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes, dtype=self.dtype, name="classifier")(x), ends  # (B, [T,] num_classes)
