"""Lucas and Kanade's optical flow at every pixel: the shift of a window that best aligns the two frames.

Lucas and Kanade, "An Iterative Image Registration Technique with an Application to Stereo Vision" (IJCAI 1981), with
the pyramid of Bouguet, "Pyramidal Implementation of the Lucas Kanade Feature Tracker" (Intel, 2000). OpenCV's
`calcOpticalFlowPyrLK` tracks single points; here the windows of all pixels share warped pixels, as in Le Besnerais
and Champagnat, "Dense Optical Flow by Iterative Local Window Registration" (ICIP 2005).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.flow import images

BINOMIAL = np.array([1, 4, 6, 4, 1]) / 16  # before each halving


@functools.partial(jax.jit, static_argnames=("window", "num_levels", "num_iterations"))
def lucas_kanade(
    first: jax.Array,
    second: jax.Array,
    *,
    window: int = 21,
    num_levels: int = 4,
    num_iterations: int = 10,
    damping: float = 0.01,
) -> jax.Array:
    """Optical flow by window registration.

    Args:
        first, second: (..., H, W), grey, 0..255.
        window: side of the window around each pixel, in pixels, odd.
        num_levels: largest number of pyramid levels, each half the size of the previous one; levels below 16 pixels are
            omitted.
        num_iterations: iterations per level.
        damping: squared brightness per pixel; pulls windows with little texture to the flow of the coarser level.
            OpenCV's smallest eigenvalue, 1e-4, is 0.1 in these units.

    Returns:
        float (..., H, W, 2): pixels by which each point of `first` moves right and down.

    Raises:
        ValueError: for frames of different sizes or smaller than 8x8, or an invalid setting.
    """
    images.check_settings(window=window, num_levels=num_levels, num_iterations=num_iterations)
    at_level = functools.partial(_at_level, window=window, damping=damping, num_iterations=num_iterations)
    pyramid = {"num_scales": num_levels, "scale_step": 0.5, "smallest": 16, "kernel": BINOMIAL}
    return images.over_pairs(lambda *pair: images.coarse_to_fine(*pair, at_level, **pyramid), first, second)


def _at_level(first, second, start, *, window, damping, num_iterations):
    """Improves the flow `start` (2, H, W) between two images (H, W)."""
    kernel = np.full(window, 1 / window)
    height, width = first.shape
    scharr = [images.correlate(first, np.array([3, 10, 3]) / 16, axis) for axis in (-2, -1)]
    slope = jnp.stack(
        [images.correlate(x, np.array([-0.5, 0, 0.5]), axis) for x, axis in zip(scharr, (-1, -2), strict=True)]
    )

    def iterate(_, flow):
        x, y = images.positions(flow)
        is_inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
        change = images.bilinear(second[None], x, y)[0] - first
        moved = (slope * flow).sum(0) - change  # target of slope times flow
        values = jnp.stack([slope[0] ** 2, slope[0] * slope[1], slope[1] ** 2, slope[0] * moved, slope[1] * moved])
        # Means over the window, of pixels that stay in the frame
        g_xx, g_xy, g_yy, h_x, h_y = images.smooth(jnp.where(is_inside, values, 0), kernel, "constant")
        g_xx, g_yy, h_x, h_y = g_xx + damping, g_yy + damping, h_x + damping * start[0], h_y + damping * start[1]
        return jnp.stack([g_yy * h_x - g_xy * h_y, g_xx * h_y - g_xy * h_x]) / (g_xx * g_yy - g_xy**2)

    return jax.lax.fori_loop(0, num_iterations, iterate, start)
