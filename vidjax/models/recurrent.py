"""Recurrent networks over a sequence of features: vanilla RNN, LSTM and GRU, stacked, bidirectional.

Elman, "Finding Structure in Time" (Cognitive Science, 1990): the vanilla RNN.
Hochreiter and Schmidhuber, "Long Short-Term Memory" (Neural Computation, 1997), with the forget gate of Gers et al.,
"Learning to Forget" (Neural Computation, 2000).
Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder" (EMNLP 2014): the GRU, here in the variant of
cuDNN and PyTorch, see `gru_cell`.

All three compute x_t W + b for all steps in one matrix product and then scan over the steps. The scan has its own
backward pass. Automatic differentiation would accumulate the gradient of the recurrent kernel step by step, which takes
longer than everything else. Here it is one matrix product over all steps, as in cuDNN (Appleyard et al., "Optimizing
Performance of Recurrent Neural Networks on GPUs", 2016, https://arxiv.org/abs/1604.01946, section 3.3).
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

Carry = tuple[jax.Array, ...]  # its last entry is the output h


# --- Cells: one step, given its input and recurrent products --------------------------------------------------------


class Cell(NamedTuple):
    """A recurrent cell.

    Attributes:
        update: (carry, x W + b + h U) -> the next carry; without `adds`, (carry, x W + b, h U) -> the next carry.
        num_entries: number of entries of the carry, (B, ..., H) each.
        num_gates: G; both products are (B, ..., G H).
        adds: whether the cell only sees the sum of the two products, so that their gradients are equal.
    """

    update: Callable
    num_entries: int
    num_gates: int
    adds: bool = True


def rnn_cell(carry: Carry, gates: jax.Array) -> Carry:
    """h' = tanh(x W + h U + b). carry: h (B, H); gates: the sum in brackets (B, H)."""
    return (jnp.tanh(gates),)


def lstm_cell(carry: Carry, gates: jax.Array) -> Carry:
    """c' = f c + i g and h' = o tanh(c'), where (i, f, g, o) = (s, s, tanh, s)(x W + h U + b), s the sigmoid.

    carry: c, h (B, H); gates: the sum in brackets (B, 4 H), in torch's order: input, forget, candidate, output.
    """
    c, _ = carry
    i, f, g, o = jnp.split(gates, 4, axis=-1)  # (B, H) each
    c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
    return c, nn.sigmoid(o) * jnp.tanh(c)


def gru_cell(carry: Carry, projected: jax.Array, recurrent: jax.Array) -> Carry:
    """h' = (1 - z) n + z h, where r = s(x W_r + h U_r), z = s(x W_z + h U_z), n = tanh(x W_n + r (h U_n)).

    s is the sigmoid; biases are left out. This is the variant of cuDNN and PyTorch: the reset gate r is applied after
    the recurrent product, which has its own bias. (Cho et al. apply it before: h U_n becomes (r h) U_n.)

    carry: h (B, H); projected, recurrent: (B, 3 H), the gates in torch's order: reset, update, new.
    """
    (h,) = carry
    (r, z, n), (rr, zr, nr) = jnp.split(projected, 3, axis=-1), jnp.split(recurrent, 3, axis=-1)  # (B, H) each
    r, z = nn.sigmoid(r + rr), nn.sigmoid(z + zr)
    return ((1 - z) * jnp.tanh(n + r * nr) + z * h,)


CELLS = {"rnn": Cell(rnn_cell, 1, 1), "lstm": Cell(lstm_cell, 2, 4), "gru": Cell(gru_cell, 1, 3, adds=False)}


def next_carry(cell: Cell, carry: Carry, projected: jax.Array, recurrent: jax.Array, extra: dict) -> Carry:
    """The carry after one step. projected, recurrent: x W + b and h U (B, ..., G H); extra: see `scan_cell`."""
    products = (projected + recurrent,) if cell.adds else (projected, recurrent)
    return cell.update(carry, *products, **extra)


