"""One record of a video -> the clips of a batch: which frames, decoded, cropped, augmented.

Of records of features, `feature_clips`; what is to be learnt of them, `targets`.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from vidjax.data import augment, records
from vidjax.data.sampling import chunks, eval_indices, train_indices
from vidjax.data.targets import check_indices, targets

DECODE = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION  # frames of a video, not photographs with EXIF data

CROPS = ("random", "resized", "centre")
CHANNELS = {"video": 3, "flow": 2}  # of the streams of a record

Clip = dict[str, np.ndarray]


def blank_batch(inputs: dict, clip: dict, batch_size: int) -> Clip:
    """The model inputs of a batch, all zeros: what a model is built from.

    Args:
        inputs: of `records.DatasetInfo`: whether the records hold videos or features.
        clip: `num_frames`, and of videos `size` and `streams`.

    Returns:
        `video` uint8 (B, T, size, size, 3), `flow` uint8 (B, T, size, size, 2), or both, as the streams say; or
        `features` float32 (B, T, D) and `frame_mask` float32 (B, T); `tokens` int32 (B, L) where they hold captions.

    Raises:
        ValueError: where the records hold videos and the clip has no size.
    """
    if "prefix" in inputs:
        shape = (batch_size, clip["num_frames"])
        return {"features": np.zeros((*shape, inputs["width"]), np.float32), "frame_mask": np.ones(shape, np.float32)}
    if "size" not in clip:
        raise ValueError("These are records of videos, but the config is one for features: config.clip has no size.")
    length = inputs.get("caption_length")
    tokens = {"tokens": np.zeros((batch_size, length), np.int32)} if length else {}
    shape = (batch_size, clip["num_frames"], clip["size"], clip["size"])
    streams = {name: np.zeros((*shape, CHANNELS[name]), np.uint8) for name in clip.get("streams", ("video",))}
    return {**streams, **tokens}


def train_clip(
    example: records.Example,
    rng: np.random.Generator,
    info: records.DatasetInfo,
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
        num_frames, frame_stride: of the clip, in frames of the record.
        size: of the square that comes out, pixels.
        resize: before cropping: short side, or (height, width); 0 leaves the frames as they are.
        sampling: "clip" (consecutive frames), "segments" (one frame a segment, TSN) or "chunks" (clip number `chunk` of
            `num_chunks` consecutive ones, which draw alike from an equal `rng`).
        crop: "random" (size x size), "resized" (random area and aspect) or "centre".
        flip: mirrors every other clip, and its label as the dataset says.
        colour: strength of the colour jitter; 0 is none.
        streams: "video", the frames, and "flow", the optical flow that is stored of them: one or both.
        multi_label: the target is multi-hot (K,) instead of one index.
        per_frame: the target is one index a frame (T,), and so is the weight: 0 where the video is too short.
        out: where to write the first of the streams; a new array by default.

    Returns:
        video uint8 (T, size, size, 3), flow uint8 (T, size, size, 2) from each of its frames to the next one of the
        record, target, weight 1; with `per_frame` or chunks also frame_mask float32 (T,).
    """
    frames = {"num_frames": num_frames, "frame_stride": frame_stride, "sampling": sampling, "num_chunks": num_chunks}
    indices, mask = (x[chunk] for x in find_frames(number_of_frames(example, streams), rng, **frames))

    @functools.cache  # all streams are cut alike
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
            clip["flow"][..., 0] = negate_flow(clip["flow"][..., 0])  # what moved to the right moves to the left
        if info.horizontal_flip != "unchanged":
            check_indices(example, info)  # -1 would take the last one
            flipped = [[info.horizontal_flip[x] for x in labels] for labels in (example.labels, example.frame_labels)]
            example = dataclasses.replace(example, labels=flipped[0], frame_labels=flipped[1])
    if colour and "video" in clip:
        clip["video"][:] = augment.jitter_colour(rng, clip["video"], colour)
    wanted = {"frame_mask": mask.astype(np.float32)} if per_frame or sampling == "chunks" else {}
    labelled = targets(example, info, indices, mask, multi_label=multi_label, per_frame=per_frame)
    return {**clip, **wanted, **labelled}


