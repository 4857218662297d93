"""Residual networks on each frame by itself, in torchvision's layout.

He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016), https://arxiv.org/abs/1512.03385. As in
torchvision, a bottleneck has its stride in the 3x3 convolution ("ResNet v1.5"). The parameter `layer1.0.conv1.weight`
of torchvision is `layer1_0/conv1/kernel` here, `layer2.0.downsample.1` is `layer2_0/downsample_bn`.
"""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.layers import check_video, conv, max_pool, mean_over_time, pool_space, scaled, torch_same

he_fan_out = nn.initializers.variance_scaling(2.0, "fan_out", "normal")  # torch's kaiming_normal_(mode="fan_out")
torch_linear = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")  # the kernel of torch's nn.Linear


class BasicBlock(nn.Module):
    """Two 3x3(x3) convolutions and the shortcut (He et al., figure 5, left).

    Attributes:
        channels: of the block; it returns `expansion` times as many.
        stride: along every axis that the convolution has.
        conv: called as conv(x, features, kernel, strides, name=...), see `layers.conv`.
        norm: makes a norm layer from `name` and `scale_init`.
        zero_init: start the last norm's scale at 0, so that the block starts as the identity.
    """

    channels: int
    stride: int
    conv: Callable
    norm: Callable
    zero_init: bool = False
    expansion = 1

    @nn.compact
    def __call__(self, x):
        """(B, T, H, W, C) -> (B, T', H / stride, W / stride, channels)."""
        strides = (self.stride,) * 3
        y = self.conv(x, self.channels, (3, 3, 3), strides, name="conv1")
        y = nn.relu(self.norm(name="bn1")(y))
        y = self.conv(y, self.channels, (3, 3, 3), name="conv2")
        y = self.norm(name="bn2", scale_init=_last_scale(self.zero_init))(y)
        return nn.relu(y + _shortcut(x, y, strides, self.conv, self.norm))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and the shortcut (He et al., figure 5, right). Attributes as of `BasicBlock`."""

    channels: int
    stride: int
    conv: Callable
    norm: Callable
    zero_init: bool = False
    expansion = 4

    @nn.compact
    def __call__(self, x):
        """(B, T, H, W, C) -> (B, T', H / stride, W / stride, 4 * channels)."""
        strides = (self.stride,) * 3
        y = self.conv(x, self.channels, (1, 1, 1), name="conv1")
        y = nn.relu(self.norm(name="bn1")(y))
        y = self.conv(y, self.channels, (3, 3, 3), strides, name="conv2")
        y = nn.relu(self.norm(name="bn2")(y))
        y = self.conv(y, self.channels * self.expansion, (1, 1, 1), name="conv3")
        y = self.norm(name="bn3", scale_init=_last_scale(self.zero_init))(y)
        return nn.relu(y + _shortcut(x, y, strides, self.conv, self.norm))


def _shortcut(x, y, strides, conv, norm):
    """x itself, or projected by a 1x1 convolution where the block changes the shape."""
    if x.shape == y.shape:
        return x
    return norm(name="downsample_bn")(conv(x, y.shape[-1], (1, 1, 1), strides, name="downsample_conv"))


def _last_scale(zero_init: bool) -> Callable:
    return nn.initializers.zeros if zero_init else nn.initializers.ones


class ResNet(nn.Module):
    """A residual network on each frame; use `ResNet18`, `ResNet34`, `ResNet50`.

    Attributes:
        num_classes: 0 or None for no classifier.
        stage_sizes: number of blocks of each of the four stages.
        block: `BasicBlock` or `Bottleneck`.
        width: multiplies the channels of every layer; 1 is the published network.
        dropout: of the frame features before the classifier, while training.
        batch_norm_momentum: how much of the running statistics a step keeps (torch's `momentum` is one minus that).
        zero_init_residual: start each block as the identity (Goyal et al., 2017, section 5.1).
        dtype: of the computation; parameters are float32.
    """

    num_classes: int | None
    stage_sizes: tuple[int, ...]
    block: type
    width: float = 1.0
    dropout: float = 0.0
    batch_norm_momentum: float = 0.9
    zero_init_residual: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video, *, frame_mask=None, train=False):
        """Classifies clips by the mean of the logits of their frames; an image is a clip of one frame.

        Args:
            video: (B, T, H, W, C), normalised float, H and W at least 32.
            frame_mask: (B, T), boolean or 0 and 1: frames that are 0 do not count in the mean. (They still count in the
                statistics of BatchNorm while training.)
            train: use the statistics of this batch, and dropout.

        Returns:
            Logits (B, num_classes); without a classifier the features. Endpoints: "stem", "layer1" to "layer4" and
            "features" (B, T, D), D = 512 * width (2048 * width for bottlenecks).

        Raises:
            ValueError: for a shape that is not a video, or frames that are too small.
        """
        check_video(video, min_size=32, first=self.get_variable("params", "conv1"))
        conv_2d = partial(conv, padding=torch_same, dims=2, kernel_init=he_fan_out, dtype=self.dtype)
        norm = partial(
            nn.BatchNorm,
            use_running_average=not train,
            momentum=self.batch_norm_momentum,
            epsilon=1e-5,
            dtype=self.dtype,
        )
        ends = {}
        x = video.astype(self.dtype)
        x = conv_2d(x, scaled(64, self.width), (7, 7, 7), (2, 2, 2), name="conv1")  # (B, T, H/2, W/2, 64)
        x = nn.relu(norm(name="bn1")(x))
        x = max_pool(x, (3, 3, 3), (2, 2, 2), padding=torch_same, dims=2)  # (B, T, H/4, W/4, 64)
        ends["stem"] = x
        for stage, size in enumerate(self.stage_sizes):
            channels = scaled(64 * 2**stage, self.width)
            for i in range(size):
                stride = 2 if stage > 0 and i == 0 else 1
                name = f"layer{stage + 1}_{i}"
                x = self.block(channels, stride, conv_2d, norm, self.zero_init_residual, name=name)(x)
            ends[f"layer{stage + 1}"] = x  # (B, T, H/4, W/4, 64 e) to (B, T, H/32, W/32, 512 e), e = expansion
        x = ends["features"] = pool_space(x)  # (B, T, 512 e)
        if not self.num_classes:
            return x, ends
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        x = nn.Dense(self.num_classes, kernel_init=torch_linear, dtype=self.dtype, name="fc")(x)  # (B, T, num_classes)
        return mean_over_time(x, frame_mask), ends  # (B, num_classes)


ResNet18 = partial(ResNet, stage_sizes=(2, 2, 2, 2), block=BasicBlock)
ResNet34 = partial(ResNet, stage_sizes=(3, 4, 6, 3), block=BasicBlock)
ResNet50 = partial(ResNet, stage_sizes=(3, 4, 6, 3), block=Bottleneck)
