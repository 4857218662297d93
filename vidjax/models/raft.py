"""RAFT: optical flow by looking up the correlation of all pairs of pixels again and again.

Teed and Deng, "RAFT: Recurrent All-Pairs Field Transforms for Optical Flow" (ECCV 2020),
https://arxiv.org/abs/2003.12039, in the layout of torchvision 0.29 (models/optical_flow/raft.py).
"""

from collections.abc import Callable
from functools import partial

import einops
import jax
import jax.numpy as jnp
from flax import linen as nn

from vidjax.models import backend, correlation, layers
from vidjax.models.flow_layers import check_frames, padded, pairs, resized
from vidjax.models.resnet import he_fan_out, torch_linear

STRIDE, SMALLEST = 8, 128  # pixels; below 128, torchvision's correlation has no fourth level
LEVELS = 4  # of the correlation

conv = partial(layers.conv, padding=layers.torch_same, dims=2, use_bias=True)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut.

    Attributes:
        channels: channels of the output.
        stride: stride of the first convolution; 2 projects the shortcut.
        norm: creates a norm layer from `name`.
        dtype: dtype of the computation.
    """

    channels: int
    stride: int
    norm: Callable
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x):
        """(N, H, W, C) -> (N, H / stride, W / stride, channels)."""
        of_block = partial(_unit, conv=_encoder_conv(self.dtype), norm=self.norm)
        y = nn.relu(of_block(x, self.channels, 3, self.stride, name="1"))
        y = nn.relu(of_block(y, self.channels, 3, 1, name="2"))
        x = x if self.stride == 1 else of_block(x, self.channels, 1, self.stride, name="_shortcut")
        return nn.relu(x + y)


class BottleneckBlock(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut, of the small network. Attributes: see `ResidualBlock`."""

    channels: int
    stride: int
    norm: Callable
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x):
        """(N, H, W, C) -> (N, H / stride, W / stride, channels)."""
        of_block = partial(_unit, conv=_encoder_conv(self.dtype), norm=self.norm)
        y = nn.relu(of_block(x, self.channels // 4, 1, 1, name="1"))
        y = nn.relu(of_block(y, self.channels // 4, 3, self.stride, name="2"))
        y = nn.relu(of_block(y, self.channels, 1, 1, name="3"))
        x = x if self.stride == 1 else of_block(x, self.channels, 1, self.stride, name="_shortcut")
        return nn.relu(x + y)


def _encoder_conv(dtype: jnp.dtype) -> Callable:
    return partial(conv, kernel_init=he_fan_out, dtype=dtype)


def _unit(x, channels, size, stride, *, conv, norm, name):
    """A convolution, `conv{name}`, and a norm, `norm{name}`."""
    x = conv(x, channels, (1, size, size), (1, stride, stride), name=f"conv{name}")
    return norm(name=f"norm{name}")(x)


def no_norm(name: str) -> Callable:
    """The norm of the small network's context encoder: none."""
    return lambda x: x


class Encoder(nn.Module):
    """Maps at an eighth of the size.

    Attributes:
        block: `ResidualBlock` or `BottleneckBlock`.
        channels: channels of the stem and the first stage, the second, the third; and of the output.
        norm: creates a norm layer from `name`.
        dtype: dtype of the computation.
    """

    block: type
    channels: tuple[int, int, int, int]
    norm: Callable
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x):
        """(N, H, W, 3) -> (N, H / 8, W / 8, channels[-1])."""
        x = _unit(x, self.channels[0], 7, 2, conv=_encoder_conv(self.dtype), norm=self.norm, name="1")
        x = nn.relu(x)  # (N, H/2, W/2, channels[0])
        for stage, channels in enumerate(self.channels[:3]):
            for i in range(2):
                stride = 2 if stage > 0 and i == 0 else 1
                x = self.block(channels, stride, self.norm, self.dtype, name=f"layer{stage + 1}_{i}")(x)
        return _encoder_conv(self.dtype)(x, self.channels[3], (1, 1, 1), name="out")


class ConvGRU(nn.Module):
    """A gated recurrent unit with convolutions as products (section 3.3)."""

    features: int
    kernel: tuple[int, int]
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, hidden, x):
        """(N, H, W, features), (N, H, W, C) -> (N, H, W, features)."""
        gate = partial(
            conv, features=self.features, kernel=(1, *self.kernel), kernel_init=torch_linear, dtype=self.dtype
        )
        both = jnp.concatenate([hidden, x], -1)
        update, reset = nn.sigmoid(gate(both, name="z")), nn.sigmoid(gate(both, name="r"))
        new = jnp.tanh(gate(jnp.concatenate([reset * hidden, x], -1), name="q"))
        return (1 - update) * hidden + update * new


class MotionEncoder(nn.Module):
    """Joins the correlations with the flow that they were looked up at (appendix A).

    Attributes:
        of_correlation: channels of a 1x1 convolution of the correlations and, if there are two, a 3x3 convolution.
        of_flow: channels of a 7x7 and a 3x3 convolution of the flow.
        features: channels of the output, the flow included.
        dtype: dtype of the computation.
    """

    of_correlation: tuple[int, ...]
    of_flow: tuple[int, int]
    features: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, flow, correlations):
        """(N, H, W, 2), (N, H, W, C) -> (N, H, W, features)."""
        unit = partial(conv, kernel_init=torch_linear, dtype=self.dtype)
        x, y = correlations, flow
        for i, (channels, size) in enumerate(zip(self.of_correlation, (1, 3), strict=False), 1):
            x = nn.relu(unit(x, channels, (1, size, size), name=f"correlation{i}"))
        for i, (channels, size) in enumerate(zip(self.of_flow, (7, 3), strict=True), 1):
            y = nn.relu(unit(y, channels, (1, size, size), name=f"flow{i}"))
        joint = nn.relu(unit(jnp.concatenate([x, y], -1), self.features - 2, (1, 3, 3), name="joint"))
        return jnp.concatenate([joint, flow], -1)


class TwoConvs(nn.Module):
    """A 3x3 convolution, ReLU, another convolution: the head of the flow and that of the upsampling mask.

    Attributes:
        hidden, features: channels of the two; size: kernel size of the second.
        dtype: dtype of the computation.
    """

    hidden: int
    features: int
    size: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x):
        """(N, H, W, C) -> (N, H, W, features)."""
        unit = partial(conv, kernel_init=torch_linear, dtype=self.dtype)
        x = nn.relu(unit(x, self.hidden, (1, 3, 3), name="conv1"))
        return unit(x, self.features, (1, self.size, self.size), name="conv2")


