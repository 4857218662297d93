"""Video Swin Transformer: attention within windows of space and time that shift from block to block.

Liu et al., "Video Swin Transformer" (CVPR 2022), https://arxiv.org/abs/2106.13230, as in torchvision's swin3d_t,
swin3d_s and swin3d_b, which equal the authors' code.
"""

import math
from functools import partial

import einops
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vidjax.models import backend
from vidjax.models.attention import MLP, Attention, Patches, drop_path, drop_path_rates, glorot, normal
from vidjax.models.layers import MeanOverTime, check_video, mask_of_steps, without_masked

Triple = tuple[int, int, int]


def relative_index(window: Triple) -> np.ndarray:
    """Return the row of the table of relative positions for each pair of places in a window: int (N, N).

    Row ((dt + t - 1) (2h - 1) + dh + h - 1) (2w - 1) + dw + w - 1 is for a query that is (dt, dh, dw) after the key.
    """
    places = np.stack(np.meshgrid(*map(np.arange, window), indexing="ij")).reshape(3, -1)  # (3, N)
    t, h, w = places[:, :, None] - places[:, None] + np.array(window)[:, None, None] - 1
    return (t * (2 * window[1] - 1) + h) * (2 * window[2] - 1) + w


def regions(grid: Triple, window: Triple, shift: Triple) -> np.ndarray:
    """Number the places that may see each other after a shift: int (*grid,). Shifting wraps others into a window."""
    found = np.zeros((1, 1, 1), int)
    for axis, (size, length, offset) in enumerate(zip(grid, window, shift, strict=True)):
        place = np.arange(size)
        number = (place >= size - length).astype(int) + (place >= size - offset) if offset else np.zeros(size, int)
        found = 3 * found + number.reshape([-1 if i == axis else 1 for i in range(3)])
    return found


def split_windows(x, window: Triple):
    """(B, T, H, W, C) -> (B, windows, places, C); the windows divide the grid."""
    sizes = dict(zip("thw", window, strict=True))
    return einops.rearrange(x, "b (i t) (j h) (k w) c -> b (i j k) (t h w) c", **sizes)


def window_attention(query, key, value, mask, bias):
    """Attention within windows: (B, windows, places, heads, D) -> the same.

    Args:
        mask: bool, broadcast to (B, windows, heads, places, places); false where a query does not see a key.
        bias: (heads, places, places), added to the scaled products.
    """
    batch, windows = query.shape[:2]
    if mask is not None:
        mask = jnp.broadcast_to(mask, (batch, windows, *mask.shape[2:])).reshape(-1, *mask.shape[2:])
    query, key, value = (x.reshape(-1, *x.shape[2:]) for x in (query, key, value))
    attended = backend.attention()(query, key, value, bias[None], mask)
    return attended.reshape(batch, windows, *attended.shape[1:])


