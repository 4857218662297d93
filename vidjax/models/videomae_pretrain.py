"""Pretrains VideoMAE's encoder without labels: it sees a tenth of a clip, and a decoder reconstructs the rest.

Tong et al., "VideoMAE: Masked Autoencoders are Data-Efficient Learners for Self-Supervised Video Pre-Training" (NeurIPS
2022), https://arxiv.org/abs/2203.12602, as in transformers' VideoMAEForPreTraining.
"""

import einops
import jax
import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.attention import Block, glorot, normal, sinusoids
from vidjax.models.layers import check_video
from vidjax.models.videomae import Encoder, VideoMAE


class Decoder(nn.Module):
    """Predicts the pixels of masked tokens from the encoded visible ones.

    Attributes:
        dim, depth, num_heads: of its blocks.
        num_pixels: numbers per token.
    """

    dim: int
    depth: int
    num_heads: int
    mlp_ratio: float
    num_pixels: int
    block: type
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x, visible, masked, train=False):
        """Decodes.

        Args:
            x: (B, K, D), the encoded visible tokens.
            visible: int (B, K), their places among all N tokens; masked: (B, M), the places of the others.

        Returns:
            (B, M, num_pixels).
        """
        x = nn.Dense(self.dim, use_bias=False, kernel_init=glorot, dtype=self.dtype, name="embed")(x)
        token = self.param("mask_token", normal, (self.dim,))
        positions = jnp.asarray(sinusoids(visible.shape[1] + masked.shape[1], self.dim), self.dtype)
        x = jnp.concatenate([x + positions[visible], token.astype(self.dtype) + positions[masked]], 1)  # (B, N, dim)
        settings = {"epsilon": 1e-12, "biases": ("query", "value", "out"), "dtype": self.dtype}
        for i in range(self.depth):
            x = self.block(self.num_heads, self.mlp_ratio, **settings, name=f"block{i}")(x, None, train)
        x = nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name="norm")(x[:, -masked.shape[1] :])
        return nn.Dense(self.num_pixels, kernel_init=glorot, dtype=self.dtype, name="pixels")(x)


