"""Lucas and Kanade's flow at every pixel: the shift of a window that brings the two frames together best.

Lucas and Kanade, "An Iterative Image Registration Technique with an Application to Stereo Vision" (IJCAI 1981), with
the pyramid of Bouguet, "Pyramidal Implementation of the Lucas Kanade Feature Tracker" (Intel, 2000). OpenCV's
`calcOpticalFlowPyrLK` does it for single points; for all of them the windows share their warped pixels, as in Le
Besnerais and Champagnat, "Dense Optical Flow by Iterative Local Window Registration" (ICIP 2005).
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
    """Optical flow by registration of windows.

    Args:
        first, second: (..., H, W), grey, 0..255.
        window: side of the square around each pixel, pixels, odd.
        num_levels: of the pyramid, each half of the one before, as far as they have 16 pixels.
        num_iterations: at each level.
        damping: squared brightness a pixel that holds each pixel to the flow of the level above, where a window shows
            too little: OpenCV's smallest eigenvalue, 1e-4, is 0.1 in these units.

    Returns:
        (..., H, W, 2), float: pixels that each point of `first` moves to the right and down.

    Raises:
        ValueError: for frames of different size or smaller than 8x8, or a setting that cannot be.
    """
    images.check_settings(window=window, num_levels=num_levels, num_iterations=num_iterations)
    at_level = functools.partial(_at_level, window=window, damping=damping, num_iterations=num_iterations)
    pyramid = {"num_scales": num_levels, "scale_step": 0.5, "smallest": 16, "kernel": BINOMIAL}
    return images.over_pairs(lambda *pair: images.coarse_to_fine(*pair, at_level, **pyramid), first, second)


def _at_level(first, second, start, *, window, damping, num_iterations):
    """Improves the flow (2, H, W) between two images (H, W) that starts as `start`."""
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
        moved = (slope * flow).sum(0) - change  # what the flow should make of the slopes
        values = jnp.stack([slope[0] ** 2, slope[0] * slope[1], slope[1] ** 2, slope[0] * moved, slope[1] * moved])
        # Means over the window, of the pixels that are still in sight
        g_xx, g_xy, g_yy, h_x, h_y = images.smooth(jnp.where(is_inside, values, 0), kernel, "constant")
        g_xx, g_yy, h_x, h_y = g_xx + damping, g_yy + damping, h_x + damping * start[0], h_y + damping * start[1]
        return jnp.stack([g_yy * h_x - g_xy * h_y, g_xx * h_y - g_xy * h_x]) / (g_xx * g_yy - g_xy**2)

    return jax.lax.fori_loop(0, num_iterations, iterate, start)
