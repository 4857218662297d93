"""Predictions along a video: the classes of each window of some seconds, in constant memory.

    for start, end, probabilities in predict_windows(path, [run], [logits_fn], 2.0, 0.5): ...

Window k is [k * hop, k * hop + seconds). Its clips equal those of a file trimmed to the window. The video is decoded
once, whatever the number of networks and the overlap; memory holds the cropped frames of one window. The command is
`python -m vidjax.predict VIDEO --windows SECONDS`.
"""

import math
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vidjax.data import augment, clips, flow_images, frame_folder, video
from vidjax.inference import ensemble, restore, views

ROUNDING = 1e-6  # seconds, see `video.iterate_frames`

Network = restore.Trained | Any  # or an `export.exported.Exported`, which has the same attributes


class Window(NamedTuple):
    """A part of a video, in seconds from its first frame, and its clips per network, see `views.read_views`."""

    start: float
    end: float
    views: list[clips.Clip]


def check(seconds: float, hop: float, fps: float | None = None):
    """Raises a ValueError if a window, or the step from one to the next, is shorter than a frame."""
    for name, value in (("--windows", seconds), ("--hop", hop)):
        if not 0 < value < math.inf:
            raise ValueError(f"{name} {value:g}: give a positive number of seconds.")
        if fps and value * fps < 1 - ROUNDING:
            raise ValueError(f"{name} {value:g} is shorter than a frame at {fps:g} frames per second: {1 / fps:.3g} s.")


def cut_windows(
    path: str | Path,
    runs: Sequence[Network],
    seconds: float,
    hop: float,
    num_views: int | None = None,
    *,
    folder_fps: float = frame_folder.FPS,
) -> Iterator[Window]:
    """Cuts the clips of each window of a video for some networks, in one pass over the file.

    The last window ends with the video, and is left out if it is shorter than half a window, unless it is the only
    one. A window without frames is left out with a warning on stderr.

    Args:
        path, num_views, folder_fps: see `views.read_views`.
        seconds: length of a window.
        hop: from the start of a window to the start of the next, seconds.

    Raises:
        ValueError: if the file is missing or is not a video; see also `check`. A damaged tail is a warning on stderr.
    """
    rate = video.frame_rate(path, folder_fps=folder_fps)
    for run in runs:
        check(seconds, hop, run.inputs.get("fps") or rate)
    kept = deque()  # (time, what each run's clips need of the frame)
    count = 0

    def cut(end: float, stop: float) -> Iterator[Window]:
        """Yields the next window, up to `end`. `stop` is the end of the video, or inf if it is not known yet."""
        start = _start(count, hop)
        try:
            clips_of_runs = [_views_of_kept(run, kept, i, start, end, stop, num_views) for i, run in enumerate(runs)]
            yield Window(start, end, clips_of_runs)
        except ValueError as error:
            print(f"warning: {path}, {start:.2f} to {end:.2f} s: {error}", file=sys.stderr)

    for frame, time in views.until_damage(video.iterate_frames(path, folder_fps=folder_fps)):
        kept.append((time, [_keep(run, frame) for run in runs]))
        while time > (end := _end(count, hop, seconds)):
            yield from cut(end, math.inf)
            count += 1
        while len(kept) > 1 and kept[1][0] <= _start(count, hop):
            kept.popleft()
    if not kept:
        raise ValueError(f"{path} has no frames.")
    stop, half_frame = kept[-1][0] + 1 / rate, 0.5 / rate
    covered = _end(count - 1, hop, seconds) if count else 0.0
    while covered < stop - half_frame and (start := _start(count, hop)) < stop:
        end = covered = min(_end(count, hop, seconds), stop)
        if not count or end - start >= seconds / 2 - half_frame:
            yield from cut(round(end, 6), stop)
        count += 1


