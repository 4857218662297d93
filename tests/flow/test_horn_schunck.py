import cv2
import jax
import numpy as np

from tests.peers.formula import uniform
from vidjax.flow.horn_schunck import horn_schunck


def test_fulfils_the_equations_of_the_paper():
    """Section 8: alpha^2 (mean of u around - u) = E_x (E_x u + E_y v + E_t), and the same for v."""
    first, second = (cv2.GaussianBlur(300 * uniform(name, (10, 13)), (0, 0), 1.5) + 128 for name in ("a", "b"))
    alpha, around = 7.0, np.array([[1, 2, 1], [2, 0, 2], [1, 2, 1]]) / 12
    with jax.enable_x64(True):
        pair = first.astype(np.float64), second.astype(np.float64)
        flow = np.asarray(horn_schunck(*pair, alpha=alpha, num_scales=1, num_warps=1, num_iterations=3000))
    wide = np.pad(pair[1], 1, mode="edge")
    slope_x, slope_y = (wide[1:-1, 2:] - wide[1:-1, :-2]) / 2, (wide[2:, 1:-1] - wide[:-2, 1:-1]) / 2
    change = slope_x * flow[..., 0] + slope_y * flow[..., 1] + pair[1] - pair[0]
    mean = cv2.filter2D(flow, -1, around, borderType=cv2.BORDER_REPLICATE)
    assert np.abs(flow).mean() > 0.1
    np.testing.assert_allclose(alpha**2 * (mean[..., 0] - flow[..., 0]), slope_x * change, atol=1e-6)
    np.testing.assert_allclose(alpha**2 * (mean[..., 1] - flow[..., 1]), slope_y * change, atol=1e-6)
