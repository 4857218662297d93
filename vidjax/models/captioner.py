"""A video in, a sentence out: an LSTM that writes words from the features of a video.

Venugopalan et al., "Translating Videos to Natural Language Using Deep Recurrent Neural Networks" (NAACL 2015),
https://arxiv.org/abs/1412.4729, section 3: the mean over time of the video's features goes into the LSTM beside each
word. Here the features are those of a network on clips, on a coarse grid, so that they say what is where.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.carry import check_start
from vidjax.models.layers import adaptive_average, maps_at, mask_of_steps, mean_over_time
from vidjax.models.recurrent import Recurrent


class Captioner(nn.Module):
    """A 3-D network, its features on a grid averaged over time, an LSTM over words, a linear classifier of the next.

    Attributes:
        num_classes: V, words of the vocabulary. Word 0 ends a caption, and stands before its first word.
        network: a 3-D network, without a classifier.
        layer: its endpoint that is looked at, maps (B, T', H', W', C).
        grid: rows and columns that the maps are averaged to.
        embedding: size of the vector of a word; hidden: of the LSTM.
        dropout: of the LSTM's input and output, while training.
        stateful: of the LSTM: go on where the call before ended, to write a caption word by word.
        dtype: of the computation; parameters are float32.
    """

    num_classes: int | None = None
    network: nn.Module | None = None
    layer: str = "layer4"
    grid: tuple[int, int] = (2, 2)
    embedding: int = 64
    hidden: int = 256
    dropout: float = 0.0
    stateful: bool = False
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        self.words = nn.Embed(self.num_classes, self.embedding, dtype=self.dtype)
        self.lstm = Recurrent(self.hidden, "lstm", stateful=self.stateful, dtype=self.dtype)
        self.classifier = nn.Dense(self.num_classes, dtype=self.dtype)
        self.drop = nn.Dropout(self.dropout)

    def __call__(self, video, *, tokens, frame_mask=None, train=False):
        """The logits of each word, given those before it (teacher forcing).

        Args:
            video: (B, T, H, W, C), normalised float.
            tokens: int32 (B, L), the word before each; 0 before the first.
            frame_mask: (B, T), boolean or 0 and 1: frames that are 0 do not count.
            train: use the statistics of this batch, and dropout.

        Returns:
            Logits (B, L, V). Endpoint: "features" (B, D), of the video.

        Raises:
            ValueError: for a layer that there is not; else as of the network.
        """
        check_start(self.stateful, train, None)
        described = self.encode(video, frame_mask=frame_mask, train=train)
        return self.decode(described, tokens, train=train), {"features": described}

    def encode(self, video, *, frame_mask=None, train=False) -> jax.Array:
        """What the LSTM sees of a video: (B, D). Arguments as above."""
        _, ends = self.network(video, frame_mask=frame_mask, train=train)
        x = adaptive_average(maps_at(ends, self.layer), self.grid)  # (B, T', rows, columns, C)
        x = x.reshape(*x.shape[:2], -1)  # (B, T', D)
        return mean_over_time(x, mask_of_steps(frame_mask, -(-video.shape[1] // x.shape[1])))

    def decode(self, described: jax.Array, tokens: jax.Array, train: bool = False) -> jax.Array:
        """(B, D) of the videos and the word before each, int32 (B, L) -> logits (B, L, V)."""
        x = self.words(tokens)  # (B, L, E)
        x = jnp.concatenate([x, jnp.broadcast_to(described[:, None], (*x.shape[:2], described.shape[-1]))], -1)
        hidden, _ = self.lstm(self.drop(x, deterministic=not train))  # (B, L, H)
        return self.classifier(self.drop(hidden, deterministic=not train))
