"""Farneback's optical flow: fits a polynomial around each pixel of both frames and computes how it moves.

Farneback, "Two-Frame Motion Estimation Based on Polynomial Expansion" (SCIA 2003),
http://www.diva-portal.org/smash/get/diva2:273847/FULLTEXT01.pdf; equations have its numbers. The pyramid, the
constants and the borders are those of OpenCV's `FarnebackOpticalFlow`. The flow equals OpenCV's up to rounding, as
verified with its constants on frames of 64 pixels and more.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.flow import images

SMALLEST = 32  # pixels, of a pyramid level
BORDER = (0.14, 0.14, 0.4472, 0.4472, 0.4472)  # weights of the outermost pixels


SHAPING = ("num_levels", "scale_step", "window", "num_iterations", "poly_n", "poly_sigma")


@functools.partial(jax.jit, static_argnames=SHAPING)
def farneback(
    first: jax.Array,
    second: jax.Array,
    *,
    num_levels: int = 5,
    scale_step: float = 0.5,
    window: int = 13,
    num_iterations: int = 10,
    poly_n: int = 5,
    poly_sigma: float = 1.1,
) -> jax.Array:
    """Optical flow by polynomial expansion.

    Args:
        first, second: (..., H, W), grey, 0..255.
        num_levels: pyramid levels above the frames; levels below 32 pixels are omitted.
        scale_step: size of a level relative to the previous one, below 1.
        window: side of the averaging window in pixels, odd; larger is smoother and more robust.
        num_iterations: iterations per level.
        poly_n: radius in pixels of the polynomial fit; poly_sigma: standard deviation of its Gaussian weights.

    Returns:
        float (..., H, W, 2): pixels by which each point of `first` moves right and down.

    Raises:
        ValueError: for frames of different sizes or smaller than 8x8, or an invalid setting.
    """
    images.check_settings(
        scale_step=scale_step, window=window, num_iterations=num_iterations, poly_n=poly_n, poly_sigma=poly_sigma
    )

    def flow_of(first, second):
        size = first.shape
        both = jnp.stack([first - first[0, 0], second - second[0, 0]])  # makes frames without texture exactly 0
        deepest = sum(min(size) * scale_step**k >= SMALLEST for k in range(1, num_levels + 1))
        flow = jnp.zeros((2, *size), first.dtype)
        for k in range(deepest, -1, -1):
            shape = tuple(round(side * scale_step**k) for side in size)
            fitted = expand(_at_level(both, shape, scale_step**k), poly_n, poly_sigma)  # (5, 2, H, W)
            flow = images.resize(flow, shape) / (scale_step if k < deepest else 1)
            iterate = functools.partial(_iterate, fitted[:, 0], fitted[:, 1], window)
            flow = jax.lax.fori_loop(0, num_iterations, lambda _, flow, iterate=iterate: iterate(flow), flow)
        return flow

    return images.over_pairs(flow_of, first, second)


def _at_level(image: jax.Array, shape: tuple[int, int], scale: float) -> jax.Array:
    sigma = (1 / scale - 1) / 2
    reach = max(1, (round(5 * sigma) | 1) // 2)
    kernel = images.gaussian(sigma, reach) if sigma else np.array([0.25, 0.5, 0.25])
    return images.resize(images.smooth(image, kernel), shape)


def expand(image: jax.Array, n: int, sigma: float) -> jax.Array:
    """Fits f(x) ~ x' A x + b' x + c (equation 1) around each pixel: (..., H, W) -> (5, ..., H, W).

    Weighted least squares over (2 n + 1) x (2 n + 1) pixels, computed by separable filters.

    Returns:
        b_x, b_y, A_xx, A_yy and 2 A_xy.
    """
    weights, at = images.gaussian(sigma, n), np.arange(-n, n + 1)
    second, fourth = (float((weights * at**k).sum()) for k in (2, 4))
    # 1, x^2 and y^2 are not orthogonal under the weights; x, y and xy are
    gram = np.array([[1, second, second], [second, fourth, second**2], [second, second**2, fourth]])
    inverse = np.linalg.inv(gram)
    of_rows = [images.correlate(image, weights * at**power, -2) for power in range(3)]

    def moment(x: int, y: int) -> jax.Array:
        return images.correlate(of_rows[y], weights * at**x, -1)

    mean, xx, yy = moment(0, 0), moment(2, 0), moment(0, 2)
    b_x, b_y, a_xy = moment(1, 0) / second, moment(0, 1) / second, moment(1, 1) / second**2
    a_xx, a_yy = (row[0] * mean + row[1] * xx + row[2] * yy for row in inverse[1:].tolist())
    return jnp.stack([b_x, b_y, a_xx, a_yy, a_xy])


def _iterate(first: jax.Array, second: jax.Array, window: int, flow: jax.Array) -> jax.Array:
    """Updates the flow (2, H, W) once, from the polynomials (5, H, W) of both frames."""
    height, width = flow.shape[1:]
    x, y = images.positions(flow)
    is_inside = (x >= 0) & (x < width - 1) & (y >= 0) & (y < height - 1)
    moved = images.bilinear(second, x, y)
    # A pixel that leaves the frame keeps its curvature
    b_x, b_y = (first[:2] - jnp.where(is_inside, moved[:2], 0)) / 2  # equation 10
    a_xx, a_yy, a_xy = (first[2:] + jnp.where(is_inside, moved[2:], first[2:])) / 2  # equation 9
    a_xy = a_xy / 2
    b_x, b_y = b_x + a_xx * flow[0] + a_xy * flow[1], b_y + a_xy * flow[0] + a_yy * flow[1]
    scale = _border(height, flow.dtype)[:, None] * _border(width, flow.dtype)
    a_xx, a_yy, a_xy, b_x, b_y = (scale * value for value in (a_xx, a_yy, a_xy, b_x, b_y))
    # A'A d = A'b, both averaged over the window: equations 11 and 12
    sums = [
        a_xx**2 + a_xy**2,
        a_xy * (a_xx + a_yy),
        a_yy**2 + a_xy**2,
        a_xx * b_x + a_xy * b_y,
        a_xy * b_x + a_yy * b_y,
    ]
    g_xx, g_xy, g_yy, h_x, h_y = images.smooth(jnp.stack(sums), np.full(window, 1 / window), "edge")
    determinant = g_xx * g_yy - g_xy**2 + 1e-3
    return jnp.stack([g_yy * h_x - g_xy * h_y, g_xx * h_y - g_xy * h_x]) / determinant


def _border(size: int, dtype) -> jax.Array:
    scale = np.ones(size)
    for i, value in enumerate(BORDER):
        scale[i] *= value
        scale[size - 1 - i] *= value
    return jnp.asarray(scale, dtype)
