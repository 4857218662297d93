"""Cut clips out of a video record: select frames, decode, crop and augment them.

See `feature_clips` for records of features, and `targets` for targets and weights.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from vidjax.data import augment, dataset_info, mp4, records
from vidjax.data.sampling import chunks, eval_indices, train_indices
from vidjax.data.targets import check_indices, targets

DECODE = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION  # frames of a video, not photographs with EXIF data

CROPS = ("random", "resized", "centre")
NUM_CROPS = (1, 3, 10)
CHANNELS = {"video": 3, "flow": 2}  # per stream

Clip = dict[str, np.ndarray]


def blank_batch(inputs: dict, clip: dict, batch_size: int) -> Clip:
    """A batch of blank model inputs, used to initialise a model. All are zeros, except `frame_mask`: ones.

    Args:
        inputs: `dataset_info.DatasetInfo.inputs`, which tells whether the records hold videos or features.
        clip: `num_frames`; for videos also `size`, which is (height, width) for pairs with true flow, and `streams`.

    Returns:
        For videos `video` uint8 (B, T, size, size, 3), `flow` uint8 (B, T, size, size, 2), or both, depending on
        `streams`, and for captions also `tokens` int32 (B, L). For features `features` float32 (B, T, D) and
        `frame_mask` float32 (B, T).

    Raises:
        ValueError: if the records hold videos but `clip` has no `size`.
    """
    if "prefix" in inputs:
        shape = (batch_size, clip["num_frames"])
        return {"features": np.zeros((*shape, inputs["width"]), np.float32), "frame_mask": np.ones(shape, np.float32)}
    if "size" not in clip:
        raise ValueError("The records hold videos, but config.clip has no size: use a config for videos, not features.")
    length = inputs.get("caption_length")
    tokens = {"tokens": np.zeros((batch_size, length), np.int32)} if length else {}
    sides = (clip["size"],) * 2 if isinstance(clip["size"], int) else tuple(clip["size"])
    shape = (batch_size, clip["num_frames"], *sides)
    streams = {name: np.zeros((*shape, CHANNELS[name]), np.uint8) for name in clip.get("streams", ("video",))}
    return {**streams, **tokens}


def train_clip(
    example: records.Example,
    rng: np.random.Generator,
    info: dataset_info.DatasetInfo,
    *,
    num_frames: int,
    frame_stride: int = 1,
    size: int,
    resize: int | tuple[int, int] = 0,
    sampling: str = "clip",
    crop: str = "random",
    flip: bool = False,
    colour: float = 0.0,
    num_chunks: int = 1,
    chunk: int = 0,
    streams: Sequence[str] = ("video",),
    multi_label: bool = False,
    per_frame: bool = False,
    out: np.ndarray | None = None,
) -> Clip:
    """Cuts one random clip out of a video.

    Args:
        num_frames, frame_stride: length and stride of the clip, in frames of the record.
        size: side of the output square, in pixels.
        resize: short side, or (height, width), to resize frames to before cropping; 0 keeps their size.
        sampling: "clip" (consecutive frames), "segments" (one frame per segment, TSN) or "chunks" (clip `chunk` of
            `num_chunks` consecutive clips; equal states of `rng` give all of them the same random draws).
        crop: "random" (size x size), "resized" (random area and aspect) or "centre".
        flip: mirror the clip with probability 1/2, and change its labels as `info.horizontal_flip` states.
        colour: strength of the colour jitter; 0 is none.
        streams: "video" (the frames), "flow" (their stored optical flow), or both.
        multi_label: return a multi-hot target (K,) instead of one class index.
        per_frame: return one class index and one weight per frame (T,); frames beyond the end of the video weigh 0.
            With `multi_label`, one multi-hot target per frame (T, K).
        out: array that receives the first stream; a new array by default.

    Returns:
        video uint8 (T, size, size, 3), flow uint8 (T, size, size, 2) from each frame to the next frame of the record,
        target, weight 1; with `per_frame` or chunks also frame_mask float32 (T,).
    """
    frames = {"num_frames": num_frames, "frame_stride": frame_stride, "sampling": sampling, "num_chunks": num_chunks}
    indices, mask = (x[chunk] for x in find_frames(number_of_frames(example, streams), rng, **frames))

    @functools.cache  # all streams get the same crop
    def draw_box(height: int, width: int) -> list[augment.Box]:
        if crop == "resized":
            return [augment.random_resized_box(rng, height, width)]
        if crop == "centre":
            return [augment.centre_box(height, width, size)]
        return [augment.random_box(rng, height, width, size)]

    clip = {}
    for stream in streams:
        is_given = out is not None and not clip
        clip[stream] = out if is_given else np.empty((num_frames, size, size, CHANNELS[stream]), np.uint8)
        cut(decoder(example, stream), indices[None], draw_box, resize, clip[stream][None, None])
    if flip and rng.random() < 0.5:
        for x in clip.values():
            x[:] = x[:, :, ::-1].copy()
        if "flow" in clip:
            clip["flow"][..., 0] = negate_flow(clip["flow"][..., 0])  # motion to the right becomes motion to the left
        if info.horizontal_flip != "unchanged":
            check_indices(example, info)  # -1 would index the last class
            flipped = [[info.horizontal_flip[x] for x in labels] for labels in (example.labels, example.frame_labels)]
            segments = [x._replace(label=info.horizontal_flip[x.label]) for x in example.segments]
            example = dataclasses.replace(example, labels=flipped[0], frame_labels=flipped[1], segments=segments)
    if colour and "video" in clip:
        clip["video"][:] = augment.jitter_colour(rng, clip["video"], colour)
    masked = {"frame_mask": mask.astype(np.float32)} if per_frame or sampling == "chunks" else {}
    labelled = targets(example, info, indices, mask, multi_label=multi_label, per_frame=per_frame)
    return {**clip, **masked, **labelled}


def eval_clips(
    example: records.Example,
    info: dataset_info.DatasetInfo,
    *,
    multi_label: bool = False,
    per_frame: bool = False,
    streams: Sequence[str] = ("video",),
    out: np.ndarray | None = None,
    **arguments,
) -> Clip:
    """Cuts the views of a video that evaluation averages.

    Args:
        multi_label, per_frame, streams, out: see `train_clip`.
        **arguments: see `cut_views`.

    Returns:
        video uint8 (V, T, size, size, 3), flow uint8 (V, T, size, size, 2), target, weight 1. With `per_frame`, target
        and weight are (V, T), with `multi_label` the target (V, T, K). With `per_frame` or chunks there is also
        frame_mask float32 (V, T).

    Raises:
        ValueError: if ten crops mirror the clips of classes that mirroring changes.
    """
    if arguments.get("num_crops", 1) == 10 and info.horizontal_flip != "unchanged":
        raise ValueError(
            "eval.num_crops = 10 mirrors clips, which changes the classes of these records (horizontal_flip in "
            "dataset.json): choose 1 or 3 crops, or a protocol with them."
        )
    length, clip = number_of_frames(example, streams), {}
    for stream in streams:
        given = {"channels": CHANNELS[stream], "out": None if clip else out}
        clip[stream] = cut_views(decoder(example, stream), length, **arguments, **given)
    names = ("num_frames", "frame_stride", "sampling", "num_chunks", "num_views")
    indices, mask = find_frames(length, **{name: arguments[name] for name in names if name in arguments})
    if per_frame or arguments.get("sampling") == "chunks":
        clip["frame_mask"] = np.tile(mask.astype(np.float32), (arguments.get("num_crops", 1), 1))
    if per_frame:
        indices, mask = (np.tile(x, (arguments.get("num_crops", 1), 1)) for x in (indices, mask))
    return {**clip, **targets(example, info, indices, mask, multi_label=multi_label, per_frame=per_frame)}


def cut_views(
    frame_at: Callable[[int], np.ndarray],
    length: int,
    *,
    num_frames: int,
    frame_stride: int = 1,
    size: int,
    resize: int | tuple[int, int] = 0,
    sampling: str = "clip",
    num_chunks: int = 1,
    num_views: int = 1,
    num_crops: int = 1,
    channels: int = 3,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Cuts `num_views` clips times `num_crops` crops out of a video; with sampling "chunks" each chunk is a view.

    Args:
        frame_at: index -> frame, uint8 (H, W, channels); called in ascending order.
        length: number of frames in the video.
        num_crops: 1 (centre), 3 (along the long side) or 10 (corners and centre, then their mirror images).
        channels: 3 for frames, 2 for optical flow.
        out and the other arguments: see `train_clip`.

    Returns:
        uint8 (num_views * num_crops, T, size, size, channels).
    """
    frames = {"num_frames": num_frames, "frame_stride": frame_stride, "sampling": sampling, "num_chunks": num_chunks}
    clips, _ = find_frames(length, num_views=num_views, **frames)

    def boxes(height: int, width: int) -> list[augment.Box]:
        if num_crops == 1:
            return [augment.centre_box(height, width, size)]
        return augment.three_boxes(height, width, size) if num_crops == 3 else augment.five_boxes(height, width, size)

    shape = (num_crops * len(clips), num_frames, size, size, channels)
    views = np.empty(shape, np.uint8) if out is None else out
    by_crop = views.reshape(num_crops, *clips.shape, *shape[2:])
    if num_crops < 10:
        cut(frame_at, clips, boxes, resize, by_crop)
        return views
    cut(frame_at, clips, boxes, resize, by_crop[:5])
    by_crop[5:] = by_crop[:5, ..., ::-1, :]
    if channels == CHANNELS["flow"]:
        by_crop[5:, ..., 0] = negate_flow(by_crop[5:, ..., 0])
    return views


