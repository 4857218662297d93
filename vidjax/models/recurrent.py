"""Recurrent networks over a sequence of features: vanilla RNN, LSTM and GRU, stacked, bidirectional, stateful.

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

import jax
import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.carry import starting_carry

Carry = tuple[jax.Array, ...]  # its last entry is the output h


# --- One step, given its input and recurrent products ---------------------------------------------------------------


def rnn_cell(carry: Carry, projected: jax.Array, recurrent: jax.Array) -> Carry:
    """h' = tanh(x W + h U + b). carry: h (B, H); projected x W + b and recurrent h U: (B, H)."""
    return (jnp.tanh(projected + recurrent),)


def lstm_cell(carry: Carry, projected: jax.Array, recurrent: jax.Array) -> Carry:
    """c' = f c + i g and h' = o tanh(c'), where (i, f, g, o) = (s, s, tanh, s)(x W + h U + b), s the sigmoid.

    carry: c, h (B, H); projected, recurrent: (B, 4 H), the gates in torch's order: input, forget, candidate, output.
    """
    c, _ = carry
    i, f, g, o = jnp.split(projected + recurrent, 4, axis=-1)  # (B, H) each
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


# name -> cell, entries of its carry, gates
CELLS = {"rnn": (rnn_cell, 1, 1), "lstm": (lstm_cell, 2, 4), "gru": (gru_cell, 1, 3)}


def masked_cell(cell: str, carry: Carry, projected: jax.Array, recurrent: jax.Array, mask: jax.Array) -> Carry:
    """Return the next carry; rows whose mask (B, 1) is 0 keep the old one."""
    new = CELLS[cell][0](carry, projected, recurrent)
    return tuple(jnp.where(mask > 0, x, old) for x, old in zip(new, carry, strict=True))


def forget_open(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
    """Initialise biases to 0, and to 1 for the forget gate (Jozefowicz et al., 2015, section 3.1)."""
    size = shape[0] // 4
    return jnp.zeros(shape, dtype).at[size : 2 * size].set(1)


# --- All steps -------------------------------------------------------------------------------------------------------


def recurrent_product(h: jax.Array, size: int, *, cell: str, dtype) -> jax.Array:
    """Return h U, plus a bias for a GRU: (B, H) -> (B, size). Creates the submodule `recurrent` of a compact method."""
    orthogonal = nn.initializers.orthogonal()
    return nn.Dense(size, use_bias=cell == "gru", kernel_init=orthogonal, dtype=dtype, name="recurrent")(h)


class Step(nn.Module):
    """One step of a cell: the recurrent product and `masked_cell`."""

    cell: str
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, carry: Carry, inputs: tuple[jax.Array, jax.Array], bias: jax.Array):
        """carry; projected x W (B, G H), mask (B, 1); bias (G H,) -> the next carry; that again, and h U (B, G H)."""
        projected, mask = inputs
        recurrent = recurrent_product(carry[-1], projected.shape[-1], cell=self.cell, dtype=self.dtype)
        carry = masked_cell(self.cell, carry, projected + bias, recurrent, mask)
        return carry, (carry, recurrent)


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


def scan_steps(steps: nn.Module, carry: Carry, inputs: tuple, bias: jax.Array, *, unroll: int, remat: bool):
    """Run the scanned `Step` over time, with the backward pass described at the top of this module.

    Args:
        steps: a scanned `Step`.
        carry: the carry before the first step, (B, H) each.
        inputs: projected (T, B, G H), mask (T, B, 1), float.
        bias: (G H,).
        unroll: steps per iteration of the loop.
        remat: do not keep the recurrent products; recompute them in the backward pass in one matrix product.

    Returns:
        The carry after the last step, and h for all steps (T, B, H).
    """
    cell = steps.cell

    def run(steps, carry, inputs, bias):
        last, (carries, _) = steps(carry, inputs, bias)
        return last, carries[-1]

    def forward(steps, carry, inputs, bias):
        last, (carries, recurrent) = steps(carry, inputs, bias)
        layer = steps.variables["params"]["recurrent"]
        return (last, carries[-1]), (layer, carry, carries, inputs, bias, None if remat else recurrent)

    def backward(kept, cotangents):
        layer, carry, carries, (projected, mask), bias, recurrent = kept
        d_last, d_hidden = cotangents
        before = tuple(jnp.concatenate([x[None], xs[:-1]]) for x, xs in zip(carry, carries, strict=True))  # (T, B, H)
        kernel = layer["kernel"].astype(projected.dtype)  # (H, G H)
        if recurrent is None:
            recurrent = before[-1] @ kernel + layer.get("bias", jnp.zeros(())).astype(projected.dtype)  # (T, B, G H)
        transposed = kernel.T

        def step(d_carry, of_step):
            before, projected, recurrent, mask, d_h = of_step
            d_carry = (*d_carry[:-1], d_carry[-1] + d_h)
            _, pull_back = jax.vjp(
                lambda *primals: masked_cell(cell, *primals, mask), before, projected + bias, recurrent
            )
            d_before, d_projected, d_recurrent = pull_back(d_carry)
            d_h = d_before[-1] + d_recurrent @ transposed
            # The two are equal in an LSTM and an RNN, so one is enough
            return (*d_before[:-1], d_h), (d_projected, d_recurrent if cell == "gru" else None)

        d_carry, (d_projected, d_recurrent) = jax.lax.scan(
            step, d_last, (before, projected, recurrent, mask, d_hidden), reverse=True, unroll=unroll
        )
        d_recurrent = d_projected if d_recurrent is None else d_recurrent  # (T, B, G H)
        d_kernel = jnp.einsum("tbh,tbg->hg", before[-1], d_recurrent, preferred_element_type=layer["kernel"].dtype)
        d_layer = {"kernel": d_kernel}
        if "bias" in layer:
            d_layer["bias"] = d_recurrent.sum((0, 1), dtype=layer["bias"].dtype)
        d_bias = d_projected.sum((0, 1))
        return {"params": {"recurrent": d_layer}}, d_carry, (d_projected, jnp.zeros_like(mask)), d_bias

    return nn.custom_vjp(run, forward, backward)(steps, carry, inputs, bias)


