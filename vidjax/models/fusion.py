"""Single frame, early, late and slow fusion: one trunk, and four places where it looks at time.

Karpathy et al., "Large-scale Video Classification with Convolutional Neural Networks" (CVPR 2014), section 3.1 and
figure 1. Their trunk follows Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks"
(NeurIPS 2012), on frames of 170x170; N is local response normalisation, P a pool of 2x2:

    C(96,11,3)-N-P-C(256,5,1)-N-P-C(384,3,1)-C(384,3,1)-C(256,3,1)-P-FC(4096)-FC(4096)

The paper does not name its padding. In its section 3.2 the trunk ends in 7x7x256, and also does so without the last
pool on frames of 89x89. Both hold where convolutions keep the size (SAME) and pools drop the odd row, as they do here.
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
# (extent, stride) in time of conv1, conv2 and conv3 in slow fusion: 10 frames give 4, 2 and 1 responses
SLOW = ((4, 2), (2, 2), (2, 2))
SLOW_STRIDE = 8  # frames from a response of conv3 to the next; each sees 10
MIN_SIZE = 22  # ceil(22 / 3) = 8 is halved three times


def same_in_space(size, kernel, strides) -> tuple[tuple[int, int], ...]:
    """TensorFlow's SAME in height and width, no padding in time. Arguments as of `tf_same`, of 2 or 3 axes."""
    return ((0, 0),) * (len(kernel) - 2) + tf_same(size[-2:], kernel[-2:], strides[-2:])


class Fusion(nn.Module):
    """The trunk, fused over time in one of four ways, and a linear classifier of each step, averaged over the steps.

    The tree of parameters is the same in all four; kernels that span time have one more, leading axis, and late fusion
    has twice the inputs in `fc1`. As that layer is fully connected, the parameters are for one size of frames.

    Attributes:
        num_classes: 0 or None for no classifier.
        fusion: "single" sees each frame by itself, and averages the logits over the frames (the paper trains on one
            frame a clip and averages predictions in the test). "early": conv1 spans the whole clip, 10 frames in the
            paper; the parameters are for clips of one length. "late": the trunk on the first and on the last frame of
            the clip, 15 frames apart in the paper, side by side into fc1. "slow": conv1 spans 4 frames at a stride of
            2, conv2 and conv3 span 2 at a stride of 2, so that a step sees 10 frames; in longer clips the next one
            starts 8 frames later, and frames at the end that no whole step is left for are not seen.
        width: multiplies the channels of every layer; 1 is the published network.
        dropout: of fc1 and fc2, while training; Krizhevsky et al. have 0.5.
        batch_norm: BatchNorm after each convolution, in place of its bias and of local response normalisation. This is
            not the paper's: it is for training from scratch on little data.
        batch_norm_momentum: how much of the running statistics a step keeps.
        dtype: of the computation; parameters are float32.

    Raises:
        ValueError: when made, for an unknown kind of fusion.
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
        """Classifies clips.

        Args:
            video: (B, T, H, W, C), normalised float, H and W at least 22. T is at least 10 in slow fusion, 2 in early
                and late fusion.
            frame_mask: (B, T), boolean or 0 and 1: frames that are 0 do not count. Early and slow fusion set them to
                zero, and a step counts where one of its frames does; late fusion takes the first and the last that do.
            train: use the statistics of this batch, and dropout.

        Returns:
            Logits (B, num_classes), the mean of those of each step in time; without a classifier the features.
            Endpoints: "conv1" to "conv5" (before the pools), "fc1", "fc2", and "features" (B, T', D), which is fc2, D =
            4096 * width. T' = T in single frame, 1 in early and late, floor((T - 2) / 8) in slow fusion.

        Raises:
            ValueError: for a shape that is not a video, too few or too small frames, or other channels, another number
                of frames (early fusion) or another size of them than the parameters are for.
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
                x = local_response_norm(x, beta=0.5)  # section 3.1; Krizhevsky et al. have 0.75
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

        # Shapes are those of width 1 at 170x170. T1, T2, T' are T in single frame, 2 in late, 1 in early fusion, and in
        # slow fusion of 10 frames 4, 2, 1.
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
        """Which steps see a frame that counts: (B, T) -> float32 (B, T'), or None."""
        if frame_mask is None:
            return None
        whole = frame_mask.shape[1]
        window, stride = {"single": (1, 1), "slow": (MIN_FRAMES["slow"], SLOW_STRIDE)}.get(self.fusion, (whole, whole))
        return nn.max_pool(frame_mask.astype(jnp.float32)[..., None], (window,), (stride,), "VALID")[..., 0]


def first_and_last(video: jax.Array, frame_mask: jax.Array | None = None) -> jax.Array:
    """The first and the last frame that count: (B, T, H, W, C) and (B, T) -> (B, 2, H, W, C)."""
    if frame_mask is None:
        return video[:, jnp.array([0, -1])]
    mask = frame_mask.astype(bool)
    indices = jnp.stack([mask.argmax(1), mask.shape[1] - 1 - mask[:, ::-1].argmax(1)], 1)  # (B, 2)
    return jnp.take_along_axis(video, indices[:, :, None, None, None], axis=1)
