"""TV-L1: flow that is smooth but for edges (total variation), of pixels that keep their brightness but for some (L1).

Zach, Pock and Bischof, "A Duality Based Approach for Realtime TV-L1 Optical Flow" (DAGM 2007), with the pyramid, warps
and constants of Sanchez Perez, Meinhardt-Llopis and Facciolo, "TV-L1 Optical Flow Estimation" (IPOL 2013,
https://doi.org/10.5201/ipol.2013.26; equations by its numbers), and the median filter of Wedel et al., "An Improved
Algorithm for TV-L1 Optical Flow" (2009). OpenCV's `DualTVL1OpticalFlow`, of which the flow of Kinetics is, has the same
constants, but iterates until little changes: here the number of iterations is fixed, so that the time is known, and
gradients can flow back. After 30 the flow is as near to the truth as OpenCV's.
"""

import functools

import jax
import jax.numpy as jnp

from vidjax.flow import images

FLAT = 1e-7  # squared gradients below it are none


@functools.partial(jax.jit, static_argnames=("num_scales", "scale_step", "num_warps", "num_iterations"))
def tvl1(
    first: jax.Array,
    second: jax.Array,
    *,
    weight: float = 0.15,
    theta: float = 0.3,
    tau: float = 0.25,
    num_scales: int = 8,
    scale_step: float = 0.8,
    num_warps: int = 5,
    num_iterations: int = 30,
) -> jax.Array:
    """Optical flow by TV-L1.

    Args:
        first, second: (..., H, W), grey, 0..255.
        weight: lambda, of the brightness against the smoothness; more is less smooth.
        theta: how tightly the two are coupled.
        tau: step of the dual iterations, at most 1/4.
        num_scales: of the pyramid, as far as its images have 16 pixels; scale_step: from one to the next, below 1.
        num_warps: at each scale, after a median filter of 5x5; num_iterations: after each.

    Returns:
        (..., H, W, 2), float: pixels that each point of `first` moves to the right and down. Reverse-mode gradients
        keep all iterations: take small frames, or fewer iterations.

    Raises:
        ValueError: for frames of different size or smaller than 8x8, or a setting that cannot be.
    """
    images.check_settings(
        num_scales=num_scales, scale_step=scale_step, num_warps=num_warps, num_iterations=num_iterations
    )
    arguments = {"weight": weight, "theta": theta, "tau": tau, "num_warps": num_warps, "num_iterations": num_iterations}
    at_scale = functools.partial(_at_scale, **arguments)
    pyramid = {"num_scales": num_scales, "scale_step": scale_step, "smallest": 16}
    return images.over_pairs(lambda *pair: images.coarse_to_fine(*pair, at_scale, **pyramid), first, second)


def _at_scale(first, second, flow, *, weight, theta, tau, num_warps, num_iterations):
    """Improves the flow (2, H, W) between two images (H, W)."""
    moving = jnp.concatenate([second[None], images.central_differences(second)])  # (3, H, W)

    def warp(_, state):
        flow, dual = state
        flow = images.median(flow, 5)
        value, *slope = images.bicubic(moving, *images.positions(flow))
        slope = jnp.stack(slope)
        squared = (slope**2).sum(0)
        rest = value - (slope * flow).sum(0) - first  # of the linearised brightness, equation 11
        bound = weight * theta * squared
        factor = jnp.where(squared > FLAT, -1 / jnp.where(squared > FLAT, squared, 1), 0)

        def iterate(_, state):
            flow, (dual_x, dual_y) = state  # all (2, H, W)
            shift = factor * jnp.clip(rest + (slope * flow).sum(0), -bound, bound)  # equation 15
            flow = flow + shift * slope + theta * _divergence(dual_x, dual_y)  # equation 13
            return flow, _ascend(dual_x, dual_y, flow, tau / theta)

        return jax.lax.fori_loop(0, num_iterations, iterate, (flow, dual))

    zeros = jnp.zeros_like(flow)
    flow, _ = jax.lax.fori_loop(0, num_warps, warp, (flow, (zeros, zeros)))
    return flow


def _divergence(x: jax.Array, y: jax.Array) -> jax.Array:
    """Of fields (..., H, W) along x and y: differences with the pixel before, 0 before the first."""
    before_x, before_y = _pad(x[..., :-1], 1, before=1), _pad(y[..., :-1, :], 0, before=1)
    return x - before_x + y - before_y


def _ascend(x: jax.Array, y: jax.Array, u: jax.Array, rate: float) -> tuple[jax.Array, jax.Array]:
    """The next dual fields of u, equation 14: differences with the pixel after, 0 after the last."""
    along_x = _pad(u[..., 1:] - u[..., :-1], 1, after=1)
    along_y = _pad(u[..., 1:, :] - u[..., :-1, :], 0, after=1)
    length = jnp.sqrt(along_x**2 + along_y**2 + 1e-12)  # whose gradient at 0 is 0
    return (x + rate * along_x) / (1 + rate * length), (y + rate * along_y) / (1 + rate * length)


def _pad(x: jax.Array, axis: int, before: int = 0, after: int = 0) -> jax.Array:
    """Zeros before or after the rows (axis 0) or columns (axis 1) of (..., H, W)."""
    return jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(before, after) if i == axis else (0, 0) for i in (0, 1)])
