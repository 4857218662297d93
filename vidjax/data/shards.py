"""Write shards of labelled videos: read a video, write a shard, and run processes on this machine.

`vidjax.data.make_records` is the command. `vidjax.data.beam` writes the same shards on other machines.
"""

import concurrent.futures
import dataclasses
import hashlib
import json
import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import jax
import numpy as np

from vidjax.data import (
    augment,
    feature_files,
    flow_images,
    flow_pairs,
    frame_folder,
    mp4,
    records,
    tfrecords,
    video,
    workers,
)
from vidjax.data.sources import tfds, untrimmed
from vidjax.data.sources.items import Item
from vidjax.progress_bar import progress_bar

VIDEOS_PER_SHARD = 100
MOST_BYTES = 2**31 - 2**26  # for the pictures of a record: protobuf allows 2 GiB in all


@dataclasses.dataclass(frozen=True)
class Task:
    """One shard to write.

    Attributes:
        path: file of the shard.
        items: its videos.
        digest: hash of all that determines the content: videos with their sizes and modification times, labels, and
            the encoding of frames. A shard with this digest in its index is up to date.
    """

    path: Path
    items: list[Item]
    digest: str

    def is_done(self) -> bool:
        """Returns whether the shard exists and is up to date."""
        return tfrecords.read_details(self.path).get("digest") == self.digest


@dataclasses.dataclass(frozen=True)
class Encoding:
    """The encoding of stored frames."""

    fps: float  # 0 keeps the source's frames
    short_side: int  # pixels; 0 keeps the source's size
    format: str  # "jpeg", "png" or "mp4"
    quality: int  # of JPEG, 1 (worst) to 100; of mp4, 0 (best) to 51; PNG ignores it
    flow: flow_images.Method = ""  # of the optical flow to store, "" for none
    folder_fps: float = frame_folder.FPS  # frame rate of folders of numbered images

    def image(self, frame: np.ndarray) -> bytes:
        """Compresses a frame, uint8 (H, W, 3) RGB."""
        options = [cv2.IMWRITE_JPEG_QUALITY, self.quality] if self.format == "jpeg" else []
        ok, data = cv2.imencode("." + self.format, frame[:, :, ::-1], options)
        if not ok:
            raise ValueError(f"a frame of shape {frame.shape} could not be compressed")
        return data.tobytes()

    def start(self, fps: float) -> "Pictures | mp4.Writer":
        """Returns an object that compresses the frames of one video."""
        return mp4.Writer(fps, self.quality) if self.format == "mp4" else Pictures(self.image)


class Pictures:
    """Compresses frames one by one: what `mp4.Writer` is for MP4."""

    def __init__(self, compress: Callable[[np.ndarray], bytes]):
        self._compress, self._images, self.num_bytes = compress, [], 0

    def add(self, frame: np.ndarray):
        """Compresses a frame, uint8 (H, W, 3) RGB."""
        self._images.append(self._compress(frame))
        self.num_bytes += len(self._images[-1])

    def finish(self) -> list[bytes]:
        """Returns one picture per frame."""
        return self._images


def read_example(item: Item, encoding: Encoding, labels: list[str]) -> tuple[records.Example, str | None]:
    """Reads, resamples, resizes and compresses one video, frame by frame; or reads its features, or a pair.

    Returns:
        The example, and None or a description of the damage in the file.

    Raises:
        ValueError: if the video cannot be read, or its pictures do not fit in one record.
    """
    if item.steps is not None:
        return feature_files.read_example(item, labels), None
    if item.pair is not None:
        return flow_pairs.read_example(item, encoding.image), None
    flow, before, warning, fps, shape, flow_bytes = [], None, None, encoding.fps, (0, 0), 0
    if item.path.startswith("tfds:"):
        frames = tfds.read_video(item.path)
    else:
        fps = encoding.fps or video.frame_rate(item.path, folder_fps=encoding.folder_fps)
        part = {"start": item.start, "end": item.end, "folder_fps": encoding.folder_fps}
        frames = (frame for frame, _ in video.iterate_frames(item.path, fps=encoding.fps or None, **part))
    compressed = encoding.start(fps)
    try:
        for count, frame in enumerate(frames, 1):
            shape = frame.shape[:2]
            if encoding.short_side:
                shape = augment.resized_shape(*shape, encoding.short_side)
            compressed.add(augment.resize(frame, *shape))
            if encoding.flow:
                seen = flow_images.seen_by(encoding.flow, frame, encoding.short_side)
                if before is not None:
                    flow.append(flow_images.to_png(flow_images.between(before, seen, encoding.flow)))
                    flow_bytes += len(flow[-1])
                before = seen
            if compressed.num_bytes + flow_bytes > MOST_BYTES:
                raise ValueError(
                    f"{item.path}: its first {count} frames take more than the 2 GiB that a record holds; lower "
                    "--short_side, --fps or --quality, or list parts of the video with start and end in a CSV."
                )
    except video.DamagedVideo as damage:
        warning = str(damage)
    images = compressed.finish()
    if not images:
        raise ValueError(f"{item.path}: no frame between {item.start} s and {item.end} s")
    if encoding.flow and len(images) < 2:
        raise ValueError(f"{item.path}: optical flow needs at least two frames, but the video has one")
    frame_labels, segments = [], []
    if item.segments is not None:
        try:
            segments, note = untrimmed.cut_segments(item.segments, len(images) / fps)
        except ValueError as error:
            raise ValueError(f"{item.path}: {error}") from None
        warning = warning or note
        frame_labels = untrimmed.frame_labels(segments, len(images), fps)
        if untrimmed.BACKGROUND not in labels:  # every frame has a class; after resampling, the last may be left over
            frame_labels = [name if name in labels else segments[-1][2] for name in frame_labels]
    example = records.Example(
        images=images,
        labels=[labels.index(name) for name in item.labels],
        label_names=item.labels,
        media_id=item.path,
        fps=fps,
        height=shape[0],
        width=shape[1],
        start=item.start,
        end=item.start + (len(images) / fps if fps else 0.0),
        frame_labels=[labels.index(name) for name in frame_labels],
        segments=[records.IndexedSegment(start, end, labels.index(name), name) for start, end, name in segments],
        flow=flow,
    )
    return example, warning


