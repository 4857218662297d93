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
    """Raises a ValueError for what is no optical flow, (B, T, H, W, 2)."""
    if flow.ndim != 5 or flow.shape[-1] != 2:
        raise ValueError(
            f"The temporal stream sees optical flow, (B, T, H, W, 2), not {flow.shape}: set config.flow = 'stored', or "
            "to a method."
        )


def stack_fields(flow: jax.Array, num_fields: int = 10) -> jax.Array:
    """Cuts flow into stacks of consecutive fields, and takes from each field its mean over space.

    Simonyan and Zisserman, section 3.1: equation 1, and "mean flow subtraction", which takes out most of what a moving
    camera adds.

    Args:
        flow: (B, T, H, W, 2); the fields at the end that fill no stack are left out.

    Returns:
        (B, floor(T / L), H, W, 2 L), L = num_fields; the channels are u and v of the first field, of the second, ...

    Raises:
        ValueError: for another number of channels, or fewer fields than a stack has.
    """
    check_flow(flow)
    num_stacks = flow.shape[1] // num_fields
    if not num_stacks:
        raise ValueError(
            f"A stack is of {num_fields} fields of optical flow, which {num_fields + 1} frames give; there are "
            f"{flow.shape[1]} fields: set config.clip.num_frames or model.num_fields."
        )
    flow = flow[:, : num_stacks * num_fields]
    flow = flow - flow.mean((2, 3), keepdims=True)
    return einops.rearrange(flow, "b (n l) h w c -> b n h w (l c)", n=num_stacks)


def mask_of_stacks(frame_mask: jax.Array | None, num_stacks: int, num_fields: int) -> jax.Array | None:
    """Which stacks have a field that counts: (B, T) -> (B, num_stacks), or None."""
    return None if frame_mask is None else mask_of_steps(frame_mask, num_fields)[:, :num_stacks]


class StackedFlow(nn.Module):
    """The temporal stream: a 2-D network on stacks of flow, dropout, a linear classifier, averaged over the stacks.

    Its first kernel has 2 * num_fields channels. From a network on RGB, `init_from` gives it the mean over RGB,
    repeated (see `inflate`).

    Attributes:
        num_classes: 0 or None for no classifier.
        backbone: a network on single frames, without a classifier. The paper's is CNN-M-2048 with `num_norms = 1`.
        num_fields: L, of a stack.
        dropout: of the features, while training; 0.9 in the paper.
        dtype: of the computation; parameters are float32.
    """

    num_classes: int | None = None
    backbone: nn.Module | None = None
    num_fields: int = 10
    dropout: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video, *, frame_mask=None, train=False):
        """Classifies clips.

        Args:
            video: the flow, (B, T, H, W, 2), normalised float; T is at least L, and N = floor(T / L).
            frame_mask: (B, T), boolean or 0 and 1: a stack counts where one of its fields does.
            train: use the statistics of this batch, and dropout.

        Returns:
            Logits (B, num_classes); without a classifier the features. Endpoints: those of the backbone, whose
            "features" are (B, N, D).

        Raises:
            ValueError: as of `stack_fields`.
        """
        stacks = stack_fields(video, self.num_fields)  # (B, N, H, W, 2 L)
        x, ends = frame_features(self.backbone, stacks, None, train=train, dtype=self.dtype)
        if not self.num_classes:
            return x, ends  # (B, N, D)
        mask = mask_of_stacks(frame_mask, stacks.shape[1], self.num_fields)  # (B, N)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        x = nn.Dense(self.num_classes, dtype=self.dtype, name="classifier")(x)  # (B, N, num_classes)
        return mean_over_time(x, mask), ends  # (B, num_classes)
