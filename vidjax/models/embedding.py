"""Any network as an embedder of clips: its features, averaged over time, with a linear layer and unit length if wanted.

The losses over pairs (contrastive, triplet, prototypical) train it: {"name": "embedding", "network": {"name": "i3d"},
"size": 128, "normalise": True}. A linear layer and unit length: Schroff et al., "FaceNet" (CVPR 2015), section 3.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.layers import mask_of_steps, mean_over_time


def unit_length(x: jax.Array) -> jax.Array:
    """Divide vectors (..., D) by their length, in float32 or better. Zero stays zero, with a finite gradient."""
    precise = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    squares = jnp.square(precise).sum(-1, keepdims=True)
    return (precise / jnp.sqrt(jnp.maximum(squares, 1e-12))).astype(x.dtype)


class Embedding(nn.Module):
    """A network without its classifier, the mean over time, and a linear layer.

    Attributes:
        num_classes: classes of a linear classifier on the embedding; 0 or None for no classifier.
        network: the network, on frames or clips.
        size: length of the embedding, set by a linear layer; 0 for the network's features as they are.
        normalise: divide embeddings by their length, so that they lie on the unit sphere.
        dtype: dtype of the computation; parameters are float32.
    """

    num_classes: int | None = None
    network: nn.Module | None = None
    size: int = 0
    normalise: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video=None, *, features=None, frame_mask=None, train=False):
        """Embed clips.

        Args:
            video: (B, T, H, W, C), normalised float; or
            features: (B, T, D), float, for a network that takes them.
            frame_mask: (B, T), boolean or 0 and 1; frames with 0 are ignored.
            train: see the network.

        Returns:
            Embeddings (B, size), or logits (B, num_classes). Endpoints: those of the network, and "embedding".
        """
        inputs = {"video": video} if features is None else {"features": features}
        num_frames = next(iter(inputs.values())).shape[1]
        x, ends = self.network(**inputs, frame_mask=frame_mask, train=train)  # (B, D) or (B, T', D)
        if x.ndim == 3:
            x = mean_over_time(x, mask_of_steps(frame_mask, -(-num_frames // x.shape[1])))  # (B, D)
        if self.size:
            x = nn.Dense(self.size, dtype=self.dtype, name="embedding")(x)  # (B, size)
        if self.normalise:
            x = unit_length(x)
        ends = {**ends, "embedding": x}
        if not self.num_classes:
            return x, ends
        return nn.Dense(self.num_classes, dtype=self.dtype, name="classifier")(x), ends
