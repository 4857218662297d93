"""Pairs of frames with true optical flow: from files to records, and from records to crops.

A record holds two frames and the flow from the first to the second, as 16-bit PNG with a mask (`flow_files.to_png`).
"""

from collections.abc import Callable

import cv2
import numpy as np

from vidjax.data import augment, clips, dataset_info, flow_files, records
from vidjax.data.sources.items import Item

LARGEST = 400.0  # pixels: longer flow does not count in training (MAX_FLOW of RAFT's train.py)
TURN, STRETCH = 17.0, 0.2  # of `draw_affine`: degrees, and the largest logarithm of the aspect to the base 2


def read_example(item: Item, encode_image: Callable[[np.ndarray], bytes]) -> records.Example:
    """Reads the files of a pair.

    Args:
        item: its path is the first frame, its `pair` the other files.
        encode_image: compresses a frame.

    Raises:
        ValueError: if a file is missing or damaged, or the sizes differ.
    """
    frames = [read_image(path) for path in (item.path, item.pair.second)]
    flow, mask = flow_files.read(item.pair.flow)
    if item.pair.invalid:
        mask = mask & (read_image(item.pair.invalid).max(-1) == 0)
    shapes = {frame.shape[:2] for frame in frames} | {mask.shape}
    if len(shapes) > 1:
        sizes = ", ".join(f"{width}x{height}" for height, width in sorted(shapes))
        raise ValueError(f"{item.path}: frames and flow have different sizes ({sizes}).")
    height, width = mask.shape
    images, true_flow = [encode_image(frame) for frame in frames], [flow_files.to_png(flow, mask)]
    return records.Example(images, (), media_id=item.path, height=height, width=width, true_flow=true_flow)


def read_image(path: str) -> np.ndarray:
    """Reads an image, uint8 (H, W, 3) RGB. Raises a ValueError if it is missing or not an image."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise ValueError(f"{path} does not exist, or is not an image.")
    return image


def read_pair(example: records.Example) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decodes a record: frames uint8 (2, H, W, 3), flow float32 (H, W, 2), and whether it is known, (H, W).

    Raises:
        ValueError: if the record is not a pair, or damaged.
    """
    if len(example.images) != 2 or len(example.true_flow) != 1:
        raise ValueError(
            f"The record of {example.media_id!r} holds {len(example.images)} frames and {len(example.true_flow)} "
            "fields of true flow; config.target = 'flow' needs pairs of frames: see make_records --help."
        )
    frame_at = clips.decoder(example)
    flow, mask = flow_files.from_png(example.true_flow[0], f"The flow of {example.media_id!r}")
    return np.stack([frame_at(0), frame_at(1)]), flow, mask


def train_pair(
    example: records.Example,
    rng: np.random.Generator,
    info: dataset_info.DatasetInfo,
    *,
    size: tuple[int, int],
    crop: str = "random",
    flip: bool = False,
    colour: float = 0.0,
    out: np.ndarray | None = None,
) -> clips.Clip:
    """Cuts a crop out of a pair; the flow follows.

    Args:
        size: height and width of the crop.
        crop: "random", "centre", or "resized": scaled by 2^-0.2 to 2^0.5, stretched and turned, but always large enough
            for the crop (RAFT's FlowAugmentor, with rotation as in FlowNet).
        flip: mirror left and right with probability 1/2, up and down with probability 1/10.
        colour: strength of the colour jitter, see `augment.jitter_colour`.
        out: array that receives the frames.

    Returns:
        video uint8 (2, H, W, 3), target float32 (H, W, 2), pixels, and weight float32 (H, W), 0 where it is unknown or
        longer than `LARGEST`.
    """
    frames, flow, mask = read_pair(example)
    mask &= np.linalg.norm(flow, axis=-1) < LARGEST
    height, width = mask.shape
    mirrored = (flip and rng.random() < 0.5, flip and rng.random() < 0.1)  # both are drawn if `flip`
    linear = np.diag(np.where(mirrored, -1.0, 1.0))
    if crop == "resized":
        linear = draw_linear(rng, height, width, size) @ linear
    slack = np.maximum(0, np.array([width, height]) / 2 - covered(linear, size))
    shift = np.zeros(2) if crop == "centre" else linear @ rng.uniform(-slack, slack)
    video, target, weight = warp(frames, flow, mask, linear, shift, size)
    if colour:
        video = augment.jitter_colour(rng, video, colour)
    return _clip(video, target, weight, out)


