"""FlowNet: optical flow by an encoder and a decoder, from stacked frames (S) or from their correlation (C).

Fischer et al., "FlowNet: Learning Optical Flow with Convolutional Networks" (ICCV 2015),
https://arxiv.org/abs/1504.06852, in the layout of FlowNetPytorch (deconvolutions and flow heads have no bias).
"""

from functools import partial

import einops
import jax
import jax.numpy as jnp
from flax import linen as nn

from vidjax.models import correlation, layers
from vidjax.models.flow_layers import Deconv, check_frames, padded, pairs

MULTIPLE = 64  # pixels per pixel of the coarsest maps
UNIT = 20  # pixels per unit of the network's own flow, which is that of the frames at every scale
MEAN = (0.45, 0.432, 0.411)  # of red, green and blue in 0..1; FlowNetPytorch, main.py
REACH, STRIDE = 20, 2  # of the correlation, in pixels of its maps
KERNELS = {"conv1": 7, "conv2": 5, "conv3": 5, "conv_redir": 1}  # others are 3

leaky_relu = partial(nn.leaky_relu, negative_slope=0.1)
init = nn.initializers.variance_scaling(2 / (1 + 0.1**2), "fan_in", "normal")  # torch's kaiming_normal_(a=0.1)


class FlowNet(nn.Module):
    """FlowNetS with 38,675,536 parameters; `FlowNetC` has 39,174,320.

    Attributes:
        num_classes: not used.
        correlates: encode the two frames separately and correlate them (C); otherwise stack them (S).
        width: multiplies the channels of every layer; 1 is the published network.
        dtype: dtype of the computation; parameters, correlations and flow are float32.
    """

    num_classes: int | None = None
    correlates: bool = False
    width: float = 1.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video, *, train=False):
        """Compute the optical flow from each frame to the next.

        Args:
            video: (B, T, H, W, 3), float in -1..1, T at least 2. Frames of sides that are not multiples of 64 are
                padded with their border, below and on the right.
            train: return the flow of five scales, without interpolating the finest.

        Returns:
            The flow in pixels of the frames, x to the right and y down, float32 (B, T - 1, H, W, 2); in training a
            tuple of (B, T - 1, ceil(H / s), ceil(W / s), 2) for s = 64, 32, 16, 8, 4. Endpoints: "features", the mean
            of the coarsest maps over space (B, T - 1, 1024 * width), and "flow", at the full size.

        Raises:
            ValueError: for an input that is not a video of three channels, or a single frame.
        """
        check_frames(video)
        precise = jnp.promote_types(self.dtype, jnp.float32)
        (batch, frames), (height, width) = video.shape[:2], video.shape[2:4]
        x, _ = padded(video, MULTIPLE)
        x = ((x + 1) / 2 - jnp.asarray(MEAN, x.dtype)).astype(self.dtype)
        if self.correlates:
            x = einops.rearrange(x, "b t h w c -> (b t) h w c")
            skip = self.unit(self.unit(x, 64, 2, "conv1"), 128, 2, "conv2")  # (B T, H/4, W/4, 128)
            maps = einops.rearrange(self.unit(skip, 256, 2, "conv3"), "(b t) h w c -> b t h w c", t=frames)
            first, second = pairs(maps)  # (N, H/8, W/8, 256)
            found = correlation.within_square(first.astype(precise), second.astype(precise), REACH, STRIDE)
            x = [self.unit(first, 32, 1, "conv_redir"), leaky_relu(found).astype(self.dtype)]
            x = jnp.concatenate(x, -1)  # (N, H/8, W/8, 473)
            skip, _ = pairs(einops.rearrange(skip, "(b t) h w c -> b t h w c", t=frames))
        else:
            x = jnp.concatenate(pairs(x), -1)  # (N, H, W, 6)
            skip = self.unit(self.unit(x, 64, 2, "conv1"), 128, 2, "conv2")  # (N, H/4, W/4, 128)
            x = self.unit(skip, 256, 2, "conv3")
        x = self.unit(x, 256, 1, "conv3_1")
        skips = [skip, x]  # at 1/4 and 1/8
        for level, channels in ((4, 512), (5, 512), (6, 1024)):
            x = self.unit(self.unit(x, channels, 2, f"conv{level}"), channels, 1, f"conv{level}_1")
            skips.append(x)  # at 1/16, 1/32, 1/64
        features = skips.pop().mean((1, 2)).reshape(batch, frames - 1, -1)

        deconv, flows = partial(Deconv, dtype=self.dtype, kernel_init=init), []
        for level, channels in ((6, 512), (5, 256), (4, 128), (3, 64), (2, 0)):
            flow = self.conv(x, 2, (1, 3, 3), name=f"predict_flow{level}")
            flows.append(UNIT * flow.astype(precise))
            if channels:
                below = level - 1
                flow = deconv(2, name=f"upsampled_flow{level}_to_{below}")(flow)
                x = leaky_relu(deconv(layers.scaled(channels, self.width), name=f"deconv{below}")(x))
                x = jnp.concatenate([skips.pop(), x, flow], -1)
        whole = jax.image.resize(flows[-1], (flow.shape[0], *(4 * n for n in flow.shape[1:3]), 2), "bilinear")
        flows = [x.reshape(batch, frames - 1, *x.shape[1:]) for x in (*flows, whole)]
        scales = [2**level for level in (6, 5, 4, 3, 2, 0)]
        *flows, whole = (x[:, :, : -(-height // s), : -(-width // s)] for x, s in zip(flows, scales, strict=True))
        return tuple(flows) if train else whole, {"features": features, "flow": whole}

    def conv(self, x, features, kernel, strides=(1, 1, 1), *, use_bias=False, name):
        settings = {"padding": layers.torch_same, "dims": 2, "kernel_init": init, "dtype": self.dtype}
        return layers.conv(x, features, kernel, strides, use_bias=use_bias, name=name, **settings)

    def unit(self, x, channels, stride, name):
        """A convolution with a bias and leaky ReLU: (N, H, W, C) -> (N, H / stride, W / stride, channels * width)."""
        size, strides = KERNELS.get(name, 3), (1, stride, stride)
        x = self.conv(x, layers.scaled(channels, self.width), (1, size, size), strides, use_bias=True, name=name)
        return leaky_relu(x)


FlowNetS = FlowNet
FlowNetC = partial(FlowNet, correlates=True)
