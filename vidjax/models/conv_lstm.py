"""ConvLSTM: an LSTM with convolutions as products, over pixels or over the maps of a 2-D network.

Shi et al., "Convolutional LSTM Network: A Machine Learning Approach for Precipitation Nowcasting" (NeurIPS 2015),
https://arxiv.org/abs/1506.04214, equation 3. Keras' ConvLSTM2D is the same without peepholes.
"""

import einops
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vidjax.models.backend import convolution
from vidjax.models.carry import check_start, starting_carry
from vidjax.models.layers import check_video, conv, maps_at, max_pool, no_padding, pool_space, tf_same
from vidjax.models.recurrent import Carry, forget_open


def conv_lstm_cell(peepholes: dict, carry: Carry, projected: jax.Array, recurrent: jax.Array, mask: jax.Array) -> Carry:
    """c' = f c + i g and h' = o tanh(c'), with gates from x * W + h * U + b, where * is a convolution.

    Args:
        peepholes: weights "input", "forget" and "output", (H, W, F) each, through which i and f also see c, and o sees
            c'; {} for none.
        carry: c, h (B, H, W, F).
        projected, recurrent: x * W + b and h * U (B, H, W, 4 F), the gates along the last axis: input, forget,
            candidate, output.
        mask: bool (B, 1, 1, 1); rows with False keep the carry.
    """
    c, h = carry
    i, f, g, o = jnp.split(projected + recurrent, 4, axis=-1)  # (B, H, W, F) each
    i, f = (x + peepholes[name] * c if peepholes else x for name, x in (("input", i), ("forget", f)))
    next_c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
    o = o + peepholes["output"] * next_c if peepholes else o
    return jnp.where(mask, next_c, c), jnp.where(mask, nn.sigmoid(o) * jnp.tanh(next_c), h)


def convolve(h: jax.Array, kernel: jax.Array) -> jax.Array:
    """h * U: (B, H, W, F) and (k, k, F, 4 F) -> (B, H, W, 4 F); with TensorFlow's SAME padding."""
    pads = tf_same(h.shape[1:3], kernel.shape[:2], (1, 1))
    return convolution()(h, kernel, (1, 1), pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))


class Kernel(nn.Module):
    """The kernel of a square convolution, float32."""

    features: int
    kernel_size: int

    @nn.compact
    def __call__(self, inputs: int) -> jax.Array:
        shape = (self.kernel_size, self.kernel_size, inputs, self.features)
        return self.param("kernel", nn.initializers.lecun_normal(), shape)


class ConvLSTMStep(nn.Module):
    """One step: the convolution of h and `conv_lstm_cell`."""

    kernel_size: int
    peepholes: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, carry: Carry, inputs: tuple[jax.Array, jax.Array]):
        """carry; projected (B, H, W, 4 F), mask (B, 1, 1, 1) -> the next carry; that again, and h * U."""
        projected, mask = inputs
        shape = carry[0].shape[1:]  # (H, W, F)
        names = ("input", "forget", "output") if self.peepholes else ()
        peepholes = {name: self.param(f"peephole_{name}", nn.initializers.zeros, shape) for name in names}
        kernel = Kernel(4 * shape[-1], self.kernel_size, name="recurrent")(shape[-1])
        kernel, peepholes = jax.tree.map(lambda x: x.astype(self.dtype), (kernel, peepholes))
        recurrent = convolve(carry[1], kernel)
        carry = conv_lstm_cell(peepholes, carry, projected, recurrent, mask)
        return carry, (carry, recurrent)


