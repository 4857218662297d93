"""Video file -> frames, frames -> video file (PyAV, hence any container and codec that FFmpeg reads, GIF included)."""

import os
import time
from collections.abc import Collection, Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np

from vidjax.data import augment

FALLBACK_FPS = 25.0  # where a file says nothing that can be believed
FASTEST_FPS = 1000.0  # beyond that, the frame rate in a header is a tick count, not a rate


class Video(NamedTuple):
    """Frames of a video.

    Attributes:
        frames: uint8 (T, H, W, 3), RGB.
        fps: frames a second.
        warning: None, or what is damaged in the file after these frames.
    """

    frames: np.ndarray
    fps: float
    warning: str | None


class DamagedVideo(ValueError):
    """Raised after the last good frame of a file whose tail is damaged."""


def read_video(
    path: str | Path, *, fps: float | None = None, start: float = 0.0, end: float | None = None, short_side: int = 0
) -> Video:
    """Reads a video into memory. Arguments as of `iterate_frames`.

    Raises:
        ValueError: where the file is missing, no video, or holds no frame between start and end.
    """
    frames, warning = [], None
    try:
        for frame, _ in iterate_frames(path, fps=fps, start=start, end=end, short_side=short_side):
            frames.append(frame)
    except DamagedVideo as damage:
        warning = str(damage)
    if not frames:
        raise ValueError(warning or f"{path}: no frame between {start} s and {end} s.")
    return Video(np.stack(frames), fps or frame_rate(path), warning)


def iterate_frames(
    path: str | Path,
    *,
    fps: float | None = None,
    start: float = 0.0,
    end: float | None = None,
    short_side: int = 0,
    only: Collection[int] | None = None,
) -> Iterator[tuple[np.ndarray, float]]:
    """Yields frames one at a time, so that a film of any length takes the memory of a few frames.

    Args:
        path: of the file.
        fps: rate to resample to. Output k shows the frame whose timestamp is nearest to start + k / fps: variable frame
            rates come out right, and the file's own rate gives its own frames. None yields those as they are.
        start, end: the part to read, seconds from the first frame; end None is the file's end.
        short_side: pixels that the short side is resized to; 0 keeps the size.
        only: which frames to yield, counted from 0 after resampling; the others are not even converted. None is all.

    Yields:
        A frame, uint8 (H, W, 3) RGB, turned as the file's rotation says; its time from the file's first frame, seconds.

    Raises:
        ValueError: where the file is missing or no video.
        DamagedVideo: after the last good frame, where the file breaks off.
    """
    frames = _decode(path, start, end)
    selected = _select(frames, start, end) if fps is None else _resample(frames, fps, start, end)
    for index, (frame, seconds) in enumerate(selected):
        if only is not None and index not in only:
            continue
        image = frame.to_ndarray(format="rgb24")  # (H, W, 3)
        if frame.rotation:
            image = np.rot90(image, round(frame.rotation / 90))
        if short_side:
            image = augment.resize(image, *augment.resized_shape(*image.shape[:2], short_side))
        yield np.ascontiguousarray(image), seconds


def iterate_camera(number: str = "0", *, fps: float | None = None, short_side: int = 0):
    """Yields the frames of a camera as they come; arguments and what is yielded as of `iterate_frames`.

    Args:
        number: of the camera, as the system counts them from 0.
        fps: frames that come earlier than this rate wants them are passed over; None takes all.

    Raises:
        ValueError: where there is no such camera, or it stops.
    """
    camera = cv2.VideoCapture(int(number)) if number.isdecimal() else None
    if camera is None or not camera.isOpened():
        raise ValueError(f"There is no camera {number!r} that OpenCV can open; cameras count from camera:0.")
    started, due = time.monotonic(), 0.0
    try:
        while True:
            good, image = camera.read()
            if not good:
                raise ValueError(f"Camera {number} stopped after {time.monotonic() - started:.1f} s.")
            seconds = time.monotonic() - started
            if seconds < due:
                continue
            due = (seconds * fps // 1 + 1) / fps if fps else 0.0
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
            if short_side:
                image = augment.resize(image, *augment.resized_shape(*image.shape[:2], short_side))
            yield image, seconds
    finally:
        camera.release()


def count_frames(path: str | Path, *, fps: float | None = None) -> tuple[int, str | None]:
    """How many frames `iterate_frames` would yield, and a warning: None, or what is damaged in the file after them.

    Raises:
        ValueError: where the file is missing, no video, or holds no frame.
    """
    frames, count = _decode(path, 0.0, None), 0
    try:
        for _ in _select(frames, 0.0, None) if fps is None else _resample(frames, fps, 0.0, None):
            count += 1
    except DamagedVideo as damage:
        return count, str(damage)
    return count, None


def frame_rate(path: str | Path) -> float:
    """Frames a second of a file: what its header says, or its number of frames over its duration, or 25.

    Raises:
        ValueError: where the file is missing or no video.
    """
    with _open(path) as container:
        return _frame_rate(container.streams.video[0])


def _open(path: str | Path):
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist.")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty.")
    try:
        container = av.open(str(path), metadata_errors="ignore")
    except av.error.FFmpegError as error:
        raise ValueError(f"{path} is not a video that FFmpeg can read: {error.strerror}.") from None
    if not container.streams.video:
        container.close()
        raise ValueError(f"{path} has no video stream.")
    return container


