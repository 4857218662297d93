"""TV-L1 optical flow: total variation keeps flow edges sharp, and an L1 data term tolerates brightness outliers.

Zach, Pock and Bischof, "A Duality Based Approach for Realtime TV-L1 Optical Flow" (DAGM 2007), with the pyramid, warps
and constants of Sanchez Perez, Meinhardt-Llopis and Facciolo, "TV-L1 Optical Flow Estimation" (IPOL 2013,
https://doi.org/10.5201/ipol.2013.26; equations have its numbers), and the median filter of Wedel et al., "An Improved
Algorithm for TV-L1 Optical Flow" (2009). OpenCV's `DualTVL1OpticalFlow`, which computed the flow of Kinetics, has the
same constants but iterates until convergence. Here the number of iterations is fixed, which fixes the run time and
allows reverse-mode gradients. After 30 iterations the flow is as accurate as OpenCV's.
"""

import functools

import jax
import jax.numpy as jnp

from vidjax.flow import images

FLAT = 1e-7  # squared gradients below this count as 0


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
        weight: lambda, the weight of brightness relative to smoothness; larger is less smooth.
        theta: coupling of the two terms; smaller is tighter.
        tau: step size of the dual iterations, at most 1/4.
        num_scales: largest number of pyramid levels; levels below 16 pixels are omitted.
        scale_step: size of a level relative to the previous one, below 1.
        num_warps: warps per level, each after a 5x5 median filter; num_iterations: iterations per warp.

    Returns:
        float (..., H, W, 2): pixels by which each point of `first` moves right and down. Reverse-mode gradients
        store all iterations: use small frames or fewer iterations.

    Raises:
        ValueError: for frames of different sizes or smaller than 8x8, or an invalid setting.
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
        rest = value - (slope * flow).sum(0) - first  # residual of the linearised brightness, equation 11
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
    """The divergence of a field (x, y), (..., H, W) each, by backward differences; 0 before the first pixel."""
    before_x, before_y = _pad(x[..., :-1], 1, before=1), _pad(y[..., :-1, :], 0, before=1)
    return x - before_x + y - before_y


def _ascend(x: jax.Array, y: jax.Array, u: jax.Array, rate: float) -> tuple[jax.Array, jax.Array]:
    """The next dual fields of u (equation 14), by forward differences; 0 after the last pixel."""
    along_x = _pad(u[..., 1:] - u[..., :-1], 1, after=1)
    along_y = _pad(u[..., 1:, :] - u[..., :-1, :], 0, after=1)
    length = jnp.sqrt(along_x**2 + along_y**2 + 1e-12)  # 1e-12: the gradient at 0 is 0
    return (x + rate * along_x) / (1 + rate * length), (y + rate * along_y) / (1 + rate * length)


def _pad(x: jax.Array, axis: int, before: int = 0, after: int = 0) -> jax.Array:
    """Pads the rows (axis 0) or columns (axis 1) of (..., H, W) with zeros."""
    return jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(before, after) if i == axis else (0, 0) for i in (0, 1)])