def plan(
    items: list[Item],
    out: Path,
    num_shards: int | None,
    encoding: Encoding,
    labels: list[str],
    *,
    are_made: bool = False,
) -> list[Task]:
    """Distributes the videos of each split over `num_shards` contiguous shards of equal size (to within one video).

    Args:
        are_made: whether make_records itself renders or unpacks videos in `out`, whose times then do not count.
    """
    tasks = []
    for split in sorted({item.split for item in items}):
        of_split = [item for item in items if item.split == split]
        count = min(num_shards or -(-len(of_split) // VIDEOS_PER_SHARD), len(of_split))
        bounds = [len(of_split) * i // count for i in range(count + 1)]
        for i in range(count):
            of_shard = of_split[bounds[i] : bounds[i + 1]]
            described = [
                (dataclasses.astuple(item), _stamp(Path(item.path), out if are_made else None)) for item in of_shard
            ]
            content = json.dumps([dataclasses.astuple(encoding), labels, described])
            digest = hashlib.sha256(content.encode()).hexdigest()
            tasks.append(Task(tfrecords.shard_path(out, split, i, count), of_shard, digest))
    return tasks


def _stamp(path: Path, made_in: Path | None) -> tuple[int, ...]:
    """Returns sizes and modification times of a file or of a folder's images; () for those below `made_in`."""
    if made_in and path.is_relative_to(made_in):
        return ()
    files = frame_folder.numbered_images(path) if path.is_dir() else [path] if path.is_file() else []
    return tuple(number for file in files for number in (file.stat().st_size, file.stat().st_mtime_ns))


def missing_of(tasks: list[Task]) -> list[Task]:
    """Returns the tasks whose shards are not up to date."""
    # List the directories first: a network file system may cache that a file did not exist
    there = {path for directory in {task.path.parent for task in tasks} for path in directory.glob("*.tfrecord")}
    return [task for task in tasks if task.path not in there or not task.is_done()]


def prepare_process():
    """Sets up a process that writes shards: one thread for OpenCV, and no accelerator."""
    cv2.setNumThreads(1)
    jax.config.update("jax_platforms", "cpu")  # for optical flow: processes cannot share an accelerator


def write_shard(task: Task, encoding: Encoding, labels: list[str], count: Callable[[], None]):
    """Reads the videos of one shard and writes it; its index lists the skipped and the damaged videos.

    Args:
        count: called after each video, to show progress.
    """
    problems = {"skipped": [], "damaged": []}

    def examples() -> Iterator[bytes]:
        for item in task.items:
            try:
                example, warning = read_example(item, encoding, labels)
                encoded = records.encode(example)
            except (ValueError, OSError, cv2.error) as error:
                problems["skipped"].append([item.path, str(error)])
            else:
                if warning:
                    problems["damaged"].append([item.path, warning])
                yield encoded
            count()

    tfrecords.write_shard(task.path, examples(), problems=problems, digest=task.digest)


# -------------------------------------------------------------------------------------------- one shard per task

_done = None  # in a worker: shared count of the videos read, for the progress bar


def _start_worker(done):
    global _done
    _done = done
    prepare_process()
    workers.end_with_parent()


def _count():
    with _done.get_lock():
        _done.value += 1


def write_shards(tasks: list[Task], encoding: Encoding, labels: list[str], num_workers: int):
    """Writes the shards that are not up to date in `num_workers` processes, with a progress bar over the videos.

    Raises:
        ValueError: if a process dies.
    """
    missing = missing_of(tasks)
    num_videos, num_missing = (sum(len(task.items) for task in some) for some in (tasks, missing))
    context = multiprocessing.get_context("spawn")
    done = context.Value("q", num_videos - num_missing)
    with (
        progress_bar(total=num_videos, initial=done.value, description="videos to records", unit="video") as bar,
        concurrent.futures.ProcessPoolExecutor(num_workers, context, _start_worker, (done,)) as pool,
    ):
        waiting = [pool.submit(write_shard, task, encoding, labels, _count) for task in missing]
        while waiting:
            finished, waiting = concurrent.futures.wait(waiting, timeout=0.5)
            bar.update(done.value - bar.n)
            try:
                for future in finished:
                    future.result()
            except concurrent.futures.process.BrokenProcessPool:
                raise ValueError(
                    "A process that reads videos died, perhaps for lack of memory: lower --workers and run the same "
                    "command again. It keeps finished shards."
                ) from None
