"""Decoded frame -> upright image: the display matrix of phones and flipped cameras, all eight orientations."""

import av
import numpy as np

DISPLAY_MATRIX = av.sidedata.sidedata.Type.DISPLAYMATRIX


def to_image(frame: av.VideoFrame) -> np.ndarray:
    """Converts a decoded frame to uint8 (H, W, 3) RGB, turned and mirrored as the file's display matrix says."""
    image = frame.to_ndarray(format="rgb24")
    matrix = frame.side_data.get(DISPLAY_MATRIX)
    return image if matrix is None else upright(image, np.frombuffer(matrix, np.int32).reshape(3, 3))


def upright(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Applies a display matrix to an image (H, W, C); angles between the right ones are rounded.

    Args:
        matrix: int (3, 3) [[a, b, u], [c, d, v], [x, y, w]]: a pixel at (p, q), p to the right and q down, is shown at
            (a p + c q + x, b p + d q + y), ISO/IEC 14496-12, 8.3.2. FFmpeg's `libavutil/display.h` has the same.
    """
    (a, b), (c, d) = matrix[0, :2].tolist(), matrix[1, :2].tolist()
    if abs(a) + abs(d) < abs(b) + abs(c):  # columns become rows
        image, across, down = image.swapaxes(0, 1), c, b
    else:
        across, down = a, d
    return image[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]