def eval_pair(
    example: records.Example,
    info: dataset_info.DatasetInfo,
    *,
    size: tuple[int, int],
    out: np.ndarray | None = None,
) -> clips.Clip:
    """The pair in a size, height and width: larger frames are cropped to their centre, smaller ones padded.

    Args:
        size: () keeps that of the frames.

    Returns:
        video uint8 (1, 2, H, W, 3), target float32 (H, W, 2), weight float32 (H, W), 0 for unknown flow and padding.
    """
    frames, flow, mask = read_pair(example)
    height, width = size or mask.shape
    top, left = (max(0, (side - wanted) // 2) for side, wanted in zip(mask.shape, (height, width), strict=True))
    window = slice(top, top + height), slice(left, left + width)
    frames, flow, mask = frames[:, *window], flow[window], mask[window]
    rest = [(0, height - mask.shape[0]), (0, width - mask.shape[1])]
    video = np.pad(frames, [(0, 0), *rest, (0, 0)], mode="edge")
    return _clip(video[None], np.pad(flow, [*rest, (0, 0)]), np.pad(mask, rest).astype(np.float32), out)


def _clip(video: np.ndarray, target: np.ndarray, weight: np.ndarray, out: np.ndarray | None) -> clips.Clip:
    if out is not None:
        out[:] = video
    return {"video": video if out is None else out, "target": target, "weight": weight}


def draw_linear(rng: np.random.Generator, height: int, width: int, size: tuple[int, int]) -> np.ndarray:
    """Draws scale, aspect and rotation, 2x2; the frame still covers a crop of `size`, its height and width."""
    scale = 2 ** rng.uniform(-0.2, 0.5)
    stretch = 2 ** (rng.uniform(-STRETCH, STRETCH) * np.array([0.5, -0.5]) * (rng.random() < 0.8))
    angle = np.deg2rad(rng.uniform(-TURN, TURN))
    cos, sin = np.cos(angle), np.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]]) @ np.diag(scale * stretch)
    return linear * max(1.0, (covered(linear, size) / (np.array([width, height]) / 2)).max())


def covered(linear: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """How far a crop of `size`, height and width, reaches from its centre in the frame, in x and y, pixels."""
    corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]]) * np.array(size[::-1]) / 2
    return np.abs(corners @ np.linalg.inv(linear).T).max(0)


def warp(
    frames: np.ndarray, flow: np.ndarray, mask: np.ndarray, linear: np.ndarray, shift: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Transforms both frames and their flow by one affine map, p -> linear (p - centre) + centre of the crop + shift.

    Args:
        frames: uint8 (2, H, W, 3); flow: float32 (H, W, 2); mask: bool (H, W).
        linear: 2x2, of x and y; shift: 2, pixels.
        size: height and width of the result.

    Returns:
        Frames, flow, and float32 (h, w): 1 where all pixels that the flow is interpolated from are known, else 0.
    """
    height, width = mask.shape
    centre, middle = (np.array([w - 1, h - 1]) / 2 for h, w in ((height, width), size))
    offset, how = middle + shift - linear @ centre, cv2.INTER_LINEAR
    if np.array_equal(np.abs(linear), np.eye(2)):  # whole pixels, so that nothing is interpolated
        offset, how = np.rint(offset), cv2.INTER_NEAREST
    matrix = np.column_stack([linear, offset])

    def transform(image: np.ndarray) -> np.ndarray:
        return cv2.warpAffine(image, matrix, tuple(size[::-1]), flags=how, borderMode=cv2.BORDER_CONSTANT)

    known = transform(mask.astype(np.float32)) > 0.999
    moved = transform(flow) @ linear.T.astype(np.float32)
    return np.stack([transform(frame) for frame in frames]), np.where(known[..., None], moved, 0), known.astype("f4")
