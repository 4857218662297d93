"""X3D: a small image network, expanded along one axis at a time: frames, rate, size, depth, width and bottleneck.

Feichtenhofer, "X3D: Expanding Architectures for Efficient Video Recognition" (CVPR 2020),
https://arxiv.org/abs/2004.04730, as in pytorchvideo. XS, S and M are one network on clips of other lengths and sizes
(4x160x160, 13x160x160 and 16x224x224); L is deeper.
"""

import math
from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.layers import (
    MeanOverTime,
    Triple,
    check_video,
    conv,
    depthwise,
    mean_over_time,
    pool_space,
    torch_same,
    without_masked,
)
from vidjax.models.resnet import he_fan_out

STAGES = ((12, 1), (24, 2), (48, 5), (96, 3))  # channels and blocks of X2D, the network that is expanded (table 1)
linear = nn.initializers.normal(0.01)


def rounded(channels: float) -> int:
    """Return the nearest multiple of 8, at least 8 and at least 9/10 of the channels."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


class Depthwise(nn.Module):
    """A 3-D convolution of each channel by itself, padded as in torch, without bias."""

    kernel: Triple
    strides: Triple
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x):
        """(B, T, H, W, C) -> (B, T, H', W', C)."""
        kernel = self.param("kernel", he_fan_out, (*self.kernel, 1, x.shape[-1]))
        return depthwise(x.astype(self.dtype), kernel.astype(self.dtype), self.strides, padding=torch_same)


class SqueezeExcitation(nn.Module):
    """Scales each channel of a clip by a function of the means of all channels.

    Hu et al., "Squeeze-and-Excitation Networks" (CVPR 2018), https://arxiv.org/abs/1709.01507.

    Attributes:
        hidden: channels between its two linear layers.
        conv: see `layers.conv`.
    """

    hidden: int
    conv: Callable

    @nn.compact
    def __call__(self, x, frame_mask=None):
        """(B, T, H, W, C), frame_mask (B, T) -> (B, T, H, W, C). The mean ignores masked frames."""
        y = mean_over_time(pool_space(x), frame_mask)[:, None, None, None]  # (B, 1, 1, 1, C)
        y = nn.relu(self.conv(y, self.hidden, (1, 1, 1), use_bias=True, name="reduce"))
        return x * nn.sigmoid(self.conv(y, x.shape[-1], (1, 1, 1), use_bias=True, name="expand"))


class Block(nn.Module):
    """1x1x1, depthwise 3x3x3 and 1x1x1 convolutions, and a shortcut.

    Attributes:
        inner, features: channels between the convolutions, and of the outputs.
        stride: stride in space.
        squeeze: channels between the layers of its `SqueezeExcitation`; 0 for none.
        conv: called as conv(x, features, kernel, strides, name=...); see `layers.conv`.
        norm: creates a norm layer from `name` and `scale_init`.
        dtype: dtype of the computation.
    """

    inner: int
    features: int
    stride: int
    squeeze: int
    conv: Callable
    norm: Callable
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x, frame_mask=None):
        """(B, T, H, W, C) -> (B, T, H / stride, W / stride, features)."""
        strides = (1, self.stride, self.stride)
        y = self.conv(x, self.inner, (1, 1, 1), name="conv1")
        y = nn.relu(self.norm(name="norm1")(y))
        y = Depthwise((3, 3, 3), strides, self.dtype, name="depthwise")(y)
        y = self.norm(name="norm2")(y)
        if self.squeeze:
            y = SqueezeExcitation(self.squeeze, self.conv, name="squeeze")(y, frame_mask)
        y = self.conv(nn.swish(y), self.features, (1, 1, 1), name="conv3")
        y = self.norm(name="norm3", scale_init=nn.initializers.zeros)(y)
        if x.shape != y.shape:
            widens = x.shape[-1] != self.features
            x = self.conv(x, self.features, (1, 1, 1), strides, name="shortcut")
            x = self.norm(name="shortcut_norm")(x) if widens else x
        return nn.relu(x + y)


class X3D(nn.Module):
    """X3D-XS, S and M; `X3DL` is X3D-L. The factors are those of the paper's section 3, for X3D-M here.

    Each block starts as the identity (its last norm's scale is 0), as in the authors' recipes.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        width_factor, depth_factor: multiply the channels and the blocks of `STAGES`; channels become multiples of 8.
        bottleneck_factor: channels inside a block, relative to those of its outputs.
        hidden: channels of the layer before the classifier.
        dropout: dropout rate before the classifier, in training.
        batch_norm_momentum: how much of the running statistics a step keeps (1 minus torch's `momentum`).
        block: the blocks; `make_model(remat=True)` replaces them.
        dtype: dtype of the computation; parameters are float32.
    """

    num_classes: int | None = None
    width_factor: float = 2.0
    depth_factor: float = 2.2
    bottleneck_factor: float = 2.25
    hidden: int = 2048
    dropout: float = 0.5
    batch_norm_momentum: float = 0.9
    block: type = Block
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video, *, frame_mask=None, train=False):
        """Classify clips.

        Args:
            video: (B, T, H, W, C), normalised float, H and W at least 32.
            frame_mask: (B, T), boolean or 0 and 1; frames with 0 are set to zero, and no mean counts them. (BatchNorm's
                batch statistics in training still do.)
            train: whether to use batch statistics and dropout.

        Returns:
            Logits (B, num_classes); without a classifier, the features. Endpoints: "stem" (B, T, H/2, W/2, 24),
            "stage1" to "stage4" (B, T, H/4, W/4, 24) to (B, T, H/32, W/32, 192), and "features" (B, T, 432), which the
            mean over space precedes. pytorchvideo averages windows of the training size, which is the same at that size
            only.

        Raises:
            ValueError: if the input is not a video, frames are too small, or the number of channels is wrong.
        """
        check_video(video, min_size=32, first=self.get_variable("params", "stem_space"))
        norm = partial(
            nn.BatchNorm,
            use_running_average=not train,
            momentum=self.batch_norm_momentum,
            epsilon=1e-5,
            dtype=self.dtype,
        )
        convolve = partial(conv, padding=torch_same, kernel_init=he_fan_out, dtype=self.dtype)
        ends, width = {}, rounded(STAGES[0][0] * self.width_factor)
        x = without_masked(video.astype(self.dtype), frame_mask)
        x = convolve(x, width, (1, 3, 3), (1, 2, 2), name="stem_space")  # (B, T, H/2, W/2, 24)
        x = Depthwise((5, 1, 1), (1, 1, 1), self.dtype, name="stem_time")(x)
        x = ends["stem"] = nn.relu(norm(name="stem_norm")(x))
        for stage, (channels, blocks) in enumerate(STAGES, 1):
            width = rounded(channels * self.width_factor)
            inner = int(width * self.bottleneck_factor)
            for i in range(math.ceil(blocks * self.depth_factor)):
                squeeze = rounded(inner / 16) if i % 2 == 0 else 0
                arguments = inner, width, 2 if i == 0 else 1, squeeze, convolve, norm, self.dtype
                x = self.block(*arguments, name=f"stage{stage}_{i}")(x, frame_mask)
            ends[f"stage{stage}"] = x  # (B, T, H/4, W/4, 24) to (B, T, H/32, W/32, 192)
        x = convolve(x, inner, (1, 1, 1), name="head")  # (B, T, H/32, W/32, 432)
        x = ends["features"] = pool_space(nn.relu(norm(name="head_norm")(x)))  # (B, T, 432)
        if not self.num_classes:
            return x, ends
        x = MeanOverTime(name="mean")(x, frame_mask)[:, None, None, None]  # (B, 1, 1, 1, 432)
        x = nn.relu(convolve(x, self.hidden, (1, 1, 1), name="hidden_layer"))[:, 0, 0, 0]  # (B, 2048)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes, kernel_init=linear, dtype=self.dtype, name="classifier")(x), ends


X3DL = partial(X3D, depth_factor=5.0)
