"""Temporal convolutional networks over frame features: dilated and residual, and encoder-decoder.

Bai, Kolter and Koltun, "An Empirical Evaluation of Generic Convolutional and Recurrent Networks for Sequence Modeling"
(2018), https://arxiv.org/abs/1803.01271: `TCN`, as in the authors' code (github.com/locuslab/TCN).
Lea et al., "Temporal Convolutional Networks for Action Segmentation and Detection" (CVPR 2017),
https://arxiv.org/abs/1611.05267: `EncoderDecoderTCN`, its ED-TCN.

Masked frames are zero at the input of every convolution, like the padding before and after a sequence. So a
sequence has the same outputs in a padded batch as alone.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.frame_pool import frame_features
from vidjax.models.layers import LastValid, mean_over_time
from vidjax.models.recurrent import check_sequence


def padding(kernel_size: int, dilation: int, causal: bool) -> tuple[int, int]:
    """Return the padding (before, after) in time that keeps the length: all before if causal, otherwise symmetric."""
    total = dilation * (kernel_size - 1)
    return (total, 0) if causal else (total // 2, total - total // 2)


def masked(x: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Set steps whose mask (B, T) is 0 to zero: (B, T, D) -> (B, T, D)."""
    return x if mask is None else jnp.where(mask.astype(bool)[..., None], x, 0)


class WeightNormConv(nn.Module):
    """A convolution over time with the kernel scale * kernel / |kernel|, normalised per output channel.

    Salimans and Kingma, "Weight Normalization" (NeurIPS 2016), https://arxiv.org/abs/1602.07868, equation 2. The scale
    starts at sqrt(2), which keeps the variance through a ReLU (He et al., 2015).

    Attributes:
        padding: zeros (before, after) in time.
    """

    features: int
    kernel_size: int
    dilation: int
    padding: tuple[int, int]
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        """(B, T, D) -> (B, T', features)."""
        shape = (self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.normal(1.0), shape)
        scale = self.param("scale", nn.initializers.constant(2.0**0.5), (self.features,))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        kernel = (scale * kernel / jnp.sqrt(jnp.square(kernel).sum((0, 1)))).astype(self.dtype)
        x = jax.lax.conv_general_dilated(
            x,
            kernel,
            (1,),
            [self.padding],
            rhs_dilation=(self.dilation,),
            dimension_numbers=("NWC", "WIO", "NWC"),
        )
        return x + bias.astype(self.dtype)


class ResidualBlock(nn.Module):
    """Two times convolution, ReLU and dropout; the input is added (by a 1x1 convolution if the width changes); ReLU.

    Bai et al., figure 1 (b). Attributes: see `TCN`.
    """

    features: int
    kernel_size: int
    dilation: int
    dropout: float
    causal: bool
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, mask=None, train=False):
        """(B, T, D), mask (B, T) -> (B, T, features)."""
        y = x
        pads = padding(self.kernel_size, self.dilation, self.causal)
        for name in ("conv1", "conv2"):
            convolve = WeightNormConv(self.features, self.kernel_size, self.dilation, pads, self.dtype, name=name)
            y = nn.relu(convolve(masked(y, mask)))
            y = nn.Dropout(self.dropout, deterministic=not train)(y)
        if x.shape[-1] != self.features:
            x = nn.Dense(self.features, dtype=self.dtype, name="downsample")(x)
        return nn.relu(x + y)


class TCN(nn.Module):
    """Residual blocks of dilated convolutions; the dilation doubles from block to block.

    Attributes:
        channels: output channels of each block.
        kernel_size: kernel size in time; block i adds 2 (kernel_size - 1) 2^i frames to the receptive field.
        dropout: dropout rate after each convolution, in training.
        causal: see only the past; otherwise past and future equally.
        dtype: dtype of the computation; parameters are float32.
    """

    channels: Sequence[int]
    kernel_size: int = 3
    dropout: float = 0.0
    causal: bool = True
    dtype: jnp.dtype = jnp.float32

    @property
    def receptive_field(self) -> tuple[int, int]:
        """Number of frames that an output sees before and after its own."""
        pads = [padding(self.kernel_size, 2**i, self.causal) for i in range(len(self.channels))]
        return 2 * sum(before for before, _ in pads), 2 * sum(after for _, after in pads)

    @nn.compact
    def __call__(self, x, frame_mask=None, train=False):
        """(B, T, D), frame_mask (B, T) -> (B, T, channels[-1]); masked frames are zero."""
        for i, features in enumerate(self.channels):
            arguments = self.kernel_size, 2**i, self.dropout, self.causal, self.dtype
            x = ResidualBlock(features, *arguments, name=f"block{i}")(x, frame_mask, train)  # (B, T, features)
        return masked(x, frame_mask)


