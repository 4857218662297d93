"""AlexNet and CNN-M-2048: five convolutions and three fully connected layers, on each frame separately.

Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks" (NeurIPS 2012).
Krizhevsky, "One weird trick for parallelizing convolutional neural networks" (2014), https://arxiv.org/abs/1404.5997:
the single-column version without normalisation, as in torchvision.
Chatfield et al., "Return of the Devil in the Details" (BMVC 2014), https://arxiv.org/abs/1405.3531: CNN-M-2048.
Simonyan and Zisserman, "Two-Stream Convolutional Networks for Action Recognition in Videos" (NeurIPS 2014),
https://arxiv.org/abs/1406.2199: CNN-M-2048 on RGB, and on stacked optical flow (20 channels).

Modules are `conv1` to `conv5` and `fc1` to `fc3` (full6 to full8 in the papers). torchvision flattens (C, H, W) before
`fc1`, these networks (H, W, C).
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.layers import (
    adaptive_average,
    check_video,
    conv,
    local_response_norm,
    max_pool,
    mean_over_time,
    no_padding,
    pool_space,
    scaled,
    torch_ceil,
)

# The papers' N(0, 0.01^2) makes activations vanish without normalisation at other widths. Biases start at zero.
conv_init = nn.initializers.variance_scaling(2.0, "fan_out", "normal")  # like VGG
dense_init = nn.initializers.normal(0.01)  # Krizhevsky et al. (2012), section 5


class Layer(NamedTuple):
    """A convolution with ReLU. `pool`: whether a 3x3 max-pool with a stride of 2 follows."""

    channels: int
    size: int
    stride: int
    padding: int
    pool: bool


# As in torchvision, alexnet.py
ALEXNET = (
    Layer(64, 11, 4, 2, pool=True),
    Layer(192, 5, 1, 2, pool=True),
    Layer(384, 3, 1, 1, pool=False),
    Layer(256, 3, 1, 1, pool=False),
    Layer(256, 3, 1, 1, pool=True),
)
# Chatfield et al., table 1, CNN-M
CNN_M = (
    Layer(96, 7, 2, 0, pool=True),
    Layer(256, 5, 2, 1, pool=True),
    Layer(512, 3, 1, 1, pool=False),
    Layer(512, 3, 1, 1, pool=False),
    Layer(512, 3, 1, 1, pool=True),
)


def convolutions(x, layers: tuple[Layer, ...], *, pool_padding: Callable, num_norms: int = 0, width, dtype):
    """The convolutions of a network. Call it in a compact method, where it creates `conv1`, `conv2`, ...

    Args:
        x: (B, T, H, W, C).
        num_norms: number of convolutions, from the first, with local response normalisation before the pool.

    Returns:
        The last output (B, T, H', W', C'), and the outputs of all by name: "conv1", or "pool1" if it has a pool.
    """
    ends = {}
    for i, (channels, size, stride, pixels, pool) in enumerate(layers, 1):
        x = conv(
            x,
            scaled(channels, width),
            (1, size, size),
            (1, stride, stride),
            padding=lambda *_, pixels=pixels: ((pixels, pixels),) * 2,
            dims=2,
            use_bias=True,
            kernel_init=conv_init,
            dtype=dtype,
            name=f"conv{i}",
        )
        x = nn.relu(x)
        if i <= num_norms:
            x = local_response_norm(x)
        if pool:
            x = max_pool(x, (1, 3, 3), (1, 2, 2), padding=pool_padding)
        ends[f"pool{i}" if pool else f"conv{i}"] = x
    return x, ends


class AlexNet(nn.Module):
    """AlexNet in torchvision's layout: one column, without normalisation.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        width: multiplies the channels of every layer, including the 4096; 1 is the published network.
        dropout: dropout rate before each of the first two fully connected layers, in training.
        hidden: size of the two fully connected layers before the classifier. 0 leaves them out; then the features are
            the spatial averages of the last stage, like in VGG.
        dtype: dtype of the computation; parameters are float32.
    """

    num_classes: int | None = None
    width: float = 1.0
    dropout: float = 0.5
    hidden: int = 4096
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video, *, frame_mask=None, train=False):
        """Classify clips by the mean of the logits of their frames; an image is a clip of one frame.

        Args:
            video: (B, T, H, W, C), normalised float, H and W at least 63.
            frame_mask: (B, T), boolean or 0 and 1; frames with 0 are ignored.
            train: whether to use dropout.

        Returns:
            Logits (B, num_classes); without a classifier, the features. Endpoints: "pool1", "pool2", "conv3", "conv4",
            "pool5", "fc1", "fc2" and "features", which is fc2 after its ReLU: (B, T, hidden * width).

        Raises:
            ValueError: if the input is not a video, frames are too small, or the number of channels is wrong.
        """
        check_video(video, 63, first=self.get_variable("params", "conv1"))
        sizes = {"width": self.width, "dtype": self.dtype}
        x, ends = convolutions(video.astype(self.dtype), ALEXNET, pool_padding=no_padding, **sizes)
        dense = partial(nn.Dense, kernel_init=dense_init, dtype=self.dtype)
        dropout = partial(nn.Dropout, self.dropout, deterministic=not train)
        if self.hidden:
            x = adaptive_average(x, (6, 6))  # (B, T, 6, 6, 256), the size for frames of 224x224
            x = x.reshape(*x.shape[:2], -1)  # (B, T, 6 * 6 * 256)
            x = ends["fc1"] = nn.relu(dense(scaled(self.hidden, self.width), name="fc1")(dropout()(x)))  # (B, T, 4096)
            x = ends["fc2"] = nn.relu(dense(scaled(self.hidden, self.width), name="fc2")(dropout()(x)))  # (B, T, 4096)
        else:
            x = pool_space(x)  # (B, T, 256)
        ends["features"] = x
        if not self.num_classes:
            return x, ends
        x = dense(self.num_classes, name="fc3")(x)  # (B, T, num_classes)
        return mean_over_time(x, frame_mask), ends  # (B, num_classes)


class CNNM2048(nn.Module):
    """CNN-M-2048, the network of both streams of the two-stream paper.

    Figure 1 of the two-stream paper is table 1 of Chatfield et al. with 2048 instead of 4096 in the second fully
    connected layer, local response normalisation after conv1 and conv2, and 3x3 max-pools with a stride of 2. Its
    temporal stream lacks the second normalisation, "to reduce memory consumption" (section 5): use `num_norms = 1`. The
    pools round sizes up like Caffe, in which both papers trained their networks: 26 -> 13 at 224x224.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        width: multiplies the channels of every layer, including fully connected ones; 1 is the published network.
        dropout: dropout rate after each of the first two fully connected layers, in training. The two-stream paper uses
            0.9 to train from scratch; Chatfield et al. use 0.5.
        num_norms: number of convolutions, from the first, with local response normalisation.
        dtype: dtype of the computation; parameters are float32.
    """

    num_classes: int | None = None
    width: float = 1.0
    dropout: float = 0.9
    num_norms: int = 2
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video, *, frame_mask=None, train=False):
        """Classify clips by the mean of the logits of their frames.

        Args:
            video: (B, T, H, W, C), normalised float, H and W at least 41; C is 3 for RGB, 20 for ten fields of flow.
            frame_mask: (B, T), boolean or 0 and 1; frames with 0 are ignored.
            train: whether to use dropout.

        Returns:
            Logits (B, num_classes); without a classifier, the features. Endpoints: "pool1", "pool2", "conv3", "conv4",
            "pool5", "fc1", "fc2" and "features", which is fc2 after its ReLU: (B, T, 2048 * width).

        Raises:
            ValueError: if the input is not a video, frames are too small, or the number of channels is wrong.
        """
        check_video(video, 41, first=self.get_variable("params", "conv1"))
        sizes = {"width": self.width, "dtype": self.dtype}
        x = video.astype(self.dtype)
        x, ends = convolutions(x, CNN_M, pool_padding=torch_ceil, num_norms=self.num_norms, **sizes)
        x = adaptive_average(x, (6, 6))  # (B, T, 6, 6, 512), the size for frames of 224x224
        x = x.reshape(*x.shape[:2], -1)  # (B, T, 6 * 6 * 512)
        dense = partial(nn.Dense, kernel_init=dense_init, dtype=self.dtype)
        dropout = partial(nn.Dropout, self.dropout, deterministic=not train)
        x = ends["fc1"] = nn.relu(dense(scaled(4096, self.width), name="fc1")(x))  # (B, T, 4096)
        x = ends["fc2"] = nn.relu(dense(scaled(2048, self.width), name="fc2")(dropout()(x)))  # (B, T, 2048)
        ends["features"] = x
        if not self.num_classes:
            return x, ends
        x = dense(self.num_classes, name="fc3")(dropout()(x))  # (B, T, num_classes)
        return mean_over_time(x, frame_mask), ends  # (B, num_classes)
