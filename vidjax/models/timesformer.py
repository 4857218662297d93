"""TimeSformer: attention over time, then over space, in each block; or over both at once; or over space only.

Bertasius, Wang and Torresani, "Is Space-Time Attention All You Need for Video Understanding?" (ICML 2021),
https://arxiv.org/abs/2102.05095, as in the authors' code (github.com/facebookresearch/TimeSformer) and in transformers'
TimesformerForVideoClassification.
"""

from functools import partial

import einops
import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.attention import (
    MLP,
    Attention,
    Patches,
    Positions,
    drop_path,
    drop_path_rates,
    mask_of_tokens,
    normal,
    resize_positions,
    sinusoids,
)
from vidjax.models.layers import check_video, mean_over_time

ATTENTIONS = ("divided", "joint", "space")


class Block(nn.Module):
    """Attention over time (only if divided), over space or both, and an MLP; each with a norm before it, and residual.

    Attributes: see `TimeSformer`.
    """

    attention: str
    num_heads: int
    mlp_ratio: float
    drop_path: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x, token, frame_mask=None, train=False):
        """Processes the tokens of videos.

        Args:
            x: (B, T, N, D), N tokens per frame.
            token: (B, 1, D), the class token of the video; with attention over space only (B, T, D), those of frames.
            frame_mask: (B, T).

        Returns:
            The next x and token.
        """
        batch, frames, area, dim = x.shape
        norm = partial(nn.LayerNorm, epsilon=1e-6, dtype=self.dtype)
        attention = partial(Attention, self.num_heads, dtype=self.dtype)
        drop = partial(drop_path, rate=self.drop_path, train=train)
        if self.attention == "divided":  # each place over time
            y = einops.rearrange(norm(name="time_norm")(x), "b t n d -> (b n) t d")
            seen = None if frame_mask is None else jnp.repeat(frame_mask, area, axis=0)
            y = attention(name="time_attention")(y, mask=mask_of_tokens(seen))
            y = drop(einops.rearrange(y, "(b n) t d -> b t n d", b=batch))
            x = x + nn.Dense(dim, kernel_init=nn.initializers.zeros, dtype=self.dtype, name="time_out")(y)
        if self.attention == "joint":
            y = norm(name="norm1")(jnp.concatenate([token, x.reshape(batch, -1, dim)], 1))  # (B, 1 + T N, D)
            seen = None
            if frame_mask is not None:
                seen = jnp.pad(jnp.repeat(frame_mask, area, axis=1), ((0, 0), (1, 0)), constant_values=1)
            y = drop(attention(name="attention")(y, mask=mask_of_tokens(seen)))
            token, x = token + y[:, :1], x + y[:, 1:].reshape(x.shape)
        else:  # each frame, with the class token
            of_frames = jnp.broadcast_to(token, (batch, frames, dim))[:, :, None]
            y = norm(name="norm1")(jnp.concatenate([of_frames, x], 2))  # (B, T, 1 + N, D)
            y = attention(name="attention")(y.reshape(-1, 1 + area, dim))
            y = drop(y.reshape(batch, frames, 1 + area, dim))
            of_frames = y[:, :, 0]  # (B, T, D)
            if self.attention == "divided":
                of_frames = mean_over_time(of_frames, frame_mask)[:, None]  # (B, 1, D)
            token, x = token + of_frames, x + y[:, :, 1:]
        y = jnp.concatenate([token, x.reshape(batch, -1, dim)], 1)
        mlp = MLP(round(dim * self.mlp_ratio), dtype=self.dtype, name="mlp")
        y = y + drop(mlp(norm(name="norm2")(y)))
        return y[:, token.shape[1] :].reshape(x.shape), y[:, : token.shape[1]]