def masked_carry(cell: Cell, mask: jax.Array, carry: Carry, *arguments) -> Carry:
    """`next_carry`, but rows whose mask is False keep the old carry. mask: bool (B, 1, ...)."""
    new = next_carry(cell, carry, *arguments)
    return tuple(jnp.where(mask, x, old) for x, old in zip(new, carry, strict=True))


def forget_open(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
    """Initialise biases to 0, and to 1 for the forget gate (Jozefowicz et al., 2015, section 3.1)."""
    size = shape[0] // 4
    return jnp.zeros(shape, dtype).at[size : 2 * size].set(1)


# --- All steps -------------------------------------------------------------------------------------------------------


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def scan_cell(cell: Cell, product: Callable, weights, bias, extra: dict, carry: Carry, projected, mask):
    """Run a cell over time, with the backward pass described at the top of this module.

    Args:
        product: (weights, h (N, ..., H)) -> the recurrent product h U (N, ..., G H), linear in h but for a bias.
        weights: tree of arrays.
        bias: (G H,), added to x W.
        extra: further arguments of `cell.update`, by keyword: trees of arrays.
        carry: the carry before the first step, (B, ..., H) each.
        projected: x W (T, B, ..., G H).
        mask: bool (T, B, 1, ...); a row whose mask is False keeps its carry.

    Returns:
        The carry after the last step, and h after every step (T, B, ..., H).
    """
    return _scan_forward(cell, product, weights, bias, extra, carry, projected, mask)[0]


def _scan_forward(cell, product, weights, bias, extra, carry, projected, mask):
    def step(carry, of_step):
        projected, mask = of_step
        recurrent = product(weights, carry[-1])
        carry = masked_carry(cell, mask, carry, projected + bias, recurrent, extra)
        return carry, (carry, recurrent)

    last, (carries, recurrent) = jax.lax.scan(step, carry, (projected, mask))
    return (last, carries[-1]), (weights, bias, extra, carry, carries, projected, mask, recurrent)


def _scan_backward(cell, product, kept, cotangents):
    weights, bias, extra, carry, carries, projected, mask, recurrent = kept
    d_last, d_hidden = cotangents
    before = tuple(jnp.concatenate([x[None], xs[:-1]]) for x, xs in zip(carry, carries, strict=True))  # (T, B, ..., H)
    _, transposed = jax.vjp(lambda h: product(weights, h), carry[-1])

    def step(gradients, of_step):
        d_carry, d_extra = gradients
        before, projected, recurrent, mask, d_h = of_step
        d_carry = (*d_carry[:-1], d_carry[-1] + d_h)
        update = partial(masked_carry, cell, mask)
        _, pull_back = jax.vjp(update, before, projected + bias, recurrent, extra)
        d_before, d_projected, d_recurrent, d_here = pull_back(d_carry)
        d_carry = (*d_before[:-1], d_before[-1] + transposed(d_recurrent)[0])
        return (d_carry, jax.tree.map(jnp.add, d_extra, d_here)), (d_projected, None if cell.adds else d_recurrent)

    (d_carry, d_extra), (d_projected, d_recurrent) = jax.lax.scan(
        step,
        (d_last, jax.tree.map(jnp.zeros_like, extra)),
        (before, projected, recurrent, mask, d_hidden),
        reverse=True,
    )
    d_recurrent = d_projected if cell.adds else d_recurrent  # (T, B, ..., G H)
    h, d_recurrent = (x.reshape(-1, *x.shape[2:]) for x in (before[-1], d_recurrent))  # (T B, ...)
    _, of_weights = jax.vjp(lambda weights: product(weights, h), weights)
    d_bias = d_projected.sum(range(d_projected.ndim - 1))
    no_gradient = np.zeros(mask.shape, jax.dtypes.float0)
    return *of_weights(d_recurrent), d_bias, d_extra, d_carry, d_projected, no_gradient


scan_cell.defvjp(_scan_forward, _scan_backward)


@jax.custom_vjp
def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Return x W: (T, B, D) and (D, F) -> (T, B, F).

    It has its own gradient, because automatic differentiation sums over T and B in an order that makes XLA transpose
    the largest array.
    """
    return x @ kernel


product.defvjp(
    lambda x, kernel: (x @ kernel, (x, kernel)),
    lambda kept, d: (d @ kept[1].T, jnp.einsum("tbd,tbf->df", kept[0], d)),
)


class Projection(nn.Module):
    """A linear layer that returns x W and b separately: adding b inside the scan costs nothing."""

    features: int
    bias_init: nn.initializers.Initializer = nn.initializers.zeros
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(..., D) -> (..., features) and (features,)."""
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (x.shape[-1], self.features))
        bias = self.param("bias", self.bias_init, (self.features,))
        return product(x, kernel.astype(self.dtype)), bias.astype(self.dtype)


