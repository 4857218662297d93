"""Cuts evenly spaced clips out of a video file, like an evaluation does."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vidjax.data import clips, flow_images, frame_folder, sampling, video
from vidjax.inference import restore

MOST_VIEWS = 10  # default maximum, for long videos


def read_views(
    path: str | Path,
    clip: dict,
    inputs: dict,
    num_views: int | None = None,
    *,
    flow: bool = False,
    folder_fps: float = frame_folder.FPS,
) -> clips.Clip:
    """Cuts evenly spaced clips out of a video file, or out of a folder of numbered frames.

    Args:
        clip: `num_frames`, `frame_stride`, `size`, `resize`, `sampling`, `streams`, see `clips.cut_views`.
        inputs: `fps` and `short_side` of the training videos, 0 to keep those of the file; `flow` (and
            `flow_weights`), the method of their stored optical flow.
        num_views: number of clips; by default enough to cover the video, at most 10.
        flow: whether optical flow is computed from the clips, on the device.
        folder_fps: frame rate of a folder of frames, which has none of its own.

    Returns:
        `video` uint8 (V, T, size, size, 3), `flow` uint8 (V, T, size, size, 2), or both, depending on `streams`.

    Raises:
        ValueError: if the file is missing, is not a video, or holds too few frames. A damaged tail is a warning on
            stderr.
    """
    length, warning = video.count_frames(path, fps=inputs.get("fps") or None, folder_fps=folder_fps)
    if warning:
        print(f"warning: {warning}", file=sys.stderr)
    if not length:
        raise ValueError(warning or f"{path} has no frames.")
    streams = clip.get("streams", ("video",))
    try:
        wanted = view_indices(length, clip, inputs, num_views, flow=flow)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    settings = {name: value for name, value in clip.items() if name != "streams"} | {"num_views": len(wanted)}
    length -= "flow" in streams

    def cut_stream(stream: str) -> np.ndarray:
        frames = _frames_of(path, stream, set(wanted.flat), inputs, folder_fps)
        return clips.cut_views(lambda index: next(frames), length, **settings, channels=clips.CHANNELS[stream])

    return {stream: cut_stream(stream) for stream in streams}


def views_of(
    run: restore.Trained,
    path: str | Path,
    num_views: int | None = None,
    *,
    folder_fps: float = frame_folder.FPS,
) -> clips.Clip:
    """Calls `read_views` with the settings of a restored or exported network."""
    flow = bool(run.preprocess.get("flow"))
    return read_views(path, run.clip, run.inputs, num_views, flow=flow, folder_fps=folder_fps)


def view_indices(
    length: int, clip: dict, inputs: dict, num_views: int | None = None, *, flow: bool = False
) -> np.ndarray:
    """Returns the frame indices of a video's clips, int (V, T).

    Args:
        length: number of frames in the video, at least 1.
        clip, inputs, num_views, flow: see `read_views`. V is 1 if `clip` samples segments.

    Raises:
        ValueError: if a network with flow gets a single frame, or its records do not name their flow method.
    """
    sees_flow = "flow" in clip.get("streams", ("video",))
    if sees_flow and "flow" not in inputs:
        raise ValueError("the training records do not name the method of their optical flow.")
    if (sees_flow or flow) and length == 1:
        raise ValueError("the video has one frame: optical flow needs two or more.")
    length -= sees_flow
    span = sampling.span(clip["num_frames"], clip.get("frame_stride", 1))
    num_views = num_views or min(MOST_VIEWS, -(-length // span))
    which = {name: clip[name] for name in ("num_frames", "frame_stride", "sampling") if name in clip}
    return sampling.eval_indices(length, num_views=num_views, **which)


def _frames_of(
    path: str | Path, stream: str, wanted: set[int], inputs: dict, folder_fps: float
) -> Iterator[np.ndarray]:
    """Yields the wanted frames of a stream, resized like those of the training videos.

    A frame of "flow" is the flow from a wanted frame to the next, in the format of records: uint8 (H, W, 2).
    """
    settings, short_side = {"fps": inputs.get("fps") or None, "folder_fps": folder_fps}, inputs.get("short_side", 0)
    if stream == "video":
        yield from (x for x, _ in video.iterate_frames(path, short_side=short_side, only=wanted, **settings))
        return
    needed, method = sorted(wanted | {index + 1 for index in wanted}), restore.stored_flow(inputs)
    before = None
    for index, (frame, _) in zip(needed, video.iterate_frames(path, only=set(needed), **settings), strict=False):
        seen = flow_images.seen_by(method, frame, short_side)
        if index - 1 in wanted:
            yield flow_images.between(before, seen, method)
        before = seen


def until_damage(frames: Iterator) -> Iterator:
    """Yields the frames of a file; damage after the last frame becomes a warning on stderr."""
    try:
        yield from frames
    except video.DamagedVideo as damage:
        print(f"warning: {damage}", file=sys.stderr)
