"""A 2-D network on each frame, its features pooled over time, and a linear classifier: order does not matter to it.

The baseline of the field: Karpathy et al., "Large-scale Video Classification with Convolutional Neural Networks" (CVPR
2014) call it the single-frame model; Simonyan and Zisserman, "Two-Stream Convolutional Networks" (NeurIPS 2014,
https://arxiv.org/abs/1406.2199), average the scores of sampled frames so.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.layers import mean_over_time

POOLS = ("mean", "max", "min", "max_min")


def pool_over_time(features: jax.Array, pool: str, frame_mask: jax.Array | None = None) -> jax.Array:
    """Pools the features of the frames that count.

    Args:
        features: (B, T, D), float.
        pool: "mean", "max", "min", or "max_min", which is the two side by side.
        frame_mask: (B, T), boolean or 0 and 1; None counts every frame.

    Returns:
        (B, D), or (B, 2 D) of "max_min". A clip without a frame that counts gives zeros.

    Raises:
        ValueError: for another kind of pool.
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
    """Returns the features of frames, from records or from a 2-D network.

    Args:
        backbone: sees each frame by itself; needed for a video.
        video: (B, T, H, W, C), for the backbone; or
        features: (B, T, D), which are returned.

    Returns:
        (B, T, D) in `dtype`, and endpoints with "features".

    Raises:
        ValueError: unless there is exactly one of video and features, and a backbone for a video.
    """
    if (video is None) == (features is None):
        raise ValueError("The model takes either a video or features, and one of them is needed.")
    if features is not None:
        return features.astype(dtype), {"features": features}
    if backbone is None:
        raise ValueError("The model has no backbone for videos: set model.backbone, such as {'name': 'resnet18'}.")
    return backbone(video, train=train)


class FramePool(nn.Module):
    """A 2-D backbone on each frame, a pool over time, dropout, a linear classifier.

    The frames' features come from a 2-D network that is trained along with it, or from records: then it is the
    classifier alone, of whatever network the features are from.

    Attributes:
        num_classes: 0 or None for no classifier.
        backbone: a network on single frames, without a classifier; None if the input is features.
        pool: one of `POOLS`.
        dropout: of the pooled features, while training.
        dtype: of the computation; parameters are float32.

    Raises:
        ValueError: when made, for an unknown pool.
    """

    num_classes: int | None = None
    backbone: nn.Module | None = None
    pool: str = "mean"
    dropout: float = 0.0
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        if self.pool not in POOLS:
            raise ValueError(f"Unknown pool {self.pool!r}; choose one of {', '.join(POOLS)}.")
        super().__post_init__()

    @nn.compact
    def __call__(self, video=None, *, features=None, frame_mask=None, train=False):
        """Classifies clips.

        Args:
            video: (B, T, H, W, C), normalised float; or
            features: (B, T, D), float.
            frame_mask: (B, T), boolean or 0 and 1: frames that are 0 do not count.
            train: use the statistics of this batch, and dropout.

        Returns:
            Logits (B, num_classes); without a classifier the pooled features. Endpoints: those of the backbone, whose
            "features" are (B, T, D), and "pooled", (B, D) or (B, 2 D).

        Raises:
            ValueError: where it is not exactly one of video and features.
        """
        x, ends = frame_features(self.backbone, video, features, train=train, dtype=self.dtype)
        x = ends["pooled"] = pool_over_time(x, self.pool, frame_mask)  # (B, D) or (B, 2 D)
        if not self.num_classes:
            return x, ends
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes, dtype=self.dtype, name="classifier")(x), ends  # (B, num_classes)
