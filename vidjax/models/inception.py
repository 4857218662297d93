"""Inception-v1 with BatchNorm, I3D (inflated) and S3D (separable), in one definition.

Szegedy et al., "Going Deeper with Convolutions" (CVPR 2015), https://arxiv.org/abs/1409.4842.
Carreira and Zisserman, "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset" (CVPR 2017),
https://arxiv.org/abs/1705.07750.
Xie et al., "Rethinking Spatiotemporal Feature Learning: Speed-Accuracy Trade-offs in Video Classification" (S3D, ECCV
2018), https://arxiv.org/abs/1712.04851.

Modules and endpoints are named as in DeepMind's I3D (github.com/google-deepmind/kinetics-i3d, i3d.py): the variable
`RGB/inception_i3d/Mixed_3b/Branch_0/Conv3d_0a_1x1/conv_3d/w` is the parameter
`Mixed_3b/Branch_0/Conv3d_0a_1x1/conv_3d/kernel`, `batch_norm/beta` is `batch_norm/bias`, and `moving_mean` and
`moving_variance` are `mean` and `var` of `batch_stats`. The 2-D network has the same names. Its kernels only lack the
first axis, so that one map over the tree inflates it.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.layers import (
    ConvUnit,
    SeparableUnit,
    check_video,
    conv,
    mask_of_steps,
    max_pool,
    mean_over_time,
    pool_space,
    scaled,
    tf_same,
    torch_ceil,
    torch_same,
    without_masked,
)

# Output channels of branch 0 (1x1), branch 1 (1x1, 3x3), branch 2 (1x1, 3x3) and branch 3 (1x1 after the pool).
# Szegedy et al., table 1, with 3x3 for 5x5 in branch 2, and 208 channels in Mixed_4b, as in kinetics-i3d, i3d.py.
MIXED = {
    "Mixed_3b": (64, (96, 128), (16, 32), 32),
    "Mixed_3c": (128, (128, 192), (32, 96), 64),
    "Mixed_4b": (192, (96, 208), (16, 48), 64),
    "Mixed_4c": (160, (112, 224), (24, 64), 64),
    "Mixed_4d": (128, (128, 256), (24, 64), 64),
    "Mixed_4e": (112, (144, 288), (32, 64), 64),
    "Mixed_4f": (256, (160, 320), (32, 128), 128),
    "Mixed_5b": (256, (160, 320), (32, 128), 128),
    "Mixed_5c": (384, (192, 384), (48, 128), 128),
}
TIME_STRIDE = 8  # frames per step of Mixed_5c in I3D


class Branch(nn.Module):
    """One branch of a Mixed block: an optional 3x3x3 max-pool, then units, given as (name, channels, kernel size)."""

    units: tuple[tuple[str, int, int], ...]
    unit: Callable
    padding: Callable
    pool: bool = False
    dims: int = 3

    @nn.compact
    def __call__(self, x):
        """(B, T, H, W, C) -> (B, T, H, W, channels of the last unit)."""
        if self.pool:
            x = max_pool(x, (3, 3, 3), (1, 1, 1), padding=self.padding, dims=self.dims)
        for name, channels, size in self.units:
            x = self.unit(channels, (size,) * 3, name=name)(x)
        return x


class Mixed(nn.Module):
    """The Inception block: four parallel branches, with the channels of a row of `MIXED`."""

    channels: tuple
    unit: Callable
    padding: Callable
    width: float = 1.0
    dims: int = 3
    name_of_3x3: str = "Conv3d_0b_3x3"

    @nn.compact
    def __call__(self, x):
        """(B, T, H, W, C) -> (B, T, H, W, sum of the last channels of the branches)."""
        c0, c1, c2, c3 = jax.tree.map(lambda c: scaled(c, self.width), self.channels)
        branches = (
            (("Conv3d_0a_1x1", c0, 1),),
            (("Conv3d_0a_1x1", c1[0], 1), ("Conv3d_0b_3x3", c1[1], 3)),
            (("Conv3d_0a_1x1", c2[0], 1), (self.name_of_3x3, c2[1], 3)),
            (("Conv3d_0b_1x1", c3, 1),),
        )
        outputs = [
            Branch(units, self.unit, self.padding, pool=i == 3, dims=self.dims, name=f"Branch_{i}")(x)
            for i, units in enumerate(branches)
        ]
        return jnp.concatenate(outputs, -1)


class Head(nn.Module):
    """Dropout, then a 1x1x1 convolution with a bias for the logits of each time step."""

    num_classes: int
    unit: Callable
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x, train):
        """(B, T, D) -> (B, T, num_classes)."""
        x = nn.Dropout(self.dropout, deterministic=not train)(x)[:, :, None, None]  # (B, T, 1, 1, D)
        unit = self.unit(self.num_classes, (1, 1, 1), norm=None, activation=None, use_bias=True, name="Conv3d_0c_1x1")
        return unit(x)[:, :, 0, 0]  # (B, T, num_classes)


class Inception(nn.Module):
    """Inception-v1 on each frame separately (`dims=2`: `InceptionV1`), or inflated over time (`dims=3`: `I3D`).

    I3D uses TensorFlow's SAME padding everywhere, and BatchNorm with an offset but no scale. torchvision's GoogLeNet
    and S3D use symmetric padding, and BatchNorm with a scale. BatchNorm's epsilon is 1e-3. Kernels are initialised like
    Sonnet's default (truncated normal, variance 1 / fan-in), as in kinetics-i3d. Any number of input channels works: 3
    for RGB, 2 for optical flow.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        width: multiplies the channels of every layer; 1 is the published network. Features have 1024 * width channels.
        dropout: dropout rate of the features before the classifier, in training.
        batch_norm_momentum: fraction of the running statistics that a step keeps. The original uses 0.9997, for
            runs of 100k steps; 0.9 adapts within tens of steps.
        dtype: dtype of the computation; parameters are float32.
        dims: 2 or 3.
        padding: padding of the convolutions; pool_padding: padding of the pools between the blocks.
        use_scale: whether BatchNorm has a scale.
        separable: split kernels into space and time, as in S3D.
        min_frames: smallest number of frames that the pools allow.
        block: the block of branches.
    """

    num_classes: int | None = None
    width: float = 1.0
    dropout: float = 0.0
    batch_norm_momentum: float = 0.9
    dtype: jnp.dtype = jnp.float32
    dims: int = 3
    padding: Callable = tf_same
    pool_padding: Callable = tf_same
    use_scale: bool = False
    separable: bool = False
    min_frames: int = 1
    block: type = Mixed

    @nn.compact
    def __call__(self, video, *, frame_mask=None, train=False):
        """Classify clips.

        Args:
            video: (B, T, H, W, C), normalised float, H and W at least 32.
            frame_mask: (B, T), boolean or 0 and 1; frames with 0 are ignored. In 3-D they are set to zero, and
                a time step is valid if one of its 8 frames is.
            train: whether to use batch statistics and dropout.

        Returns:
            Logits (B, num_classes), averaged over the time steps; without a classifier, the features. Endpoints: the
            activations under their names in kinetics-i3d, "features" (B, T', D) with T' = T in 2-D and
            T' = max(ceil(T / 8) - 1, 1) in 3-D, and "Logits" (B, num_classes).

        Raises:
            ValueError: if the input is not a video, has too small or too few frames, or a wrong number of channels.
        """
        check_video(video, 32, self.min_frames, first=self.get_variable("params", "Conv3d_1a_7x7"))
        norm = partial(
            nn.BatchNorm,
            use_running_average=not train,
            momentum=self.batch_norm_momentum,
            epsilon=1e-3,
            use_scale=self.use_scale,
            dtype=self.dtype,
        )
        plain = partial(ConvUnit, conv=partial(conv, padding=self.padding, dims=self.dims, dtype=self.dtype), norm=norm)
        split = partial(SeparableUnit, conv=plain.keywords["conv"], norm=norm)

        def unit(features, kernel, *arguments, **settings):
            return (split if self.separable and max(kernel) > 1 else plain)(features, kernel, *arguments, **settings)

        ends = {}

        def convolve(x, name, channels, kernel, strides=(1, 1, 1)):
            ends[name] = unit(scaled(channels, self.width), kernel, strides, name=name)(x)
            return ends[name]

        def pool(x, name, window, strides):
            ends[name] = max_pool(x, window, strides, padding=self.pool_padding, dims=self.dims)
            return ends[name]

        def mixed(x, name):
            # The published checkpoints misname one variable; another name here would lose it on import.
            name_of_3x3 = "Conv3d_0a_3x3" if name == "Mixed_5b" else "Conv3d_0b_3x3"
            ends[name] = self.block(MIXED[name], unit, self.padding, self.width, self.dims, name_of_3x3, name=name)(x)
            return ends[name]

        x = video.astype(self.dtype)
        if self.dims == 3:
            x = without_masked(x, frame_mask)

        # Shapes in comments are those of I3D at width 1; in 2-D the time axis stays T.
        x = convolve(x, "Conv3d_1a_7x7", 64, (7, 7, 7), (2, 2, 2))  # (B, T/2, H/2, W/2, 64)
        x = pool(x, "MaxPool3d_2a_3x3", (1, 3, 3), (1, 2, 2))  # (B, T/2, H/4, W/4, 64)
        x = convolve(x, "Conv3d_2b_1x1", 64, (1, 1, 1))
        x = convolve(x, "Conv3d_2c_3x3", 192, (3, 3, 3))  # (B, T/2, H/4, W/4, 192)
        x = pool(x, "MaxPool3d_3a_3x3", (1, 3, 3), (1, 2, 2))  # (B, T/2, H/8, W/8, 192)
        x = mixed(x, "Mixed_3b")  # (B, T/2, H/8, W/8, 256)
        x = mixed(x, "Mixed_3c")  # (B, T/2, H/8, W/8, 480)
        x = pool(x, "MaxPool3d_4a_3x3", (3, 3, 3), (2, 2, 2))  # (B, T/4, H/16, W/16, 480)
        x = mixed(x, "Mixed_4b")  # (B, T/4, H/16, W/16, 512)
        x = mixed(x, "Mixed_4c")
        x = mixed(x, "Mixed_4d")
        x = mixed(x, "Mixed_4e")  # (B, T/4, H/16, W/16, 528)
        x = mixed(x, "Mixed_4f")  # (B, T/4, H/16, W/16, 832)
        x = pool(x, "MaxPool3d_5a_2x2", (2, 2, 2), (2, 2, 2))  # (B, T/8, H/32, W/32, 832)
        x = mixed(x, "Mixed_5b")
        x = mixed(x, "Mixed_5c")  # (B, T/8, H/32, W/32, 1024)

        # The original averages over windows of 2x7x7, which cover the whole map at 224x224.
        x = pool_space(x)  # (B, T/8, 1024)
        if self.dims == 3:
            x = _windows_of_two(x, nn.avg_pool)  # (B, T/8 - 1, 1024)
            if frame_mask is not None:
                steps = mask_of_steps(frame_mask, TIME_STRIDE)[..., None]  # (B, T/8, 1)
                frame_mask = _windows_of_two(steps, nn.max_pool)[..., 0]  # (B, T/8 - 1)
        ends["features"] = x
        if not self.num_classes:
            return x, ends
        x = Head(self.num_classes, unit, self.dropout, name="Logits")(x, train)  # (B, T/8 - 1, num_classes)
        ends["Logits"] = mean_over_time(x, frame_mask)  # (B, num_classes)
        return ends["Logits"], ends


def _windows_of_two(x: jax.Array, pool) -> jax.Array:
    """Pool each pair of neighbours in time, if there are two: (B, T, D) -> (B, max(T - 1, 1), D)."""
    return pool(x, (min(2, x.shape[1]),), (1,), "VALID")


InceptionV1 = partial(Inception, dims=2)
I3D = partial(Inception, dims=3)
# torchvision's googlenet (without auxiliary heads) and s3d
GoogLeNet = partial(Inception, dims=2, padding=torch_same, pool_padding=torch_ceil, use_scale=True)
S3D = partial(
    Inception, dims=3, padding=torch_same, pool_padding=torch_same, use_scale=True, separable=True, min_frames=5
)