def find_frames(
    length: int,
    rng: np.random.Generator | None = None,
    *,
    num_frames: int,
    frame_stride: int = 1,
    sampling: str = "clip",
    num_chunks: int = 1,
    num_views: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Frame indices of one random clip if `rng` is given, else of all evaluation views; with "chunks", of all chunks.

    Returns:
        Indices (V, T) in [0, length), and a bool mask (V, T) that is false for frames that only fill up the clip of a
        video that is too short.
    """
    if sampling == "chunks":
        return chunks(length, num_frames, frame_stride, num_chunks, rng)
    frames = {"num_frames": num_frames, "frame_stride": frame_stride, "sampling": sampling}
    if rng is not None:
        indices = train_indices(rng, length, **frames)[None]
    else:
        indices = eval_indices(length, num_views=num_views, **frames)
    stride = 0 if sampling == "segments" else frame_stride
    return indices, indices[:, :1] + stride * np.arange(num_frames) < length


def number_of_frames(example: records.Example, streams: Sequence[str] = ("video",)) -> int:
    """Number of frames to cut clips from; with flow, all but the last. Raises a ValueError if a stream is missing."""
    if "flow" in streams and not example.flow:
        raise ValueError(
            f"The record of {example.media_id!r} holds no optical flow (FORWARD_FLOW/image/encoded): make records with "
            "--flow METHOD, or set config.flow to a method to compute it on the device."
        )
    if "video" in streams and not example.images:
        raise ValueError(f"The record of {example.media_id!r} holds no frames: make records from the videos.")
    return len(example.flow) if "flow" in streams else len(example.images)


def decoder(example: records.Example, stream: str = "video") -> Callable[[int], np.ndarray]:
    """Returns a function index -> frame, uint8 (H, W, 3) RGB, that raises a ValueError if it cannot decode the frame.

    For the stream "flow" a frame is uint8 (H, W, 2), u and v, in levels for `records.SATURATION`. The function is for
    one thread, and fastest in ascending order, see `mp4.Reader`.
    """
    pictures, name = (example.flow, "Flow") if stream == "flow" else (example.images, "Frame")
    if isinstance(pictures, records.EncodedVideo):
        return mp4.Reader(example)

    def frame_at(index: int) -> np.ndarray:
        frame = cv2.imdecode(np.frombuffer(pictures[index], np.uint8), DECODE)
        if frame is None:
            raise ValueError(f"{name} {index} of {example.media_id!r} is not a JPEG or PNG picture; remake the record.")
        return scale_flow(frame[..., :2], example.saturation / records.SATURATION) if stream == "flow" else frame

    return frame_at


def negate_flow(levels: np.ndarray) -> np.ndarray:
    """Negates uint8 flow exactly: level 127.5 is no motion. (No motion stored as 128 becomes 127, 0.16 pixels less.)

    TSN (https://github.com/yjxiong/temporal-segment-networks) and mmaction2 do the same.
    """
    return 255 - levels


def scale_flow(levels: np.ndarray, scale: float | Sequence[float]) -> np.ndarray:
    """Multiplies flow vectors, uint8 (..., 2), by `scale`: one factor, or one each for u and v."""
    if np.all(np.asarray(scale) == 1):
        return levels
    return np.rint(np.clip(127.5 + (levels - 127.5) * np.asarray(scale), 0, 255)).astype(np.uint8)


def cut(
    frame_at: Callable[[int], np.ndarray],
    clips: np.ndarray,
    make_boxes: Callable[[int, int], list[augment.Box]],
    resize: int | tuple[int, int],
    out: np.ndarray,
):
    """Reads each frame that the clips need once, in ascending order, and cuts the same boxes out of all frames.

    Flow vectors are scaled with their frames.

    Args:
        frame_at: index -> frame, uint8 (H, W, 3), or (H, W, 2) for optical flow.
        clips: frame indices, int (V, T).
        make_boxes: (height, width) of the resized frames -> boxes; called once.
        out: output, uint8 (boxes, V, T, size, size, channels); boxes of another size are resized to `size`.
    """
    boxes, size = [], out.shape[-2]
    for index in np.unique(clips).tolist():
        frame = frame_at(index)
        before = frame.shape
        if resize:
            frame = augment.resize(frame, *augment.resized_shape(*frame.shape[:2], resize))
        if not boxes:
            boxes = make_boxes(*frame.shape[:2])
        for clips_of_box, box in zip(out, boxes, strict=True):
            image = augment.resize(augment.crop(frame, box), size, size)
            if frame.shape[-1] == CHANNELS["flow"]:
                *_, height, width = box
                down, right = size / height * frame.shape[0] / before[0], size / width * frame.shape[1] / before[1]
                image = scale_flow(image, (right, down))
            clips_of_box[clips == index] = image
