"""An LSTM whose products are convolutions, over the pixels of frames or over the maps of a 2-D network.

Shi et al., "Convolutional LSTM Network: A Machine Learning Approach for Precipitation Nowcasting" (NeurIPS 2015),
https://arxiv.org/abs/1506.04214, equation 3. Keras' ConvLSTM2D is that without peepholes.
"""

from collections.abc import Mapping

import einops
import jax
import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.carry import check_start, starting_carry
from vidjax.models.frame_pool import BACKBONES
from vidjax.models.layers import check_arguments, check_video, conv, max_pool, no_padding, pool_space, tf_same
from vidjax.models.recurrent import Carry, forget_open


class ConvLSTMStep(nn.Module):
    """One step: c' = f c + i g and h' = o tanh(c'), the gates from x * W + h * U + b, where * is a convolution.

    With peepholes i and f also see c, and o sees c', each times a weight for every place and channel.
    """

    kernel_size: int
    peepholes: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, carry: Carry, inputs: tuple[jax.Array, jax.Array]) -> tuple[Carry, jax.Array]:
        """carry: c, h (B, H, W, F); projected x * W + b (B, H, W, 4 F), mask (B, 1, 1, 1) -> the next carry, and h.

        The gates lie along the last axis: input, forget, candidate, output. Where the mask is 0 the carry stays.
        """
        (c, h), (projected, mask) = carry, inputs
        size = self.kernel_size
        arguments = {"padding": tf_same, "dims": 2, "dtype": self.dtype, "name": "recurrent"}
        recurrent = conv(h[:, None], projected.shape[-1], (1, size, size), **arguments)[:, 0]  # (B, H, W, 4 F)
        i, f, g, o = jnp.split(projected + recurrent, 4, axis=-1)  # (B, H, W, F) each

        def peep(name, memory):
            if not self.peepholes:
                return 0
            return self.param(f"peephole_{name}", nn.initializers.zeros, c.shape[1:]).astype(self.dtype) * memory

        next_c = nn.sigmoid(f + peep("forget", c)) * c + nn.sigmoid(i + peep("input", c)) * jnp.tanh(g)
        next_h = nn.sigmoid(o + peep("output", next_c)) * jnp.tanh(next_c)
        c, h = jnp.where(mask, next_c, c), jnp.where(mask, next_h, h)
        return (c, h), h


class ConvLSTM(nn.Module):
    """One layer over a sequence of maps: one convolution for the inputs of all steps, then a scan over the steps.

    Attributes:
        features: F, channels of the output and of the memory.
        kernel_size: of both convolutions, which keep the size (padding as TensorFlow's SAME).
        peepholes: as in the paper; the parameters are then for one size of maps.
        stateful, unroll, dtype: as of `recurrent.Recurrent`.
        remat: compute the inside of a step again in the backward pass, and keep the carries only.
    """

    features: int
    kernel_size: int = 3
    peepholes: bool = False
    stateful: bool = False
    unroll: int = 1
    remat: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, frame_mask=None, sequence_start=None):
        """(B, T, H, W, C), mask and start as of `recurrent.Recurrent` -> (B, T, H, W, F) and the last (B, H, W, F)."""
        mask = jnp.ones(x.shape[:2], bool) if frame_mask is None else jnp.asarray(frame_mask).astype(bool)
        window = (1, self.kernel_size, self.kernel_size)
        projected = conv(x, 4 * self.features, window, padding=tf_same, dims=2, dtype=self.dtype, name="input")
        bias = self.param("bias", forget_open, (4 * self.features,))
        projected = projected + bias.astype(self.dtype)  # (B, T, H, W, 4 F)
        zeros = (jnp.zeros((x.shape[0], *x.shape[2:4], self.features), projected.dtype),) * 2
        carry, kept = starting_carry(self, zeros, sequence_start) if self.stateful else (zeros, None)
        steps = nn.scan(
            nn.remat(ConvLSTMStep, prevent_cse=False) if self.remat else ConvLSTMStep,
            variable_broadcast="params",
            split_rngs={"params": False},
            in_axes=1,
            out_axes=1,
            unroll=self.unroll,
        )(self.kernel_size, self.peepholes, self.dtype, name="step")
        carry, hidden = steps(carry, (projected, mask[..., None, None, None]))
        if kept is not None:
            kept.value = carry
        return hidden, carry[1]


