"""Optical flow as pictures, and Middlebury's .flo files.

A flow is (..., H, W, 2): u, pixels to the right, and v, pixels down.

Source: Baker, Scharstein, Lewis, Roth, Black & Szeliski, "A Database and Evaluation Methodology for Optical
Flow", IJCV 2011, and its program flow-code (colorcode.cpp, color_flow.cpp, flowIO.cpp).
"""

import os
import struct
from pathlib import Path

import numpy as np

UNKNOWN = 1e9  # pixels; flow with |u| or |v| above this is unknown (flowIO.h)
FLO_MAGIC = b"PIEH"  # the float32 202021.25, little endian
FLO_LONGEST_SIDE = 99999  # flowIO.cpp


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


def read_flo(path: str | Path) -> np.ndarray:
    """Reads a .flo file.

    Returns:
        float32 (H, W, 2), pixels; unknown flow is above 1e9.

    Raises:
        ValueError: if the file is missing, is not a .flo file, or has another length than its header gives.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist.")
    there = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(12)
    if len(header) >= 4 and header[:4] != FLO_MAGIC:
        raise ValueError(f"{path} is not a .flo file: it begins with {header[:4]!r}, not {FLO_MAGIC!r}.")
    if len(header) < 12:
        raise ValueError(f"{path} is cut short: it has {there} bytes, but the header alone has 12.")
    width, height = struct.unpack("<ii", header[4:])
    if not (0 < width <= FLO_LONGEST_SIDE and 0 < height <= FLO_LONGEST_SIDE):
        raise ValueError(f"{path}: the flow is {width}x{height}; sides must be 1 to {FLO_LONGEST_SIDE}.")
    expected = 12 + 8 * width * height
    if there < expected:
        raise ValueError(f"{path} is cut short: it has {there} bytes, not {expected} as for {width}x{height}.")
    if there > expected:
        raise ValueError(f"{path} is too long: it has {there} bytes, not {expected} as for {width}x{height}.")
    return np.fromfile(path, "<f4", offset=12).reshape(height, width, 2).astype(np.float32, copy=False)


def write_flo(path: str | Path, flow: np.ndarray):
    """Writes a .flo file: "PIEH", width and height as int32, then u and v of each pixel as float32, row by row.

    All values are little endian. Writing is atomic.

    Args:
        flow: float (H, W, 2), pixels; stored as float32.

    Raises:
        ValueError: if the flow has another shape, or a side is 0 or above 99999.
    """
    path, flow = Path(path), np.asarray(flow)
    if flow.ndim != 3 or flow.shape[-1] != 2:
        raise ValueError(f"A flow for a .flo file must be (height, width, 2), not {flow.shape}.")
    height, width, _ = flow.shape
    if not (0 < width <= FLO_LONGEST_SIDE and 0 < height <= FLO_LONGEST_SIDE):
        raise ValueError(f"The flow is {width}x{height}; sides must be 1 to {FLO_LONGEST_SIDE}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial{os.getpid()}")
    partial.write_bytes(FLO_MAGIC + struct.pack("<ii", width, height) + flow.astype("<f4").tobytes())
    os.replace(partial, path)