def eval_clips(
    example: records.Example,
    info: records.DatasetInfo,
    *,
    multi_label: bool = False,
    per_frame: bool = False,
    streams: Sequence[str] = ("video",),
    out: np.ndarray | None = None,
    **arguments,
) -> Clip:
    """Cuts the views of a video that an evaluation averages.

    Args:
        multi_label, per_frame, streams, out: as of `train_clip`.
        **arguments: of `cut_views`.

    Returns:
        video uint8 (V, T, size, size, 3), flow uint8 (V, T, size, size, 2), target, weight 1; with `per_frame` target
        and weight are (V, T), and with it or of chunks there is frame_mask (V, T).
    """
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
    """Cuts `num_views` places in time times `num_crops` in space out of a video; of chunks each is a view.

    Args:
        frame_at: index -> frame, uint8 (H, W, channels); is called in ascending order.
        length: of the video, frames.
        num_crops: 1 (centre) or 3 (along the long side).
        channels: 3, or 2 of optical flow.
        out, and the others: as of `train_clip`.

    Returns:
        uint8 (num_views * num_crops, T, size, size, channels).
    """
    frames = {"num_frames": num_frames, "frame_stride": frame_stride, "sampling": sampling, "num_chunks": num_chunks}
    clips, _ = find_frames(length, num_views=num_views, **frames)

    def boxes(height: int, width: int) -> list[augment.Box]:
        centre = [augment.centre_box(height, width, size)]
        return centre if num_crops == 1 else augment.three_boxes(height, width, size)

    shape = (num_crops * len(clips), num_frames, size, size, channels)
    views = np.empty(shape, np.uint8) if out is None else out
    cut(frame_at, clips, boxes, resize, views.reshape(num_crops, *clips.shape, *shape[2:]))
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
    """The frames of one random clip given an `rng`, else those of the views of an evaluation; of all chunks.

    Returns:
        Indices (V, T) in [0, length), and which of them are frames of their own, bool: not those that only fill up a
        clip because the video is too short.
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
    """How many frames a clip can be of: with flow all but the last. Raises a ValueError where the record holds none."""
    if "flow" in streams and not example.flow:
        raise ValueError(
            f"The record of {example.media_id!r} holds no optical flow (FORWARD_FLOW/image/encoded): make records with "
            "--flow METHOD, or name the method in config.flow, and it is computed on the device."
        )
    if "video" in streams and not example.images:
        raise ValueError(f"The record of {example.media_id!r} holds no frames.")
    return len(example.flow) if "flow" in streams else len(example.images)


def decoder(example: records.Example, stream: str = "video") -> Callable[[int], np.ndarray]:
    """Returns index -> frame, uint8 (H, W, 3) RGB, which raises a ValueError where that frame is no picture.

    Of the stream "flow" a frame is uint8 (H, W, 2), u and v; its levels are those of `records.SATURATION`.
    """
    pictures, name = (example.flow, "Flow") if stream == "flow" else (example.images, "Frame")

    def frame_at(index: int) -> np.ndarray:
        frame = cv2.imdecode(np.frombuffer(pictures[index], np.uint8), DECODE)
        if frame is None:
            raise ValueError(f"{name} {index} of {example.media_id!r} is not a JPEG or PNG picture.")
        return scale_flow(frame[..., :2], example.saturation / records.SATURATION) if stream == "flow" else frame

    return frame_at


def negate_flow(levels: np.ndarray) -> np.ndarray:
    """Turns flow around, uint8: exactly, since 127.5 is no motion. (Stored as 128, it becomes 127: 0.16 pixels less.)

    So do TSN (https://github.com/yjxiong/temporal-segment-networks) and mmaction2.
    """
    return 255 - levels


def scale_flow(levels: np.ndarray, scale: float | Sequence[float]) -> np.ndarray:
    """Makes the vectors of flow longer: uint8 (..., 2); `scale` of both, or of u and v."""
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
    """Takes the frames that some clips need, each once and in order, and cuts the same boxes out of all of them.

    The vectors of optical flow are scaled with the frames.

    Args:
        frame_at: index -> frame, uint8 (H, W, 3), or of optical flow (H, W, 2).
        clips: int (V, T), frame indices.
        make_boxes: (height, width) of the resized frames -> boxes; called once.
        out: uint8 (boxes, V, T, size, size, channels), is written; boxes of another size are resized to it.
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
