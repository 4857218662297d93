"""Correlation of the feature maps of two frames: all pairs with look-ups (RAFT), and within a square (FlowNetC)."""

import einops
import jax
import jax.numpy as jnp
from flax import linen as nn


def pyramid(maps: jax.Array, num_levels: int) -> list[jax.Array]:
    """Return maps (N, H, W, D) and their averages over 2x2, 4x4, ... pixels; an odd last row or column is left out."""
    levels = [maps]
    for _ in range(num_levels - 1):
        levels.append(nn.avg_pool(levels[-1], (2, 2), (2, 2)))
    return levels


def all_pairs(first: jax.Array, second: jax.Array) -> jax.Array:
    """The scalar product of each pixel of one map with each of another, over sqrt(D).

    Teed and Deng, "RAFT" (ECCV 2020), section 3.2. The average of the volume over pixels of the second map is the
    volume with the averages of that map, so `pyramid` of the second map gives the pyramid of volumes.

    Args:
        first: (N, h, w, D), float32 or more; second: (N, H, W, D).

    Returns:
        The volume (N, h, w, H, W).
    """
    return jnp.einsum("nhwd,nijd->nhwij", first * first.shape[-1] ** -0.5, second)


def look_up(volumes: list[jax.Array], places: jax.Array, radius: int) -> jax.Array:
    """The correlations around a place, on each level of a pyramid.

    Bilinear samples as products with two matrices of weights. The products take the time of a gather of the windows,
    and their gradient less.

    Args:
        volumes: (N, h, w, H, W) of the finest level, then (N, h, w, H / 2, W / 2), ...
        places: (N, h, w, 2), x and y in pixels of the finest level; anywhere, the correlation outside the map is 0.
        radius: r; the windows have 2 r + 1 pixels of their level per axis.

    Returns:
        (N, h, w, levels (2 r + 1)^2): by level, then by x, then by y.
    """
    found = []
    for level, volume in enumerate(volumes):
        x, y = (_weights(places[..., axis] / 2**level, size, radius) for axis, size in enumerate(volume.shape[:-3:-1]))
        columns = jnp.einsum("nhwij,nhwaj->nhwia", volume, x)  # (N, h, w, H, 2 r + 1)
        window = jnp.einsum("nhwia,nhwbi->nhwab", columns, y)  # (N, h, w, 2 r + 1, 2 r + 1)
        found.append(einops.rearrange(window, "n h w a b -> n h w (a b)"))
    return jnp.concatenate(found, -1)


def look_up_on_demand(first: jax.Array, seconds: list[jax.Array], places: jax.Array, radius: int) -> jax.Array:
    """`look_up` without volumes in memory: computes those of one row of the first map at a time, and again backwards.

    Args:
        first: (N, h, w, D); seconds: the `pyramid` of the second map, (N, H, W, D) first.
        places, radius: see `look_up`.
    """

    @jax.checkpoint
    def of_row(row):
        maps, places = row  # (N, 1, w, D), (N, 1, w, 2)
        return look_up([all_pairs(maps, second) for second in seconds], places, radius)

    rows = [einops.rearrange(x, "n h w d -> h n 1 w d") for x in (first, places)]
    return einops.rearrange(jax.lax.map(of_row, tuple(rows)), "h n 1 w d -> n h w d")


def _weights(places: jax.Array, size: int, radius: int) -> jax.Array:
    """The share of each pixel in the bilinear samples at `places` -r..r: (...) -> (..., 2 r + 1, size)."""
    samples = places[..., None] + jnp.arange(-radius, radius + 1, dtype=places.dtype)  # (..., 2 r + 1)
    return jnp.maximum(1 - jnp.abs(samples[..., None] - jnp.arange(size, dtype=places.dtype)), 0)


def within_square(first: jax.Array, second: jax.Array, reach: int, stride: int) -> jax.Array:
    """The mean over channels of the products of each pixel with those of a square around it in another map.

    Fischer et al., "FlowNet" (ICCV 2015), section 3, equation 1, with patches of one pixel.

    Args:
        first, second: (N, H, W, D), float32 or more; the second map is 0 outside.
        reach: largest displacement in pixels, a multiple of `stride`, the step between displacements.

    Returns:
        (N, H, W, (2 reach / stride + 1)^2), by the displacement in y, then in x.
    """
    (_, height, width, depth), side = first.shape, 2 * reach // stride + 1
    second = jnp.pad(second, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    first = first / depth

    def of_rows(start):
        rows = jax.lax.dynamic_slice_in_dim(second, start, height, 1)  # (N, H, W + 2 reach, D)
        pairs = jnp.einsum("nywd,nyvd->nywv", first, rows)  # (N, H, W, W + 2 reach)
        # Pixel x meets x + displacement: the diagonals, which are columns when each row is one entry longer
        flat = jnp.pad(einops.rearrange(pairs, "n y w v -> n y (w v)"), ((0, 0), (0, 0), (0, width)))
        diagonals = flat.reshape(*flat.shape[:2], width, -1)  # (N, H, W, W + 2 reach + 1)
        return diagonals[..., : 2 * reach + 1 : stride]  # (N, H, W, side)

    found = jax.lax.map(of_rows, stride * jnp.arange(side))  # (side, N, H, W, side)
    return einops.rearrange(found, "a n y x b -> n y x (a b)")
