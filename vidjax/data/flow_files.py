"""Read and write files of optical flow: .flo of Middlebury, .pfm of FlyingThings, 16-bit PNG of KITTI.

A flow is float32 (H, W, 2), pixels: u to the right and v down, from the first frame to the second. `read` also gives a
mask, bool (H, W): where the flow is known. Elsewhere it is 0, so that no NaN travels on.
"""

import os
import struct
from pathlib import Path

import cv2
import numpy as np

UNKNOWN = 1e9  # pixels; flow with |u| or |v| above this is unknown (flowIO.h of Middlebury's flow-code)
FLO_MAGIC = b"PIEH"  # the float32 202021.25, little endian
FLO_LONGEST_SIDE = 99999  # flowIO.cpp
LEVELS_PER_PIXEL, ZERO = 64, 2**15  # of PNG: readme.txt of KITTI's devkit_scene_flow

FlowAndMask = tuple[np.ndarray, np.ndarray]


def read(path: str | Path) -> FlowAndMask:
    """Reads a file of flow, by its extension.

    Raises:
        ValueError: if the file is missing or damaged, or its extension is unknown.
    """
    path = Path(path)
    if path.suffix.lower() not in READERS:
        raise ValueError(f"{path}: files of flow end in {', '.join(READERS)}.")
    if not path.is_file():
        raise ValueError(f"{path} does not exist.")
    return READERS[path.suffix.lower()](path)


def known(flow: np.ndarray) -> FlowAndMask:
    """Splits flow (H, W, 2) into values that are finite everywhere, and the mask of those that were known."""
    mask = (np.abs(flow) <= UNKNOWN).all(-1)  # false for NaN
    return np.where(mask[..., None], flow, 0).astype(np.float32), mask


def read_flo(path: str | Path) -> np.ndarray:
    """Reads a .flo file.

    Returns:
        float32 (H, W, 2), pixels; unknown flow is above `UNKNOWN`.

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
    try:
        partial.write_bytes(FLO_MAGIC + struct.pack("<ii", width, height) + flow.astype("<f4").tobytes())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read_pfm(path: str | Path) -> np.ndarray:
    """Reads a .pfm file of three channels: u, v and one that FlyingThings leaves at 0. Rows are stored upwards.

    Returns:
        float32 (H, W, 2), pixels.

    Raises:
        ValueError: if it is not such a file, or has another length than its header gives.
    """
    try:
        kind, size, scale, pixels = Path(path).read_bytes().split(b"\n", 3)
        width, height = map(int, size.split())
        flow = np.frombuffer(pixels, "<f4" if float(scale) < 0 else ">f4").reshape(height, width, 3)
    except ValueError as error:
        raise ValueError(f"{path} is not a .pfm file of three channels, or is cut short: {error}.") from None
    if kind.strip() != b"PF":
        raise ValueError(f"{path} begins with {kind[:4]!r}, not b'PF': it is not a .pfm file of three channels.")
    return flow[::-1, :, :2].astype(np.float32)


def from_png(data: bytes, name: str = "flow") -> FlowAndMask:
    """Decodes 16-bit RGB: 64 u + 2^15, 64 v + 2^15, and 1 where the flow is known.

    Raises:
        ValueError: if it is another kind of picture; names `name`.
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.uint16 or image.ndim != 3:
        raise ValueError(f"{name} is not a PNG of three channels of 16 bits, which KITTI's flow needs.")
    mask = image[..., 0] > 0  # OpenCV's order is blue, green, red
    flow = (image[..., :0:-1].astype(np.float32) - ZERO) / LEVELS_PER_PIXEL
    return np.where(mask[..., None], flow, 0), mask


def to_png(flow: np.ndarray, mask: np.ndarray) -> bytes:
    """Encodes flow as `from_png` reads it, to 1/64 of a pixel. Flow of 512 pixels or more becomes unknown."""
    levels = np.rint(flow * float(LEVELS_PER_PIXEL) + ZERO)
    mask = mask & ((levels >= 0) & (levels < 2**16)).all(-1)
    image = np.zeros((*mask.shape, 3), np.uint16)
    image[mask] = np.concatenate([np.ones((mask.sum(), 1)), levels[mask][:, ::-1]], axis=1)
    return cv2.imencode(".png", image)[1].tobytes()


READERS = {
    ".flo": lambda path: known(read_flo(path)),
    ".pfm": lambda path: known(read_pfm(path)),
    ".png": lambda path: from_png(path.read_bytes(), str(path)),
}
