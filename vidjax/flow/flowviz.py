"""Optical flow as pictures.

A flow is (..., H, W, 2): u, pixels to the right, and v, pixels down.

Source: Baker, Scharstein, Lewis, Roth, Black & Szeliski, "A Database and Evaluation Methodology for Optical
Flow", IJCV 2011, and its program flow-code (colorcode.cpp, color_flow.cpp).
"""

import numpy as np

UNKNOWN = 1e9  # pixels; flow with |u| or |v| above this is unknown (flowIO.h)


def colour_wheel() -> np.ndarray:
    """The 55 hues of the colour wheel, uint8 (55, 3) RGB, starting at right, then down, left, up.

    Hues that people distinguish better have more steps (makecolorwheel of colorcode.cpp).
    """
    red, yellow, green, cyan, blue, magenta = np.array(
        [[255, 0, 0], [255, 255, 0], [0, 255, 0], [0, 255, 255], [0, 0, 255], [255, 0, 255]]
    )
    ways = [(red, yellow, 15), (yellow, green, 6), (green, cyan, 4), (cyan, blue, 11), (blue, magenta, 13)]
    ways.append((magenta, red, 6))
    hues = []
    for start, end, steps in ways:
        hues += [start + np.sign(end - start) * (255 * step // steps) for step in range(steps)]
    return np.array(hues, np.uint8)


def to_colours(flow: np.ndarray, largest: float | None = None) -> np.ndarray:
    """Middlebury's flow colours: the hue is the direction, the saturation the length; white is no motion.

    Right is red, down yellow, left light blue, up violet. Flow longer than `largest` is darker by the factor 0.75;
    unknown flow (NaN, or |u| or |v| > 1e9) is black.

    Args:
        flow: float (..., H, W, 2), pixels.
        largest: length in pixels of the full colour; by default the largest length in the whole array, which makes the
            frames of a clip comparable.

    Returns:
        uint8 (..., H, W, 3), RGB.

    Raises:
        ValueError: if the last axis is not (u, v), or `largest` is not above 0.
    """
    flow = np.asarray(flow, np.float64)
    if not flow.ndim or flow.shape[-1] != 2:
        raise ValueError(f"A flow must be (..., height, width, 2), not {flow.shape}.")
    if largest is not None and not largest > 0:
        raise ValueError(f"largest = {largest} must be above 0 pixels.")
    known = (np.abs(flow) <= UNKNOWN).all(axis=-1, keepdims=True)  # (..., H, W, 1); NaN is not <=
    flow = np.where(known, flow, 0.0) + 0.0  # + 0.0 turns -0.0 into 0.0, as arctan2 distinguishes them
    length = np.hypot(flow[..., :1], flow[..., 1:])  # (..., H, W, 1)
    length /= largest or length.max(initial=0.0) or 1.0

    wheel = colour_wheel().astype(np.float64)
    turn = (np.arctan2(-flow[..., 1], -flow[..., 0]) / np.pi + 1) / 2  # (..., H, W); 0 and 1 are right
    place = turn * (len(wheel) - 1)
    below = place.astype(int)
    share = (place - below)[..., None]
    above = wheel[(below + 1) % len(wheel)]
    hue = wheel[below] + share * (above - wheel[below])  # (..., H, W, 3)
    colour = np.where(length <= 1, 255 - length * (255 - hue), 0.75 * hue)
    return np.where(known, colour, 0).astype(np.uint8)  # truncated, not rounded, as in colorcode.cpp