class Update(nn.Module):
    """One iteration: looks correlations up, updates the hidden state, moves the places. Attributes: see `RAFT`."""

    of_correlation: tuple[int, ...]
    of_flow: tuple[int, int]
    motion: int
    gru_kernels: tuple[tuple[int, int], ...]
    head: int
    radius: int
    keeps_all: bool
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, carry, context, first, seconds, start):
        """Hidden state (N, h, w, F) and places (N, h, w, 2) -> the same, and both again if `keeps_all`.

        Args:
            context: (N, h, w, C).
            first: features of the first frame (N, h, w, D), or None for `seconds` that are volumes.
            seconds: the pyramid of the second frame's features, or of volumes.
            start: places before the first iteration.
        """
        hidden, places = carry
        places = jax.lax.stop_gradient(places)
        if first is None:
            found = correlation.look_up(seconds, places, self.radius)
        else:
            found = correlation.look_up_on_demand(first, seconds, places, self.radius)
        flow, found = (places - start).astype(self.dtype), found.astype(self.dtype)
        encoder = MotionEncoder(self.of_correlation, self.of_flow, self.motion, self.dtype, name="motion")
        x = jnp.concatenate([context, encoder(flow, found)], -1)
        for i, kernel in enumerate(self.gru_kernels, 1):
            hidden = ConvGRU(hidden.shape[-1], kernel, self.dtype, name=f"gru{i}")(hidden, x)
        delta = TwoConvs(self.head, 2, 3, self.dtype, name="head")(hidden)
        places = places + delta.astype(places.dtype)
        return (hidden, places), ((hidden, places) if self.keeps_all else None)


