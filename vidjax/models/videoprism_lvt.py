"""VideoPrism-LvT: a video tower and a text tower whose embeddings of a video and of its description are alike.

Zhao et al., "VideoPrism: A Foundational Visual Encoder for Video Understanding" (ICML 2024),
https://arxiv.org/abs/2402.13217, as in the authors' code (github.com/google-deepmind/videoprism: FactorizedVideoCLIP).
As in CLIP, the kernel of the classifier holds the embeddings of texts, see `inference.zero_shot`.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vidjax.models.attention import Block, mask_of_tokens, normal
from vidjax.models.attentive_pooler import Pooler
from vidjax.models.clip import unit
from vidjax.models.videoprism import VideoPrism, capped_attention

SCALE = 100.0  # of cosines; the files hold none, and the authors' demonstration divides by 0.01


class VideoPrismLvT(nn.Module):
    """The video tower, LvT-B by default: VideoPrism's encoder, blocks in which all tokens see each other, and a pooler.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier, which is how the weights are published.
        joint_depth: number of blocks after the encoder.
        dim, depth, time_depth, num_heads, patch, positions, block, dtype: see `VideoPrism`.
    """

    num_classes: int | None = None
    dim: int = 768
    depth: int = 12
    time_depth: int = 4
    joint_depth: int = 2
    num_heads: int = 12
    patch: tuple[int, int] = (18, 18)
    positions: tuple[int, int, int] = (16, 16, 16)
    block: type = Block
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video, *, frame_mask=None, train=False):
        """Embeds and classifies clips.

        Args:
            video: (B, T, H, W, C), float in [0, 1]; H and W are multiples of the patch.
            frame_mask: (B, T), boolean or 0 and 1; frames with 0 are not seen.
            train: not used: there is no dropout.

        Returns:
            Logits (B, num_classes), the products of the kernel and the embedding; without a classifier, the features.
            Endpoints: "features" (B, 1, D), the embedding of the clip, of length 1; "joint_block0", ... (B, T, H', W',
            D); "tokens" (B, T H' W', D), "block0", ... and "time_block0", ...: see `VideoPrism`.

        Raises:
            ValueError: if the input is not a video, the patches do not fit it, or its channels do not.
        """
        sizes = self.dim, self.depth, self.time_depth, self.num_heads, self.patch, self.positions
        encoder = VideoPrism(None, *sizes, block=self.block, dtype=self.dtype, name="encoder")
        _, ends = encoder(video, frame_mask=frame_mask, train=train)
        x, grid = ends["tokens"], ends["block0"].shape  # (B, N, D), N = T H' W'
        seen = None if frame_mask is None else jnp.repeat(frame_mask, grid[2] * grid[3], axis=1)  # (B, N)
        for i in range(self.joint_depth):
            block = self.block(self.num_heads, attend=capped_attention, dtype=self.dtype, name=f"joint_block{i}")
            x = block(x, mask_of_tokens(seen), train)
            ends[f"joint_block{i}"] = x.reshape(grid)
        x = Pooler(self.num_heads, self.dtype, 4 * self.dim, name="pooler")(x, seen)  # (B, D)
        x = unit(x).astype(self.dtype)
        ends["features"] = x[:, None]
        if not self.num_classes:
            return ends["features"], ends
        return nn.Dense(self.num_classes, use_bias=False, dtype=self.dtype, name="classifier")(x), ends


class VideoPrismText(nn.Module):
    """The text tower: a causal transformer over the tokens of a text and a class token after them, the embedding.

    Attributes:
        vocabulary: number of tokens.
        length: tokens of the longest text.
        dim, depth, num_heads, block, dtype: see `VideoPrism`.
    """

    vocabulary: int = 32000
    length: int = 64
    dim: int = 768
    depth: int = 12
    num_heads: int = 12
    block: type = Block
    dtype: jnp.dtype = jnp.float32

    @property
    def embedding(self) -> int:
        """The width of the embeddings."""
        return self.dim

    @nn.compact
    def __call__(self, tokens):
        """Embeds texts.

        Args:
            tokens: int (N, L), padding is -1 and comes last.

        Returns:
            The embeddings (N, D), and the scale of the cosines, a scalar.
        """
        count, length = tokens.shape
        table = self.param("tokens", normal, (self.vocabulary, self.dim))
        last = self.param("class_token", normal, (self.dim,))
        x = table[jnp.maximum(tokens, 0)] * self.dim**0.5 + waves(length, self.dim)  # (N, L, D)
        x = jnp.concatenate([x, jnp.broadcast_to(last * self.dim**0.5, (count, 1, self.dim))], 1).astype(self.dtype)
        is_token = jnp.pad(tokens >= 0, ((0, 0), (0, 1)), constant_values=True)  # (N, L + 1)
        mask = jnp.tril(jnp.ones((length + 1, length + 1), bool)) & mask_of_tokens(is_token)  # (N, 1, L + 1, L + 1)
        settings = {"activation": nn.relu, "attend": capped_attention, "dtype": self.dtype}
        for i in range(self.depth):
            x = self.block(self.num_heads, **settings, name=f"block{i}")(x, mask, False)
        x = nn.LayerNorm(epsilon=1e-6, dtype=self.dtype, name="norm")(x[:, -1])  # (N, D)
        return x, jnp.asarray(SCALE)


def waves(length: int, width: int) -> jax.Array:
    """The positions of a text: sines in the first half of the entries, cosines in the second, float32 (length, width).

    Wave j of position p has the angle p / 10000^(j / (width / 2 - 1)). `attention.sinusoids` alternates sines and
    cosines, of other wave lengths.
    """
    number = width // 2
    angles = np.arange(length)[:, None] / 10000 ** (np.arange(number) / max(number - 1, 1))
    return jnp.asarray(np.concatenate([np.sin(angles), np.cos(angles)], -1), jnp.float32)
