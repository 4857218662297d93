"""Recurrent networks over a sequence of features, and over the frames of a video.

Hochreiter and Schmidhuber, "Long Short-Term Memory" (Neural Computation, 1997), with the forget gate of Gers et al.,
"Learning to Forget" (Neural Computation, 2000). On the features of a 2-D network: Donahue et al., "Long-term Recurrent
Convolutional Networks" (CVPR 2015), https://arxiv.org/abs/1411.4389.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.frame_pool import BACKBONES
from vidjax.models.layers import check_arguments

Carry = tuple[jax.Array, jax.Array]


class LSTMStep(nn.Module):
    """One step of an LSTM whose input is projected already: c' = f c + i g and h' = o tanh(c').

    The gates lie along the last axis in torch's order: input, forget, candidate, output.
    """

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, carry: Carry, inputs: tuple[jax.Array, jax.Array]) -> tuple[Carry, jax.Array]:
        """carry: c, h (B, H); inputs: projected (B, 4 H) and mask (B, 1) -> the next carry, h (B, H).

        Where the mask is 0 the carry stays as it is.
        """
        (c, h), (projected, mask) = carry, inputs
        recurrent = nn.Dense(
            4 * h.shape[-1],
            use_bias=False,
            kernel_init=nn.initializers.orthogonal(),
            dtype=self.dtype,
            name="recurrent",
        )
        i, f, g, o = jnp.split(projected + recurrent(h), 4, axis=-1)  # (B, H) each
        next_c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
        next_h = nn.sigmoid(o) * jnp.tanh(next_c)
        c, h = jnp.where(mask, next_c, c), jnp.where(mask, next_h, h)
        return (c, h), h


def forget_open(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
    """Biases of 0, and 1 for the forget gate: remember at first (Jozefowicz et al., 2015, section 3.1)."""
    size = shape[0] // 4
    return jnp.zeros(shape, dtype).at[size : 2 * size].set(1)


class LSTM(nn.Module):
    """An LSTM over a sequence: one matrix product for the inputs of all steps, then a scan over the steps."""

    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, frame_mask: jax.Array | None = None) -> jax.Array:
        """(B, T, D) and mask (B, T) -> (B, T, H); at a step that does not count, the output of the one before."""
        mask = jnp.ones(x.shape[:2], bool) if frame_mask is None else frame_mask.astype(bool)
        projected = nn.Dense(4 * self.features, bias_init=forget_open, dtype=self.dtype, name="input")(x)  # (B, T, 4 H)
        start = jnp.zeros((x.shape[0], self.features), projected.dtype)
        steps = nn.scan(LSTMStep, variable_broadcast="params", split_rngs={"params": False}, in_axes=1, out_axes=1)
        _, hidden = steps(dtype=self.dtype, name="step")((start, start), (projected, mask[..., None]))
        return hidden  # (B, T, H)


class FrameRNN(nn.Module):
    """An LSTM over the features of the frames, dropout, and a linear classifier of its last output.

    The frames' features come from a 2-D network that is trained along with it, or from records.

    Attributes:
        num_classes: 0 or None for no classifier.
        backbone: a name in `frame_pool.BACKBONES`, used where the input is a video.
        backbone_arguments: of that network, but for `num_classes` and `dtype`.
        hidden: size of the LSTM's output and memory.
        dropout: of the LSTM's input and of its last output, while training.
        dtype: of the computation; parameters are float32.

    Raises:
        ValueError: when made, for an unknown backbone or argument of it.
    """

    num_classes: int | None
    backbone: str = "resnet18"
    backbone_arguments: Mapping | None = None
    hidden: int = 256
    dropout: float = 0.0
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        check_arguments("backbone on single frames", self.backbone, BACKBONES, self.backbone_arguments or ())
        super().__post_init__()

    @nn.compact
    def __call__(self, video=None, *, features=None, frame_mask=None, train=False):
        """Classifies clips.

        Args:
            video: (B, T, H, W, C), normalised float; or
            features: (B, T, D), float.
            frame_mask: (B, T), boolean or 0 and 1: the LSTM passes over frames that are 0.
            train: use the statistics of this batch, and dropout.

        Returns:
            Logits (B, num_classes); without a classifier the last output. Endpoints: of the backbone, "features"
            (B, T, D), "hidden" (B, T, H) and "last" (B, H).

        Raises:
            ValueError: where it is not exactly one of video and features.
        """
        if (video is None) == (features is None):
            raise ValueError("FrameRNN takes either a video or features, and one of them is needed.")
        ends = {"features": features}
        if features is None:
            arguments = {**(self.backbone_arguments or {}), "num_classes": 0, "dtype": self.dtype}
            features, ends = BACKBONES[self.backbone](**arguments, name="backbone")(video, train=train)  # (B, T, D)
        x = nn.Dropout(self.dropout, deterministic=not train)(features.astype(self.dtype))
        x = ends["hidden"] = LSTM(self.hidden, dtype=self.dtype, name="lstm")(x, frame_mask)  # (B, T, H)
        x = ends["last"] = x[:, -1]  # (B, H): of the last frame that counts
        if not self.num_classes:
            return x, ends
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes, dtype=self.dtype, name="classifier")(x), ends  # (B, num_classes)
