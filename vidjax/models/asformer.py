"""ASFormer labels every frame: dilated convolutions, and attention in windows that double from layer to layer.

Yi, Wen and Jiang, "ASFormer: Transformer for Action Segmentation" (BMVC 2021), https://arxiv.org/abs/2110.08568, as in
the authors' code (github.com/ChinaYi/ASFormer, model.py). An encoder predicts the classes from features, decoders
refine the predictions. Train it with the loss `segmentation`.

Two things differ from the authors' code; `published_window_bug` restores both, for their published weights. The code
fills the mask of the window along the wrong axis, see `windows`; the README of the code asks for the correction. And
frames outside the window keep the fraction 1e-6 of their weight in the softmax's denominator; here they have none.

Masked frames are zero at the input of every convolution, count in no average, and get no attention. So a sequence has
the same outputs in a padded batch as alone. (The authors' code takes batches of one video only.)
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vidjax.models.frame_pool import frame_features
from vidjax.models.layers import mean_over_time
from vidjax.models.ms_tcn import probabilities
from vidjax.models.recurrent import check_sequence
from vidjax.models.tcn import masked, padding


def windows(window: int, published_bug: bool = False) -> np.ndarray:
    """Return which keys each query of a block sees: bool (window, window + 2 (window // 2)).

    Column j is the key at j - window // 2 from the start of the block. The query at i sees the `window` keys from
    i - window // 2 on. With the published bug, every query of the block sees all keys that any of them should.
    """
    query, key = np.arange(window)[:, None], np.arange(window + 2 * (window // 2))
    if published_bug:
        return np.broadcast_to(key < 2 * window - 1, (window, len(key)))
    return (query <= key) & (key < query + window)


def window_attention(query, key, value, frame_mask=None, *, window: int, published_bug: bool = False) -> jax.Array:
    """Attention of each frame to a window of frames around it, in memory proportional to T * window.

    The sequence is cut into blocks of the window's length. The keys of a block are its own and half a block on each
    side.

    Args:
        query, key: (B, T, D).
        value: (B, T, E).
        frame_mask: (B, T), boolean or 0 and 1; frames with 0 get no attention.
        window: a power of 2; frame t sees the frames from t - window // 2 to t - window // 2 + window - 1.
        published_bug: use the windows of the authors' code, see `windows`, and its soft mask: a masked key keeps the
            fraction 1e-6 of its weight in the softmax's denominator.

    Returns:
        (B, T, E). The softmax is computed in float32 or better. A frame that sees no valid frame gets zeros.
    """
    (batch, length, width), dtype = query.shape, value.dtype
    if not published_bug:
        window = min(window, 1 << (2 * length - 1).bit_length())  # at least 2 T: every frame sees all others
    half, missing = window // 2, -length % window
    frame_mask = jnp.ones((batch, length), bool) if frame_mask is None else jnp.asarray(frame_mask).astype(bool)

    def with_neighbours(x):
        """(B, T, F) -> (B, N, window + 2 half, F)."""
        x = jnp.pad(x, ((0, 0), (half, half + missing), (0, 0)))
        x = x.reshape(batch, -1, window, x.shape[-1])  # (B, N + 1, window, F); without neighbours (B, N, 1, F)
        return jnp.concatenate([x[:, :-1], x[:, 1:]], 2) if half else x

    query = jnp.pad(query, ((0, 0), (0, missing), (0, 0))).reshape(batch, -1, window, width)  # (B, N, window, D)
    key = masked(key, frame_mask)  # only the soft mask sees them, and in the authors' code padding is zero
    energy = jnp.einsum("bnqd,bnkd->bnqk", query, with_neighbours(key))
    energy = energy.astype(jnp.promote_types(dtype, jnp.float32)) / width**0.5
    seen = with_neighbours(frame_mask[..., None])[:, :, None, :, 0] & windows(window, published_bug)  # like energy
    if published_bug:
        energy = energy + jnp.log(seen + 1e-6)
    else:
        energy = jnp.where(seen, energy, jnp.finfo(energy.dtype).min)
    weights = jnp.where(seen, nn.softmax(energy), 0).astype(dtype)
    outputs = jnp.einsum("bnqk,bnke->bnqe", weights, with_neighbours(value))  # (B, N, window, E)
    return outputs.reshape(batch, length + missing, -1)[:, :length]


def instance_norm(x: jax.Array, frame_mask: jax.Array | None = None, epsilon: float = 1e-5) -> jax.Array:
    """Normalise each channel of each sequence over its valid frames, without parameters: (B, T, D) -> (B, T, D).

    Ulyanov et al. (2016), https://arxiv.org/abs/1607.08022, like PyTorch's InstanceNorm1d. Computed in float32 or
    better.
    """
    precise = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    centred = precise - mean_over_time(precise, frame_mask)[:, None]
    variance = mean_over_time(jnp.square(centred), frame_mask)[:, None]  # (B, 1, D)
    return (centred * jax.lax.rsqrt(variance + epsilon)).astype(x.dtype)


class Block(nn.Module):
    """Dilated convolution of size 3 and ReLU, attention in a window, 1x1 convolution, dropout; the input is added.

    Attributes:
        window: length of the attention's window, and dilation of the convolution.
        attention_weight: factor of the attention's outputs before they are added to the convolution's.
        Others: see `ASFormer`.
    """

    window: int
    attention_weight: float = 1.0
    reduction: int = 2
    dropout: float = 0.5
    published_window_bug: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, frame_mask=None, values=None, train=False):
        """Process a sequence.

        Args:
            x: (B, T, D), zero at masked frames.
            frame_mask: (B, T).
            values: (B, T, D), the source of the attention's values; None for the sequence itself.

        Returns:
            (B, T, D), zero at masked frames.
        """
        width = x.shape[-1]

        def dense(features, name):
            return nn.Dense(features, dtype=self.dtype, name=name)

        arguments = {"kernel_dilation": self.window, "padding": [padding(3, self.window, causal=False)]}
        y = nn.relu(nn.Conv(width, (3,), **arguments, dtype=self.dtype, name="dilated")(x))
        z = instance_norm(y, frame_mask)
        query, key = dense(width // self.reduction, "query")(z), dense(width // self.reduction, "key")(z)
        value = dense(width // self.reduction, "value")(z if values is None else values)
        settings = {"window": self.window, "published_bug": self.published_window_bug}
        z = nn.relu(window_attention(query, key, value, frame_mask, **settings))  # (B, T, D / reduction)
        y = y + self.attention_weight * dense(width, "attended")(z)
        y = nn.Dropout(self.dropout, deterministic=not train)(dense(width, "pointwise")(y))
        return masked(x + y, frame_mask)


class Stage(nn.Module):
    """The encoder or a decoder: a 1x1 convolution to `channels`, blocks whose window doubles from 1, a classifier.

    Attributes: see `ASFormer` and `Block`.
    """

    num_classes: int | None
    num_layers: int
    channels: int
    attention_weight: float
    reduction: int
    dropout: float
    published_window_bug: bool
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, frame_mask=None, values=None, train=False):
        """(B, T, D), values (B, T, channels) or None -> logits (B, T, C), or None, and hidden (B, T, channels)."""
        x = nn.Dense(self.channels, dtype=self.dtype, name="input")(x)
        x = masked(x, frame_mask)  # (B, T, channels)
        for i in range(self.num_layers):
            arguments = self.attention_weight, self.reduction, self.dropout, self.published_window_bug, self.dtype
            x = Block(2**i, *arguments, name=f"block{i}")(x, frame_mask, values, train)
        if not self.num_classes:
            return None, x
        return masked(nn.Dense(self.num_classes, dtype=self.dtype, name="classifier")(x), frame_mask), x


class ASFormer(nn.Module):
    """An encoder over features and decoders over probabilities: convolutions and attention in windows over time.

    A decoder takes queries and keys from its own layers, and values from the last layer of the stage before. The
    attention of decoder s = 0, 1, ... has the weight exp(-3 s).

    The frame features come from a 2-D network that is trained jointly, or from records.

    Attributes:
        num_classes: number of classes; 0 or None for the encoder without its classifier.
        num_decoders: number of decoders.
        num_layers: blocks per encoder or decoder; block i has the dilation and the window 2^i.
        channels: width of the blocks.
        reduction: the width of queries, keys and values is channels / reduction.
        channel_dropout: dropout rate of whole channels of the features, in training; the authors' code has 0.3, and 0.5
            for GTEA.
        dropout: dropout rate at the end of each block, in training.
        published_window_bug: compute the attention as the authors' code does, for their published weights.
        backbone: a network on single frames, without a classifier; None if the inputs are features.
        dtype: dtype of the computation; parameters are float32.

    Raises:
        ValueError: on construction, without a layer, or if channels / reduction is not a positive integer.
    """

    num_classes: int | None = None
    num_decoders: int = 3
    num_layers: int = 10
    channels: int = 64
    reduction: int = 2
    channel_dropout: float = 0.3
    dropout: float = 0.5
    published_window_bug: bool = False
    backbone: nn.Module | None = None
    dtype: jnp.dtype = jnp.float32
    per_frame = True

    def __post_init__(self):
        if self.num_layers < 1 or self.num_decoders < 0:
            raise ValueError(
                "ASFormer needs num_layers of at least 1 and num_decoders of at least 0; "
                f"got {self.num_layers} and {self.num_decoders}."
            )
        if self.reduction < 1 or self.channels < 1 or self.channels % self.reduction:
            raise ValueError(
                f"channels = {self.channels} is not a multiple of reduction = {self.reduction}; change one."
            )
        super().__post_init__()

    @nn.compact
    def __call__(self, video=None, *, features=None, frame_mask=None, train=False):
        """Classify each frame of clips.

        Args:
            video: (B, T, H, W, C), normalised float; or
            features: (B, T, D), float.
            frame_mask: (B, T), boolean or 0 and 1; frames with 0 are ignored.
            train: whether to use batch statistics and dropout.

        Returns:
            Logits of the last decoder (B, T, num_classes), zero at masked frames; in training those of the encoder and
            all decoders (B, T, 1 + num_decoders, num_classes), for the loss `segmentation`; without classes, "hidden".
            Endpoints: those of the backbone, "features" (B, T, D), "hidden" (B, T, channels), the outputs of the
            encoder's blocks, and with classes "stages" (1 + num_decoders, B, T, num_classes), the logits of the encoder
            and all decoders.

        Raises:
            ValueError: unless exactly one of video and features is given; if the width of the features does not fit
                the parameters, or a sequence has no valid frame (if the mask is known before compilation).
        """
        x, ends = frame_features(self.backbone, video, features, train=train, dtype=self.dtype)
        params = self.get_variable("params", "encoder")
        check_sequence(x, params and params["input"], frame_mask)
        arguments = {name: getattr(self, name) for name in ("num_classes", "num_layers", "channels", "reduction")}
        arguments |= {name: getattr(self, name) for name in ("dropout", "published_window_bug", "dtype")}
        x = masked(x, frame_mask)
        x = nn.Dropout(self.channel_dropout, broadcast_dims=(1,), deterministic=not train)(x)
        logits, hidden = Stage(attention_weight=1.0, name="encoder", **arguments)(x, frame_mask, None, train)
        ends["hidden"] = hidden
        if not self.num_classes:
            return hidden, ends
        stages = [logits]  # (B, T, C) each
        for i in range(self.num_decoders):
            decoder = Stage(attention_weight=float(np.exp(-3 * i)), name=f"decoder{i}", **arguments)
            logits, hidden = decoder(probabilities(logits, frame_mask), frame_mask, hidden, train)
            stages.append(logits)
        ends["stages"] = jnp.stack(stages)  # (S, B, T, C)
        return jnp.stack(stages, 2) if train else logits, ends
