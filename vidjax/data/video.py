"""Video file or folder of numbered images -> frames, resampled and resized; frames -> video file."""

import os
import time
from collections.abc import Collection, Iterator
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
        warning: None, or what is wrong with the file.
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
    """Yields frames one at a time, so that a film of any length takes the memory of a few frames.

    Args:
        path: of the file, or of a folder of numbered images.
        fps: rate to resample to. Output k shows the frame whose timestamp is nearest to start + k / fps: variable frame
            rates come out right, and the file's own rate gives its own frames. None yields those as they are.
        start, end: the part to read, seconds from the first frame; end None is the end of the file.
        short_side: pixels that the short side is resized to; 0 keeps the size.
        only: indices of the frames to yield, counted after resampling; the others are not converted. None is all.
        folder_fps: frame rate of a folder of images, which has none of its own.

    Yields:
        A frame, uint8 (H, W, 3) RGB, turned and mirrored as the file says; its time from the file's first frame,
        seconds. All frames have the size of the first: if the size changes, later frames are scaled to fit inside it
        with their aspect ratio kept, on black.

    Raises:
        ValueError: if the file is missing or not a video, or the part is not a part of it.
        DamagedVideo: after the last frame, if frames are damaged or missing or change their size.
    """
    if not start >= 0 or not (end is None or end > start):
        raise ValueError(f"{path}: start = {start} s, end = {end} s: start must be 0 or more, and end larger.")
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
        number: of the camera, as the system counts them from 0.
        fps: frames that come earlier than this rate needs them are dropped; None takes all.

    Raises:
        ValueError: if there is no such camera, or it stops.
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


def count_frames(
    path: str | Path, *, fps: float | None = None, folder_fps: float = frame_folder.FPS
) -> tuple[int, str | None]:
    """How many frames `iterate_frames` would yield, and a warning: None, or what is damaged in the file.

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
    """Frames per second of a file, see `containers.frame_rate`; of a folder of images `folder_fps`.

    Raises:
        ValueError: if the file is missing or not a video.
    """
    return folder_fps if Path(path).is_dir() else containers.frame_rate(path)


def _select(frames, start: float, end: float | None):
    """The frames with start <= seconds < end, a microsecond's rounding forgiven."""
    for frame, seconds, _ in frames:
        if seconds >= start - 1e-6 and (end is None or seconds < end - 1e-6):
            yield frame, seconds


def _resample(frames, fps: float, start: float, end: float | None):
    """For each time start + k / fps the nearest frame."""
    count, before, damage = 0, None, None
    try:
        for frame, seconds, duration in frames:
            if before is not None:
                middle = (before[1] + seconds) / 2 + 1e-6  # halfway, the frame that is still on screen
                while (wanted := start + count / fps) < middle and (end is None or wanted < end - 1e-6):
                    yield before[0], wanted
                    count += 1
            before = frame, seconds, duration
    except DamagedVideo as error:  # raised after the last frame, which is still to be shown
        damage = error
    if before is not None:  # the last frame is shown for its duration, a quarter of an output frame forgiven
        stop = before[1] + before[2] - 0.25 / fps
        while (wanted := start + count / fps) < stop and (end is None or wanted < end - 1e-6):
            yield before[0], wanted
            count += 1
    if damage:
        raise damage


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
