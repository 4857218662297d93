"""Optical flow as pictures, and Middlebury's .flo files.

A flow is (..., H, W, 2): u, pixels to the right, and v, pixels down.

Source of both: Baker, Scharstein, Lewis, Roth, Black & Szeliski, "A Database and Evaluation Methodology for Optical
Flow", IJCV 2011, and its program flow-code (colorcode.cpp, color_flow.cpp, flowIO.cpp).
"""

import os
import struct
from pathlib import Path

import numpy as np

UNKNOWN = 1e9  # pixels: a flow with |u| or |v| beyond that is unknown (flowIO.h)
FLO_MAGIC = b"PIEH"  # the float32 202021.25, little endian
FLO_LONGEST_SIDE = 99999  # flowIO.cpp


def colour_wheel() -> np.ndarray:
    """The 55 hues of the circle, uint8 (55, 3) RGB, from right over down, left and up.

    There are more steps where people can tell more shades apart (makecolorwheel of colorcode.cpp).
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
    """Middlebury's colours: the direction is the hue, the length its saturation, no motion is white.

    To the right is red, down yellow, to the left light blue, up violet. Flow that is longer than `largest` is darker
    by 0.75, unknown flow (NaN, or |u| or |v| > 1e9) is black.

    Args:
        flow: float (..., H, W, 2), pixels.
        largest: length in pixels that gets the full colour; by default the largest of the whole array, so that the
            frames of a clip can be compared.

    Returns:
        uint8 (..., H, W, 3), RGB.

    Raises:
        ValueError: where the last axis is not (u, v), or largest is not above 0.
    """
    flow = np.asarray(flow, np.float64)
    if not flow.ndim or flow.shape[-1] != 2:
        raise ValueError(f"A flow is (..., height, width, 2), not {flow.shape}.")
    if largest is not None and not largest > 0:
        raise ValueError(f"largest is {largest}: it has to be a length above 0 pixels.")
    known = (np.abs(flow) <= UNKNOWN).all(axis=-1, keepdims=True)  # (..., H, W, 1); NaN is not <=
    flow = np.where(known, flow, 0.0) + 0.0  # + 0.0 makes -0.0 to 0.0, which arctan2 tells apart
    length = np.hypot(flow[..., :1], flow[..., 1:])  # (..., H, W, 1)
    length /= largest or length.max(initial=0.0) or 1.0

    wheel = colour_wheel().astype(np.float64)
    turn = (np.arctan2(-flow[..., 1], -flow[..., 0]) / np.pi + 1) / 2  # (..., H, W), 0 and 1 are to the right
    place = turn * (len(wheel) - 1)
    below = place.astype(int)
    share = (place - below)[..., None]
    above = wheel[(below + 1) % len(wheel)]
    hue = wheel[below] + share * (above - wheel[below])  # (..., H, W, 3)
    colour = np.where(length <= 1, 255 - length * (255 - hue), 0.75 * hue)
    return np.where(known, colour, 0).astype(np.uint8)  # cut off, not rounded, as in colorcode.cpp


def read_flo(path: str | Path) -> np.ndarray:
    """Reads a .flo file.

    Returns:
        float32 (H, W, 2), pixels; unknown flow is beyond 1e9 in it.

    Raises:
        ValueError: where the file is missing, no .flo file, or not of the length that its header says.
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
        raise ValueError(f"{path} is cut short: {there} bytes are there, the header alone has 12.")
    width, height = struct.unpack("<ii", header[4:])
    if not (0 < width <= FLO_LONGEST_SIDE and 0 < height <= FLO_LONGEST_SIDE):
        raise ValueError(f"{path}: a flow {width} wide and {height} high makes no sense: 1 to {FLO_LONGEST_SIDE} does.")
    expected = 12 + 8 * width * height
    if there < expected:
        raise ValueError(f"{path} is cut short: {there} bytes are there, {expected} expected for {width}x{height}.")
    if there > expected:
        raise ValueError(f"{path} is too long: {there} bytes are there, {expected} expected for {width}x{height}.")
    return np.fromfile(path, "<f4", offset=12).reshape(height, width, 2).astype(np.float32, copy=False)


def write_flo(path: str | Path, flow: np.ndarray):
    """Writes a .flo file: "PIEH", width and height as int32, then u and v of each pixel as float32, row by row.

    All is little endian. The file appears whole or not at all.

    Args:
        flow: float (H, W, 2), pixels; stored as float32.

    Raises:
        ValueError: where the flow has another shape, or a side that is 0 or beyond 99999.
    """
    path, flow = Path(path), np.asarray(flow)
    if flow.ndim != 3 or flow.shape[-1] != 2:
        raise ValueError(f"A .flo file holds one flow, (height, width, 2), not {flow.shape}.")
    height, width, _ = flow.shape
    if not (0 < width <= FLO_LONGEST_SIDE and 0 < height <= FLO_LONGEST_SIDE):
        raise ValueError(f"A flow {width} wide and {height} high makes no sense: 1 to {FLO_LONGEST_SIDE} does.")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial{os.getpid()}")
    partial.write_bytes(FLO_MAGIC + struct.pack("<ii", width, height) + flow.astype("<f4").tobytes())
    os.replace(partial, path)
