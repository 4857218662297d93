"""Warp an image by optical flow."""

import numpy as np
from scipy import ndimage


def back_warped(image: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """The image (H, W, 3) at p + flow(p), by cubic splines."""
    places = np.indices(flow.shape[:2]) + np.moveaxis(flow, -1, 0)[::-1]
    return np.stack([ndimage.map_coordinates(x.astype(float), places) for x in np.moveaxis(image, -1, 0)], axis=-1)
