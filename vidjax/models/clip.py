"""CLIP: an image tower and a text tower whose embeddings of an image and of its description are alike.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (ICML 2021),
https://arxiv.org/abs/2103.00020, as in transformers' CLIPModel. The classes of a classifier are texts: its kernel holds
their embeddings, see `inference.zero_shot`.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vidjax.models.attention import Block, Patches, Positions, gelu, glorot, normal
from vidjax.models.layers import check_video, mean_over_time


def quick_gelu(x: jax.Array) -> jax.Array:
    """x sigmoid(1.702 x), OpenAI's approximation of the GELU."""
    return x * nn.sigmoid(1.702 * x)


ACTIVATIONS = {"quick_gelu": quick_gelu, "gelu": gelu}


def unit(x: jax.Array) -> jax.Array:
    """Vectors of length 1: (..., D), computed in float32."""
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


class CLIP(nn.Module):
    """The image tower on each frame, ViT-B/32 by default; a video is the mean of its frames. Or `CLIPB16`, `CLIPL14`.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier, which is how the weights are published.
        dim: width of the tokens, D.
        depth, num_heads: of the blocks.
        embedding: width of the embeddings, E.
        patch: height and width of a token.
        positions: rows and columns of the table of positions; it is resized to frames of another size (bicubic).
        activation: "quick_gelu" (OpenAI's weights) or "gelu" (weights of open_clip trained on LAION).
        block: the blocks; `make_model(remat=True)` replaces them.
        dtype: dtype of the computation; parameters are float32.
    """

    num_classes: int | None = None
    dim: int = 768
    depth: int = 12
    num_heads: int = 12
    embedding: int = 512
    patch: tuple[int, int] = (32, 32)
    positions: tuple[int, int] = (7, 7)
    activation: str = "quick_gelu"
    block: type = Block
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video, *, frame_mask=None, train=False):
        """Embeds frames, and classifies clips.

        Args:
            video: (B, T, H, W, C), normalised float; H and W are multiples of the patch.
            frame_mask: (B, T), boolean or 0 and 1; the mean ignores frames with 0.

        Returns:
            Logits (B, num_classes), the products of the kernel and the embedding of the video, which has length 1:
            that of the mean of the embeddings of the frames, each of length 1. Without a classifier, the features.
            Endpoints: "block0", ... (B, T, H', W', D), and "features" (B, T, E), the embeddings of the frames.

        Raises:
            ValueError: if the input is not a video, the patches do not fit it, or its channels do not.
        """
        check_video(video, min_size=1, first=self.get_variable("params", "patches"))
        norm = partial(nn.LayerNorm, epsilon=1e-5, dtype=self.dtype)
        x = Patches(self.dim, self.patch, use_bias=False, dtype=self.dtype, name="patches")(video)
        grid, ends = x.shape[:4], {}
        x = x.reshape(-1, *x.shape[2:])  # (B T, H', W', D)
        x = Positions(self.positions, "cubic", self.dtype, name="positions")(x)  # (B T, 1 + N, D)
        x = norm(name="norm_before")(x)
        settings = {"epsilon": 1e-5, "activation": ACTIVATIONS[self.activation], "dtype": self.dtype}
        for i in range(self.depth):
            x = self.block(self.num_heads, **settings, name=f"block{i}")(x, None, train)
            ends[f"block{i}"] = x[:, 1:].reshape(*grid, self.dim)  # (B, T, H', W', D)
        x = norm(name="norm")(x[:, 0])
        x = nn.Dense(self.embedding, use_bias=False, kernel_init=glorot, dtype=self.dtype, name="projection")(x)
        x = ends["features"] = x.reshape(*grid[:2], self.embedding)  # (B, T, E)
        if not self.num_classes:
            return x, ends
        x = unit(mean_over_time(unit(x), frame_mask)).astype(self.dtype)  # (B, E)
        return nn.Dense(self.num_classes, use_bias=False, dtype=self.dtype, name="classifier")(x), ends


CLIPB16 = partial(CLIP, patch=(16, 16), positions=(14, 14))
CLIPL14 = partial(CLIP, dim=1024, depth=24, num_heads=16, embedding=768, patch=(14, 14), positions=(16, 16))


class CLIPText(nn.Module):
    """The text tower: a causal transformer over the tokens of a text, whose last one is its embedding.

    Attributes:
        vocabulary: number of tokens.
        length: tokens of the longest text.
        dim, depth, num_heads, embedding, activation, block, dtype: see `CLIP`.
    """

    vocabulary: int = 49408
    length: int = 77
    dim: int = 512
    depth: int = 12
    num_heads: int = 8
    embedding: int = 512
    activation: str = "quick_gelu"
    block: type = Block
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, tokens):
        """Embeds texts.

        Args:
            tokens: int (N, L), L up to `length`: start, words, end, and any padding. The end has the highest number.

        Returns:
            The embeddings (N, E), and the scale of their products with those of videos, a scalar.
        """
        table = self.param("tokens", normal, (self.vocabulary, self.dim))
        positions = self.param("positions", nn.initializers.normal(0.01), (self.length, self.dim))
        scale = self.param("logit_scale", nn.initializers.constant(np.log(1 / 0.07)), ())
        length = tokens.shape[1]
        x = (table[tokens] + positions[:length]).astype(self.dtype)  # (N, L, D)
        causal = jnp.tril(jnp.ones((length, length), bool))[None, None]  # (1, 1, L, L)
        settings = {"epsilon": 1e-5, "activation": ACTIVATIONS[self.activation], "dtype": self.dtype}
        for i in range(self.depth):
            x = self.block(self.num_heads, **settings, name=f"block{i}")(x, causal, False)
        x = nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name="norm")(x)
        x = x[jnp.arange(len(x)), tokens.argmax(1)]  # (N, D), at the end of each text
        x = nn.Dense(self.embedding, use_bias=False, kernel_init=glorot, dtype=self.dtype, name="projection")(x)
        return x, jnp.exp(scale)
