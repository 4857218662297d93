"""The state of stateful networks, carried from one piece of a sequence to the next in the collection `carry`.

A network that sees a video piece by piece returns the same outputs as on all pieces so far at once. If the collection
is missing, for example when a network is built or evaluated on single clips, every sequence starts from zeros.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn


def starting_carry(module: nn.Module, initial, sequence_start: jax.Array | None):
    """Return the carry that a stateful layer starts from. Call it in a compact method.

    Args:
        initial: the carry of new sequences, a tree of (B, ...).
        sequence_start: (B,), boolean or 0 and 1; marks rows that begin a sequence.

    Returns:
        The carry, and the variable to write the next carry to; None if the state must not change.

    Raises:
        ValueError: if the carry has another number of sequences, or another frame size.
    """
    changes = module.is_mutable_collection("carry")
    if not changes and not module.has_variable("carry", "state"):
        return initial, None
    state = module.variable("carry", "state", lambda: initial)
    for old, new in zip(jax.tree.leaves(state.value), jax.tree.leaves(initial), strict=True):
        if old.shape[0] != new.shape[0]:
            raise ValueError(
                f"The model carries the state of {old.shape[0]} sequences from batch to batch, but this batch has "
                f"{new.shape[0]}: a stateful model needs batches of one size."
            )
        if old.shape != new.shape:
            raise ValueError(f"The state that the model carries is {old.shape}, but these frames need {new.shape}.")
    carry = jax.tree.map(lambda old, new: old.astype(new.dtype), state.value, initial)
    if sequence_start is not None:
        starts = jnp.asarray(sequence_start).astype(bool)
        carry = jax.tree.map(
            lambda new, old: jnp.where(starts.reshape(-1, *(1,) * (old.ndim - 1)), new, old), initial, carry
        )
    return carry, state if changes and not module.is_initializing() else None


class Past(nn.Module):
    """Prepend the past that a causal window over time still needs to the new steps; zeros before the first step.

    A strided window gives an output for every `stride`-th step, starting with the first. So a piece may give no output,
    and the length of the kept past varies from piece to piece, until the strides are used up.

    Attributes:
        window: number of steps that an output sees, from the first to the last.
        stride: steps from one output to the next.
    """

    window: int
    stride: int = 1

    @nn.compact
    def __call__(self, x, sequence_start=None):
        """(B, n, ...) -> (B, m, ...), on which an unpadded window gives an output for each `stride`-th new step.

        Raises:
            ValueError: see `starting_carry`; also for `sequence_start` with a stride.
        """
        longest = max(self.window, self.stride)
        if self.stride > 1 and sequence_start is not None:
            raise ValueError("Rows of a batch cannot begin a sequence by themselves where steps are passed over.")
        before = self.get_variable("carry", "state")  # None at first
        steps = longest - 1 if before is None else before.shape[1]
        past, kept = starting_carry(self, jnp.zeros((x.shape[0], steps, *x.shape[2:]), x.dtype), sequence_start)
        x = jnp.concatenate([past, x], 1)
        outputs = max(0, (x.shape[1] - longest) // self.stride + 1)
        if kept is not None:
            kept.value = x[:, outputs * self.stride :]
        start = longest - self.window
        end = start + (outputs - 1) * self.stride + self.window if outputs else start
        return x[:, start:end]


def last_that_counts(x: jax.Array, frame_mask: jax.Array | None) -> jax.Array:
    """Return the last valid step of each row: (B, T, D) and mask (B, T) -> (B, D)."""
    if frame_mask is None:
        return x[:, -1]
    last = x.shape[1] - 1 - jnp.asarray(frame_mask).astype(bool)[:, ::-1].argmax(1)  # (B,)
    return jnp.take_along_axis(x, last[:, None, None], axis=1)[:, 0]


class LastThatCounts(nn.Module):
    """The last valid step of all pieces so far; a piece without a valid step keeps the previous one."""

    @nn.compact
    def __call__(self, x, frame_mask=None, sequence_start=None):
        """(B, n, D) and mask (B, n) -> (B, D), zeros before the first valid step. Errors: see `starting_carry`."""
        before, kept = starting_carry(self, jnp.zeros((x.shape[0], x.shape[2]), x.dtype), sequence_start)
        last = last_that_counts(x, frame_mask)
        if frame_mask is not None:
            last = jnp.where(jnp.asarray(frame_mask).astype(bool).any(1)[:, None], last, before)
        if kept is not None:
            kept.value = last
        return last


class RunningMean(nn.Module):
    """The mean over all steps of all pieces so far."""

    @nn.compact
    def __call__(self, x, sequence_start=None):
        """(B, n, D) -> (B, D), zeros before the first step; kept in float32 or better. Errors: see `starting_carry`."""
        precise = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        zeros = jnp.zeros((x.shape[0], x.shape[2]), precise.dtype), jnp.zeros((x.shape[0], 1), precise.dtype)
        (mean, count), kept = starting_carry(self, zeros, sequence_start)
        count = count + x.shape[1]
        mean = mean + (precise - mean[:, None]).sum(1) / jnp.maximum(count, 1)
        if kept is not None:
            kept.value = mean, count
        return mean.astype(x.dtype)


def check_start(stateful: bool, train: bool, sequence_start: jax.Array | None):
    """Raise a ValueError if a stateful network is trained without `sequence_start`."""
    if stateful and train and sequence_start is None:
        raise ValueError(
            "A stateful network goes on where the batch before ended: train it on batches in which it does, "
            "config.clip.sampling = 'chunks', or set model.stateful = False."
        )
