"""Turn decoded frames upright by their display matrix (phones, flipped cameras): all eight orientations."""

import av
import numpy as np

DISPLAY_MATRIX = av.sidedata.sidedata.Type.DISPLAYMATRIX


class ToImage:
    """Converts the decoded frames of one file to images, turned and mirrored as its display matrix says."""

    def __init__(self):
        self._rotation, self._matrix = None, None

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        """Returns uint8 (H, W, 3) RGB."""
        if frame.rotation != self._rotation:
            self._rotation = frame.rotation
            # Read a small copy: reading side data makes PyAV keep the frame, and with it the decoder's buffers
            matrix = frame.reformat(width=16, height=16, threads=1).side_data.get(DISPLAY_MATRIX)
            self._matrix = None if matrix is None else np.frombuffer(bytes(matrix), np.int32).reshape(3, 3)
        image = frame.to_ndarray(format="rgb24", threads=1)  # by default each frame starts threads: 5 times slower
        return image if self._matrix is None else upright(image, self._matrix)


def upright(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Applies a display matrix to an image (H, W, C); rounds to multiples of 90 degrees.

    Args:
        matrix: int (3, 3) [[a, b, u], [c, d, v], [x, y, w]]: a pixel at (p, q), p to the right and q down, is shown at
            (a p + c q + x, b p + d q + y), ISO/IEC 14496-12, 8.3.2. FFmpeg's `libavutil/display.h` agrees.
    """
    (a, b), (c, d) = matrix[0, :2].tolist(), matrix[1, :2].tolist()
    if abs(a) + abs(d) < abs(b) + abs(c):  # columns become rows
        image, across, down = image.swapaxes(0, 1), c, b
    else:
        across, down = a, d
    return image[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]
