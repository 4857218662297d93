"""Records -> batches of numpy arrays, for this process (Grain, threads).

The order of the clips is a pure function of numbers. Global batch i is positions [i * B, (i + 1) * B) of an endless
order: each epoch is one permutation of the records, drawn from (seed, epoch). Process p of P loads rows
[p * B / P, (p + 1) * B / P) of each batch, and the random draws of a clip come from (seed, epoch, position), where the
position counts on over the epochs. So the whole state of the pipeline is one integer, the number of batches that the
step has consumed, and it means the same on any number of processes.
"""

import dataclasses
import functools
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import grain
import numpy as np

from vidjax.data import augment, records
from vidjax.data.sampling import random_clip, segments, spaced_clips

cv2.setNumThreads(1)  # Grain's threads share the cores; OpenCV's own would fight them

DECODE = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION  # frames of a video, not photographs with EXIF data

Batch = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Records:
    """The records of some splits of a dataset, with random access."""

    info: records.DatasetInfo
    places: Sequence[tuple[Path, int]]  # shard and byte offset of each record

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> records.Example:
        shard, offset = self.places[index]
        return records.decode(records.read_record(shard, offset))


def open_records(directory: str | Path, splits: Sequence[str]) -> Records:
    """Opens the records of `splits`, in the order named.

    Raises:
        ValueError: where the dataset, a split or a shard is missing, or a shard is damaged.
    """
    info = records.read_info(Path(directory))
    shards = [shard for split in splits for shard in records.find_shards(Path(directory), split)]
    places = [(shard, offset) for shard in shards for offset in records.read_index(shard)]
    if not places:
        raise ValueError(f"The splits {list(splits)} of {directory} hold no records.")
    return Records(info, places)


# ---------------------------------------------------------------------------------------------- one record -> clips


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
    multi_label: bool = False,
    out: np.ndarray | None = None,
) -> Batch:
    """Cuts one random clip out of a video.

    Args:
        num_frames, frame_stride: of the clip, in frames of the record.
        size: of the square that comes out, pixels.
        resize: before cropping: short side, or (height, width); 0 leaves the frames as they are.
        sampling: "clip" (consecutive frames) or "segments" (one frame a segment, TSN).
        crop: "random" (size x size), "resized" (random area and aspect) or "centre".
        flip: mirrors every other clip, and its label as the dataset says.
        colour: strength of the colour jitter; 0 is none.
        multi_label: the target is multi-hot (K,) instead of one index.
        out: where to write the video; a new array by default.

    Returns:
        video uint8 (T, size, size, 3), target, weight 1.
    """
    length = number_of_frames(example)
    if sampling == "segments":
        indices = segments(length, num_frames, rng)
    else:
        indices = random_clip(rng, length, num_frames, frame_stride)

    def draw_box(height: int, width: int) -> list[augment.Box]:
        if crop == "resized":
            return [augment.random_resized_box(rng, height, width)]
        if crop == "centre":
            return [augment.centre_box(height, width, size)]
        return [augment.random_box(rng, height, width, size)]

    video = np.empty((num_frames, size, size, 3), np.uint8) if out is None else out
    cut(example, indices[None], draw_box, resize, video[None, None])
    labels = example.labels
    if flip and rng.random() < 0.5:
        video[:] = video[:, :, ::-1].copy()
        if info.horizontal_flip != "unchanged":
            labels = [info.horizontal_flip[label] for label in labels]
    if colour:
        video[:] = augment.jitter_colour(rng, video, colour)
    return {"video": video, "target": make_target(labels, len(info.labels), multi_label), "weight": np.float32(1)}


def eval_clips(
    example: records.Example,
    info: records.DatasetInfo,
    *,
    num_frames: int,
    frame_stride: int = 1,
    size: int,
    resize: int | tuple[int, int] = 0,
    sampling: str = "clip",
    num_views: int = 1,
    num_crops: int = 1,
    multi_label: bool = False,
    out: np.ndarray | None = None,
) -> Batch:
    """Cuts the views of a video that an evaluation averages: `num_views` places in time times `num_crops` in space.

    Args: as of `train_clip`; num_crops is 1 (centre) or 3 (along the long side).

    Returns:
        video uint8 (num_views * num_crops, T, size, size, 3), target, weight 1.
    """
    length = number_of_frames(example)
    if sampling == "segments":
        clips = segments(length, num_frames)[None]
    else:
        clips = spaced_clips(length, num_frames, frame_stride, num_views)

    def boxes(height: int, width: int) -> list[augment.Box]:
        centre = [augment.centre_box(height, width, size)]
        return centre if num_crops == 1 else augment.three_boxes(height, width, size)

    video = np.empty((num_crops * len(clips), num_frames, size, size, 3), np.uint8) if out is None else out
    cut(example, clips, boxes, resize, video.reshape(num_crops, *clips.shape, size, size, 3))
    return {
        "video": video,
        "target": make_target(example.labels, len(info.labels), multi_label),
        "weight": np.float32(1),
    }


def number_of_frames(example: records.Example) -> int:
    """Raises a ValueError where the record holds none."""
    if not example.images:
        raise ValueError(f"The record of {example.media_id!r} holds no frames.")
    return len(example.images)


