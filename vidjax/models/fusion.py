"""Single-frame, early, late and slow fusion: one trunk that combines frames at four different places.

Karpathy et al., "Large-scale Video Classification with Convolutional Neural Networks" (CVPR 2014), section 3.1 and
figure 1. Their trunk follows Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks"
(NeurIPS 2012), on frames of 170x170. N is local response normalisation, P a 2x2 pool:

    C(96,11,3)-N-P-C(256,5,1)-N-P-C(384,3,1)-C(384,3,1)-C(256,3,1)-P-FC(4096)-FC(4096)

The paper does not state its padding. In its section 3.2 the trunk ends in 7x7x256, and so does the trunk without the
last pool on frames of 89x89. Both hold if convolutions keep the size (SAME) and pools drop an odd row, as here.
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.layers import (
    check_video,
    conv,
    local_response_norm,
    max_pool,
    mean_over_time,
    no_padding,
    scaled,
    tf_same,
    without_masked,
)

MIN_FRAMES = {"single": 1, "early": 2, "late": 2, "slow": 10}
# (extent, stride) in time of conv1, conv2 and conv3 in slow fusion: 10 frames give 4, 2 and 1 steps
SLOW = ((4, 2), (2, 2), (2, 2))
SLOW_STRIDE = 8  # frames from one step of conv3 to the next; each step sees 10 frames
MIN_SIZE = 22  # ceil(22 / 3) = 8 is halved three times


def same_in_space(size, kernel, strides) -> tuple[tuple[int, int], ...]:
    """TensorFlow's SAME in height and width, no padding in time. Arguments: see `tf_same`, for 2 or 3 axes."""
    return ((0, 0),) * (len(kernel) - 2) + tf_same(size[-2:], kernel[-2:], strides[-2:])