class Recurrent(nn.Module):
    """One recurrent layer over a sequence, in one direction.

    Attributes:
        features: H, the size of the output and of each entry of the carry.
        cell: "rnn", "lstm" or "gru".
        reverse: run from the last step to the first.
        stateful: continue from the previous batch; the model state "carry" holds the carry. A sequence starts from
            zeros if that collection is missing, for example in evaluation, or if `sequence_start` is 1.
        unroll: steps per iteration of the loop.
        remat: save memory in training; see `scan_steps`.
        dtype: dtype of the computation and of the carry; parameters are float32.
    """

    features: int
    cell: str = "lstm"
    reverse: bool = False
    stateful: bool = False
    unroll: int = 1
    remat: bool = False
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        check_cell(self.cell)
        super().__post_init__()

    @nn.compact
    def __call__(self, x, frame_mask=None, sequence_start=None):
        """Run the layer over a batch of sequences.

        Args:
            x: (B, T, D), float.
            frame_mask: (B, T), boolean or 0 and 1; steps with 0 are skipped: they keep the carry and repeat the output
                of the previous step.
            sequence_start: (B,), boolean or 0 and 1; marks rows that do not continue from the previous batch. None: all
                rows continue.

        Returns:
            The outputs h (B, T, H), and h after the last valid step (B, H).

        Raises:
            ValueError: if the width of the sequence does not fit the parameters, a sequence has no valid step (if the
                mask is known before compilation), or the batch size of a stateful layer changes.
        """
        check_sequence(x, self.get_variable("params", "input"), None if self.stateful else frame_mask)
        _, num_entries, num_gates = CELLS[self.cell]
        # Transpose before the product: XLA would move the transposition after it, where it costs more
        x = jax.lax.optimization_barrier(x.astype(self.dtype).swapaxes(0, 1))  # (T, B, D)
        bias_init = forget_open if self.cell == "lstm" else nn.initializers.zeros
        projected, bias = Projection(num_gates * self.features, bias_init, self.dtype, name="input")(x)  # (T, B, G H)
        mask = jnp.ones(x.shape[:2]) if frame_mask is None else jnp.asarray(frame_mask).T
        inputs = projected, mask.astype(projected.dtype)[..., None]  # (T, B, 1)
        zeros = (jnp.zeros((x.shape[1], self.features), projected.dtype),) * num_entries
        carry, kept = starting_carry(self, zeros, sequence_start) if self.stateful else (zeros, None)
        steps = nn.scan(
            Step,
            variable_broadcast="params",
            split_rngs={"params": False},
            in_axes=(0, nn.broadcast),
            unroll=self.unroll,
        )(self.cell, self.dtype, name="step")
        if self.reverse:
            inputs = jax.tree.map(lambda x: x[::-1], inputs)
        carry, hidden = scan_steps(steps, carry, inputs, bias, unroll=self.unroll, remat=self.remat)
        if kept is not None:
            kept.value = carry
        hidden = hidden[::-1] if self.reverse else hidden
        return hidden.swapaxes(0, 1), carry[-1]  # (B, T, H), (B, H)


def recurrent_stack(
    x: jax.Array,
    frame_mask: jax.Array | None = None,
    sequence_start: jax.Array | None = None,
    *,
    features: int,
    cell: str = "lstm",
    num_layers: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
    train: bool = False,
    **arguments,
) -> tuple[jax.Array, jax.Array]:
    """A stack of recurrent layers, each over the outputs of the previous one. Call it in a compact method.

    It creates the submodules `CELL`, `CELL_1`, `CELL_2`, ..., and `CELL_reverse`, ... for the second direction.

    Args:
        x, frame_mask, sequence_start: see `Recurrent`.
        features: H, the size of each layer and direction.
        bidirectional: run a second layer from the end and concatenate the outputs of both (Schuster and Paliwal, 1997).
        dropout: dropout rate between the layers, in training.
        **arguments: `stateful`, `unroll`, `remat` and `dtype` of `Recurrent`.

    Returns:
        The outputs of the last layer (B, T, H), and its h after the last valid step (B, H). If bidirectional, 2 H
        instead of H; the second half of h is from the reverse layer, which ends at the first step.
    """
    last = x
    for i in range(num_layers):
        if i:
            x = nn.Dropout(dropout, deterministic=not train)(x)
        name = f"{cell}_{i}" if i else cell
        runs = [Recurrent(features, cell, name=name, **arguments)(x, frame_mask, sequence_start)]
        if bidirectional:
            runs.append(Recurrent(features, cell, reverse=True, name=name + "_reverse", **arguments)(x, frame_mask))
        x, last = (jnp.concatenate(parts, axis=-1) for parts in zip(*runs, strict=True))
    return x, last


# --- Checks ----------------------------------------------------------------------------------------------------------


def check_cell(cell: str, num_layers: int = 1, bidirectional: bool = False, stateful: bool = False):
    """Raise a ValueError for an unknown cell, less than one layer, or a stateful bidirectional network."""
    if cell not in CELLS:
        raise ValueError(f"Unknown cell {cell!r}; choose one of {', '.join(CELLS)}.")
    if num_layers < 1:
        raise ValueError(f"num_layers = {num_layers}: a recurrent network has at least one layer.")
    if bidirectional and stateful:
        raise ValueError("A bidirectional network cannot be stateful: its second direction starts at the future's end.")


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
