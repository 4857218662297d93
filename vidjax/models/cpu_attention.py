"""Attention head by head, which waits less for memory on CPUs; `backend` chooses between it and JAX's."""

import einops
import jax
import jax.numpy as jnp

MANY_PAIRS = 128 * 128  # from this number of queries times keys on, attention head by head is faster


def attention_by_head(query, key, value, bias=None, mask=None, *, scale=None):
    """Multi-head attention that computes one head of one sequence per device after the other, which fits in the cache.

    Args:
        query: (B, N, H, D).
        key: (B, M, H, D); value: (B, M, H, E).
        bias: (1, H, N, M), added to the scaled products.
        mask: bool, broadcast to (B, H, N, M), the same for all heads; false where a query does not see a key.
        scale: factor of the products; None for 1 / sqrt(D).

    Returns:
        (B, N, H, E).
    """
    (batch, length, _, depth), others = query.shape, key.shape[1]
    if length * others < MANY_PAIRS or (mask is not None and mask.shape[1] != 1):
        return jax.nn.dot_product_attention(query, key, value, bias, mask, scale=scale)
    devices = 1 if batch % jax.device_count() else jax.device_count()
    query = query * jnp.asarray(depth**-0.5 if scale is None else scale, query.dtype)
    # Each device keeps its rows of the batch. A single device needs no axis, which would cost a copy in transposes
    sizes = {"devices": devices} if devices > 1 else {}
    rows, kept = ("(devices i)", "devices") if sizes else ("i", "")
    query, key, value = (einops.rearrange(x, f"{rows} n h d -> h i {kept} n d", **sizes) for x in (query, key, value))
    if mask is not None:
        mask = jnp.broadcast_to(mask, (batch, *mask.shape[1:]))
        mask = einops.rearrange(mask, f"{rows} 1 n m -> i {kept} n m", **sizes)

    def of_head(arrays):
        query, key, value, bias = arrays
        return jax.lax.map(lambda x: _attend(*x[:3], bias, x[3]), (query, key, value, mask))

    outputs = jax.lax.map(of_head, (query, key, value, None if bias is None else bias[0]))
    return einops.rearrange(outputs, f"h i {kept} n d -> {rows} n h d", **sizes)


@jax.custom_vjp
def _attend(query, key, value, bias, mask):
    """(..., N, D), (..., M, D), (..., M, E), (N, M), (..., 1 or N, M) -> (..., N, E)."""
    return _attend_forward(query, key, value, bias, mask)[0]


def _energy(query, key, bias, mask):
    precise = jnp.promote_types(query.dtype, jnp.float32)
    energy = jnp.matmul(query, key.mT, preferred_element_type=precise)  # (..., N, M)
    energy = energy if bias is None else energy + bias
    return energy if mask is None else jnp.where(mask, energy, -0.7 * jnp.finfo(precise).max)


def _attend_forward(query, key, value, bias, mask):
    energy = _energy(query, key, bias, mask)
    largest = energy.max(-1, keepdims=True)
    shares = jnp.exp(energy - largest)
    total = shares.sum(-1, keepdims=True)
    outputs = ((shares.astype(value.dtype) @ value) / total).astype(value.dtype)
    return outputs, (query, key, value, bias, mask, outputs, largest, total)


def _attend_backward(kept, gradient):
    """Dao et al., "FlashAttention" (2022), https://arxiv.org/abs/2205.14135, appendix B.2: computes the shares anew."""
    query, key, value, bias, mask, outputs, largest, total = kept
    shares = jnp.exp(_energy(query, key, bias, mask) - largest) * (1 / total)
    of_shares = gradient @ value.mT
    of_energy = shares * (of_shares - (gradient * outputs).sum(-1, keepdims=True))
    of_energy = of_energy if mask is None else jnp.where(mask, of_energy, 0)
    of_bias = None if bias is None else of_energy.reshape(-1, *bias.shape).sum(0).astype(bias.dtype)
    of_energy, shares = of_energy.astype(query.dtype), shares.astype(gradient.dtype)
    return of_energy @ key, of_energy.mT @ query, shares.mT @ gradient, of_bias, None


_attend.defvjp(_attend_forward, _attend_backward)