class RecurrentKernel(nn.Module):
    """The kernel of a recurrent product and optionally a bias, returned in a dict; float32."""

    shape: tuple[int, ...]
    kernel_init: nn.initializers.Initializer
    use_bias: bool = False

    @nn.compact
    def __call__(self) -> dict[str, jax.Array]:
        weights = {"kernel": self.param("kernel", self.kernel_init, self.shape)}
        if self.use_bias:
            weights["bias"] = self.param("bias", nn.initializers.zeros, self.shape[-1:])
        return weights


def recurrent_weights(features: int, cell: str) -> dict[str, jax.Array]:
    """Return the weights of `recurrent_product`. Call it in a compact method: creates the submodule `recurrent`."""
    shape = features, CELLS[cell].num_gates * features
    return RecurrentKernel(shape, nn.initializers.orthogonal(), use_bias=cell == "gru", name="recurrent")()


class Step(nn.Module):
    """The parameters of one step."""

    features: int
    cell: str

    @nn.compact
    def __call__(self) -> dict[str, jax.Array]:
        return recurrent_weights(self.features, self.cell)


def recurrent_product(weights: dict[str, jax.Array], h: jax.Array) -> jax.Array:
    """Return h U, plus the bias of a GRU: (N, H) -> (N, G H)."""
    x = h @ weights["kernel"]
    return x + weights["bias"] if "bias" in weights else x


class Recurrent(nn.Module):
    """One recurrent layer over a sequence, in one direction.

    Attributes:
        features: H, the size of the output and of each entry of the carry.
        cell: "rnn", "lstm" or "gru".
        reverse: run from the last step to the first.
        dtype: dtype of the computation and of the carry; parameters are float32.
    """

    features: int
    cell: str = "lstm"
    reverse: bool = False
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        check_cell(self.cell)
        super().__post_init__()

    def first_carry(self, x: jax.Array) -> Carry:
        """The carry before the first step of the sequences x (B, T, D): zeros (B, H) for each entry."""
        return (jnp.zeros((x.shape[0], self.features), self.dtype),) * CELLS[self.cell].num_entries

    @nn.compact
    def __call__(self, x, frame_mask=None, carry=None):
        """Run the layer over a batch of sequences.

        Args:
            x: (B, T, D), float.
            frame_mask: (B, T), boolean or 0 and 1; steps with 0 are skipped: they keep the carry and repeat the output
                of the previous step.
            carry: the carry before the first step, as this layer returns it; None for `first_carry`.

        Returns:
            The outputs h (B, T, H), and the carry after the last valid step, whose last entry is h (B, H).

        Raises:
            ValueError: if the width of the sequence does not fit the parameters, or a sequence without a carry has no
                valid step (if the mask is known before compilation).
        """
        check_sequence(x, self.get_variable("params", "input"), frame_mask if carry is None else None)
        carry = self.first_carry(x) if carry is None else carry
        # Transpose before the product: XLA would move the transposition after it, where it costs more
        x = jax.lax.optimization_barrier(x.astype(self.dtype).swapaxes(0, 1))  # (T, B, D)
        cell, bias_init = CELLS[self.cell], forget_open if self.cell == "lstm" else nn.initializers.zeros
        projected, bias = Projection(cell.num_gates * self.features, bias_init, self.dtype, name="input")(x)
        weights = jax.tree.map(lambda x: x.astype(self.dtype), Step(self.features, self.cell, name="step")())
        mask = jnp.ones(x.shape[:2], bool) if frame_mask is None else jnp.asarray(frame_mask).astype(bool).T
        inputs = projected, mask[..., None]  # (T, B, G H), (T, B, 1)
        if self.reverse:
            inputs = jax.tree.map(lambda x: x[::-1], inputs)
        carry, hidden = scan_cell(cell, recurrent_product, weights, bias, {}, carry, *inputs)
        hidden = hidden[::-1] if self.reverse else hidden
        return hidden.swapaxes(0, 1), carry  # (B, T, H), (B, H) each