def scan_steps(steps: nn.Module, carry: Carry, inputs: tuple, *, unroll: int, remat: bool):
    """Run the scanned `ConvLSTMStep` over time, with the backward pass of `recurrent.scan_steps`.

    The gradient of the recurrent kernel is one convolution over all steps. With one convolution per step inside the
    loop, for which XLA has no fast code on CPUs, the gradient took six times as long there.

    Args:
        steps: a scanned `ConvLSTMStep`.
        carry: the carry before the first step, (B, H, W, F) each.
        inputs: projected (T, B, H, W, 4 F), mask (T, B, 1, 1, 1), bool.
        unroll: steps per iteration of the loop.
        remat: do not keep the recurrent products; recompute them in the backward pass.

    Returns:
        The carry after the last step, and h for all steps (T, B, H, W, F).
    """

    def run(steps, carry, inputs):
        last, (carries, _) = steps(carry, inputs)
        return last, carries[1]

    def forward(steps, carry, inputs):
        last, (carries, recurrent) = steps(carry, inputs)
        return (last, carries[1]), (steps.variables["params"], carry, carries, inputs, None if remat else recurrent)

    def backward(kept, cotangents):
        params, carry, carries, (projected, mask), recurrent = kept
        d_last, d_hidden = cotangents
        before = tuple(jnp.concatenate([x[None], xs[:-1]]) for x, xs in zip(carry, carries, strict=True))
        kernel = params["recurrent"]["kernel"].astype(projected.dtype)
        names = [name for name in params if name.startswith("peephole_")]
        peepholes = {name.removeprefix("peephole_"): params[name].astype(projected.dtype) for name in names}
        flat_h = before[1].reshape(-1, *before[1].shape[2:])  # (T B, H, W, F)
        if recurrent is None:
            recurrent = convolve(flat_h, kernel).reshape(projected.shape)
        _, transposed = jax.vjp(lambda h: convolve(h, kernel), carry[1])

        def step(gradients, of_step):
            (d_c, d_h), d_peepholes = gradients
            before, projected, recurrent, mask, d_output = of_step
            cell = lambda *primals: conv_lstm_cell(*primals, mask)  # noqa: E731
            _, pull_back = jax.vjp(cell, peepholes, before, projected, recurrent)
            d_here, (d_c, d_h), d_projected, _ = pull_back((d_c, d_h + d_output))
            d_h = d_h + transposed(d_projected)[0]  # the gradients of the two products are equal
            return ((d_c, d_h), jax.tree.map(jnp.add, d_peepholes, d_here)), d_projected

        (d_carry, d_peepholes), d_projected = jax.lax.scan(
            step,
            (d_last, jax.tree.map(jnp.zeros_like, peepholes)),
            (before, projected, recurrent, mask, d_hidden),
            reverse=True,
            unroll=unroll,
        )
        _, of_kernel = jax.vjp(lambda kernel: convolve(flat_h, kernel), kernel)
        (d_kernel,) = of_kernel(d_projected.reshape(-1, *d_projected.shape[2:]))
        d_params = {"recurrent": {"kernel": d_kernel}} | {f"peephole_{k}": d for k, d in d_peepholes.items()}
        d_params = jax.tree.map(lambda d, x: d.astype(x.dtype), d_params, params)
        return {"params": d_params}, d_carry, (d_projected, np.zeros(mask.shape, jax.dtypes.float0))

    return nn.custom_vjp(run, forward, backward)(steps, carry, inputs)


class ConvLSTM(nn.Module):
    """One ConvLSTM layer over a sequence of maps: one convolution for all inputs, then a scan over the steps.

    Attributes:
        features: F, the channels of the output and of the memory.
        kernel_size: kernel size of both convolutions, which keep the map size (TensorFlow's SAME padding).
        peepholes: use peepholes as in the paper; the parameters then fit one map size only.
        stateful, unroll, dtype: see `recurrent.Recurrent`.
        remat: save memory in training; see `scan_steps`.
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
        """(B, T, H, W, C), frame_mask (B, T), sequence_start (B,) -> all outputs (B, T, H, W, F), last (B, H, W, F)."""
        mask = jnp.ones(x.shape[:2], bool) if frame_mask is None else jnp.asarray(frame_mask).astype(bool)
        window = (1, self.kernel_size, self.kernel_size)
        projected = conv(x, 4 * self.features, window, padding=tf_same, dims=2, dtype=self.dtype, name="input")
        bias = self.param("bias", forget_open, (4 * self.features,))
        projected = projected + bias.astype(self.dtype)  # (B, T, H, W, 4 F)
        zeros = (jnp.zeros((x.shape[0], *x.shape[2:4], self.features), projected.dtype),) * 2
        carry, kept = starting_carry(self, zeros, sequence_start) if self.stateful else (zeros, None)
        steps = nn.scan(ConvLSTMStep, variable_broadcast="params", split_rngs={"params": False}, unroll=self.unroll)(
            self.kernel_size, self.peepholes, self.dtype, name="step"
        )
        inputs = projected.swapaxes(0, 1), mask.T[..., None, None, None]
        carry, hidden = scan_steps(steps, carry, inputs, unroll=self.unroll, remat=self.remat)
        if kept is not None:
            kept.value = carry
        return hidden.swapaxes(0, 1), carry[1]


class FrameConvLSTM(nn.Module):
    """ConvLSTM layers over frames or over the maps of a 2-D network, the mean over space, and a linear classifier.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        backbone: a network on single frames, without a classifier; None to use the pixels.
        layer: the endpoint of the backbone to use as input, maps (B, T, H, W, C).
        patch_size: size of the pixel squares that are reshaped to channels; 4 in the paper (section 4.1).
        channels: channels of each layer; a max-pool halves the maps between layers.
        kernel_size, peepholes, stateful, unroll, remat: see `ConvLSTM`.
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
    stateful: bool = False
    per_frame: bool = False
    dropout: float = 0.0
    unroll: int = 1
    remat: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video, *, frame_mask=None, sequence_start=None, train=False):
        """Classify videos, or each frame of videos.

        Args:
            video: (B, T, H, W, C), normalised float; without a backbone, H and W are multiples of `patch_size`.
            frame_mask: (B, T), boolean or 0 and 1; frames with 0 are skipped.
            sequence_start: (B,), boolean or 0 and 1; marks clips that begin a sequence (stateful networks only).
            train: whether to use batch statistics and dropout.

        Returns:
            Logits (B, num_classes), or (B, T, num_classes) per frame; without a classifier, the last output or all,
            averaged over space. Endpoints: those of the backbone, "maps" (B, T, h, w, F), "features" (B, T, F) and
            "last" (B, F).

        Raises:
            ValueError: for a layer that does not exist or has no maps, frames that cannot be cut into patches, or an
                input that is not a video; see also `carry.starting_carry`.
        """
        check_start(self.stateful, train, sequence_start)
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