class FrameConvLSTM(nn.Module):
    """ConvLSTM layers over frames or over the maps of a 2-D network, the mean over space, a linear classifier.

    Attributes:
        num_classes: 0 or None for no classifier.
        backbone: a name in `frame_pool.BACKBONES`; None runs over the pixels.
        backbone_arguments: of that network, but for `num_classes` and `dtype`.
        layer: the endpoint of the backbone that is the input, maps (B, T, H, W, C).
        patch_size: of the squares of pixels that become channels first, 4 in the paper (section 4.1).
        channels: of each layer; before all but the first a max-pool halves the maps.
        kernel_size, peepholes, stateful, unroll, remat: as of `ConvLSTM`.
        per_frame: classify every frame; else the video, by the last output.
        dropout: of the pooled output, while training.
        dtype: of the computation; parameters are float32.

    Raises:
        ValueError: when made, for an unknown backbone or argument of it.
    """

    num_classes: int | None
    backbone: str | None = None
    backbone_arguments: Mapping | None = None
    layer: str = "layer2"
    patch_size: int = 1
    channels: tuple[int, ...] = (32,)
    kernel_size: int = 3
    peepholes: bool = False
    stateful: bool = False
    per_frame: bool = False
    dropout: float = 0.0
    unroll: int = 1
    remat: bool = False
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        if self.backbone:
            check_arguments("backbone on single frames", self.backbone, BACKBONES, self.backbone_arguments or ())
        super().__post_init__()

    @nn.compact
    def __call__(self, video, *, frame_mask=None, sequence_start=None, train=False):
        """Classifies videos, or their frames.

        Args:
            video: (B, T, H, W, C), normalised float; of pixels H and W are multiples of `patch_size`.
            frame_mask: (B, T), boolean or 0 and 1: frames that are 0 are passed over.
            sequence_start: (B,), boolean or 0 and 1, of a stateful network: clips that begin a sequence.
            train: use the statistics of this batch, and dropout.

        Returns:
            Logits (B, num_classes), or (B, T, num_classes) per frame; without a classifier the last output or all,
            averaged over space. Endpoints: those of the backbone, "maps" (B, T, h, w, F), "features" (B, T, F) and
            "last" (B, F).

        Raises:
            ValueError: for a layer that the backbone does not have or that has no maps, frames that are not cut into
                patches, a video that is none, and as of `carry.starting_carry`.
        """
        check_start(self.stateful, train, sequence_start)
        smallest = self.patch_size * 2 ** (len(self.channels) - 1)
        check_video(video, smallest)
        ends, size = {}, self.patch_size
        if self.backbone:
            arguments = {**(self.backbone_arguments or {}), "num_classes": 0, "dtype": self.dtype}
            _, ends = BACKBONES[self.backbone](**arguments, name="backbone")(video, train=train)
            maps = [name for name, x in ends.items() if x.ndim == 5]
            if self.layer not in maps:
                raise ValueError(f"{self.backbone} has no maps {self.layer!r}; it has {', '.join(maps)}.")
            x = ends[self.layer]  # (B, T, h, w, C)
        elif video.shape[2] % size or video.shape[3] % size:
            raise ValueError(f"Frames of {video.shape[2]}x{video.shape[3]} are not cut into patches of {size}x{size}.")
        else:
            x = video.astype(self.dtype)
            x = einops.rearrange(x, "b t (h i) (w j) c -> b t h w (i j c)", i=size, j=size)
        for i, channels in enumerate(self.channels):
            if i:
                x = max_pool(x, (1, 2, 2), (1, 2, 2), padding=no_padding)  # (B, T, h/2, w/2, F)
            x, last = ConvLSTM(
                channels,
                self.kernel_size,
                self.peepholes,
                self.stateful,
                self.unroll,
                self.remat,
                self.dtype,
                name=f"conv_lstm_{i}" if i else "conv_lstm",
            )(x, frame_mask, sequence_start)  # (B, T, h, w, F), (B, h, w, F)
        ends["maps"], ends["features"], ends["last"] = x, pool_space(x), last.mean((1, 2))
        x = ends["features" if self.per_frame else "last"]
        if not self.num_classes:
            return x, ends
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes, dtype=self.dtype, name="classifier")(x), ends  # (B, [T,] num_classes)
