"""Skip LSTM and Skip GRU: recurrent networks that learn which frames to use and copy their state over the others.

Campos et al., "Skip RNN: Learning to Skip State Updates in Recurrent Neural Networks" (ICLR 2018),
https://arxiv.org/abs/1708.06834. Comments cite its equations 1 to 5. The paper does not say which part of an LSTM's
state gives the update probability; this follows the authors' code (github.com/imatge-upc/skiprnn-2017-telecombcn).

On a skipped frame only a sum of probabilities changes, so it is known in advance which frame is used next. On a stream,
the 2-D network does not run on skipped frames.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.carry import check_start, starting_carry
from vidjax.models.frame_pool import frame_features
from vidjax.models.recurrent import CELLS, Carry, Projection, check_sequence, forget_open, recurrent_product

SKIP_CELLS = ("lstm", "gru")


@jax.custom_jvp
def binarize(x: jax.Array) -> jax.Array:
    """Return 1 if x in [0, 1] is at least 1/2, otherwise 0; the gradient is that of the identity (straight-through)."""
    return jnp.where(x >= 0.5, jnp.ones_like(x), 0)


binarize.defjvp(lambda primals, tangents: (binarize(*primals), *tangents))


def next_sum(carry: Carry) -> jax.Array:
    """Return the sum of probabilities that is binarized to the next update: (B, 1), u~ of equation 5.

    carry: the state, then the probability from the last used frame and the sum since then, (B, 1) each.
    """
    *_, probability, total = carry
    return total + jnp.minimum(probability, 1 - total)


class SkipStep(nn.Module):
    """One step: a cell update or a copy of the state."""

    cell: str
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, carry: Carry, inputs: tuple[jax.Array, jax.Array], bias: jax.Array):
        """carry; projected x W (B, G H), mask (B, 1); bias (G H,) -> the next carry; h (B, H) and the update (B, 1)."""
        (*state, probability, before), (projected, mask) = carry, inputs
        recurrent = recurrent_product(state[-1], projected.shape[-1], cell=self.cell, dtype=self.dtype)
        new = CELLS[self.cell][0](tuple(state), projected + bias, recurrent)
        # Equation 4, on the memory c of an LSTM or h of a GRU; starts at 0.73
        of_new = nn.Dense(1, bias_init=nn.initializers.ones, dtype=self.dtype, name="update_probability")(new[0])
        of_new = nn.sigmoid(of_new.astype(probability.dtype))
        total = next_sum(carry)
        update = binarize(total) * mask  # equation 2

        def choose(new, old):  # equation 3
            return update.astype(old.dtype) * new + (1 - update.astype(old.dtype)) * old

        state = [choose(*pair) for pair in zip(new, state, strict=True)]
        probability = choose(of_new, probability)
        total = jnp.where(mask > 0, (1 - update) * total, before)
        return (*state, probability, total), (state[-1], update)


class SkipRecurrent(nn.Module):
    """One Skip RNN layer over a sequence.

    Attributes:
        features: H, the size of the output.
        cell: "lstm" or "gru".
        stateful: see `recurrent.Recurrent`.
        dtype: dtype of the computation and of the state; probabilities and parameters are float32.
    """

    features: int
    cell: str = "lstm"
    stateful: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, frame_mask=None, sequence_start=None):
        """Run the layer over a batch of sequences. Arguments and errors: see `recurrent.Recurrent`.

        Returns:
            The outputs h (B, T, H), the last output (B, H), and which frames were used: float32 (B, T), 0 or 1.
        """
        check_sequence(x, self.get_variable("params", "input"), None if self.stateful else frame_mask)
        _, num_entries, num_gates = CELLS[self.cell]
        bias_init = forget_open if self.cell == "lstm" else nn.initializers.zeros
        x = x.astype(self.dtype).swapaxes(0, 1)  # (T, B, D)
        projected, bias = Projection(num_gates * self.features, bias_init, self.dtype, name="input")(x)  # (T, B, G H)
        mask = jnp.ones(x.shape[:2]) if frame_mask is None else jnp.asarray(frame_mask).T
        zeros = jnp.zeros((x.shape[1], self.features), projected.dtype)
        # In half precision a sum of small probabilities stops growing, and the network would skip all later frames
        precise = jnp.promote_types(projected.dtype, jnp.float32)
        one = jnp.ones((x.shape[1], 1), precise)
        initial = (*(zeros,) * num_entries, one, 0 * one)  # the first frame is used
        carry, kept = starting_carry(self, initial, sequence_start) if self.stateful else (initial, None)
        steps = nn.scan(SkipStep, variable_broadcast="params", split_rngs={"params": False}, in_axes=(0, nn.broadcast))(
            self.cell, self.dtype, name="step"
        )
        carry, (hidden, updates) = steps(carry, (projected, mask.astype(precise)[..., None]), bias)
        if kept is not None:
            kept.value = carry
        return hidden.swapaxes(0, 1), hidden[-1], updates[..., 0].T  # (B, T, H), (B, H), (B, T)


class SkipRNN(nn.Module):
    """A Skip LSTM or Skip GRU over frame features, dropout, and a linear classifier.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        update_cost: lambda of the paper's section 3.2: the loss per used frame, sown in `losses`.
        backbone, hidden, stateful, per_frame, dropout, dtype: see `frame_rnn.FrameRNN`.
        cell: "lstm" or "gru".

    Raises:
        ValueError: on construction, for an unknown cell or a negative `update_cost`.
    """

    num_classes: int | None = None
    update_cost: float = 0.0
    backbone: nn.Module | None = None
    cell: str = "lstm"
    hidden: int = 256
    stateful: bool = False
    per_frame: bool = False
    dropout: float = 0.0
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        if self.cell not in SKIP_CELLS:
            raise ValueError(f"Unknown cell {self.cell!r}; choose one of {', '.join(SKIP_CELLS)}.")
        if self.update_cost < 0:
            raise ValueError(f"update_cost = {self.update_cost}: what a used frame costs is not negative.")
        super().__post_init__()

    @nn.compact
    def __call__(self, video=None, *, features=None, frame_mask=None, sequence_start=None, train=False):
        """Classify clips, or each frame of clips. Arguments, return values and errors: see `FrameRNN`.

        Additional endpoint: "updates" (B, T), 1 for used and 0 for skipped frames.
        """
        check_start(self.stateful, train, sequence_start)
        layer = f"skip_{self.cell}"
        before = self.get_variable("carry", layer) if self.stateful else None
        if before is not None and video is not None and video.shape[1] == 1 and not train and sequence_start is None:
            is_used = (next_sum(before["state"]) >= 0.5).any()
            width = self.get_variable("params", layer)["input"]["kernel"].shape[0]
            ends = {"features": self._features_if(is_used, video, width)}
            x = ends["features"]
        else:
            x, ends = frame_features(self.backbone, video, features, train=train, dtype=self.dtype)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)  # (B, T, D)
        recurrent = SkipRecurrent(self.hidden, self.cell, self.stateful, self.dtype, name=layer)
        ends["hidden"], ends["last"], ends["updates"] = recurrent(x, frame_mask, sequence_start)
        self.sow("losses", "updates", self.update_cost * ends["updates"].sum(1))  # (B,)
        x = ends["hidden" if self.per_frame else "last"]
        if not self.num_classes:
            return x, ends
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes, dtype=self.dtype, name="classifier")(x), ends  # (B, [T,] num_classes)

    def _features_if(self, is_used: jax.Array, video: jax.Array, width: int) -> jax.Array:
        """Return the features of one frame (B, 1, D) if a video of the batch uses it, otherwise zeros at no cost."""
        zeros = jnp.zeros((video.shape[0], 1, width), self.dtype)
        run, skip = lambda network, video: network(video)[0], lambda network, video: zeros
        return nn.cond(is_used, run, skip, self.backbone, video)
