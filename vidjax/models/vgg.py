"""VGG (on each frame), inflated VGG and C3D, in one definition: stages of 3x3(x3) convolutions.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (ICLR 2015),
https://arxiv.org/abs/1409.1556: VGG16 is configuration D of table 1.
Tran et al., "Learning Spatiotemporal Features with 3D Convolutional Networks" (ICCV 2015),
https://arxiv.org/abs/1412.0767: C3D is figure 3.

Convolution j of stage i is `conv{i}_{j}`, its norm `bn{i}_{j}`; C3D's original names are conv1a, conv3b and fc6 to fc8.
In 2-D the kernels of the convolutions lack the first axis; everything else is the same, so that one map over the tree
inflates VGG16 to VGG16_3D. torchvision flattens (C, H, W) before `fc1`, this network (H, W, C).
"""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.layers import (
    adaptive_average,
    check_video,
    conv,
    mask_of_steps,
    max_pool,
    mean_over_time,
    no_padding,
    pool_space,
    scaled,
    torch_ceil,
    torch_same,
    without_masked,
)

he_fan_out = nn.initializers.variance_scaling(2.0, "fan_out", "normal")  # torch's kaiming_normal_(mode="fan_out")

VGG16_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
C3D_STAGES = ((64,), (128,), (256, 256), (512, 512), (512, 512))


class VGG(nn.Module):
    """Stages of 3x3(x3) convolutions with ReLU, each followed by a max-pool, then three fully connected layers.

    Use `VGG16`, `VGG16_3D` or `C3D`. Every pool halves height and width; in 3-D all but the first also halve the time.
    The fully connected layers see one time step. Parameters are initialised as in torchvision: convolutions as in He et
    al. (2015), fully connected layers from N(0, 0.01^2), biases zero.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        stages: the channels of each convolution of each stage.
        width: multiplies the channels of every layer, including the 4096; 1 is the published network.
        dropout: dropout rate after each of the first two fully connected layers, in training.
        batch_norm: use BatchNorm after each convolution, which keeps its bias, as in torchvision's vgg16_bn. The
            published networks have none and are hard to train from scratch.
        batch_norm_momentum: fraction of the running statistics that a step keeps.
        hidden: size of the two fully connected layers before the classifier. 0 leaves them out; then the features are
            the spatial averages of the last stage, for any frame size, with 15 M instead of 138 M parameters.
        dtype: dtype of the computation; parameters are float32.
        dims: 2 or 3.
        grid: height and width to which the last stage is averaged: its size at the published frame size (224x224 for
            VGG16, 112x112 for C3D).
        pool_padding: padding of the pools. VGG16 drops an odd last row or frame, C3D keeps it.
        min_frames: smallest number of frames that the pools allow.
    """

    num_classes: int | None = None
    stages: tuple[tuple[int, ...], ...] = VGG16_STAGES
    width: float = 1.0
    dropout: float = 0.5
    batch_norm: bool = False
    batch_norm_momentum: float = 0.9
    hidden: int = 4096
    dtype: jnp.dtype = jnp.float32
    dims: int = 2
    grid: int = 7
    pool_padding: Callable = no_padding
    min_frames: int = 1

    @nn.compact
    def __call__(self, video, *, frame_mask=None, train=False):
        """Classify clips by the mean of the logits of their time steps; an image is a clip of one frame.

        Args:
            video: (B, T, H, W, C), normalised float, H and W at least 32; T at least 16 for VGG16_3D.
            frame_mask: (B, T), boolean or 0 and 1; frames with 0 are ignored. In 3-D they are set to zero, and
                a step is valid if one of its 16 frames is.
            train: whether to use batch statistics and dropout.

        Returns:
            Logits (B, num_classes); without a classifier, the features. Endpoints: "pool1" to "pool5", "fc1", "fc2" and
            "features", which is fc2 after its ReLU: (B, T', hidden * width) with T' = T in 2-D, floor(T / 16) in
            VGG16_3D and ceil(T / 16) in C3D.

        Raises:
            ValueError: if the input is not a video, has too small or too few frames, or a wrong number of channels.
        """
        check_video(video, 32, self.min_frames, first=self.get_variable("params", "conv1_1"))
        norm = partial(
            nn.BatchNorm,
            use_running_average=not train,
            momentum=self.batch_norm_momentum,
            epsilon=1e-5,
            dtype=self.dtype,
        )
        convolve = partial(
            conv, padding=torch_same, dims=self.dims, use_bias=True, kernel_init=he_fan_out, dtype=self.dtype
        )
        ends, time_stride = {}, 1
        x = video.astype(self.dtype)
        if self.dims == 3:
            x = without_masked(x, frame_mask)
        for i, stage in enumerate(self.stages, 1):
            for j, channels in enumerate(stage, 1):
                x = convolve(x, scaled(channels, self.width), (3, 3, 3), name=f"conv{i}_{j}")
                x = norm(name=f"bn{i}_{j}")(x) if self.batch_norm else x
                x = nn.relu(x)
            stride = 2 if self.dims == 3 and i > 1 else 1
            time_stride *= stride
            x = max_pool(x, (stride, 2, 2), (stride, 2, 2), padding=self.pool_padding, dims=self.dims)
            ends[f"pool{i}"] = x  # (B, T, H/2, W/2, 64) to (B, T', H/32, W/32, 512)

        dense = partial(nn.Dense, kernel_init=nn.initializers.normal(0.01), dtype=self.dtype)
        dropout = partial(nn.Dropout, self.dropout, deterministic=not train)
        if self.hidden:
            x = adaptive_average(x, (self.grid, self.grid))  # (B, T', 7, 7, 512)
            x = x.reshape(*x.shape[:2], -1)  # (B, T', 7 * 7 * 512)
            x = ends["fc1"] = nn.relu(dense(scaled(self.hidden, self.width), name="fc1")(x))  # (B, T', 4096)
            x = ends["fc2"] = nn.relu(dense(scaled(self.hidden, self.width), name="fc2")(dropout()(x)))  # (B, T', 4096)
        else:
            x = pool_space(x)  # (B, T', 512)
        ends["features"] = x
        if not self.num_classes:
            return x, ends
        x = dense(self.num_classes, name="fc3")(dropout()(x))  # (B, T', num_classes)
        steps = mask_of_steps(frame_mask, time_stride)  # (B, ceil(T / 16))
        if steps is not None:
            steps = steps[:, : x.shape[1]]  # (B, T'): pools without padding drop the last frames
        return mean_over_time(x, steps), ends  # (B, num_classes)


VGG16 = partial(VGG, stages=VGG16_STAGES)
VGG16_3D = partial(VGG16, dims=3, min_frames=16)
# Caffe rounds the size after a pool up, in time and space (github.com/facebookarchive/C3D, C3D-v1.0,
# src/caffe/layers/pooling3d_layer.cpp): 7x7 becomes the 4x4 of fc6, and a single frame is enough.
C3D = partial(VGG, stages=C3D_STAGES, dims=3, grid=4, pool_padding=torch_ceil)