class TimeSformer(nn.Module):
    """TimeSformer-B on 8 frames by default.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        attention: "divided" (over time, then space), "joint" (over both) or "space" (a ViT on each frame, without
            positions in time: it ignores the order of frames).
        dim: width of the tokens, D.
        depth: number of blocks.
        num_heads, mlp_ratio: see `attention.Block`.
        patch: height and width of a token.
        positions: frames, rows and columns of the tables of positions; they are resized to other videos (nearest).
        drop_path: share of dropped branches in the last block, in training; it grows linearly from 0 in the first.
        dropout: dropout rate of the features before the classifier, in training.
        block: the blocks; `make_model(remat=True)` replaces them.
        dtype: dtype of the computation; parameters are float32.

    Raises:
        ValueError: on construction, for an unknown attention.
    """

    num_classes: int | None = None
    attention: str = "divided"
    dim: int = 768
    depth: int = 12
    num_heads: int = 12
    patch: tuple[int, int] = (16, 16)
    positions: tuple[int, int, int] = (8, 14, 14)
    mlp_ratio: float = 4.0
    drop_path: float = 0.0
    dropout: float = 0.0
    block: type = Block
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        if self.attention not in ATTENTIONS:
            raise ValueError(f"Unknown attention {self.attention!r}; choose one of {', '.join(ATTENTIONS)}.")
        super().__post_init__()

    @nn.compact
    def __call__(self, video, *, frame_mask=None, train=False):
        """Classifies clips.

        Args:
            video: (B, T, H, W, C), normalised float; H and W are multiples of the patch.
            frame_mask: (B, T), boolean or 0 and 1; frames with 0 are not seen.
            train: whether to use dropout and drop path.

        Returns:
            Logits (B, num_classes); without a classifier, the features. Endpoints: "block0", ... (B, T, H', W', D), and
            "features", the class token after the last norm: (B, 1, D), or (B, T, D) with attention over space only.

        Raises:
            ValueError: if the input is not a video, the patches do not fit it, or its channels do not.
        """
        check_video(video, min_size=1, first=self.get_variable("params", "patches"))
        x = Patches(self.dim, self.patch, dtype=self.dtype, name="patches")(video)  # (B, T, H', W', D)
        grid, ends = x.shape[:4], {}
        x = Positions(self.positions[1:], "nearest", self.dtype, name="positions")(x.reshape(-1, *x.shape[2:]))
        x = x.reshape(*grid[:2], -1, self.dim)  # (B, T, 1 + N, D)
        token, x = x[:, :, 0], x[:, :, 1:]  # (B, T, D), (B, T, N, D)
        if self.attention != "space":
            # Zeros, as in the authors' code, suit an image network to start from. From nothing they are a saddle point:
            # a clip has the logits of its reverse
            in_order = lambda key, shape: jnp.asarray(sinusoids(*shape))  # noqa: E731
            table = self.param("time_positions", in_order, (self.positions[0], self.dim))
            x = x + resize_positions(table, grid[1:2], "nearest").astype(self.dtype)[:, None]
            token = token[:, :1]  # (B, 1, D)
        for i, rate in enumerate(drop_path_rates(self.drop_path, self.depth)):
            arguments = self.attention, self.num_heads, self.mlp_ratio, rate, self.dtype
            x, token = self.block(*arguments, name=f"block{i}")(x, token, frame_mask, train)
            ends[f"block{i}"] = x.reshape(*grid, self.dim)
        if self.attention == "space":
            ends["features"] = token  # (B, T, D)
            token = mean_over_time(token, frame_mask)[:, None]  # (B, 1, D), as in the authors' code before the norm
        x = nn.LayerNorm(epsilon=1e-6, dtype=self.dtype, name="norm")(token)  # (B, 1, D)
        ends.setdefault("features", x)
        if not self.num_classes:
            return ends["features"], ends
        x = nn.Dropout(self.dropout, deterministic=not train)(x[:, 0])
        return nn.Dense(self.num_classes, kernel_init=normal, dtype=self.dtype, name="classifier")(x), ends