class VideoMAEPretrain(nn.Module):
    """The masked autoencoder, VideoMAE-B by default. Train it with the loss "reconstruction".

    A run is an `init_from` of `VideoMAE`, which takes its encoder.

    Attributes:
        num_classes: not used.
        dim, depth, num_heads, patch, mlp_ratio, block, dtype: see `VideoMAE`.
        mask_ratio: share of the places in a frame that are masked, the same ones in all frames.
        decoder_dim, decoder_depth, decoder_heads: size of the decoder.
        normalised: whether targets are normalised, per token and channel (He et al., "Masked Autoencoders Are Scalable
            Vision Learners", 2022, section 3).
    """

    num_classes: int | None = None
    dim: int = 768
    depth: int = 12
    num_heads: int = 12
    patch: tuple[int, int, int] = (2, 16, 16)
    mlp_ratio: float = 4.0
    mask_ratio: float = 0.9
    decoder_dim: int = 384
    decoder_depth: int = 4
    decoder_heads: int = 6
    normalised: bool = True
    block: type = Block
    dtype: jnp.dtype = jnp.float32

    def of_whole_clips(self) -> VideoMAE:
        """Return the network that encodes whole clips, for the same parameters: it returns features (B, T', D)."""
        sizes = {"dim": self.dim, "depth": self.depth, "num_heads": self.num_heads, "mlp_ratio": self.mlp_ratio}
        return VideoMAE(patch=self.patch, block=self.block, dtype=self.dtype, **sizes, parent=None)

    @nn.compact
    def __call__(self, video, *, visible=None, train=False):
        """Reconstructs masked tokens.

        Args:
            video: (B, T, H, W, C), normalised float; H and W are multiples of the patch, T is rounded down to one.
            visible: int (B, K), places of the visible ones among all N = T' H' W' tokens, in ascending order. None
                draws them from the random key "dropout" in training, else uses the same ones for every clip.
            train: whether to draw the visible tokens.

        Returns:
            float32 (B, M): the mean squared error of each masked token. Endpoints: "features" (B, K, D), the encoded
            visible tokens; "masked" (B, M), places of the masked tokens; "predicted" and "target" (B, M, P), their
            pixels.

        Raises:
            ValueError: if the mask leaves no token visible or none masked, or the patches do not fit the video.
        """
        params = self.get_variable("params", "encoder")
        check_video(video, min_size=1, first=params and params["patches"])
        sizes = self.dim, self.depth, self.num_heads, self.patch, self.mlp_ratio, 0.0
        encoder = Encoder(*sizes, self.block, self.dtype, name="encoder")
        grid = tuple(size // of for size, of in zip(video.shape[1:4], self.patch, strict=True))
        if visible is None:
            key = self.make_rng("dropout") if train else None
            visible = visible_tubes(key, len(video), grid, self.mask_ratio)  # (B, K)
        masked = others(visible, grid[0] * grid[1] * grid[2])  # (B, M)
        x = encoder(video, visible=visible, train=train)[0][-1]  # (B, K, D)
        x = nn.LayerNorm(epsilon=1e-12, dtype=self.dtype, name="encoder_norm")(x)
        target = pixels_of_tokens(video, self.patch)  # (B, N, p, C)
        sizes = self.decoder_dim, self.decoder_depth, self.decoder_heads, self.mlp_ratio
        num_pixels = target.shape[2] * target.shape[3]
        decoder = Decoder(*sizes, num_pixels, self.block, self.dtype, name="decoder")
        predicted = decoder(x, visible, masked, train).astype(target.dtype)  # (B, M, P)
        target = jnp.take_along_axis(target, masked[..., None, None], axis=1)  # (B, M, p, C)
        target = normalise(target) if self.normalised else target
        target = target.reshape(predicted.shape)
        ends = {"features": x, "masked": masked, "predicted": predicted, "target": target}
        return jnp.square(predicted - target).mean(-1), ends


def visible_tubes(key: jax.Array | None, batch: int, grid: tuple[int, int, int], mask_ratio: float) -> jax.Array:
    """Draw the visible tokens of each clip: random places, the same in all frames ("tube masking", section 3.3).

    Args:
        key: None for the same places in every clip, whatever the batch.
        grid: the grid of tokens, (T', H', W').
        mask_ratio: share of the H' W' places that are masked; their number is rounded down, as in the authors' code.

    Returns:
        int32 (batch, K), places among the T' H' W' tokens, in ascending order.

    Raises:
        ValueError: if no place would be visible, or none masked.
    """
    times, places = grid[0], grid[1] * grid[2]
    num_masked = int(mask_ratio * places)
    if not 0 < num_masked < places:
        raise ValueError(
            f"mask_ratio = {mask_ratio} masks {num_masked} of the {places} places of a frame: choose a ratio in "
            f"[{1 / places:.3g}, 1), or a smaller patch."
        )
    rows = 1 if key is None else batch
    draws = jax.random.uniform(jax.random.key(0) if key is None else key, (rows, places))
    draws = jnp.broadcast_to(draws, (batch, places))
    kept = jnp.sort(jnp.argsort(draws, axis=1)[:, num_masked:], axis=1)  # (B, places kept)
    tokens = kept[:, None] + places * jnp.arange(times)[:, None]  # (B, T', places kept)
    return tokens.reshape(batch, -1).astype(jnp.int32)


def others(visible: jax.Array, number: int) -> jax.Array:
    """The places among `number` tokens that are not in `visible`, in ascending order: (B, K) -> (B, number - K)."""
    is_visible = jax.nn.one_hot(visible, number, dtype=jnp.int32).sum(1)  # (B, N)
    return jnp.argsort(is_visible, axis=1, stable=True)[:, : number - visible.shape[1]]


def pixels_of_tokens(video: jax.Array, patch: tuple[int, int, int]) -> jax.Array:
    """The pixels of each token: (B, T, H, W, C) -> float32 or float64 (B, N, t h w, C)."""
    time, height, width = patch
    video = video[:, : video.shape[1] // time * time].astype(jnp.promote_types(video.dtype, jnp.float32))
    pattern = "b (n t) (i h) (j w) c -> b (n i j) (t h w) c"
    return einops.rearrange(video, pattern, t=time, h=height, w=width)


def video_of_tokens(pixels: jax.Array, patch: tuple[int, int, int], grid: tuple[int, int, int]) -> jax.Array:
    """The inverse of `pixels_of_tokens`; `grid` is that of the tokens, (T', H', W')."""
    sizes = dict(zip("ijthw", (*grid[1:], *patch), strict=True))
    return einops.rearrange(pixels, "b (n i j) (t h w) c -> b (n t) (i h) (j w) c", **sizes)


def mean_and_deviation(pixels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and standard deviation (with Bessel's correction) of each token and channel: (..., p, C) -> (..., 1, C)."""
    deviation = jnp.std(pixels, axis=-2, keepdims=True, ddof=1)
    return pixels.mean(-2, keepdims=True), deviation + 1e-6


def normalise(pixels: jax.Array) -> jax.Array:
    """Normalise each token and channel to mean 0 and deviation 1: (..., p, C)."""
    mean, deviation = mean_and_deviation(pixels)
    return (pixels - mean) / deviation