def cut(
    example: records.Example,
    clips: np.ndarray,
    make_boxes: Callable[[int, int], list[augment.Box]],
    resize: int | tuple[int, int],
    out: np.ndarray,
):
    """Decodes the frames that some clips need, each once, and cuts the same boxes out of all of them.

    Args:
        clips: int (V, T), frame indices.
        make_boxes: (height, width) of the resized frames -> boxes; called once.
        out: uint8 (boxes, V, T, size, size, 3), is written; boxes of another size are resized to it.

    Raises:
        ValueError: where a frame is no picture.
    """
    boxes, size = [], out.shape[-2]
    for index in np.unique(clips).tolist():
        frame = cv2.imdecode(np.frombuffer(example.images[index], np.uint8), DECODE)
        if frame is None:
            raise ValueError(f"Frame {index} of {example.media_id!r} is not a JPEG or PNG picture.")
        if resize:
            frame = augment.resize(frame, *augment.resized_shape(*frame.shape[:2], resize))
        if not boxes:
            boxes = make_boxes(*frame.shape[:2])
        for clips_of_box, box in zip(out, boxes, strict=True):
            clips_of_box[clips == index] = augment.resize(augment.crop(frame, box), size, size)


def make_target(labels: Sequence[int], num_classes: int, multi_label: bool) -> np.ndarray:
    """One class index as int32, or float32 multi-hot (K,)."""
    if multi_label:
        target = np.zeros(num_classes, np.float32)
        target[list(labels)] = 1
        return target
    if len(labels) != 1:
        raise ValueError(
            f"A record has the labels {list(labels)}: where that is not one, train with multi_label = True."
        )
    return np.int32(labels[0])


# -------------------------------------------------------------------------------------------------- order -> batches


@functools.lru_cache(maxsize=4)
def epoch_order(num_records: int, seed: int, epoch: int) -> np.ndarray:
    """The permutation of the records in an epoch: (num_records,)."""
    return np.random.default_rng((seed, epoch)).permutation(num_records)


def train_batches(
    source: Records,
    clip_arguments: dict,
    *,
    batch_size: int,
    num_steps: int,
    seed: int = 0,
    start_step: int = 0,
    process: tuple[int, int] = (0, 1),
    num_threads: int = 0,
) -> Iterator[Batch]:
    """Yields this process's rows of the global batches start_step, ..., num_steps - 1.

    Args:
        source: from `open_records`.
        clip_arguments: keyword arguments of `train_clip`.
        batch_size: of the global batch, clips.
        process: (index, count) of this process.
        num_threads: that read, decode and crop; 0 is one a core.

    Raises:
        ValueError: where the batch does not divide over the processes, or a flip is asked for that the dataset forbids.
    """
    if clip_arguments.get("flip") and source.info.horizontal_flip == "forbidden":
        raise ValueError(
            "config.clip.flip is on, but dataset.json forbids horizontal flips: mirroring changes the label."
        )

    def load(position: int, out: np.ndarray) -> Batch:
        epoch, index = divmod(position, len(source))
        rng = np.random.default_rng((seed, epoch, position))
        example = source[epoch_order(len(source), seed, epoch)[index]]
        return train_clip(example, rng, source.info, **clip_arguments, out=out)

    shape = (clip_arguments["num_frames"], clip_arguments["size"], clip_arguments["size"], 3)
    return _batches(load, shape, batch_size, range(start_step, num_steps), process, num_threads)


def eval_batches(
    source: Records,
    clip_arguments: dict,
    *,
    batch_size: int,
    process: tuple[int, int] = (0, 1),
    num_threads: int = 0,
) -> Iterator[Batch]:
    """Yields this process's rows of one pass over the records, in order, each once.

    The last batch is filled up with clips of weight 0, so that every process sees equally many batches of one shape.
    Args: as of `train_batches`, with `clip_arguments` those of `eval_clips`.
    """

    def load(position: int, out: np.ndarray) -> Batch:
        if position < len(source):
            return eval_clips(source[position], source.info, **clip_arguments, out=out)
        return {**load(0, out), "weight": np.float32(0)}

    num_clips = clip_arguments.get("num_views", 1) * clip_arguments.get("num_crops", 1)
    shape = (num_clips, clip_arguments["num_frames"], clip_arguments["size"], clip_arguments["size"], 3)
    return _batches(load, shape, batch_size, range(-(-len(source) // batch_size)), process, num_threads)


def _batches(
    load: Callable[[int, np.ndarray], Batch],
    video_shape: tuple[int, ...],
    batch_size: int,
    steps: range,
    process: tuple[int, int],
    num_threads: int,
) -> Iterator[Batch]:
    process_index, process_count = process
    if batch_size % process_count:
        raise ValueError(f"batch_size = {batch_size} does not divide over {process_count} processes.")
    rows = batch_size // process_count
    num_threads = num_threads or os.cpu_count()
    # A thread writes its row straight into the video of its batch: stacking rows afterwards costs a tenth of the
    # speed. An array lives here as long as one of its rows is under way.
    videos, lock = weakref.WeakValueDictionary(), threading.Lock()

    def load_row(i: int) -> Batch:
        step, row = divmod(i, rows)
        with lock:
            video = videos.get(step)
            if video is None:
                video = videos[step] = np.empty((rows, *video_shape), np.uint8)
        position = (steps.start + step) * batch_size + process_index * rows + row
        return {**load(position, video[row]), "video": video}

    def assemble(loaded: Sequence[Batch]) -> Batch:
        batch = {name: np.stack([row[name] for row in loaded]) for name in loaded[0] if name != "video"}
        return {**batch, "video": loaded[0]["video"]}

    # Enough rows ahead that every thread has work while a batch is consumed, few enough that memory stays small.
    options = grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=max(num_threads, 2 * rows))
    dataset = grain.MapDataset.range(len(steps) * rows).map(load_row)
    return iter(dataset.to_iter_dataset(options).batch(rows, drop_remainder=True, batch_fn=assemble))
