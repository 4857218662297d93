"""Read frames of a video file or a folder of numbered images, resampled and resized; write a video file."""

import itertools
import os
import time
from collections.abc import Collection, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np

from vidjax.data import augment, containers, decoding, frame_folder, orientation
from vidjax.data.containers import why_not_a_video  # noqa: F401  # part of the interface
from vidjax.data.decoding import DamagedVideo
from vidjax.data.frame_folder import IMAGES  # noqa: F401


class Video(NamedTuple):
    """Frames of a video.

    Attributes:
        frames: uint8 (T, H, W, 3), RGB.
        fps: frames per second.
        warning: None, or a description of the damage in the file.
    """

    frames: np.ndarray
    fps: float
    warning: str | None


def read_video(
    path: str | Path, *, fps: float | None = None, start: float = 0.0, end: float | None = None, short_side: int = 0
) -> Video:
    """Reads a video into memory. The arguments are those of `iterate_frames`.

    Raises:
        ValueError: if the file is missing, not a video, or has no frame between start and end.
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
    folder_fps: float = frame_folder.FPS,
) -> Iterator[tuple[np.ndarray, float]]:
    """Yields frames one at a time, so that a video of any length needs memory for a few frames only.

    Args:
        path: video file, or folder of numbered images.
        fps: rate to resample to. Output k is the frame whose timestamp is nearest to start + k / fps. Variable frame
            rates are handled, and the file's own rate yields its own frames. None does not resample.
        start, end: the part to read, seconds from the first frame; None for `end` is the end of the file.
        short_side: pixels to resize the short side to; 0 keeps the size.
        only: indices of the frames to yield, counted after resampling; the others are not converted. None yields all.
        folder_fps: frame rate of a folder of images, which has none of its own.

    Yields:
        A frame, uint8 (H, W, 3) RGB, turned upright by the file's display matrix, and its time from the file's first
        frame, seconds. All frames have the size of the first: if the size changes, later frames are scaled to fit
        inside it with their aspect ratio kept, on black.

    Raises:
        ValueError: if the file is missing or not a video, or fps, start, end or short_side is invalid.
        DamagedVideo: after the last frame, if frames are damaged or missing or change their size.
    """
    if not start >= 0 or not (end is None or end > start):
        raise ValueError(f"{path}: start = {start} s, end = {end} s: start must be 0 or more, and end larger.")
    if short_side < 0:
        raise ValueError(f"short_side = {short_side} must be 0 or more.")
    frames = _decode(path, start, end, folder_fps)
    selected = _select(frames, start, end) if fps is None else _resample(frames, fps, start, end)
    size, change, damage, to_image = None, None, None, orientation.ToImage()
    try:
        for index, (frame, seconds) in enumerate(selected):
            if only is not None and index not in only and size:
                continue
            image = frame_folder.read_image(frame) if isinstance(frame, Path) else to_image(frame)
            size = size or image.shape[:2]
            if image.shape[:2] != size:
                if change is None:
                    change = f"the frame size changes from {_pixels(size)} to {_pixels(image.shape)} at {seconds:.2f} s"
                image = augment.fit_inside(image, *size)
            if only is not None and index not in only:
                continue
            if short_side:
                image = augment.resize(image, *augment.resized_shape(*size, short_side))
            yield np.ascontiguousarray(image), seconds
    except DamagedVideo as error:
        damage = str(error)
    if change:
        damage = f"{damage.removesuffix('.') if damage else path}{';' if damage else ':'} {change}."
    if damage:
        raise DamagedVideo(damage)


def _pixels(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"


def _decode(path: str | Path, start: float, end: float | None, folder_fps: float):
    if Path(path).is_dir():
        return frame_folder.decode(Path(path), folder_fps)
    return decoding.decode(path, start, end)


def iterate_camera(number: str = "0", *, fps: float | None = None, short_side: int = 0):
    """Yields the frames of a camera as they come, and their times, like `iterate_frames`.

    Args:
        number: number of the camera in the system, from 0.
        fps: highest frame rate; earlier frames are dropped. None yields all.

    Raises:
        ValueError: if there is no such camera, or it stops.
    """
    camera = cv2.VideoCapture(int(number)) if number.isdecimal() else None
    if camera is None or not camera.isOpened():
        raise ValueError(f"There is no camera {number!r} that OpenCV can open; the first one is camera:0.")
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


def count_frames(
    path: str | Path, *, fps: float | None = None, folder_fps: float = frame_folder.FPS
) -> tuple[int, str | None]:
    """Counts the frames that `iterate_frames` yields; also returns None or a description of the damage in the file.

    Raises:
        ValueError: if the file is missing, not a video, or has no frame.
    """
    frames, count = _decode(path, 0.0, None, folder_fps), 0
    try:
        for _ in _select(frames, 0.0, None) if fps is None else _resample(frames, fps, 0.0, None):
            count += 1
    except DamagedVideo as damage:
        return count, str(damage)
    return count, None


def frame_rate(path: str | Path, *, folder_fps: float = frame_folder.FPS) -> float:
    """Returns the frames per second of a file, see `containers.frame_rate`, or `folder_fps` for a folder of images.

    Raises:
        ValueError: if the file is missing or not a video.
    """
    return folder_fps if Path(path).is_dir() else containers.frame_rate(path)


def _select(frames, start: float, end: float | None):
    """Yields the frames with start <= seconds < end, within a microsecond of rounding."""
    for frame, seconds, _ in frames:
        if seconds >= start - 1e-6 and (end is None or seconds < end - 1e-6):
            yield frame, seconds


def _resample(frames, fps: float, start: float, end: float | None):
    """Yields the nearest frame for each time start + k / fps. Raises a ValueError unless fps is more than 0."""
    if not fps > 0:  # else there is always another time before the next frame
        raise ValueError(f"fps = {fps:g} must be more than 0.")
    count, before, damage = 0, None, None
    try:
        for frame, seconds, duration in frames:
            if before is not None:
                middle = (before[1] + seconds) / 2 + 1e-6  # exactly halfway, the earlier frame
                while (wanted := start + count / fps) < middle and (end is None or wanted < end - 1e-6):
                    yield before[0], wanted
                    count += 1
            before = frame, seconds, duration
    except DamagedVideo as error:  # raised after the last frame, which is not yielded yet
        damage = error
    if before is not None:  # the last frame lasts for its duration, within a quarter of an output frame
        stop = before[1] + before[2]  # without that quarter for the first output: an image is a video of one frame
        while (wanted := start + count / fps) < stop - (0.25 / fps if count else 0) and (
            end is None or wanted < end - 1e-6
        ):
            yield before[0], wanted
            count += 1
    if damage:
        raise damage


def write_video(
    path: str | Path, frames: Iterable[np.ndarray], fps: float, *, all_intra: bool = True, quality: int = 18
):
    """Writes an mp4 (H.264, yuv420p). The file appears complete or not at all.

    Args:
        frames: uint8 (H, W, 3) RGB each, taken one by one; odd sides are made even by repeating the last row or column.
        fps: frames per second.
        all_intra: make every frame a key frame with the same quantiser, so that no frame reveals its neighbours. False
            is x264's default: groups of pictures, in which sharpness depends on the position.
        quality: x264's quantiser (all_intra) or rate factor, 0 best to 51 worst.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = (np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), "edge") for frame in frames)
    first = next(frames)
    partial = path.with_name(f"{path.name}.partial{os.getpid()}")
    if all_intra:
        options = {"qp": str(quality), "g": "1", "bf": "0", "preset": "veryfast"}
    else:
        options = {"crf": str(quality)}
    try:
        with av.open(str(partial), "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options=options)
            stream.codec_context.thread_count = 1
            (stream.height, stream.width, _), stream.pix_fmt = first.shape, "yuv420p"
            for frame in itertools.chain([first], frames):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
        os.replace(partial, path)
    finally:  # also after an error of `frames`, or Ctrl-C
        partial.unlink(missing_ok=True)