def recurrent_stack(
    x: jax.Array,
    frame_mask: jax.Array | None = None,
    *,
    features: int,
    cell: str = "lstm",
    num_layers: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
    train: bool = False,
    dtype: jnp.dtype = jnp.float32,
) -> tuple[jax.Array, jax.Array]:
    """A stack of recurrent layers, each over the outputs of the previous one. Call it in a compact method.

    It creates the submodules `CELL`, `CELL_1`, `CELL_2`, ..., and `CELL_reverse`, ... for the second direction.

    Args:
        x, frame_mask: see `Recurrent`.
        features: H, the size of each layer and direction.
        bidirectional: run a second layer from the end and concatenate the outputs of both (Schuster and Paliwal, 1997).
        dropout: dropout rate between the layers, in training.
        dtype: dtype of the computation.

    Returns:
        The outputs of the last layer (B, T, H), and its h after the last valid step (B, H). If bidirectional, 2 H
        instead of H; the second half of h is from the reverse layer, which ends at the first step.
    """
    last = x
    for i in range(num_layers):
        if i:
            x = nn.Dropout(dropout, deterministic=not train)(x)
        name = f"{cell}_{i}" if i else cell
        runs = [Recurrent(features, cell, dtype=dtype, name=name)(x, frame_mask)]
        if bidirectional:
            runs.append(Recurrent(features, cell, reverse=True, dtype=dtype, name=f"{name}_reverse")(x, frame_mask))
        x = jnp.concatenate([hidden for hidden, _ in runs], axis=-1)
        last = jnp.concatenate([carry[-1] for _, carry in runs], axis=-1)
    return x, last


# --- Checks ----------------------------------------------------------------------------------------------------------


def check_cell(cell: str, num_layers: int = 1):
    """Raise a ValueError for an unknown cell or less than one layer."""
    if cell not in CELLS:
        raise ValueError(f"Unknown cell {cell!r}; choose one of {', '.join(CELLS)}.")
    if num_layers < 1:
        raise ValueError(f"num_layers = {num_layers}: a recurrent network has at least one layer.")


def check_sequence(x: jax.Array, first: dict | None = None, frame_mask: jax.Array | None = None):
    """Check a batch of feature sequences.

    Args:
        x: must be (B, T, D).
        first: parameters of the first layer, whose `kernel` is (..., D, features); None during initialisation.
        frame_mask: (B, T); checked unless it is a tracer under `jax.jit`.

    Raises:
        ValueError: for a wrong shape, a width that does not fit the parameters, or a sequence without a valid frame.
    """
    if x.ndim != 3 or not x.shape[1]:
        raise ValueError(f"Features are (batch, time, width), of at least one step; got the shape {x.shape}.")
    if first and first["kernel"].shape[-2] != x.shape[-1]:
        raise ValueError(
            f"The model's parameters are for features of width {first['kernel'].shape[-2]}; got {x.shape[-1]}: "
            "these features are of another layer, or of another network."
        )
    if frame_mask is None or isinstance(frame_mask, jax.core.Tracer):
        return
    empty = [i for i, row in enumerate(jax.device_get(frame_mask)) if not row.any()]
    if empty:
        raise ValueError(f"frame_mask leaves the sequences {empty} of the batch without a frame.")
