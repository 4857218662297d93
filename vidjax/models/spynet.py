"""SPyNet: optical flow by a pyramid of small networks, each of which corrects the flow of the coarser level.

Ranjan and Black, "Optical Flow Estimation using a Spatial Pyramid Network" (CVPR 2017),
https://arxiv.org/abs/1611.00850, in the layout of sniklaus/pytorch-spynet.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from vidjax.models import layers
from vidjax.models.flow_layers import check_frames, padded, pairs, resized, warp
from vidjax.models.resnet import torch_linear

COARSEST = 32  # pixels: a level with a longer side gets a coarser one below it
CHANNELS = (32, 64, 32, 16, 2)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of red, green and blue in 0..1

conv = partial(layers.conv, padding=layers.torch_same, dims=2, use_bias=True, kernel_init=torch_linear)


class Level(nn.Module):
    """Five 7x7 convolutions with ReLU between them (section 3.2)."""

    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x):
        """(N, H, W, 8) -> the maps before the last convolution (N, H, W, 16), and after it (N, H, W, 2)."""
        for i, channels in enumerate(CHANNELS, 1):
            before = x if i == 1 else nn.relu(x)
            x = conv(before, channels, (1, 7, 7), dtype=self.dtype, name=f"conv{i}")
        return before, x


class SPyNet(nn.Module):
    """SPyNet with 1,440,300 parameters: six networks of 240,050.

    Attributes:
        num_classes: not used.
        num_levels: number of networks. As in pytorch-spynet the first starts at the coarsest level, and smaller frames
            than about 32 * 2^(num_levels - 1) pixels have fewer levels: the last networks are then not used.
        dtype: dtype of the computation; parameters and flow are float32.
    """

    num_classes: int | None = None
    num_levels: int = 6
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video, *, train=False):
        """Compute the optical flow from each frame to the next.

        Args:
            video: (B, T, H, W, 3), float in -1..1, T at least 2. Frames of sides that are not multiples of 32 are
                padded with their border, below and on the right. (pytorch-spynet resizes them instead.)
            train: return the flow of every level.

        Returns:
            The flow in pixels of the frames, x to the right and y down, float32 (B, T - 1, H, W, 2); in training a
            tuple of (B, T - 1, ceil(H / s), ceil(W / s), 2) for s = ..., 4, 2, 1. Endpoints: "features", the mean of
            the last maps before the finest flow over space (B, T - 1, 16), and "flow", at the full size.

        Raises:
            ValueError: for an input that is not a video of three channels, or a single frame.
        """
        check_frames(video)
        precise = jnp.promote_types(self.dtype, jnp.float32)
        (batch, frames), (height, width) = video.shape[:2], video.shape[2:4]
        x, _ = padded(video, 2 ** (self.num_levels - 1))
        x = (((x + 1) / 2 - jnp.asarray(MEAN, x.dtype)) / jnp.asarray(STD, x.dtype)).astype(self.dtype)
        scales = [pairs(x)]
        while len(scales) < self.num_levels and max(scales[-1][0].shape[1:3]) > COARSEST:
            scales.append([nn.avg_pool(image, (2, 2), (2, 2)) for image in scales[-1]])
        networks = [Level(self.dtype, name=f"level{i}") for i in range(self.num_levels)]
        flows = []
        for network, (first, second) in zip(networks, reversed(scales), strict=False):
            flow = jnp.zeros((*first.shape[:3], 2), precise)
            if flows:
                flow = 2 * resized(flows[-1], *first.shape[1:3])
            x = jnp.concatenate([first, warp(second, flow), flow.astype(self.dtype)], -1)  # (N, H/s, W/s, 8)
            features, correction = network(x)
            flows.append(flow + correction.astype(precise))
        if self.is_initializing():
            for network in networks[len(scales) :]:
                network(x)
        outputs = []
        for i, flow in enumerate(flows, 1):
            scale = 2 ** (len(flows) - i)
            flow = scale * flow.reshape(batch, frames - 1, *flow.shape[1:])
            outputs.append(flow[:, :, : -(-height // scale), : -(-width // scale)])
        features = features.mean((1, 2)).reshape(batch, frames - 1, -1)
        return tuple(outputs) if train else outputs[-1], {"features": features, "flow": outputs[-1]}
