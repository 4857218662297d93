"""VideoPrism: a transformer on each frame, then one over time at each place; all tokens are kept.

Zhao et al., "VideoPrism: A Foundational Visual Encoder for Video Understanding" (ICML 2024),
https://arxiv.org/abs/2402.13217, as in the authors' code (github.com/google-deepmind/videoprism: FactorizedEncoder and
FactorizedVideoClassifier). It is ViViT's model 2 with all tokens in place of class tokens, and capped attention.
"""

from functools import partial

import einops
import jax
import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.attention import Block, Patches, drop_path_rates, mask_of_tokens, normal
from vidjax.models.attentive_pooler import Pooler
from vidjax.models.layers import check_video, without_masked

CAP = 50.0  # no logit of the attention is larger


def capped_attention(query, key, value, mask=None):
    """Attention whose logits are CAP tanh(logit / CAP); arguments: see `Attention.attend`."""
    logits = jnp.einsum("bnhd,bmhd->bhnm", query * query.shape[-1] ** -0.5, key, preferred_element_type=jnp.float32)
    logits = CAP * jnp.tanh(logits / CAP)
    logits = logits if mask is None else jnp.where(mask, logits, jnp.finfo(jnp.float32).min)
    return jnp.einsum("bhnm,bmhd->bnhd", jax.nn.softmax(logits).astype(value.dtype), value)


def resized(table, size):
    """(*grid, D) -> (*size, D): linear, and averaged where the new grid is coarser, as the authors' code does."""
    return jax.image.resize(table, (*size, table.shape[-1]), "linear")


class VideoPrism(nn.Module):
    """VideoPrism-B by default, with the attentive pooler as classifier. Or use `VideoPrismL`.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier, which is how the weights are published.
        dim: width of the tokens, D.
        depth: number of blocks of the transformer in space.
        time_depth: number of blocks of the transformer over time.
        num_heads, mlp_ratio: see `attention.Block`.
        patch: height and width of a token.
        positions: frames, rows and columns of the tables of positions; they are resized to other videos.
        drop_path: share of dropped branches in the last block, in training; it grows linearly from 0 in the first.
        dropout: dropout rate of the pooled tokens before the classifier, in training.
        block: the blocks; `make_model(remat=True)` replaces them.
        dtype: dtype of the computation; parameters are float32.
    """

    num_classes: int | None = None
    dim: int = 768
    depth: int = 12
    time_depth: int = 4
    num_heads: int = 12
    patch: tuple[int, int] = (18, 18)
    positions: tuple[int, int, int] = (16, 16, 16)
    mlp_ratio: float = 4.0
    drop_path: float = 0.0
    dropout: float = 0.0
    block: type = Block
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video, *, frame_mask=None, train=False):
        """Encodes clips, and classifies them.

        Args:
            video: (B, T, H, W, C), float in [0, 1]; H and W are multiples of the patch.
            frame_mask: (B, T), boolean or 0 and 1; frames with 0 are not seen.
            train: whether to use dropout and drop path.

        Returns:
            Logits (B, num_classes); without a classifier, the features. Endpoints: "block0", ... in space and
            "time_block0", ..., each (B, T, H', W', D); "tokens" (B, T H' W', D), the output of the authors' encoder;
            "features" (B, T, D), the mean of the tokens over space.

        Raises:
            ValueError: if the input is not a video, the patches do not fit it, or its channels do not.
        """
        check_video(video, min_size=1, first=self.get_variable("params", "patches"))
        video = without_masked(video, frame_mask)
        x = Patches(self.dim, self.patch, dtype=self.dtype, name="patches")(video)  # (B, T, H', W', D)
        (batch, steps, *size), ends = x.shape[:4], {}
        rates = drop_path_rates(self.drop_path, self.depth + self.time_depth)
        norm = partial(nn.LayerNorm, epsilon=1e-6, dtype=self.dtype)

        def transform(x, mask, rates, name, axes):
            """(..., N, D) -> (..., N, D); `axes` of the tokens: see einops."""
            for i, rate in enumerate(rates):
                block = self.block(
                    self.num_heads, self.mlp_ratio, rate, attend=capped_attention, dtype=self.dtype, name=f"{name}{i}"
                )
                x = block(x, mask, train)
                ends[f"{name}{i}"] = einops.rearrange(x, f"{axes} d -> b t h w d", b=batch, h=size[0], w=size[1])
            return x

        rows_columns, area = self.positions[1:], size[0] * size[1]
        table = self.param("positions", normal, (rows_columns[0] * rows_columns[1], self.dim))
        x = x + resized(table.reshape(*rows_columns, self.dim), size).astype(self.dtype)
        x = x.reshape(batch * steps, area, self.dim)
        x = norm(name="space_norm")(transform(x, None, rates[: self.depth], "block", "(b t) (h w)"))

        x = einops.rearrange(x, "(b t) n d -> (b n) t d", b=batch)
        table = self.param("time_positions", normal, (self.positions[0], self.dim))
        x = x + resized(table, (steps,)).astype(self.dtype)
        mask = None if frame_mask is None else mask_of_tokens(jnp.repeat(frame_mask, area, axis=0))
        x = norm(name="norm")(transform(x, mask, rates[self.depth :], "time_block", "(b h w) t"))

        x = einops.rearrange(x, "(b n) t d -> b t n d", b=batch)
        ends["features"] = x.mean(2)  # (B, T, D)
        x = ends["tokens"] = x.reshape(batch, steps * area, self.dim)
        if not self.num_classes:
            return ends["features"], ends
        mask = None if frame_mask is None else jnp.repeat(frame_mask, area, axis=1)
        x = Pooler(self.num_heads, self.dtype, name="pooler")(x, mask)  # (B, D)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes, kernel_init=normal, dtype=self.dtype, name="classifier")(x), ends


VideoPrismL = partial(VideoPrism, dim=1024, depth=24, num_heads=16, positions=(8, 16, 16))