class Block(nn.Module):
    """Attention within windows and an MLP, each with a norm before it and its input added. Attributes: `VideoSwin`."""

    num_heads: int
    window: Triple
    shifted: bool
    mlp_ratio: float
    drop_path: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x, mask=None, train=False):
        """Processes a grid of tokens.

        Args:
            x: (B, T, H, W, C).
            mask: (B, T), boolean or 0 and 1; no token sees those of steps with 0.
        """
        grid, dim = x.shape[1:4], x.shape[-1]
        window = tuple(map(min, self.window, grid))
        fits = [size <= length for size, length in zip(grid, self.window, strict=True)]
        shift = tuple(0 if fit or not self.shifted else length // 2 for fit, length in zip(fits, window, strict=True))
        table_size = math.prod(2 * length - 1 for length in self.window)
        table = self.param("relative_positions", normal, (table_size, self.num_heads))
        places = math.prod(window)
        # The originals take the first rows of the index of the whole window for a smaller one
        bias = jnp.moveaxis(table[relative_index(self.window)[:places, :places]], -1, 0)  # (heads, places, places)

        norm = partial(nn.LayerNorm, epsilon=1e-5, dtype=self.dtype)
        pads = [(0, -size % length) for size, length in zip(grid, window, strict=True)]
        padded = tuple(size + after for size, (_, after) in zip(grid, pads, strict=True))
        y = jnp.pad(norm(name="norm1")(x), ((0, 0), *pads, (0, 0)))
        y = split_windows(jnp.roll(y, [-s for s in shift], (1, 2, 3)), window)  # (B, windows, places, C)
        seen = None
        if any(shift):
            region = split_windows(regions(padded, window, shift)[None, ..., None], window)[..., 0]  # (1, w, places)
            seen = (region[..., None] == region[..., None, :])[:, :, None]  # (1, windows, 1, places, places)
        if mask is not None:
            valid = jnp.pad(jnp.asarray(mask).astype(bool), ((0, 0), pads[0]), constant_values=True)
            valid = jnp.broadcast_to(valid[:, :, None, None, None], (x.shape[0], *padded, 1))
            valid = split_windows(jnp.roll(valid, [-s for s in shift], (1, 2, 3)), window)[..., 0]
            valid = valid[:, :, None, None]  # (B, windows, 1, 1, places)
            seen = valid if seen is None else valid & seen
        attend = partial(window_attention, bias=bias)
        attention = Attention(self.num_heads, attend=attend, dtype=self.dtype, name="attention")
        y = attention(y, mask=seen)
        sizes = {name: size // length for name, size, length in zip("ijk", padded, window, strict=True)}
        sizes |= dict(zip("thw", window, strict=True))
        y = einops.rearrange(y, "b (i j k) (t h w) c -> b (i t) (j h) (k w) c", **sizes)
        y = jnp.roll(y, shift, (1, 2, 3))[:, : grid[0], : grid[1], : grid[2]]
        x = x + drop_path(y, self.drop_path, train)
        mlp = MLP(round(dim * self.mlp_ratio), dtype=self.dtype, name="mlp")
        return x + drop_path(mlp(norm(name="norm2")(x)), self.drop_path, train)


class Merge(nn.Module):
    """Halves height and width and doubles the channels: a norm and a linear layer on 2x2 neighbours."""

    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x):
        """(B, T, H, W, C) -> (B, T, ceil(H / 2), ceil(W / 2), 2 C)."""
        x = jnp.pad(x, ((0, 0), (0, 0), (0, x.shape[2] % 2), (0, x.shape[3] % 2), (0, 0)))
        x = einops.rearrange(x, "b t (h i) (w j) c -> b t h w (j i c)", i=2, j=2)
        x = nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name="norm")(x)
        return nn.Dense(x.shape[-1] // 2, use_bias=False, kernel_init=glorot, dtype=self.dtype, name="reduction")(x)


class VideoSwin(nn.Module):
    """Swin-T by default. Or use `VideoSwinS` or `VideoSwinB`.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        dim: channels of the first stage; each stage doubles them.
        depths: number of blocks per stage.
        num_heads: number of heads per stage.
        patch: frames, height and width of a token.
        window: steps, rows and columns of tokens that see each other. Every other block shifts the windows by half.
        mlp_ratio: see `attention.Block`.
        drop_path: share of dropped branches in the last block, in training; it grows linearly from 0 in the first.
        dropout: dropout rate of the features before the classifier, in training.
        block: the blocks; `make_model(remat=True)` replaces them.
        dtype: dtype of the computation; parameters are float32.
    """

    num_classes: int | None = None
    dim: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    num_heads: tuple[int, ...] = (3, 6, 12, 24)
    patch: Triple = (2, 4, 4)
    window: Triple = (8, 7, 7)
    mlp_ratio: float = 4.0
    drop_path: float = 0.1
    dropout: float = 0.0
    block: type = Block
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video, *, frame_mask=None, train=False):
        """Classifies clips.

        Args:
            video: (B, T, H, W, C), normalised float; zeros pad it to whole patches.
            frame_mask: (B, T), boolean or 0 and 1; tokens without a valid frame are not seen, and do not count. A
                clip with a mask has the logits of the shorter clip as long as its steps fit into one window.
            train: whether to use dropout and drop path.

        Returns:
            Logits (B, num_classes); without a classifier, the features. Endpoints: "patches", "stage0", ...
            (B, T', H', W', D), and "features" (B, T', D), the mean over space after the last norm.

        Raises:
            ValueError: if the input is not a video, or its channels do not fit.
        """
        check_video(video, min_size=1, first=self.get_variable("params", "patches"))
        video = without_masked(video, frame_mask)
        pads = [(0, -size % length) for size, length in zip(video.shape[1:4], self.patch, strict=True)]
        video = jnp.pad(video, ((0, 0), *pads, (0, 0)))
        x = Patches(self.dim, self.patch, dtype=self.dtype, name="patches")(video)  # (B, T', H', W', C)
        x = nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name="patch_norm")(x)
        ends, mask = {"patches": x}, mask_of_steps(frame_mask, self.patch[0])
        rates = iter(drop_path_rates(self.drop_path, sum(self.depths)))
        for stage, (depth, heads) in enumerate(zip(self.depths, self.num_heads, strict=True)):
            if stage:
                x = Merge(self.dtype, name=f"merge{stage - 1}")(x)
            for i in range(depth):
                arguments = heads, self.window, i % 2 == 1, self.mlp_ratio, next(rates), self.dtype
                x = self.block(*arguments, name=f"stage{stage}_block{i}")(x, mask, train)
            ends[f"stage{stage}"] = x
        x = nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name="norm")(x)
        x = ends["features"] = x.mean((2, 3))  # (B, T', C)
        if not self.num_classes:
            return x, ends
        x = MeanOverTime(name="mean")(x, mask)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes, kernel_init=normal, dtype=self.dtype, name="classifier")(x), ends


VideoSwinS = partial(VideoSwin, depths=(2, 2, 18, 2))
VideoSwinB = partial(VideoSwin, dim=128, depths=(2, 2, 18, 2), num_heads=(4, 8, 16, 32))