def normalised_relu(x: jax.Array) -> jax.Array:
    """ReLU divided by the largest channel of each step: (..., D). Lea et al., section 3, with their epsilon of 1e-5."""
    x = nn.relu(x)
    return x / (x.max(-1, keepdims=True) + 1e-5)


class EncoderDecoderTCN(nn.Module):
    """Convolutions, each followed by a max-pool of 2, then as many, each after an upsampling of 2.

    Attributes:
        channels: output channels of each encoder level; the decoder uses them in reverse.
        kernel_size: kernel size in time of every convolution.
        dropout: dropout rate of whole channels after each convolution, in training.
        causal: see only the past. Each pooling window then ends at the frame of its output; in the authors' code it
            reaches into the future.
        dtype: dtype of the computation; parameters are float32.
    """

    channels: Sequence[int]
    kernel_size: int = 25
    dropout: float = 0.3
    causal: bool = False
    dtype: jnp.dtype = jnp.float32

    @property
    def receptive_field(self) -> tuple[int, int]:
        """Largest number of frames that an output sees before and after its own.

        How far an output sees to either side depends on its position in the pooling windows.
        """
        levels, (before, after) = len(self.channels), padding(self.kernel_size, 1, self.causal)
        reach = []
        for place in range(2**levels):
            first = last = place
            for _ in range(levels):  # the decoder, from the output back
                first, last = (first - before) // 2, (last + after) // 2
            for _ in range(levels):  # the encoder: pooled step i covers the steps 2 i - causal and 2 i + 1 - causal
                first, last = 2 * first - self.causal - before, 2 * last + 1 - self.causal + after
            reach.append((place - first, last - place))
        return max(before for before, _ in reach), max(after for _, after in reach)

    @nn.compact
    def __call__(self, x, frame_mask=None, train=False):
        """(B, T, D), frame_mask (B, T) -> (B, T, channels[0]); masked frames are zero."""
        num_frames = x.shape[1]
        mask = jnp.ones(x.shape[:2], bool) if frame_mask is None else jnp.asarray(frame_mask).astype(bool)
        missing = -num_frames % 2 ** len(self.channels)
        x, mask = jnp.pad(x, ((0, 0), (0, missing), (0, 0))), jnp.pad(mask, ((0, 0), (0, missing)))
        masks = []

        def convolve(x, features, mask, name):
            pads = [padding(self.kernel_size, 1, self.causal)]
            x = nn.Conv(features, (self.kernel_size,), padding=pads, dtype=self.dtype, name=name)(masked(x, mask))
            x = nn.Dropout(self.dropout, broadcast_dims=(1,), deterministic=not train)(x)
            return normalised_relu(x)

        def halve(x):
            if self.causal:  # pairs end with an even step: (-1, 0), (1, 2), ...
                x = jnp.pad(x[:, :-1], ((0, 0), (1, 0), (0, 0)))
            return jnp.maximum(x[:, ::2], x[:, 1::2])

        for i, features in enumerate(self.channels):
            x = convolve(x, features, mask, f"encoder{i}")
            masks.append(mask)
            x = halve(masked(x, mask))  # (B, T / 2^(i + 1), features); no value is negative, so masked zeros never win
            mask = halve(mask[..., None])[..., 0]
        for i, features in enumerate(self.channels[::-1]):
            x = jnp.repeat(x, 2, axis=1)  # (B, 2 T', features of the level below)
            mask = masks.pop()
            x = convolve(x, features, mask, f"decoder{i}")
        return masked(x, mask)[:, :num_frames]


KINDS = {"dilated": TCN, "encoder_decoder": EncoderDecoderTCN}