def _frame_rate(stream) -> float:
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and 0 < rate < FASTEST_FPS:
            return float(rate)
    if stream.frames and stream.duration and stream.time_base:
        return float(stream.frames / (stream.duration * stream.time_base))
    return FALLBACK_FPS


def _decode(path, start: float, end: float | None) -> Iterator[tuple[av.VideoFrame, float, float]]:
    """Yields (frame, seconds from the first frame, its duration in seconds) in the order of display."""
    with _open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1  # make_records runs one process a core
        rate = _frame_rate(stream)
        # AVI has no timestamps of display: FFmpeg's guesses go back and forth where there are B frames
        trusted = container.format.name != "avi"
        origin = float((stream.start_time or 0) * stream.time_base)
        whole = start == 0
        if trusted and start > 2:
            container.seek(int((start + origin - 1) / stream.time_base), stream=stream)
        count, seconds = 0, -1 / rate
        try:
            for frame in container.decode(stream):
                if frame.is_corrupt and seconds >= start:
                    raise DamagedVideo(f"{path}: damaged after {count} frames.")
                told = frame.time - origin if trusted and frame.time is not None else None
                seconds = told if told is not None and (told > seconds or not count) else seconds + 1 / rate
                count += 1
                yield frame, seconds, 1 / rate
                if end is not None and seconds > end:
                    return
        except av.error.FFmpegError as error:
            if not count:
                raise ValueError(f"{path}: no frame could be decoded: {error.strerror}.") from None
            raise DamagedVideo(
                f"{path}: damaged after {count} of {_promised(stream)} frames: {error.strerror}."
            ) from None
        if not count:
            raise ValueError(f"{path}: no frame could be decoded.")
        if whole and count < 0.9 * stream.frames - 1:
            raise DamagedVideo(f"{path}: breaks off after {count} of {_promised(stream)} frames.")


def _promised(stream) -> str:
    return str(stream.frames or "an unknown number of")


def _select(frames, start: float, end: float | None):
    """The frames with start <= seconds < end, a microsecond's rounding forgiven."""
    for frame, seconds, _ in frames:
        if seconds >= start - 1e-6 and (end is None or seconds < end - 1e-6):
            yield frame, seconds


def _resample(frames, fps: float, start: float, end: float | None):
    """For each time start + k / fps the nearest frame."""
    count, before = 0, None
    for frame, seconds, duration in frames:
        if before is not None:
            middle = (before[1] + seconds) / 2 + 1e-6  # halfway, the frame that is still on screen
            while (wanted := start + count / fps) < middle and (end is None or wanted < end - 1e-6):
                yield before[0], wanted
                count += 1
        before = frame, seconds, duration
    if before is not None:  # the last frame is shown for its duration, a quarter of an output frame forgiven
        stop = before[1] + before[2] - 0.25 / fps
        while (wanted := start + count / fps) < stop and (end is None or wanted < end - 1e-6):
            yield before[0], wanted
            count += 1


def write_video(path: str | Path, frames: np.ndarray, fps: float, *, all_intra: bool = True, quality: int = 18):
    """Writes an mp4 (H.264, yuv420p). The file appears whole or not at all.

    Args:
        frames: uint8 (T, H, W, 3) RGB; odd sides are made even by repeating the last row or column.
        fps: frames a second.
        all_intra: every frame is a key frame of the same quantiser, so that nothing in a frame tells what came before
            or after it. False is x264's default: groups of pictures, in which sharpness depends on the place.
        quality: x264's quantiser (all_intra) or rate factor, 0 best to 51 worst.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = np.pad(frames, ((0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)), mode="edge")
    partial = path.with_name(f"{path.name}.partial{os.getpid()}")
    if all_intra:
        options = {"qp": str(quality), "g": "1", "bf": "0", "preset": "veryfast"}
    else:
        options = {"crf": str(quality)}
    with av.open(str(partial), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options=options)
        stream.codec_context.thread_count = 1
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    os.replace(partial, path)
