"""Residual networks in torchvision's layout, on each frame or over space and time.

He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016), https://arxiv.org/abs/1512.03385. As in
torchvision, the stride of a bottleneck is in the 3x3 convolution ("ResNet v1.5"). The parameter `layer1.0.conv1.weight`
of torchvision is `layer1_0/conv1/kernel` here, `layer2.0.downsample.1` is `layer2_0/downsample_bn`. In 2-D the kernels
lack the first axis and everything else is the same: a 2-D network without the stem's pool inflates into R3D.
"""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.layers import (
    Conv2Plus1D,
    MeanOverTime,
    causal,
    check_video,
    conv,
    mask_of_steps,
    max_pool,
    middle_width,
    pool_space,
    scaled,
    torch_same,
    without_masked,
)

he_fan_out = nn.initializers.variance_scaling(2.0, "fan_out", "normal")  # torch's kaiming_normal_(mode="fan_out")
torch_linear = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")  # the kernel of torch's nn.Linear


class BasicBlock(nn.Module):
    """Two 3x3(x3) convolutions and a shortcut (He et al., figure 5, left).

    Attributes:
        channels: channels of the block; its output has `expansion` times as many.
        stride: stride along every axis of the convolution.
        conv: called as conv(x, features, kernel, strides, name=...); see `layers.conv`.
        norm: creates a norm layer from `name` and `scale_init`.
        zero_init: initialise the last norm's scale to 0, so that the block starts as the identity.
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
    """1x1, 3x3 and 1x1 convolutions and a shortcut (He et al., figure 5, right). Attributes: see `BasicBlock`."""

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
    """Return x, or its projection by a 1x1 convolution if the block changes the shape."""
    if x.shape == y.shape:
        return x
    return norm(name="downsample_bn")(conv(x, y.shape[-1], (1, 1, 1), strides, name="downsample_conv"))


def _last_scale(zero_init: bool) -> Callable:
    return nn.initializers.zeros if zero_init else nn.initializers.ones


def convolutions(kind: str, inputs: int, channels: int, *, conv: Callable, norm: Callable) -> Callable:
    """Return the convolution of a block, called as conv(x, features, kernel, strides, name=...).

    Args:
        kind: "2d" (each frame separately), "3d", "space" (3-D without kernel or stride in time, as in MC3), "time" (as
            "space", with a kernel of 3 in time in the first convolution of a block, as in SlowFast) or "2+1d" (space,
            then time).
        inputs, channels: input channels and channels of the block. Both of its (2+1)-D convolutions use the middle
            width of the first, as in torchvision.
        conv: `layers.conv` with its padding and other settings of the whole network.
    """
    plain = partial(conv, dims=2 if kind == "2d" else 3)

    def space(x, features, kernel, strides=(1, 1, 1), *, name):
        return plain(x, features, (1, *kernel[1:]), (1, *strides[1:]), name=name)

    def time(x, features, kernel, strides=(1, 1, 1), *, name):
        return plain(x, features, (3 if name == "conv1" else 1, *kernel[1:]), (1, *strides[1:]), name=name)

    def factorised(x, features, kernel, strides=(1, 1, 1), *, name):
        if kernel == (1, 1, 1):
            return plain(x, features, kernel, strides, name=name)
        return Conv2Plus1D(features, kernel, strides, norm, plain, middle_width(inputs, channels), name=name)(x)

    return {"2d": plain, "3d": plain, "space": space, "time": time, "2+1d": factorised}[kind]


class ResNet(nn.Module):
    """A residual network on each frame or over space and time; use `ResNet18`, `R3D18`, `MC318`, `R2Plus1D18`, ...

    Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition" (CVPR 2018),
    https://arxiv.org/abs/1711.11248, table 1: in 3-D the stem has a kernel of 3 in time and no pool, and stages 2 to 4
    halve time and space. R3D is also called Res3D (Tran et al., 2017, https://arxiv.org/abs/1708.05038).

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        stage_sizes: number of blocks per stage.
        block: `BasicBlock` or `Bottleneck`.
        kinds: the kind of convolution of the stem and of each stage, see `convolutions`.
        stem_pool: halve the stem's output with a spatial max-pool, as in 2-D.
        width: multiplies the channels of every layer; 1 is the published network.
        dropout: dropout rate of the features before the classifier, in training.
        batch_norm_momentum: how much of the running statistics a step keeps (1 minus torch's `momentum`).
        zero_init_residual: initialise each block as the identity (Goyal et al., 2017, section 5.1).
        causal: pad only the past, so that no output sees the future; for 3-D kinds.
        dtype: dtype of the computation; parameters are float32.
    """

    num_classes: int | None = None
    stage_sizes: tuple[int, ...] = (2, 2, 2, 2)
    block: type = BasicBlock
    kinds: tuple[str, str, str, str, str] = ("2d",) * 5
    stem_pool: bool = True
    width: float = 1.0
    dropout: float = 0.0
    batch_norm_momentum: float = 0.9
    zero_init_residual: bool = False
    causal: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video, *, frame_mask=None, train=False):
        """Classify clips by the mean of the logits of their time steps; an image is a clip of one frame.

        Args:
            video: (B, T, H, W, C), normalised float, H and W at least 32 with a pool in the stem, else 16.
            frame_mask: (B, T), boolean or 0 and 1; the mean ignores frames with 0. (BatchNorm's batch statistics in
                training still include them.) In 3-D they are set to zero, and a step is valid if one of its frames is.
            train: whether to use batch statistics and dropout.

        Returns:
            Logits (B, num_classes); without a classifier, the features. Endpoints: "stem", "layer1" to "layer4" and
            "features" (B, T', D), D = 512 * width (2048 * width for bottlenecks); T' = T in 2-D, MC3 and SlowOnly,
            ceil(T / 8) in R3D and R(2+1)D.

        Raises:
            ValueError: if the input is not a video, frames are too small, or the number of channels is wrong.
        """
        check_video(video, min_size=32 if self.stem_pool else 16, first=self.get_variable("params", "conv1"))
        norm = partial(
            nn.BatchNorm,
            use_running_average=not train,
            momentum=self.batch_norm_momentum,
            epsilon=1e-5,
            dtype=self.dtype,
        )
        padding = causal(torch_same) if self.causal else torch_same
        convolve = partial(conv, padding=padding, kernel_init=he_fan_out, dtype=self.dtype)
        ends, time_stride = {}, 1
        x = video.astype(self.dtype)
        if self.kinds[0] != "2d":
            x = without_masked(x, frame_mask)
        x = self.stem(x, convolve, norm)  # (B, T, H/2, W/2, 64)
        if self.stem_pool:
            x = max_pool(x, (1, 3, 3), (1, 2, 2), padding=torch_same)  # (B, T, H/4, W/4, 64)
        ends["stem"] = x
        for stage, (size, kind) in enumerate(zip(self.stage_sizes, self.kinds[1:], strict=True)):
            channels = scaled(64 * 2**stage, self.width)
            for i in range(size):
                stride = 2 if stage > 0 and i == 0 else 1
                time_stride *= stride if kind in ("3d", "2+1d") else 1
                of_block = convolutions(kind, x.shape[-1], channels, conv=convolve, norm=norm)
                name = f"layer{stage + 1}_{i}"
                x = self.block(channels, stride, of_block, norm, self.zero_init_residual, name=name)(x)
            ends[f"layer{stage + 1}"] = x  # (B, T', H/4, W/4, 64 e) to (B, T', H/32, W/32, 512 e), e = expansion
        x = ends["features"] = pool_space(x)  # (B, T', 512 e)
        if not self.num_classes:
            return x, ends
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        x = nn.Dense(self.num_classes, kernel_init=torch_linear, dtype=self.dtype, name="fc")(x)  # (B, T', num_classes)
        mask = mask_of_steps(frame_mask, time_stride)
        return MeanOverTime(name="mean")(x, mask), ends  # (B, num_classes)

    def stem(self, x, convolve, norm):
        """(B, T, H, W, C) -> (B, T, H/2, W/2, 64): 7x7, with a kernel of 3 in time unless 2-D."""
        channels = scaled(64, self.width)
        if self.kinds[0] == "2+1d":
            # 45 channels between, as in torchvision and the authors' code; the formula would give 83
            x = Conv2Plus1D(channels, (3, 7, 7), (1, 2, 2), norm, convolve, scaled(45, self.width), name="conv1")(x)
        else:
            of_stem = convolutions(self.kinds[0], x.shape[-1], channels, conv=convolve, norm=norm)
            x = of_stem(x, channels, (3, 7, 7), (1, 2, 2), name="conv1")
        return nn.relu(norm(name="bn1")(x))


ResNet18 = partial(ResNet, stage_sizes=(2, 2, 2, 2), block=BasicBlock)
ResNet34 = partial(ResNet, stage_sizes=(3, 4, 6, 3), block=BasicBlock)
ResNet50 = partial(ResNet, stage_sizes=(3, 4, 6, 3), block=Bottleneck)
ResNet101 = partial(ResNet, stage_sizes=(3, 4, 23, 3), block=Bottleneck)
R3D18 = partial(ResNet18, kinds=("3d",) * 5, stem_pool=False)
R3D34 = partial(ResNet34, kinds=("3d",) * 5, stem_pool=False)
MC318 = partial(ResNet18, kinds=("3d", "3d", "space", "space", "space"), stem_pool=False)
R2Plus1D18 = partial(ResNet18, kinds=("2+1d",) * 5, stem_pool=False)
R2Plus1D34 = partial(ResNet34, kinds=("2+1d",) * 5, stem_pool=False)
# The slow pathway of SlowFast alone (Feichtenhofer et al., ICCV 2019, https://arxiv.org/abs/1812.03982, table 1)
SlowOnly50 = partial(ResNet50, kinds=("space", "space", "space", "time", "time"))
