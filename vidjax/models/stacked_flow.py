"""The temporal stream of a two-stream network: a 2-D network on stacks of optical flow.

Simonyan and Zisserman, "Two-Stream Convolutional Networks for Action Recognition in Videos" (NeurIPS 2014),
https://arxiv.org/abs/1406.2199, section 3.1.
"""

import einops
import jax
import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.frame_pool import frame_features
from vidjax.models.layers import mask_of_steps, mean_over_time


def check_flow(flow: jax.Array):
    """Raise a ValueError unless the input has the shape of optical flow, (B, T, H, W, 2)."""
    if flow.ndim != 5 or flow.shape[-1] != 2:
        raise ValueError(
            f"The temporal stream sees optical flow, (B, T, H, W, 2), not {flow.shape}: set config.flow = 'stored', or "
            "to a method."
        )


def stack_fields(flow: jax.Array, num_fields: int = 10, subtract_mean: bool = True) -> jax.Array:
    """Cut flow into stacks of consecutive fields, and if wanted subtract the mean over space from each field.

    Simonyan and Zisserman, section 3.1: equation 1 and "mean flow subtraction", which removes most of the camera
    motion. Motion of the whole frame is lost with it.

    Args:
        flow: (B, T, H, W, 2); fields at the end that do not fill a stack are dropped.

    Returns:
        (B, floor(T / L), H, W, 2 L), L = num_fields; the channels are u and v of the first field, of the second, ...

    Raises:
        ValueError: for a wrong number of channels, or fewer fields than one stack needs.
    """
    check_flow(flow)
    num_stacks = flow.shape[1] // num_fields
    if not num_stacks:
        raise ValueError(
            f"A stack is of {num_fields} fields of optical flow, which {num_fields + 1} frames give; there are "
            f"{flow.shape[1]} fields: set config.clip.num_frames or model.num_fields."
        )
    flow = flow[:, : num_stacks * num_fields]
    if subtract_mean:
        flow = flow - flow.mean((2, 3), keepdims=True)
    return einops.rearrange(flow, "b (n l) h w c -> b n h w (l c)", n=num_stacks)


def mask_of_stacks(frame_mask: jax.Array | None, num_stacks: int, num_fields: int) -> jax.Array | None:
    """Return which stacks have a valid field: (B, T) -> (B, num_stacks), or None."""
    return None if frame_mask is None else mask_of_steps(frame_mask, num_fields)[:, :num_stacks]


class StackedFlow(nn.Module):
    """The temporal stream: a 2-D network on stacks of flow, dropout, and a linear classifier averaged over the stacks.

    Its first kernel has 2 * num_fields input channels. `init_from` initialises them from a network on RGB with the
    repeated mean over RGB (see `inflate`).

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        backbone: a network on single frames, without a classifier. The paper's is CNN-M-2048 with `num_norms = 1`.
        num_fields: L, the number of fields per stack.
        subtract_mean: subtract the mean over space from each field, as in the paper. Camera motion goes with it, and so
            does a class that is motion of the whole frame (docs/sight.md).
        dropout: dropout rate of the features, in training; 0.9 in the paper.
        dtype: dtype of the computation; parameters are float32.
    """

    num_classes: int | None = None
    backbone: nn.Module | None = None
    num_fields: int = 10
    subtract_mean: bool = True
    dropout: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video, *, frame_mask=None, train=False):
        """Classify clips.

        Args:
            video: optical flow (B, T, H, W, 2), normalised float, with T at least L. N = floor(T / L) below.
            frame_mask: (B, T), boolean or 0 and 1; a stack is valid if one of its fields is.
            train: whether to use batch statistics and dropout.

        Returns:
            Logits (B, num_classes); without a classifier, the features. Endpoints: those of the backbone, whose
            "features" are (B, N, D).

        Raises:
            ValueError: see `stack_fields`.
        """
        stacks = stack_fields(video, self.num_fields, self.subtract_mean)  # (B, N, H, W, 2 L)
        x, ends = frame_features(self.backbone, stacks, None, train=train, dtype=self.dtype)
        if not self.num_classes:
            return x, ends  # (B, N, D)
        mask = mask_of_stacks(frame_mask, stacks.shape[1], self.num_fields)  # (B, N)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        x = nn.Dense(self.num_classes, dtype=self.dtype, name="classifier")(x)  # (B, N, num_classes)
        return mean_over_time(x, mask), ends  # (B, num_classes)
