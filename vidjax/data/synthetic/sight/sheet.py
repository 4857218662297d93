"""Draws sample clips of a dataset with one dial as one picture."""

import cv2
import numpy as np

from vidjax.data.synthetic.sight.render import DIALS

MOST = 20  # frames of a clip whose frames are shown
WIDTH, HEIGHT = 384, 48  # pixels of a row
LEFT = 44  # pixels for the level


def sheet(name: str, seed: int = 0) -> np.ndarray:
    """Returns one clip for every second level of one of `DIALS`, of different classes: uint8 (H, W, 3)."""
    dial, rows = DIALS[name], []
    for number, level in enumerate(dial.levels[:: 2 if len(dial.levels) > 5 else 1]):
        clip = dial.clip(number % len(dial.classes), level, seed + number)
        if len(clip) > MOST:
            picture = clip[:, :, clip.shape[2] // 2].swapaxes(0, 1)
        else:
            picture = np.concatenate(np.pad(clip[::2], ((0, 0), (0, 0), (0, 1), (0, 0)), constant_values=255), axis=1)
        width = min(WIDTH, round(HEIGHT * picture.shape[1] / picture.shape[0])) if len(clip) <= MOST else WIDTH
        row = np.full((HEIGHT + 4, LEFT + WIDTH, 3), 255, np.uint8)
        picture = picture // 16 * 17  # fewer colours make a smaller file
        row[:HEIGHT, LEFT:][:, :width] = cv2.resize(picture, (width, HEIGHT), interpolation=cv2.INTER_NEAREST)
        cv2.putText(row, f"{level:g}", (2, HEIGHT // 2 + 5), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
        rows.append(row)
    return np.concatenate(rows)