class FrameTCN(nn.Module):
    """A temporal convolutional network over frame features, and a linear classifier.

    The frame features come from a 2-D network that is trained jointly, or from records.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        kind: "dilated" (`TCN`) or "encoder_decoder" (`EncoderDecoderTCN`).
        channels: output channels of each block or level.
        kernel_size: kernel size in time.
        causal: see only the past; otherwise the future as well.
        min_receptive_field: smallest allowed receptive field, in frames, including the frame itself; 0 for no limit.
        per_frame: classify every frame; otherwise the sequence, by the last valid output if causal, or by the mean of
            the outputs.
        backbone: a network on single frames, without a classifier; None if the inputs are features.
        dropout: dropout rate after each convolution, in training.
        dtype: dtype of the computation; parameters are float32.

    Raises:
        ValueError: on construction, for an unknown kind, no channels, a kernel size below 2, or a receptive field
            below `min_receptive_field`.
    """

    num_classes: int | None = None
    kind: str = "dilated"
    channels: Sequence[int] = (64, 64, 64, 64)
    kernel_size: int = 3
    causal: bool = True
    min_receptive_field: int = 0
    per_frame: bool = False
    backbone: nn.Module | None = None
    dropout: float = 0.0
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"Unknown kind of TCN {self.kind!r}; choose one of {', '.join(KINDS)}.")
        if not self.channels or self.kernel_size < 2:
            raise ValueError(f"A TCN has a block and a kernel of 2 at least, not {self.channels}, {self.kernel_size}.")
        if self.receptive_field < self.min_receptive_field:
            raise ValueError(self._too_short())
        super().__post_init__()

    @property
    def receptive_field(self) -> int:
        """Number of frames that an output sees, including its own."""
        return self._frames_seen(len(self.channels), self.kernel_size)

    def _frames_seen(self, num_blocks: int, kernel_size: int) -> int:
        network = KINDS[self.kind]((1,) * num_blocks, kernel_size, causal=self.causal, parent=None)
        return sum(network.receptive_field) + 1

    def _too_short(self) -> str:
        wanted, blocks, size = self.min_receptive_field, len(self.channels), self.kernel_size
        enough_blocks = next(n for n in range(blocks, 64) if self._frames_seen(n, size) >= wanted)
        enough_size = next(k for k in range(size, wanted + 1) if self._frames_seen(blocks, k) >= wanted)
        return (
            f"An output of this TCN sees {self.receptive_field} frames, fewer than min_receptive_field = {wanted}: "
            f"take {enough_blocks} channels in place of {blocks}, or a kernel_size of {enough_size} in place of {size}."
        )

    @nn.compact
    def __call__(self, video=None, *, features=None, frame_mask=None, train=False):
        """Classify clips, or each frame of clips.

        Args:
            video: (B, T, H, W, C), normalised float; or
            features: (B, T, D), float.
            frame_mask: (B, T), boolean or 0 and 1; frames with 0 are ignored (convolutions see zeros).
            train: whether to use batch statistics and dropout.

        Returns:
            Logits (B, num_classes), or (B, T, num_classes) per frame; without a classifier, its inputs.
            Endpoints: those of the backbone, "features" (B, T, D) and "hidden" (B, T, F).

        Raises:
            ValueError: unless exactly one of video and features is given; if the width of the features does not fit
                the parameters, or a sequence has no valid frame (if the mask is known before compilation).
        """
        x, ends = frame_features(self.backbone, video, features, train=train, dtype=self.dtype)
        check_sequence(x, self._first_layer(), frame_mask)
        arguments = {name: getattr(self, name) for name in ("kernel_size", "dropout", "causal", "dtype")}
        x = KINDS[self.kind](tuple(self.channels), **arguments, name="tcn")(x, frame_mask, train)  # (B, T, F)
        ends["hidden"] = x
        if not self.per_frame:
            x = LastValid(name="last")(x, frame_mask) if self.causal else mean_over_time(x, frame_mask)  # (B, F)
        if not self.num_classes:
            return x, ends
        return nn.Dense(self.num_classes, dtype=self.dtype, name="classifier")(x), ends  # (B, [T,] num_classes)

    def _first_layer(self) -> dict | None:
        params = self.get_variable("params", "tcn")
        return params and (params["block0"]["conv1"] if self.kind == "dilated" else params["encoder0"])
