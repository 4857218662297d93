"""Layers that several networks share: padding, convolution, the conv-norm-activation unit, pooling, averages.

Kernels, windows and strides are always (time, height, width). With `dims=2` the first entry is dropped and the time
axis becomes another batch axis, so that the same definition processes each frame separately.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vidjax.models.backend import convolution, depthwise_convolution, max_pooling

Triple = tuple[int, int, int]


# --- Padding: explicit, and named after its source -------------------------------------------------------------------


def tf_same(size: Sequence[int], kernel: Sequence[int], strides: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """TensorFlow's SAME: ceil(size / stride) outputs; an odd padding puts its extra entry at the end.

    Source: the notes on padding of convolutions at https://www.tensorflow.org/api_docs/python/tf/nn.

    Args:
        size: input size per axis; kernel, strides: of the same axes.

    Returns:
        (before, after) per axis. It depends on the size: a kernel of 3 with a stride of 2 on size 64 gives (0, 1).
    """
    total = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(size, kernel, strides, strict=True)]
    return tuple((p // 2, p - p // 2) for p in total)


def torch_same(size: Sequence[int], kernel: Sequence[int], strides: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """PyTorch's `padding=(kernel - 1) // 2`: symmetric for every size. Arguments: see `tf_same`."""
    return tuple(((k - 1) // 2, (k - 1) // 2) for k in kernel)


def no_padding(size: Sequence[int], kernel: Sequence[int], strides: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """No padding: TensorFlow's VALID, PyTorch's default. Arguments: see `tf_same`."""
    return ((0, 0),) * len(kernel)


def torch_ceil(size: Sequence[int], kernel: Sequence[int], strides: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """PyTorch's `ceil_mode=True` without leading padding: the last window may extend past the end."""
    steps = [max(-(-(n - k) // s), 0) for n, k, s in zip(size, kernel, strides, strict=True)]
    return tuple((0, max(t * s + k - n, 0)) for t, s, k, n in zip(steps, strides, kernel, size, strict=True))


def causal(padding: Callable) -> Callable:
    """Turn a padding of (time, height, width) into one that pads only the past, so that no output sees the future.

    There are ceil(frames / stride) outputs in time, and output i sees frames up to i * stride.
    """

    def pads(size, kernel, strides):
        if len(kernel) != 3:
            raise ValueError("Causal padding is for 3-D convolutions: there is no time in 2-D.")
        return ((kernel[0] - 1, 0), *padding(size, kernel, strides)[1:])

    return pads


# --- Convolution -----------------------------------------------------------------------------------------------------


def conv(
    x: jax.Array,
    features: int,
    kernel: Triple,
    strides: Triple = (1, 1, 1),
    *,
    padding: Callable,
    dims: int = 3,
    use_bias: bool = False,
    kernel_init: Callable = nn.initializers.lecun_normal(),  # noqa: B008
    dtype: jnp.dtype | None = None,
    name: str | None = None,
) -> jax.Array:
    """A 2-D or 3-D convolution. Call it in a compact method, where it creates the submodule `name`.

    Args:
        x: (B, T, H, W, C).
        kernel, strides: (time, height, width); the first is dropped if `dims` is 2.
        padding: `tf_same`, `torch_same`, `no_padding`, ...
        dims: 2 (each frame separately) or 3. The implementation depends on the platform; see `backend.convolution`.

    Returns:
        (B, T', H', W', features). The parameter `kernel` is (t, h, w, C, features), or (h, w, C, features) in 2-D.
    """
    kernel, strides = kernel[-dims:], strides[-dims:]
    pads = padding(x.shape[-1 - dims : -1], kernel, strides)
    arguments = {"use_bias": use_bias, "kernel_init": kernel_init, "dtype": dtype, "name": name}
    return nn.Conv(features, kernel, strides, pads, conv_general_dilated=convolution(), **arguments)(x)


def depthwise(x: jax.Array, kernel: jax.Array, strides: Triple = (1, 1, 1), *, padding: Callable) -> jax.Array:
    """A 3-D convolution of each channel by itself; the implementation depends on the platform.

    Args:
        x: (B, T, H, W, C).
        kernel: (t, h, w, 1, C).
        padding: see `conv`.

    Returns:
        (B, T', H', W', C).
    """
    return depthwise_convolution()(x, kernel, strides, padding(x.shape[1:4], kernel.shape[:3], strides))


def middle_width(inputs: int, features: int, kernel: Triple = (3, 3, 3)) -> int:
    """Number of channels between the two halves of a (2+1)-D convolution that matches the parameters of the 3-D one.

    Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition" (CVPR 2018), section 3.5:
    M = floor(t d^2 N_in N_out / (d^2 N_in + t N_out)).
    """
    t, h, w = kernel
    return (t * h * w * inputs * features) // (h * w * inputs + t * features)


class Conv2Plus1D(nn.Module):
    """A convolution over space, norm, ReLU, then a convolution over time: replaces a 3-D convolution in R(2+1)D.

    Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition" (CVPR 2018).

    Attributes:
        norm: creates the norm layer from `name`, such as `partial(nn.BatchNorm, use_running_average=True)`.
        conv: both convolutions, with the arguments of `conv` above.
        middle: channels between the two; None computes `middle_width`. (torchvision uses the middle width of a block's
            first convolution for both.)
    """

    features: int
    kernel: Triple
    strides: Triple = (1, 1, 1)
    norm: Callable = partial(nn.BatchNorm, use_running_average=True)
    conv: Callable = partial(conv, padding=torch_same)
    middle: int | None = None

    @nn.compact
    def __call__(self, x):
        """(B, T, H, W, C) -> (B, T', H', W', features)."""
        (t, h, w), (st, sh, sw) = self.kernel, self.strides
        middle = self.middle or middle_width(x.shape[-1], self.features, self.kernel)
        x = self.conv(x, middle, (1, h, w), (1, sh, sw), name="spatial")  # (B, T, H', W', M)
        x = nn.relu(self.norm(name="norm")(x))
        return self.conv(x, self.features, (t, 1, 1), (st, 1, 1), name="temporal")  # (B, T', H', W', features)


class ConvUnit(nn.Module):
    """Convolution, norm, activation: the building block of Inception-v1 and I3D.

    Attributes:
        conv: the convolution, with the arguments of `conv` above: `partial(conv, padding=tf_same, dims=2)`.
        norm: creates the norm layer from `name`; None for no norm.
        activation: None for no activation.
        use_bias: whether the convolution has a bias; useful only without a norm.
    """

    features: int
    kernel: Triple
    strides: Triple = (1, 1, 1)
    conv: Callable = partial(conv, padding=tf_same)
    norm: Callable | None = None
    activation: Callable | None = nn.relu
    use_bias: bool = False

    @nn.compact
    def __call__(self, x):
        """(B, T, H, W, C) -> (B, T', H', W', features)."""
        x = self.conv(x, self.features, self.kernel, self.strides, use_bias=self.use_bias, name="conv_3d")
        if self.norm is not None:
            x = self.norm(name="batch_norm")(x)
        return x if self.activation is None else self.activation(x)


class SeparableUnit(nn.Module):
    """A unit over space followed by one over time, in place of a 3-D unit. Attributes: see `ConvUnit`.

    Xie et al., "Rethinking Spatiotemporal Feature Learning" (ECCV 2018), https://arxiv.org/abs/1712.04851, figure 7.
    """

    features: int
    kernel: Triple
    strides: Triple = (1, 1, 1)
    conv: Callable = partial(conv, padding=torch_same)
    norm: Callable | None = None

    @nn.compact
    def __call__(self, x):
        """(B, T, H, W, C) -> (B, T', H', W', features)."""
        (t, h, w), (st, sh, sw) = self.kernel, self.strides
        x = ConvUnit(self.features, (1, h, w), (1, sh, sw), self.conv, self.norm, name="spatial")(x)
        return ConvUnit(self.features, (t, 1, 1), (st, 1, 1), self.conv, self.norm, name="temporal")(x)


# --- Normalisation ---------------------------------------------------------------------------------------------------


def local_response_norm(x: jax.Array, size: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75):
    """Divide each activation by (k + alpha * the sum of squares of the `size` channels around it) ** beta.

    Krizhevsky et al. (2012), section 3.3, with its constants. (Caffe and torch divide alpha by `size`.)

    Args:
        x: (..., C).

    Returns:
        An array of the same shape and dtype, computed in float32 or higher precision.
    """
    precise = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    around = [(0, 0)] * (x.ndim - 1) + [(size // 2, size // 2)]
    squares = jnp.pad(jnp.square(precise), around)  # (..., C + size - 1)
    total = sum(squares[..., i : i + x.shape[-1]] for i in range(size))  # (..., C)
    return (precise / (k + alpha * total) ** beta).astype(x.dtype)


# --- Pooling and averages --------------------------------------------------------------------------------------------


def max_pool(x: jax.Array, window: Triple, strides: Triple, *, padding: Callable, dims: int = 3) -> jax.Array:
    """Max-pooling of (B, T, H, W, C). Arguments: see `conv`. Padding is never the maximum."""
    if dims == 2:
        window, strides = (1, *window[1:]), (1, *strides[1:])
    return max_pooling()(x, window, strides, padding(x.shape[1:-1], window, strides))


def pool_space(x: jax.Array) -> jax.Array:
    """Average over height and width: (B, T, H, W, C) -> (B, T, C)."""
    return x.mean((-3, -2))


def adaptive_average(x: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Average (B, T, H, W, C) over a grid of `size` windows that may overlap, like PyTorch's AdaptiveAvgPool2d.

    Output i is the mean of the inputs from floor(i n / m) to ceil((i + 1) n / m).
    """

    def weights(inputs: int, outputs: int) -> jax.Array:
        start = np.arange(outputs) * inputs // outputs
        end = -(-(np.arange(outputs) + 1) * inputs // outputs)
        inside = (np.arange(inputs) >= start[:, None]) & (np.arange(inputs) < end[:, None])
        return jnp.asarray(inside / inside.sum(1, keepdims=True), x.dtype)  # (outputs, inputs)

    height, width = weights(x.shape[2], size[0]), weights(x.shape[3], size[1])
    return jnp.einsum("bthwc,ih,jw->btijc", x, height, width)  # (B, T, *size, C)


def mean_over_time(x: jax.Array, frame_mask: jax.Array | None = None) -> jax.Array:
    """Average over the valid frames.

    Args:
        x: (B, T, D).
        frame_mask: (B, T), boolean or 0 and 1; None means that all frames are valid.

    Returns:
        (B, D); zeros for a clip without a valid frame.
    """
    if frame_mask is None:
        return x.mean(1)
    mask = frame_mask.astype(x.dtype)[..., None]  # (B, T, 1)
    return (x * mask).sum(1) / jnp.maximum(mask.sum(1), 1)


class MeanOverTime(nn.Module):
    """`mean_over_time` as a layer: `models.stateful` makes it the mean over all pieces of a stream."""

    def __call__(self, x, frame_mask=None):
        """(B, T, D), frame_mask (B, T) -> (B, D)."""
        return mean_over_time(x, frame_mask)


class LastValid(nn.Module):
    """The last valid step of each row; `models.stateful` makes it that of all pieces of a stream."""

    def __call__(self, x, frame_mask=None):
        """(B, T, D), frame_mask (B, T) -> (B, D)."""
        if frame_mask is None:
            return x[:, -1]
        last = x.shape[1] - 1 - jnp.asarray(frame_mask).astype(bool)[:, ::-1].argmax(1)  # (B,)
        return jnp.take_along_axis(x, last[:, None, None], axis=1)[:, 0]


def mask_of_steps(frame_mask: jax.Array | None, stride: int) -> jax.Array | None:
    """Return which steps see a valid frame, in a network with one step per `stride` frames.

    Args:
        frame_mask: (B, T), boolean or 0 and 1; None means that all frames are valid.

    Returns:
        float32 (B, ceil(T / stride)), or None.
    """
    if frame_mask is None:
        return None
    mask = frame_mask.astype(jnp.float32)[..., None]  # (B, T, 1)
    return nn.max_pool(mask, (stride,), (stride,), ((0, -mask.shape[1] % stride),))[..., 0]


def without_masked(video: jax.Array, frame_mask: jax.Array | None) -> jax.Array:
    """Set masked frames to zero, to hide them from a 3-D network."""
    return video if frame_mask is None else video * frame_mask[:, :, None, None, None].astype(video.dtype)


def maps_at(ends: Mapping[str, jax.Array], layer: str) -> jax.Array:
    """Return the feature maps of the endpoint `layer`, (B, T, H, W, C).

    Raises:
        ValueError: if the endpoint does not exist or has no maps. The message lists those that have.
    """
    maps = [name for name, x in ends.items() if x.ndim == 5]
    if layer not in maps:
        raise ValueError(f"The inner network has no maps {layer!r}; choose model.layer from {', '.join(maps)}.")
    return ends[layer]


# --- Sizes and checks ------------------------------------------------------------------------------------------------


def scaled(channels: int, width: float) -> int:
    """Return `width` times the channels, rounded and at least 4."""
    return max(4, round(channels * width)) if width != 1 else channels


def check_video(video: jax.Array, min_size: int, min_frames: int = 1, first: Mapping | None = None):
    """Check the input of a video network.

    Args:
        video: must be (B, T, H, W, C), float.
        min_size, min_frames: smallest height and width, and number of frames, that the network's strides and windows
            allow.
        first: parameters of the first layer, `self.get_variable("params", NAME)`; None during initialisation.

    Raises:
        ValueError: for a wrong shape or dtype, or a number of channels that does not fit the parameters.
    """
    if video.ndim != 5:
        raise ValueError(f"A video is (batch, time, height, width, channels); got the shape {video.shape}.")
    if not jnp.issubdtype(video.dtype, jnp.floating):
        raise ValueError(f"The model wants a normalised float video, see vidjax.preprocess; got {video.dtype}.")
    if any(size < 1 for size in video.shape[1:]) or min(video.shape[2:4]) < min_size:
        raise ValueError(
            f"Frames must be at least {min_size}x{min_size}, or the network's strides leave nothing of them; "
            f"got a video of the shape {video.shape}."
        )
    if video.shape[1] < min_frames:
        raise ValueError(f"The network needs at least {min_frames} frames; got a video of the shape {video.shape}.")
    kernels = [x for x in jax.tree.leaves(first) if x.ndim >= 4]
    if kernels and kernels[0].shape[-2] != video.shape[-1]:
        raise ValueError(
            f"The network's parameters are for {kernels[0].shape[-2]} channels (3 is RGB, 2 is optical flow); "
            f"got a video of the shape {video.shape}."
        )
