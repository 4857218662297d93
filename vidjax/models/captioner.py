"""Video captioning: an LSTM that writes a sentence from the features of a video.

Venugopalan et al., "Translating Videos to Natural Language Using Deep Recurrent Neural Networks" (NAACL 2015),
https://arxiv.org/abs/1412.4729, section 3: the LSTM receives the time average of the video's features with each word.
Here the features are those of a 3-D network on a coarse grid, which preserves locations.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.layers import adaptive_average, maps_at, mask_of_steps, mean_over_time
from vidjax.models.recurrent import Carry, Recurrent


class Captioner(nn.Module):
    """A 3-D network whose grid of features is averaged over time, an LSTM over words, and a next-word classifier.

    Attributes:
        num_classes: V, the size of the vocabulary. Word 0 ends a caption and also precedes its first word.
        network: a 3-D network, without a classifier.
        layer: the endpoint of the network to use, maps (B, T', H', W', C).
        grid: rows and columns to which the maps are averaged.
        embedding: size of the word vectors; hidden: size of the LSTM.
        dropout: dropout rate of the LSTM's input and output, in training.
        dtype: dtype of the computation; parameters are float32.
    """

    num_classes: int | None = None
    network: nn.Module | None = None
    layer: str = "layer4"
    grid: tuple[int, int] = (2, 2)
    embedding: int = 64
    hidden: int = 256
    dropout: float = 0.0
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        self.words = nn.Embed(self.num_classes, self.embedding, dtype=self.dtype)
        self.lstm = Recurrent(self.hidden, "lstm", dtype=self.dtype)
        self.classifier = nn.Dense(self.num_classes, dtype=self.dtype)
        self.drop = nn.Dropout(self.dropout)

    def __call__(self, video, *, tokens, frame_mask=None, train=False):
        """Return the logits of each word, given the words before it (teacher forcing).

        Args:
            video: (B, T, H, W, C), normalised float.
            tokens: int32 (B, L), the previous word of each word; 0 before the first.
            frame_mask: (B, T), boolean or 0 and 1; frames with 0 are ignored.
            train: whether to use batch statistics and dropout.

        Returns:
            Logits (B, L, V). Endpoint: "features" (B, D) of the video.

        Raises:
            ValueError: for a layer that does not exist; see also the network.
        """
        described = self.encode(video, frame_mask=frame_mask, train=train)
        logits, _ = self.decode(described, tokens, train=train)
        return logits, {"features": described}

    def encode(self, video, *, frame_mask=None, train=False) -> jax.Array:
        """Return the video features that the LSTM receives, (B, D). Arguments: see `__call__`."""
        _, ends = self.network(video, frame_mask=frame_mask, train=train)
        x = adaptive_average(maps_at(ends, self.layer), self.grid)  # (B, T', rows, columns, C)
        x = x.reshape(*x.shape[:2], -1)  # (B, T', D)
        return mean_over_time(x, mask_of_steps(frame_mask, -(-video.shape[1] // x.shape[1])))

    def decode(
        self, described: jax.Array, tokens: jax.Array, carry: Carry | None = None, train: bool = False
    ) -> tuple[jax.Array, Carry]:
        """Return the logits of each next word, and the carry of the LSTM, from which the next call continues.

        Args:
            described: the features of the video (B, D).
            tokens: int32 (B, L), the previous words.
            carry: the carry that the call for the words before these returned; None at the start of a caption.

        Returns:
            Logits (B, L, V), and the carry.
        """
        x = self.words(tokens)  # (B, L, E)
        x = jnp.concatenate([x, jnp.broadcast_to(described[:, None], (*x.shape[:2], described.shape[-1]))], -1)
        hidden, carry = self.lstm(self.drop(x, deterministic=not train), carry=carry)  # (B, L, H)
        return self.classifier(self.drop(hidden, deterministic=not train)), carry