class Fusion(nn.Module):
    """The trunk with one of four kinds of fusion over time, and a linear classifier averaged over the time steps.

    All four share one parameter tree, except that kernels that span time have an additional leading axis, and `fc1` has
    twice the inputs in late fusion. As that layer is fully connected, the parameters fit one frame size only.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        fusion: one of four kinds. "single" processes each frame separately and averages the logits over the frames (the
            paper trains on one frame per clip and averages predictions in the test). "early": conv1 spans the whole
            clip, 10 frames in the paper; the parameters fit clips of one length. "late" runs the trunk on the first and
            the last frame of the clip, 15 frames apart in the paper, and concatenates both as the input of fc1. "slow":
            conv1 spans 4 frames with a stride of 2, conv2 and conv3 span 2 with a stride of 2, so that a step sees 10
            frames. In longer clips the next step starts 8 frames later; an incomplete step at the end is dropped.
        width: multiplies the channels of every layer; 1 is the published network.
        dropout: dropout rate of fc1 and fc2, in training; Krizhevsky et al. use 0.5.
        batch_norm: use BatchNorm after each convolution instead of a bias and local response normalisation. It is not
            in the paper; it helps to train from scratch on little data.
        batch_norm_momentum: fraction of the running statistics that a step keeps.
        dtype: dtype of the computation; parameters are float32.

    Raises:
        ValueError: on construction, for an unknown fusion.
    """

    num_classes: int | None = None
    fusion: str = "slow"
    width: float = 1.0
    dropout: float = 0.0
    batch_norm: bool = False
    batch_norm_momentum: float = 0.9
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        if self.fusion not in MIN_FRAMES:
            raise ValueError(f"Unknown fusion {self.fusion!r}; choose one of {', '.join(MIN_FRAMES)}.")
        super().__post_init__()

    @nn.compact
    def __call__(self, video, *, frame_mask=None, train=False):
        """Classify clips.

        Args:
            video: (B, T, H, W, C), normalised float, H and W at least 22. T is at least 10 in slow fusion, 2 in early
                and late fusion.
            frame_mask: (B, T), boolean or 0 and 1; frames with 0 are ignored. Early and slow fusion set them
                to zero, and a step is valid if one of its frames is. Late fusion takes the first and last valid frame.
            train: whether to use batch statistics and dropout.

        Returns:
            Logits (B, num_classes), averaged over the time steps; without a classifier, the features. Endpoints:
            "conv1" to "conv5" (before the pools), "fc1", "fc2", and "features" (B, T', D), which is fc2, with D = 4096
            * width. T' is T in single-frame, 1 in early and late, and floor((T - 2) / 8) in slow fusion.

        Raises:
            ValueError: if the input is not a video, frames are too few or too small, or the number of channels, the
                number of frames (early fusion) or the frame size does not fit the parameters.
        """
        first = self.get_variable("params", "conv1")
        check_video(video, MIN_SIZE, MIN_FRAMES[self.fusion], first=first)
        num_frames = video.shape[1]
        if self.fusion == "early" and first and first["kernel"].shape[0] != num_frames:
            raise ValueError(f"The parameters fuse {first['kernel'].shape[0]} frames early; got {num_frames} of them.")
        spans = {"early": ((num_frames, 1), None, None), "slow": SLOW}.get(self.fusion, (None,) * 3)  # None: 2-D
        he = nn.initializers.he_normal()
        norm = partial(
            nn.BatchNorm,
            use_running_average=not train,
            momentum=self.batch_norm_momentum,
            epsilon=1e-5,
            dtype=self.dtype,
        )
        ends = {}

        def convolve(x, i, channels, size, stride=1, span=None, normalise=False):
            time, time_stride = span or (1, 1)
            kernel, strides = (time, size, size), (time_stride, stride, stride)
            arguments = {"dims": 3 if span else 2, "use_bias": not self.batch_norm, "name": f"conv{i}"}
            arguments |= {"padding": same_in_space, "kernel_init": he, "dtype": self.dtype}
            x = conv(x, scaled(channels, self.width), kernel, strides, **arguments)
            x = nn.relu(norm(name=f"bn{i}")(x) if self.batch_norm else x)
            if normalise and not self.batch_norm:
                x = local_response_norm(x, beta=0.5)  # section 3.1; Krizhevsky et al. use 0.75
            ends[f"conv{i}"] = x
            return x

        def connect(x, name):
            x = nn.Dense(scaled(4096, self.width), kernel_init=he, dtype=self.dtype, name=name)(x)
            ends[name] = nn.relu(x)
            return nn.Dropout(self.dropout, deterministic=not train)(ends[name])

        pool = partial(max_pool, window=(1, 2, 2), strides=(1, 2, 2), padding=no_padding)
        x = video.astype(self.dtype)
        if self.fusion == "late":
            x = first_and_last(x, frame_mask)  # (B, 2, H, W, C)
        elif self.fusion != "single":
            x = without_masked(x, frame_mask)

        # Shapes in comments are for width 1 at 170x170. T1, T2 and T' are T in single-frame, 2 in late, and 1 in early
        # fusion; in slow fusion of 10 frames they are 4, 2 and 1.
        x = convolve(x, 1, 96, 11, stride=3, span=spans[0], normalise=True)  # (B, T1, 57, 57, 96)
        x = pool(x)  # (B, T1, 28, 28, 96)
        x = convolve(x, 2, 256, 5, span=spans[1], normalise=True)  # (B, T2, 28, 28, 256)
        x = pool(x)  # (B, T2, 14, 14, 256)
        x = convolve(x, 3, 384, 3, span=spans[2])  # (B, T', 14, 14, 384)
        x = convolve(x, 4, 384, 3)
        x = convolve(x, 5, 256, 3)  # (B, T', 14, 14, 256)
        x = pool(x)  # (B, T', 7, 7, 256)

        steps = 1 if self.fusion == "late" else x.shape[1]
        x = x.reshape(x.shape[0], steps, -1)  # (B, T', 12544), or (B, 1, 25088) in late fusion
        full = self.get_variable("params", "fc1")
        if full and full["kernel"].shape[0] != x.shape[-1]:
            raise ValueError(
                f"fc1 takes {full['kernel'].shape[0]} numbers, but frames of {video.shape[2]}x{video.shape[3]} give "
                f"{x.shape[-1]}: use frames of the size that the network was made for."
            )
        x = connect(x, "fc1")  # (B, T', 4096)
        x = connect(x, "fc2")  # (B, T', 4096)
        ends["features"] = ends["fc2"]
        if not self.num_classes:
            return ends["features"], ends
        x = nn.Dense(self.num_classes, dtype=self.dtype, name="fc3")(x)  # (B, T', num_classes)
        return mean_over_time(x, self.mask_of_steps(frame_mask)), ends  # (B, num_classes)

    def mask_of_steps(self, frame_mask):
        """Return which steps see a valid frame: (B, T) -> float32 (B, T'), or None."""
        if frame_mask is None:
            return None
        whole = frame_mask.shape[1]
        window, stride = {"single": (1, 1), "slow": (MIN_FRAMES["slow"], SLOW_STRIDE)}.get(self.fusion, (whole, whole))
        return nn.max_pool(frame_mask.astype(jnp.float32)[..., None], (window,), (stride,), "VALID")[..., 0]


def first_and_last(video: jax.Array, frame_mask: jax.Array | None = None) -> jax.Array:
    """Return the first and the last valid frame: (B, T, H, W, C) and (B, T) -> (B, 2, H, W, C)."""
    if frame_mask is None:
        return video[:, jnp.array([0, -1])]
    mask = frame_mask.astype(bool)
    indices = jnp.stack([mask.argmax(1), mask.shape[1] - 1 - mask[:, ::-1].argmax(1)], 1)  # (B, 2)
    return jnp.take_along_axis(video, indices[:, :, None, None, None], axis=1)
