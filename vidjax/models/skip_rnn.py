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

from vidjax.models.frame_pool import frame_features
from vidjax.models.recurrent import (
    CELLS,
    Carry,
    Projection,
    check_sequence,
    forget_open,
    next_carry,
    recurrent_product,
    recurrent_weights,
)

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

    features: int
    cell: str
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, carry: Carry, inputs: tuple[jax.Array, jax.Array], bias: jax.Array):
        """carry; projected x W (B, G H), mask (B, 1); bias (G H,) -> the next carry; h (B, H) and the update (B, 1)."""
        (*state, probability, before), (projected, mask) = carry, inputs
        weights = jax.tree.map(lambda x: x.astype(self.dtype), recurrent_weights(self.features, self.cell))
        recurrent = recurrent_product(weights, state[-1])
        new = next_carry(CELLS[self.cell], tuple(state), projected + bias, recurrent, {})
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
        dtype: dtype of the computation and of the state; probabilities and parameters are float32.
    """

    features: int
    cell: str = "lstm"
    dtype: jnp.dtype = jnp.float32

    def first_carry(self, x: jax.Array) -> Carry:
        """The carry before the first step of the sequences x (B, T, D): zeros, and an update at the first frame."""
        zeros = (jnp.zeros((x.shape[0], self.features), self.dtype),) * CELLS[self.cell].num_entries
        # In half precision a sum of small probabilities stops growing, and the network would skip all later frames
        one = jnp.ones((x.shape[0], 1), jnp.promote_types(self.dtype, jnp.float32))
        return *zeros, one, 0 * one

    @nn.compact
    def __call__(self, x, frame_mask=None, carry=None):
        """Run the layer over a batch of sequences. Arguments and errors: see `recurrent.Recurrent`.

        Returns:
            The outputs h (B, T, H), which frames were used (float32 (B, T), 0 or 1), and the carry after the last step.
        """
        check_sequence(x, self.get_variable("params", "input"), frame_mask if carry is None else None)
        carry = self.first_carry(x) if carry is None else carry
        bias_init = forget_open if self.cell == "lstm" else nn.initializers.zeros
        x = x.astype(self.dtype).swapaxes(0, 1)  # (T, B, D)
        num_gates = CELLS[self.cell].num_gates
        projected, bias = Projection(num_gates * self.features, bias_init, self.dtype, name="input")(x)  # (T, B, G H)
        mask = jnp.ones(x.shape[:2]) if frame_mask is None else jnp.asarray(frame_mask).T
        inputs = projected, mask.astype(carry[-1].dtype)[..., None]  # (T, B, G H), (T, B, 1)
        steps = nn.scan(SkipStep, variable_broadcast="params", split_rngs={"params": False}, in_axes=(0, nn.broadcast))(
            self.features, self.cell, self.dtype, name="step"
        )
        carry, (hidden, updates) = steps(carry, inputs, bias)
        return hidden.swapaxes(0, 1), updates[..., 0].T, carry  # (B, T, H), (B, T)


class SkipRNN(nn.Module):
    """A Skip LSTM or Skip GRU over frame features, dropout, and a linear classifier.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        update_cost: lambda of the paper's section 3.2: the loss per used frame, sown in `losses`.
        backbone, hidden, per_frame, dropout, dtype: see `frame_rnn.FrameRNN`.
        cell: "lstm" or "gru".

    Raises:
        ValueError: on construction, for an unknown cell or a negative `update_cost`.
    """

    num_classes: int | None = None
    update_cost: float = 0.0
    backbone: nn.Module | None = None
    cell: str = "lstm"
    hidden: int = 256
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
    def __call__(self, video=None, *, features=None, frame_mask=None, train=False):
        """Classify clips, or each frame of clips. Arguments, return values and errors: see `FrameRNN`.

        Additional endpoint: "updates" (B, T), 1 for used and 0 for skipped frames.
        """
        layer = f"skip_{self.cell}"
        before = self.get_variable("carry", layer)  # on a stream, after its first frame
        if before is not None and video is not None and video.shape[1] == 1 and not train:
            is_used = (next_sum(before["state"]) >= 0.5).any()
            width = self.get_variable("params", layer)["input"]["kernel"].shape[0]
            ends = {"features": self._features_if(is_used, video, width)}
            x = ends["features"]
        else:
            x, ends = frame_features(self.backbone, video, features, train=train, dtype=self.dtype)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)  # (B, T, D)
        recurrent = SkipRecurrent(self.hidden, self.cell, self.dtype, name=layer)
        ends["hidden"], ends["updates"], _ = recurrent(x, frame_mask)  # (B, T, H), (B, T)
        ends["last"] = ends["hidden"][:, -1]
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
