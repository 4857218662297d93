"""Open video files with PyAV: select the video stream, find the frame rate, reject files without a video."""

import itertools
import statistics
from pathlib import Path

import av

FALLBACK_FPS = 25.0  # for files that do not state a rate
FASTEST_FPS = 1000.0  # a higher rate in a header counts ticks, not frames
FIRST = 100  # frames from which the rate of an AVI file is computed

NOT_VIDEO = frozenset("ansi bintext xbin idf".split())  # codecs with which FFmpeg renders text files
PLAYLISTS = frozenset("hls dash concat sdp rtsp imf".split())  # formats that name other files


def open_video(path: str | Path):
    """Opens a video file as a PyAV container; `video_stream` returns its video stream.

    Raises:
        ValueError: if the file does not exist, is empty, or FFmpeg finds no video in it.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist.")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty.")
    try:
        # Without file:, a name like 12:30.mp4 is parsed as a protocol; the whitelist keeps playlists off the network
        container = av.open(f"file:{path}", metadata_errors="ignore", options={"protocol_whitelist": "file"})
    except UnicodeEncodeError:  # PyAV accepts UTF-8 names only
        return _open_by_descriptor(path)
    except (av.error.FFmpegError, OSError) as error:
        raise ValueError(f"{path} is not a video that FFmpeg can read: {error.strerror}.") from None
    return _checked(container, path)


def _open_by_descriptor(path: Path):
    try:
        container = av.open(open(path, "rb"), metadata_errors="ignore")
    except (av.error.FFmpegError, OSError) as error:
        raise ValueError(f"{path} is not a video that FFmpeg can read: {error.strerror}.") from None
    return _checked(container, path)


def _checked(container, path: Path):
    if set(container.format.name.split(",")) & PLAYLISTS:
        container.close()
        raise ValueError(f"{path} is a playlist, not a video: give the file that it plays.")
    if video_stream(container) is None:
        is_cover = any(stream.disposition.attached_pic for stream in container.streams.video)
        container.close()
        raise ValueError(f"{path} has no video stream{', only a cover picture' if is_cover else ''}.")
    return container


def video_stream(container):
    """Returns the default video stream, else the first; None if there are only cover pictures, thumbnails or text."""
    candidates = [
        stream
        for stream in container.streams.video
        if not stream.disposition & (av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails)
        and stream.codec_context is not None
        and stream.codec_context.name not in NOT_VIDEO
    ]
    default = [stream for stream in candidates if stream.disposition & av.stream.Disposition.default]
    return next(iter(default or candidates), None)


def why_not_a_video(path: Path) -> str | None:
    """Returns why a file is not a video, or None if FFmpeg finds a video stream. Reads only the head of the file."""
    try:
        open_video(path).close()
    except ValueError as error:
        return str(error)
    return None


def frame_rate(path: str | Path) -> float:
    """Returns the frames per second of a file: from its header, else from frame count and duration, else 25.

    Raises:
        ValueError: if the file is not a video.
    """
    with open_video(path) as container:
        return frame_rate_of(container)


def frame_rate_of(container) -> float:
    """Returns the `frame_rate` of an open container; reads nothing from the file."""
    stream = video_stream(container)
    if container.format.name == "avi":  # the header may count fields, or ticks of the codec
        # An entry without bytes is a dropped frame
        times = sorted(entry.timestamp for entry in itertools.islice(stream.index_entries, FIRST) if entry.size)
        steps = [after - before for before, after in itertools.pairwise(times) if after > before]
        if steps:
            return float(1 / (statistics.median(steps) * stream.time_base))
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and 0 < rate < FASTEST_FPS:
            return float(rate)
    if stream.frames and stream.duration and stream.time_base:
        return float(stream.frames / (stream.duration * stream.time_base))
    return FALLBACK_FPS
