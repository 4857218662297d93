"""Horn and Schunck's optical flow: minimises squared brightness changes plus squared flow gradients.

Horn and Schunck, "Determining Optical Flow" (Artificial Intelligence 17, 1981), with the pyramid and warps of
Meinhardt-Llopis, Sanchez Perez and Kondermann, "Horn-Schunck Optical Flow with a Multi-Scale Strategy" (IPOL 2013),
https://doi.org/10.5201/ipol.2013.20.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.flow import images

BINOMIAL = np.array([1, 2, 1]) / 4


@functools.partial(jax.jit, static_argnames=("num_scales", "scale_step", "num_warps", "num_iterations"))
def horn_schunck(
    first: jax.Array,
    second: jax.Array,
    *,
    alpha: float = 7.0,
    num_scales: int = 8,
    scale_step: float = 0.65,
    num_warps: int = 5,
    num_iterations: int = 50,
) -> jax.Array:
    """Optical flow by Horn and Schunck.

    Args:
        first, second: (..., H, W), grey, 0..255.
        alpha: weight of smoothness relative to brightness; larger is smoother.
        num_scales: largest number of pyramid levels; levels below 16 pixels are omitted.
        scale_step: size of a level relative to the previous one, below 1.
        num_warps: warps per level; num_iterations: Jacobi iterations per warp.

    Returns:
        float (..., H, W, 2): pixels by which each point of `first` moves right and down.

    Raises:
        ValueError: for frames of different sizes or smaller than 8x8, or an invalid setting.
    """
    images.check_settings(
        num_scales=num_scales, scale_step=scale_step, num_warps=num_warps, num_iterations=num_iterations
    )

    at_scale = functools.partial(_at_scale, alpha=alpha, num_warps=num_warps, num_iterations=num_iterations)
    pyramid = {"num_scales": num_scales, "scale_step": scale_step, "smallest": 16, "kernel": BINOMIAL}

    def flow_of(first, second):
        corner = second[0, 0]  # makes a second frame without texture exactly 0, without gradient
        return images.coarse_to_fine(first - corner, second - corner, at_scale, **pyramid)

    return images.over_pairs(flow_of, first, second)


def _at_scale(first, second, flow, *, alpha, num_warps, num_iterations):
    """Improves the flow (2, H, W) between two images (H, W)."""
    height, width = first.shape
    moving = jnp.concatenate([second[None], images.central_differences(second)])  # (3, H, W)
    moving = jnp.pad(moving, ((0, 0), (3, 3), (3, 3)), mode="edge")  # the reach of bicubic samples at the border

    def warp(_, flow):
        x, y = images.positions(flow)
        is_inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
        value, *slope = images.bicubic(moving, jnp.clip(x, 0, width - 1) + 3, jnp.clip(y, 0, height - 1) + 3)
        slope = jnp.where(is_inside, jnp.stack(slope), 0)  # pixels that leave the frame follow their neighbours
        rest = value - (slope * flow).sum(0) - first
        scale = 1 / (alpha**2 + (slope**2).sum(0))

        def iterate(_, flow):
            mean = _mean_around(flow)
            return mean - slope * scale * (rest + (slope * mean).sum(0))  # the paper's section 12

        return jax.lax.fori_loop(0, num_iterations, iterate, flow)

    return jax.lax.fori_loop(0, num_warps, warp, flow)


def _mean_around(u: jax.Array) -> jax.Array:
    """The weighted mean of the 8 neighbours, adjacent ones with twice the weight of corners (section 8): (2, H, W)."""
    wide = jnp.pad(u, ((0, 0), (1, 1), (1, 1)), mode="edge")
    beside = wide[:, 1:-1, :-2] + wide[:, 1:-1, 2:] + wide[:, :-2, 1:-1] + wide[:, 2:, 1:-1]
    corners = wide[:, :-2, :-2] + wide[:, :-2, 2:] + wide[:, 2:, :-2] + wide[:, 2:, 2:]
    return beside / 6 + corners / 12
