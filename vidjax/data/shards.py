"""Labelled videos -> shards: how one video is read, how one shard is written, and the processes that do it here.

`vidjax.data.make_records` is the command, `vidjax.data.beam` has other machines write the same shards.
"""

import concurrent.futures
import dataclasses
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import jax
import numpy as np
from tqdm import tqdm

from vidjax.data import augment, flow_images, records, sources, video

VIDEOS_PER_SHARD = 100


@dataclasses.dataclass(frozen=True)
class Encoding:
    """How frames are stored."""

    fps: float  # 0 keeps the source's frames
    short_side: int  # pixels; 0 keeps the source's size
    format: str  # "jpeg" or "png"
    quality: int  # of JPEG, 1..100
    flow: str = ""  # method of the optical flow that is stored too, "" for none

    def image(self, frame: np.ndarray) -> bytes:
        """Compresses a frame, uint8 (H, W, 3) RGB."""
        options = [cv2.IMWRITE_JPEG_QUALITY, self.quality] if self.format == "jpeg" else []
        ok, data = cv2.imencode("." + self.format, frame[:, :, ::-1], options)
        if not ok:
            raise ValueError(f"a frame of shape {frame.shape} could not be compressed")
        return data.tobytes()


def read_example(item: sources.Item, encoding: Encoding, labels: list[str]) -> tuple[records.Example, str | None]:
    """Reads, resamples, resizes and compresses one video, a frame at a time.

    Returns:
        The example and a warning: None, or what is damaged in the file (the frames before are kept).

    Raises:
        ValueError: where the video cannot be read at all.
    """
    images, flow, before, warning, fps, shape = [], [], None, None, encoding.fps, (0, 0)
    if item.path.startswith("tfds:"):
        frames = sources.read_tfds(item.path)
    else:
        fps = encoding.fps or video.frame_rate(item.path)
        span = {"start": item.start, "end": item.end}
        frames = (frame for frame, _ in video.iterate_frames(item.path, fps=encoding.fps or None, **span))
    try:
        for frame in frames:
            shape = frame.shape[:2]
            if encoding.short_side:
                shape = augment.resized_shape(*shape, encoding.short_side)
            images.append(encoding.image(augment.resize(frame, *shape)))
            if encoding.flow:
                grey = flow_images.to_grey(frame, encoding.short_side)
                if before is not None:
                    flow.append(flow_images.to_png(flow_images.between(before, grey, encoding.flow)))
                before = grey
    except video.DamagedVideo as damage:
        warning = str(damage)
    if not images:
        raise ValueError(f"{item.path}: no frame between {item.start} s and {item.end} s")
    if encoding.flow and len(images) < 2:
        raise ValueError(f"{item.path}: optical flow needs two frames at least, it has one")
    if item.frame_labels and len(item.frame_labels) != len(images):
        raise ValueError(f"{item.path}: {len(item.frame_labels)} frame labels for {len(images)} frames")
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
        frame_labels=[labels.index(name) for name in item.frame_labels],
        flow=flow,
    )
    return example, warning


def plan(items: list[sources.Item], out: Path, num_shards: int | None) -> dict[Path, list[sources.Item]]:
    """Which videos go into which shard: contiguous, equally many; `num_shards` for each split."""
    tasks = {}
    for split in sorted({item.split for item in items}):
        of_split = [item for item in items if item.split == split]
        count = min(num_shards or -(-len(of_split) // VIDEOS_PER_SHARD), len(of_split))
        bounds = [len(of_split) * i // count for i in range(count + 1)]
        for i in range(count):
            tasks[records.shard_path(out, split, i, count)] = of_split[bounds[i] : bounds[i + 1]]
    return tasks


def missing_of(tasks: dict[Path, list[sources.Item]]) -> dict[Path, list[sources.Item]]:
    """Those of the tasks whose shard does not exist yet."""
    # Listed, not asked for one by one: on a file system over a network, a "no" from before may be remembered.
    there = {path for directory in {path.parent for path in tasks} for path in directory.glob("*.tfrecord")}
    return {path: items for path, items in tasks.items() if path not in there}


def prepare_process():
    """What a process that writes shards sets first: one core for it, and no accelerator."""
    cv2.setNumThreads(1)
    jax.config.update("jax_platforms", "cpu")  # of the optical flow: processes cannot share an accelerator


def write_shard(
    path: Path, items: list[sources.Item], encoding: Encoding, labels: list[str], count: Callable[[], None]
):
    """Reads the videos of one shard and writes it; what cannot be read, or is damaged, is listed in its index.

    Args:
        count: is called after each video, for whoever shows how far it is.
    """
    problems = {"skipped": [], "damaged": []}

    def examples() -> Iterator[bytes]:
        for item in items:
            try:
                example, warning = read_example(item, encoding, labels)
            except ValueError as error:
                problems["skipped"].append([item.path, str(error)])
            else:
                if warning:
                    problems["damaged"].append([item.path, warning])
                yield records.encode(example)
            count()

    records.write_shard(path, examples(), problems)


# ---------------------------------------------------------------------------------------------- one shard a task

_done = None  # in a worker: the shared count of videos read, for the progress bar


def _start_worker(done):
    global _done
    _done = done
    prepare_process()


def _count():
    with _done.get_lock():
        _done.value += 1


def write_shards(tasks: dict[Path, list[sources.Item]], encoding: Encoding, labels: list[str], num_workers: int):
    """Writes the shards that do not exist yet, one process a core, with a progress bar over the videos."""
    missing = missing_of(tasks)
    num_videos, num_missing = sum(map(len, tasks.values())), sum(map(len, missing.values()))
    context = multiprocessing.get_context("spawn")
    done = context.Value("q", num_videos - num_missing)
    pause = 0.5 if sys.stderr.isatty() else 30  # a log file wants few lines
    with (
        tqdm(total=num_videos, initial=done.value, desc="videos to records", unit="video", mininterval=pause) as bar,
        concurrent.futures.ProcessPoolExecutor(num_workers, context, _start_worker, (done,)) as pool,
    ):
        waiting = [pool.submit(write_shard, path, items, encoding, labels, _count) for path, items in missing.items()]
        while waiting:
            finished, waiting = concurrent.futures.wait(waiting, timeout=0.5)
            bar.update(done.value - bar.n)
            for future in finished:
                future.result()
