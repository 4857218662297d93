"""What the networks of optical flow share: pairs of frames, padding to a multiple, resizing, warping, deconvolution."""

import einops
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vidjax.models.backend import transposed_convolution
from vidjax.models.layers import check_video

CHANNELS = 3  # red, green, blue


def check_frames(video: jax.Array):
    """Raises a ValueError unless a video is float (B, T, H, W, 3) of at least two frames."""
    check_video(video, min_size=1, min_frames=2)
    if video.shape[-1] != CHANNELS:
        raise ValueError(f"Optical flow is computed from red, green and blue; got a video of shape {video.shape}.")


def pairs(frames: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The first and the second frames of all pairs of neighbours: (B, T, ...) -> (B (T - 1), ...) twice."""
    return tuple(einops.rearrange(x, "b t ... -> (b t) ...") for x in (frames[:, :-1], frames[:, 1:]))


def padded(video: jax.Array, multiple: int, smallest: int = 0, centred: bool = False) -> tuple[jax.Array, tuple]:
    """Repeats the border pixels of (B, T, H, W, C) until H and W are multiples of a number and at least `smallest`.

    Args:
        centred: pad on both sides, as RAFT's authors do for Sintel; otherwise below and on the right.

    Returns:
        The padded video, and a pair of slices that cuts the original rows and columns out again.
    """
    pads, inside = [], []
    for size in video.shape[2:4]:
        extra = max(-(-size // multiple) * multiple, smallest) - size
        before = extra // 2 if centred else 0
        pads.append((before, extra - before))
        inside.append(slice(before, before + size))
    return jnp.pad(video, ((0, 0), (0, 0), *pads, (0, 0)), mode="edge"), tuple(inside)


def resized(maps: jax.Array, height: int, width: int) -> jax.Array:
    """Bilinear resizing with the corner pixels fixed (torch's `align_corners=True`): (N, h, w, C) -> (N, H, W, C)."""

    def weights(old: int, new: int) -> jax.Array:
        places = np.linspace(0, old - 1, new)
        return jnp.asarray(np.maximum(1 - np.abs(places[:, None] - np.arange(old)), 0), maps.dtype)  # (new, old)

    return jnp.einsum("nhwc,ih,jw->nijc", maps, weights(maps.shape[1], height), weights(maps.shape[2], width))


def warp(maps: jax.Array, flow: jax.Array) -> jax.Array:
    """Bilinear samples of maps (N, H, W, C) at each pixel plus its flow (N, H, W, 2); the border repeats outside."""
    height, width = maps.shape[1:3]
    x = jnp.clip(jnp.arange(width, dtype=flow.dtype) + flow[..., 0], 0, width - 1)
    y = jnp.clip(jnp.arange(height, dtype=flow.dtype)[:, None] + flow[..., 1], 0, height - 1)
    left, top = (jnp.clip(jnp.floor(p), 0, max(n - 2, 0)) for p, n in ((x, width), (y, height)))
    across, down = x - left, y - top  # (N, H, W)
    flat = einops.rearrange(maps, "n h w c -> n (h w) c")
    total = 0
    for i, in_y in enumerate((1 - down, down)):
        for j, in_x in enumerate((1 - across, across)):
            row, column = jnp.minimum(top.astype(int) + i, height - 1), jnp.minimum(left.astype(int) + j, width - 1)
            index = einops.rearrange(row * width + column, "n h w -> n (h w) 1")
            sample = jnp.take_along_axis(flat, index, 1).reshape(maps.shape)  # (N, H, W, C)
            total = total + sample * (in_x * in_y)[..., None].astype(maps.dtype)
    return total


class Deconv(nn.Module):
    """A transposed 4x4 convolution of stride 2 without bias, torch's `ConvTranspose2d(C, features, 4, 2, 1)`.

    The kernel is (4, 4, features, C): that of the convolution whose transpose this is.
    """

    features: int
    dtype: jnp.dtype = jnp.float32
    kernel_init: nn.initializers.Initializer = nn.initializers.he_normal()

    @nn.compact
    def __call__(self, x):
        """(N, H, W, C) -> (N, 2 H, 2 W, features)."""
        kernel = self.param("kernel", self.kernel_init, (4, 4, self.features, x.shape[-1]))
        return transposed_convolution()(x.astype(self.dtype), kernel.astype(self.dtype), (2, 2), ((1, 1), (1, 1)))
