"""Networks that continue from one piece of a sequence to the next, made from causal networks.

`Stateful(network)` has the parameters of the network and returns, after each piece of a video, what the network returns
on all pieces so far. The networks themselves know nothing of it: a Flax interceptor gives each layer that sees several
steps what it still needs of the previous piece. The collection `carry` holds it. Without that collection, for example
when a network is built or evaluated on single clips, every sequence starts from zeros.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.conv_lstm import ConvLSTM, FrameConvLSTM
from vidjax.models.frame_rnn import ClipRNN, FrameRNN
from vidjax.models.layers import LastValid, MeanOverTime
from vidjax.models.ms_tcn import MSTCN
from vidjax.models.recurrent import Recurrent
from vidjax.models.resnet import ResNet
from vidjax.models.skip_rnn import SkipRecurrent, SkipRNN
from vidjax.models.tcn import FrameTCN, WeightNormConv
from vidjax.models.tsm import TSM, Shift

LAYERS = {  # network -> its layers that see several pieces
    FrameRNN: (Recurrent,),
    ClipRNN: (Recurrent,),
    SkipRNN: (SkipRecurrent,),
    FrameConvLSTM: (ConvLSTM,),
    FrameTCN: (WeightNormConv, LastValid),
    MSTCN: (nn.Conv,),
    ResNet: (nn.Conv, MeanOverTime),
    TSM: (Shift, MeanOverTime),
}


class Stateful(nn.Module):
    """A causal network that continues from the previous batch: for streams and for `config.clip.sampling = "chunks"`.

    Attributes:
        network: a network of `LAYERS`.

    Raises:
        ValueError: on construction, for a network that sees the future or all of a clip at once.
    """

    network: nn.Module

    def __post_init__(self):
        check_causal(self.network)
        super().__post_init__()

    def setup(self):
        nn.share_scope(self, self.network)

    @property
    def dtype(self):
        return self.network.dtype

    def __call__(self, video=None, *, features=None, frame_mask=None, sequence_start=None, train=False):
        """Apply the network to the next piece of each sequence. Arguments and return values: see the network.

        sequence_start: (B,), boolean or 0 and 1; marks rows that begin a sequence instead of continuing. None: all rows
            continue.

        Raises:
            ValueError: if the batch size or the frame size changes, the network is trained without `sequence_start`, or
                a ResNet or TSM is trained or gets a `frame_mask`.
        """
        if isinstance(self.network, ResNet | TSM) and (train or frame_mask is not None):
            name = type(self.network).__name__
            raise ValueError(f"A stateful {name} is for streams of valid frames: it cannot be trained or masked.")
        if train and sequence_start is None:
            raise ValueError(
                "A stateful network continues from the previous batch: train it on batches that continue each other, "
                "config.clip.sampling = 'chunks', or set model.stateful = False."
            )
        given = {"video": video, "features": features, "frame_mask": frame_mask}
        inputs = {name: x for name, x in given.items() if x is not None}
        with nn.intercept_methods(continued(LAYERS[type(self.network)], sequence_start)):
            return self.network(**inputs, train=train)


def plain(model: nn.Module) -> nn.Module:
    """Return the network within a `Stateful`, or the model itself."""
    return model.network if isinstance(model, Stateful) else model


def check_causal(network: nn.Module):
    """Raise a ValueError if a network cannot be stateful."""
    if type(network) not in LAYERS:
        raise ValueError(
            f"{type(network).__name__} sees a clip at once, so it cannot be stateful or process streams. These can: "
            "frame_rnn, skip_rnn, conv_lstm, clip_rnn, causal tcn and ms_tcn, online tsm, 2-D ResNets, and r3d_18, "
            "mc3_18, r2plus1d_18 trained with model.causal = True."
        )
    if getattr(network, "bidirectional", False):
        raise ValueError("A bidirectional network cannot be stateful: its second direction starts at the last frame.")
    if isinstance(network, FrameTCN) and not (network.causal and network.kind == "dilated"):
        raise ValueError("Only a causal dilated TCN can be stateful: others see the future.")
    if isinstance(network, MSTCN) and not network.causal:
        raise ValueError("An MS-TCN that sees the future cannot be stateful: set model.causal = True and train it so.")
    if getattr(network, "look_ahead", 0):
        raise ValueError("A network with a look-ahead is trained on whole sequences: set model.look_ahead = 0.")
    if isinstance(network, ResNet) and not network.causal and set(network.kinds) != {"2d"}:
        raise ValueError("A ResNet that sees the future cannot be stateful: set model.causal = True and train it so.")
    if isinstance(network, TSM) and not network.online:
        raise ValueError("A TSM that shifts both ways cannot be stateful: set model.online = True and train it so.")


def continued(layers: tuple[type, ...], sequence_start: jax.Array | None) -> Callable:
    """A Flax interceptor that lets these layers continue from the previous piece."""

    def intercept(next_function, arguments, settings, context):
        layer = context.module
        is_clone = not layer.path  # applied by `convolve`
        if context.method_name != "__call__" or not isinstance(layer, layers) or is_clone:
            return next_function(*arguments, **settings)
        if isinstance(layer, MeanOverTime):
            return running_mean(layer, *arguments)
        if isinstance(layer, Shift):
            return shift(layer, sequence_start, *arguments)
        if isinstance(layer, LastValid):
            return last_valid(layer, next_function, sequence_start, *arguments)
        if isinstance(layer, nn.Conv | WeightNormConv):
            return convolve(layer, next_function, sequence_start, *arguments)
        carry, keep = starting_carry(layer, layer.first_carry(arguments[0]), sequence_start)
        *outputs, carry = next_function(*arguments, **settings, carry=carry)
        keep(carry)
        return *outputs, carry

    return intercept


def starting_carry(layer: nn.Module, initial, sequence_start: jax.Array | None = None):
    """Return the carry from which a layer continues, and the function that keeps the next one.

    Args:
        initial: the carry of new sequences, a tree of (B, ...).
        sequence_start: see `Stateful`.

    Raises:
        ValueError: if the carry has another number of sequences, or another frame size.
    """
    changes = layer.is_mutable_collection("carry")

    def keep(carry):
        if changes and not layer.is_initializing():
            layer.put_variable("carry", "state", carry)

    if not layer.has_variable("carry", "state"):
        if changes:
            layer.put_variable("carry", "state", initial)
        return initial, keep
    state = layer.get_variable("carry", "state")
    for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(initial), strict=True):
        if old.shape[0] != new.shape[0]:
            raise ValueError(
                f"The model carries the state of {old.shape[0]} sequences from batch to batch, but this batch has "
                f"{new.shape[0]}: a stateful model needs batches of one size."
            )
        if old.shape != new.shape:
            raise ValueError(f"The state that the model carries is {old.shape}, but these frames need {new.shape}.")
    carry = jax.tree.map(lambda old, new: old.astype(new.dtype), state, initial)
    if sequence_start is not None:
        starts = jnp.asarray(sequence_start).astype(bool)
        carry = jax.tree.map(
            lambda new, old: jnp.where(starts.reshape(-1, *(1,) * (old.ndim - 1)), new, old), initial, carry
        )
    return carry, keep


def with_past(layer: nn.Module, x: jax.Array, window: int, stride: int = 1, sequence_start=None) -> jax.Array:
    """Prepend what a causal window over time still needs of the previous pieces; zeros before the first step.

    A strided window gives an output for every `stride`-th step, starting with the first. So a piece may give no output,
    and the length of the kept past varies from piece to piece, until the strides repeat.

    Args:
        layer: the layer that keeps the past.
        x: the new steps (B, n, ...).
        window: number of steps that an output sees, from the first to the last.
        stride: steps from one output to the next.

    Returns:
        (B, m, ...), on which an unpadded window gives an output for each `stride`-th new step.

    Raises:
        ValueError: see `starting_carry`; also for `sequence_start` with a stride.
    """
    if stride > 1 and sequence_start is not None:
        raise ValueError("Single rows of a batch cannot begin a sequence in a network with a stride over time.")
    longest = max(window, stride)
    steps = layer.get_variable("carry", "state").shape[1] if layer.has_variable("carry", "state") else longest - 1
    past, keep = starting_carry(layer, jnp.zeros((x.shape[0], steps, *x.shape[2:]), x.dtype), sequence_start)
    x = jnp.concatenate([past, x], 1)
    outputs = max(0, (x.shape[1] - longest) // stride + 1)
    keep(x[:, outputs * stride :])
    start = longest - window
    end = start + (outputs - 1) * stride + window if outputs else start
    return x[:, start:end]


def convolve(layer: nn.Module, next_function: Callable, sequence_start, x: jax.Array) -> jax.Array:
    """A causal convolution that sees the past of the previous pieces instead of padding. x: (B, n, ...)."""
    if isinstance(layer, WeightNormConv):
        window, stride, padding = layer.padding[0] + 1, 1, (0, 0)
    elif len(layer.kernel_size) == 1:  # over time
        window, stride, padding = layer.padding[0][0] + 1, 1, [(0, 0)]
    else:  # over (time, height, width), or over (height, width)
        window, stride = layer.kernel_size[0], layer.strides[0]
        if len(layer.kernel_size) == 2 or max(window, stride) == 1:
            return next_function(x)
        padding = ((0, 0), *layer.padding[1:])
    seen = with_past(layer, x, window, stride, sequence_start)
    if layer.is_initializing():
        return next_function(x)
    return layer.clone(padding=padding, parent=None).apply({"params": layer.variables["params"]}, seen)


def shift(layer: Shift, sequence_start, x: jax.Array, frame_mask: None = None) -> jax.Array:
    """An online shift that sees the last frame of the previous piece, of the channels that move. x: (B, n, H, W, C)."""
    number = layer.number(x.shape[-1])
    if not number:
        return x
    seen = with_past(layer, x[..., :number], window=2, sequence_start=sequence_start)  # (B, 1 + n, H, W, number)
    return jnp.concatenate([seen[:, :-1], x[..., number:]], -1)


def last_valid(layer: nn.Module, next_function: Callable, sequence_start, x: jax.Array, frame_mask=None) -> jax.Array:
    """The last valid step of all pieces so far (B, D), zeros before the first; x (B, n, D), frame_mask (B, n)."""
    before, keep = starting_carry(layer, jnp.zeros((x.shape[0], x.shape[2]), x.dtype), sequence_start)
    last = next_function(x, frame_mask)
    if frame_mask is not None:
        last = jnp.where(jnp.asarray(frame_mask).astype(bool).any(1)[:, None], last, before)
    keep(last)
    return last


def running_mean(layer: nn.Module, x: jax.Array, frame_mask: None = None) -> jax.Array:
    """The mean over all steps of all pieces so far, zeros before the first: (B, n, D) -> (B, D).

    The carry is kept in float32 or higher precision.
    """
    precise = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    zeros = jnp.zeros((x.shape[0], x.shape[2]), precise.dtype), jnp.zeros((x.shape[0], 1), precise.dtype)
    (mean, count), keep = starting_carry(layer, zeros)
    count = count + x.shape[1]
    mean = mean + (precise - mean[:, None]).sum(1) / jnp.maximum(count, 1)
    keep((mean, count))
    return mean.astype(x.dtype)