def convex_upsampled(flow: jax.Array, mask: jax.Array) -> jax.Array:
    """Eight times the flow at eight times the size: each new pixel is a weighted mean of 3x3 old ones (appendix B).

    Args:
        flow: (N, h, w, 2).
        mask: (N, h, w, 9 * 64), logits of the weights, by old pixel, then by new one; both row by row.

    Returns:
        (N, 8 h, 8 w, 2).
    """
    height, width = flow.shape[1:3]
    around = jnp.pad(STRIDE * flow, ((0, 0), (1, 1), (1, 1), (0, 0)))
    old = jnp.stack([around[:, i : i + height, j : j + width] for i in range(3) for j in range(3)], 3)
    weights = nn.softmax(einops.rearrange(mask, "n h w (k p) -> n h w k p", k=9), 3)  # (N, h, w, 9, 64)
    new = jnp.einsum("nhwkp,nhwkc->nhwpc", weights, old)  # (N, h, w, 64, 2)
    return einops.rearrange(new, "n h w (a b) c -> n (h a) (w b) c", a=STRIDE)


class RAFT(nn.Module):
    """RAFT with 5,257,536 parameters; `RAFTSmall` has 990,162.

    Attributes:
        num_classes: not used.
        iterations: number of updates; 12 in training, and 24 or 32 in the paper's evaluation.
        volume: keep the correlation of all pairs in memory, 4/3 (H W / 64)^2 float32 numbers per pair; False computes
            it row by row in every iteration: slower, and the same flow.
        frozen_norm: use the context encoder's running statistics in training too, as the paper after FlyingChairs.
        block: `ResidualBlock` or `BottleneckBlock`.
        channels: channels of the stages of both encoders; features: of the feature encoder's output.
        context_norm: whether the context encoder has batch norms; the feature encoder has instance norms.
        hidden, context: channels of the hidden state and of the context, together the context encoder's output.
        radius: reach of a look-up, see `correlation.look_up`.
        of_correlation, of_flow, motion: see `MotionEncoder`.
        gru_kernels: (height, width) of the kernels of each recurrent unit.
        head: hidden channels of the flow's head.
        convex: upsample by learned weights, see `convex_upsampled`; otherwise bilinearly.
        dtype: dtype of the computation; parameters, correlations and flow are float32.
    """

    num_classes: int | None = None
    iterations: int = 12
    volume: bool = True
    frozen_norm: bool = False
    block: type = ResidualBlock
    channels: tuple[int, int, int] = (64, 96, 128)
    features: int = 256
    context_norm: bool = True
    hidden: int = 128
    context: int = 128
    radius: int = 4
    of_correlation: tuple[int, ...] = (256, 192)
    of_flow: tuple[int, int] = (128, 64)
    motion: int = 128
    gru_kernels: tuple[tuple[int, int], ...] = ((1, 5), (5, 1))
    head: int = 256
    convex: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video, *, train=False):
        """Compute the optical flow from each frame to the next.

        Args:
            video: (B, T, H, W, 3), float in -1..1, T at least 2. Frames of sides that are not multiples of 8, or below
                128 pixels, are padded with their border on all sides, and the flow is cut out again.
            train: return the flow after each iteration, and use batch statistics.

        Returns:
            The flow in pixels, x to the right and y down, float32 (B, T - 1, H, W, 2); in training a tuple of
            `iterations` of them, first to last. Endpoints: "features", the mean of the last hidden state over space
            (B, T - 1, hidden), and "flow", the last flow.

        Raises:
            ValueError: for an input that is not a video of three channels, a single frame, or no iteration.
        """
        check_frames(video)
        if self.iterations < 1:
            raise ValueError(f"iterations = {self.iterations} must be at least 1.")
        precise = jnp.promote_types(self.dtype, jnp.float32)
        batch, steps = video.shape[0], video.shape[1] - 1
        x, inside = padded(video.astype(self.dtype), STRIDE, SMALLEST, centred=True)

        norm = partial(nn.InstanceNorm, use_bias=False, use_scale=False, epsilon=1e-5, use_fast_variance=False)
        encoder = partial(Encoder, self.block, dtype=self.dtype)
        of_frames = encoder((*self.channels, self.features), partial(norm, dtype=self.dtype), name="features")
        maps = of_frames(einops.rearrange(x, "b t h w c -> (b t) h w c")).astype(precise)  # (B T, h, w, D)
        first, second = pairs(einops.rearrange(maps, "(b t) h w d -> b t h w d", b=batch))  # (N, h, w, D)
        seconds = correlation.pyramid(second, LEVELS)
        if self.volume:
            first, seconds = None, [correlation.all_pairs(first, maps) for maps in seconds]  # (N, h, w, h, w), ...

        average = not train or self.frozen_norm
        norm = partial(nn.BatchNorm, use_running_average=average, momentum=0.9, epsilon=1e-5, dtype=self.dtype)
        norm = norm if self.context_norm else no_norm
        of_context = encoder((*self.channels, self.hidden + self.context), norm, name="context")
        x = of_context(pairs(x)[0])  # (N, h, w, hidden + context)
        hidden, context = jnp.tanh(x[..., : self.hidden]), nn.relu(x[..., self.hidden :])

        height, width = hidden.shape[1:3]
        start = jnp.stack(jnp.meshgrid(*map(partial(jnp.arange, dtype=precise), (width, height))), -1)  # (h, w, 2)
        start = jnp.broadcast_to(start, (hidden.shape[0], height, width, 2))
        update = nn.scan(
            Update,
            variable_broadcast="params",
            split_rngs={"params": False},
            in_axes=(nn.broadcast,) * 4,
            length=self.iterations,
            unroll=self.iterations if self.volume and backend.unrolls_loops() else 1,
        )(
            self.of_correlation, self.of_flow, self.motion, self.gru_kernels, self.head, self.radius, train,
            self.dtype, name="update",
        )  # fmt: skip
        carry, every = update((hidden, start), context, first, seconds, start)
        hidden, places = every if train else (x[None] for x in carry)  # (I, N, h, w, ...)
        flow = places - start
        hidden, flow = (einops.rearrange(x, "i n h w c -> (i n) h w c") for x in (hidden, flow))
        if self.convex:  # the paper scales the logits by 1/4, to balance the gradients
            mask = TwoConvs(256, 9 * STRIDE**2, 1, self.dtype, name="mask")(hidden)
            flow = convex_upsampled(flow, 0.25 * mask.astype(precise))  # (I N, 8 h, 8 w, 2)
        else:
            flow = STRIDE * resized(flow, STRIDE * height, STRIDE * width)
        flow = einops.rearrange(flow, "(i b t) h w c -> i b t h w c", b=batch, t=steps)[:, :, :, *inside]
        features = carry[0].mean((1, 2)).reshape(batch, steps, -1)
        return tuple(flow) if train else flow[-1], {"features": features, "flow": flow[-1]}


RAFTSmall = partial(
    RAFT,
    block=BottleneckBlock,
    channels=(32, 64, 96),
    features=128,
    context_norm=False,
    hidden=96,
    context=64,
    radius=3,
    of_correlation=(96,),
    of_flow=(64, 32),
    motion=82,
    gru_kernels=((3, 3),),
    head=128,
    convex=False,
)
