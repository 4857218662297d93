"""ConvLSTM: an LSTM with convolutions as products, over pixels or over the maps of a 2-D network.

Shi et al., "Convolutional LSTM Network: A Machine Learning Approach for Precipitation Nowcasting" (NeurIPS 2015),
https://arxiv.org/abs/1506.04214, equation 3. Keras' ConvLSTM2D is the same without peepholes.
"""

import einops
import jax
import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.backend import convolution
from vidjax.models.layers import check_video, conv, maps_at, max_pool, no_padding, pool_space, tf_same
from vidjax.models.recurrent import Carry, Cell, RecurrentKernel, forget_open, scan_cell


def conv_lstm_cell(carry: Carry, gates: jax.Array, *, peepholes: dict[str, jax.Array]) -> Carry:
    """c' = f c + i g and h' = o tanh(c'), with gates from x * W + h * U + b, where * is a convolution.

    Args:
        carry: c, h (B, H, W, F).
        gates: the sum (B, H, W, 4 F), along the last axis: input, forget, candidate, output.
        peepholes: weights "input", "forget" and "output", (H, W, F) each, through which i and f also see c, and o sees
            c'; {} for none.
    """
    c, _ = carry
    i, f, g, o = jnp.split(gates, 4, axis=-1)  # (B, H, W, F) each
    i, f = (x + peepholes[name] * c if peepholes else x for name, x in (("input", i), ("forget", f)))
    c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
    o = o + peepholes["output"] * c if peepholes else o
    return c, nn.sigmoid(o) * jnp.tanh(c)


CONV_LSTM = Cell(conv_lstm_cell, 2, 4)


def convolve(weights: dict[str, jax.Array], h: jax.Array) -> jax.Array:
    """h * U: a kernel (k, k, F, 4 F) and (N, H, W, F) -> (N, H, W, 4 F); with TensorFlow's SAME padding."""
    pads = tf_same(h.shape[1:3], weights["kernel"].shape[:2], (1, 1))
    return convolution()(h, weights["kernel"], (1, 1), pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))


class ConvLSTMStep(nn.Module):
    """The parameters of one step: the kernel of `convolve`, and the peepholes."""

    features: int
    kernel_size: int
    peepholes: bool

    @nn.compact
    def __call__(self, size: tuple[int, int]) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
        """size: (H, W) of the maps."""
        shape = (self.kernel_size, self.kernel_size, self.features, 4 * self.features)
        weights = RecurrentKernel(shape, nn.initializers.lecun_normal(), name="recurrent")()
        names = ("input", "forget", "output") if self.peepholes else ()
        shape = (*size, self.features)
        return weights, {name: self.param(f"peephole_{name}", nn.initializers.zeros, shape) for name in names}


class ConvLSTM(nn.Module):
    """One ConvLSTM layer over a sequence of maps: one convolution for all inputs, then a scan over the steps.

    Attributes:
        features: F, the channels of the output and of the memory.
        kernel_size: kernel size of both convolutions, which keep the map size (TensorFlow's SAME padding).
        peepholes: use peepholes as in the paper; the parameters then fit one map size only.
        dtype: dtype of the computation; parameters are float32.
    """

    features: int
    kernel_size: int = 3
    peepholes: bool = False
    dtype: jnp.dtype = jnp.float32

    def first_carry(self, x: jax.Array) -> Carry:
        """The carry before the first step of the maps x (B, T, H, W, C): zeros (B, H, W, F) for c and h."""
        return (jnp.zeros((x.shape[0], *x.shape[2:4], self.features), self.dtype),) * 2

    @nn.compact
    def __call__(self, x, frame_mask=None, carry=None):
        """(B, T, H, W, C), frame_mask (B, T) -> all outputs (B, T, H, W, F), and the last carry (B, H, W, F) each.

        carry: the carry before the first step; None for `first_carry`.
        """
        mask = jnp.ones(x.shape[:2], bool) if frame_mask is None else jnp.asarray(frame_mask).astype(bool)
        window = (1, self.kernel_size, self.kernel_size)
        projected = conv(x, 4 * self.features, window, padding=tf_same, dims=2, dtype=self.dtype, name="input")
        bias = self.param("bias", forget_open, (4 * self.features,))
        step = ConvLSTMStep(self.features, self.kernel_size, self.peepholes, name="step")
        params = *step(x.shape[2:4]), bias
        weights, peepholes, bias = jax.tree.map(lambda x: x.astype(self.dtype), params)
        inputs = projected.swapaxes(0, 1), mask.T[..., None, None, None]  # (T, B, H, W, 4 F), (T, B, 1, 1, 1)
        carry = self.first_carry(x) if carry is None else carry
        carry, hidden = scan_cell(CONV_LSTM, convolve, weights, bias, {"peepholes": peepholes}, carry, *inputs)
        return hidden.swapaxes(0, 1), carry