def predict_windows(
    path: str | Path,
    runs: Sequence[Network],
    logits_fns: Sequence[Callable[[clips.Clip], np.ndarray]],
    seconds: float,
    hop: float,
    num_views: int | None = None,
    *,
    weights: Sequence[float] | None = None,
    fusion: str = "scores",
    at_once: int = 1,
    folder_fps: float = frame_folder.FPS,
) -> Iterator[tuple[float, float, np.ndarray]]:
    """Yields start, end and the probability of each class, float32 (K,), of each window of a video.

    Args:
        logits_fns: one per network, see `clip_logits.make_logits_fn`.
        weights, fusion: see `ensemble.fuse`; equal weights by default.
        at_once: number of clips to collect for each call of a logits function.
        the others: see `cut_windows`.

    Raises:
        ValueError: see `cut_windows`.
    """
    weights = weights or [1.0] * len(runs)

    def predict(group: list[Window]) -> Iterator[tuple[float, float, np.ndarray]]:
        of_runs = []  # logits of each window, per network
        for i, logits_fn in enumerate(logits_fns):
            batches = [window.views[i] for window in group]
            ends = np.cumsum([len(next(iter(batch.values()))) for batch in batches])[:-1]
            joined = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
            of_runs.append(np.split(logits_fn(joined), ends))
        for window, *logits in zip(group, *of_runs, strict=True):
            fused = ensemble.fuse([x[None] for x in logits], weights, fusion, multi_label=runs[0].multi_label)
            yield window.start, window.end, fused[0]

    group, waiting = [], 0
    for window in cut_windows(path, runs, seconds, hop, num_views, folder_fps=folder_fps):
        group.append(window)
        waiting += max(len(next(iter(of_run.values()))) for of_run in window.views)
        if waiting >= at_once:
            yield from predict(group)
            group, waiting = [], 0
    yield from predict(group) if group else ()


# ------------------------------------------------------------------------------------------------------------- frames


def _start(count: int, hop: float) -> float:
    return round(count * hop, 6)


def _end(count: int, hop: float, seconds: float) -> float:
    return round(_start(count, hop) + seconds, 6)


def _keep(run: Network, frame: np.ndarray) -> dict[str, np.ndarray]:
    """Returns what a network's clips need of a frame, uint8 (H, W, 3): its crop, or what the method of flow sees."""
    short_side, kept = run.inputs.get("short_side", 0), {}
    for stream in run.clip.get("streams", ("video",)):
        if stream == "flow":
            kept[stream] = flow_images.seen_by(restore.stored_flow(run.inputs), frame, short_side)
            continue
        resized = frame
        if short_side:
            resized = augment.resize(frame, *augment.resized_shape(*frame.shape[:2], short_side))
        kept[stream] = _crop(run, resized)
    return kept


def _crop(run: Network, frame: np.ndarray) -> np.ndarray:
    cut = {name: run.clip[name] for name in ("size", "resize") if name in run.clip}
    return clips.cut_views(lambda _: frame, 1, num_frames=1, channels=frame.shape[-1], **cut)[0, 0]


def _views_of_kept(
    run: Network, kept: deque, number: int, start: float, end: float, stop: float, num_views: int | None
) -> clips.Clip:
    """Cuts the clips of a network, `number` in the entries of `kept`, from the window start to end."""
    times, fps = np.array([time for time, _ in kept]), run.inputs.get("fps")
    frames = [kept[i][1][number] for i in _select(times, start, end, stop, fps)]
    if not len(frames):
        raise ValueError("the file has no frame in this window.")
    flow = bool(run.preprocess.get("flow"))
    indices = views.view_indices(len(frames), run.clip, run.inputs, num_views, flow=flow)  # (V, T)
    needed, places = np.unique(indices, return_inverse=True)
    result = {}
    for stream in run.clip.get("streams", ("video",)):
        if stream == "flow":
            pairs = [(frames[i][stream], frames[i + 1][stream]) for i in needed]
            method = restore.stored_flow(run.inputs)
            images = [_crop(run, flow_images.between(*pair, method)) for pair in pairs]
        else:
            images = [frames[i][stream] for i in needed]
        result[stream] = np.stack(images)[places.reshape(indices.shape)]
    return result


def _select(times: np.ndarray, start: float, end: float, stop: float, fps: float | None) -> np.ndarray:
    """Indices of the frames with these times that `video.iterate_frames` yields for a part of a file, int (T,).

    Args:
        stop: end of the last frame, including its duration. All but the first output begin a quarter of an output frame
            or more before it.
    """
    if not fps:
        return np.flatnonzero((times >= start - ROUNDING) & (times < end - ROUNDING))
    wanted = start + np.arange(math.ceil((end - start) * fps) + 1) / fps
    wanted = wanted[(wanted < end - ROUNDING) & (wanted < stop - (wanted > start) * 0.25 / fps)]
    middles = (times[:-1] + times[1:]) / 2 + ROUNDING  # halfway, the earlier frame counts
    return np.searchsorted(middles, wanted, side="right")
