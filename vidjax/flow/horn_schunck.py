"""Horn and Schunck's flow: pixels keep their brightness, and flow is smooth; both squared, over the whole frame.

Horn and Schunck, "Determining Optical Flow" (Artificial Intelligence 17, 1981), with the pyramid and the warps of
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
        alpha: of the smoothness against the brightness; more is smoother.
        num_scales: of the pyramid, as far as its images have 16 pixels; scale_step: from one to the next, below 1.
        num_warps: at each scale; num_iterations: of Jacobi's method after each.

    Returns:
        (..., H, W, 2), float: pixels that each point of `first` moves to the right and down.

    Raises:
        ValueError: for frames of different size or smaller than 8x8, or a setting that cannot be.
    """
    images.check_settings(
        num_scales=num_scales, scale_step=scale_step, num_warps=num_warps, num_iterations=num_iterations
    )

    at_scale = functools.partial(_at_scale, alpha=alpha, num_warps=num_warps, num_iterations=num_iterations)
    pyramid = {"num_scales": num_scales, "scale_step": scale_step, "smallest": 16, "kernel": BINOMIAL}

    def flow_of(first, second):
        corner = second[0, 0]  # a second frame without texture is 0 then, and has no slope, rounding or not
        return images.coarse_to_fine(first - corner, second - corner, at_scale, **pyramid)

    return images.over_pairs(flow_of, first, second)


def _at_scale(first, second, flow, *, alpha, num_warps, num_iterations):
    """Improves the flow (2, H, W) between two images (H, W)."""
    height, width = first.shape
    moving = jnp.concatenate([second[None], images.central_differences(second)])  # (3, H, W)
    moving = jnp.pad(moving, ((0, 0), (3, 3), (3, 3)), mode="edge")  # all that the cubic sees at the border

    def warp(_, flow):
        x, y = images.positions(flow)
        is_inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
        value, *slope = images.bicubic(moving, jnp.clip(x, 0, width - 1) + 3, jnp.clip(y, 0, height - 1) + 3)
        slope = jnp.where(is_inside, jnp.stack(slope), 0)  # what is out of sight goes where its neighbours go
        rest = value - (slope * flow).sum(0) - first
        scale = 1 / (alpha**2 + (slope**2).sum(0))

        def iterate(_, flow):
            mean = _mean_around(flow)
            return mean - slope * scale * (rest + (slope * mean).sum(0))  # the paper's section 12

        return jax.lax.fori_loop(0, num_iterations, iterate, flow)

    return jax.lax.fori_loop(0, num_warps, warp, flow)


def _mean_around(u: jax.Array) -> jax.Array:
    """Of the 8 neighbours, those beside it count twice those at its corners: section 8. (2, H, W)."""
    wide = jnp.pad(u, ((0, 0), (1, 1), (1, 1)), mode="edge")
    beside = wide[:, 1:-1, :-2] + wide[:, 1:-1, 2:] + wide[:, :-2, 1:-1] + wide[:, 2:, 1:-1]
    corners = wide[:, :-2, :-2] + wide[:, :-2, 2:] + wide[:, 2:, :-2] + wide[:, 2:, 2:]
    return beside / 6 + corners / 12