class FrameConvLSTM(nn.Module):
    """ConvLSTM layers over frames or over the maps of a 2-D network, the mean over space, and a linear classifier.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        backbone: a network on single frames, without a classifier; None to use the pixels.
        layer: the endpoint of the backbone to use as input, maps (B, T, H, W, C).
        patch_size: size of the pixel squares that are reshaped to channels; 4 in the paper (section 4.1).
        channels: channels of each layer; a max-pool halves the maps between layers.
        kernel_size, peepholes: see `ConvLSTM`.
        per_frame: classify every frame; otherwise the video, by the last output.
        dropout: dropout rate of the pooled output, in training.
        dtype: dtype of the computation; parameters are float32.
    """

    num_classes: int | None = None
    backbone: nn.Module | None = None
    layer: str = "layer2"
    patch_size: int = 1
    channels: tuple[int, ...] = (32,)
    kernel_size: int = 3
    peepholes: bool = False
    per_frame: bool = False
    dropout: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video, *, frame_mask=None, train=False):
        """Classify videos, or each frame of videos.

        Args:
            video: (B, T, H, W, C), normalised float; without a backbone, H and W are multiples of `patch_size`.
            frame_mask: (B, T), boolean or 0 and 1; frames with 0 are skipped.
            train: whether to use batch statistics and dropout.

        Returns:
            Logits (B, num_classes), or (B, T, num_classes) per frame; without a classifier, the last output or all,
            averaged over space. Endpoints: those of the backbone, "maps" (B, T, h, w, F), "features" (B, T, F) and
            "last" (B, F).

        Raises:
            ValueError: for a layer that does not exist or has no maps, frames that cannot be cut into patches, or an
                input that is not a video.
        """
        smallest = self.patch_size * 2 ** (len(self.channels) - 1)
        check_video(video, smallest)
        ends, size = {}, self.patch_size
        if self.backbone is not None:
            _, ends = self.backbone(video, train=train)
            x = maps_at(ends, self.layer)  # (B, T, h, w, C)
        elif video.shape[2] % size or video.shape[3] % size:
            raise ValueError(f"Frames of {video.shape[2]}x{video.shape[3]} are not cut into patches of {size}x{size}.")
        else:
            x = video.astype(self.dtype)
            x = einops.rearrange(x, "b t (h i) (w j) c -> b t h w (i j c)", i=size, j=size)
        for i, channels in enumerate(self.channels):
            if i:
                x = max_pool(x, (1, 2, 2), (1, 2, 2), padding=no_padding)  # (B, T, h/2, w/2, F)
            name = f"conv_lstm_{i}" if i else "conv_lstm"
            layer = ConvLSTM(channels, self.kernel_size, self.peepholes, self.dtype, name=name)
            x, (_, last) = layer(x, frame_mask)  # (B, T, h, w, F), (B, h, w, F)
        ends["maps"], ends["features"], ends["last"] = x, pool_space(x), last.mean((1, 2))
        x = ends["features" if self.per_frame else "last"]
        if not self.num_classes:
            return x, ends
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes, dtype=self.dtype, name="classifier")(x), ends  # (B, [T,] num_classes)
