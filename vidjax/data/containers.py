"""Opens a video file: which stream is the video, what its frame rate is, and what is not a video at all (PyAV)."""

import itertools
import statistics
from pathlib import Path

import av

FALLBACK_FPS = 25.0  # of a file that does not say
FASTEST_FPS = 1000.0  # a higher rate in a header counts ticks, not frames
FIRST = 100  # frames that tell the rate of an AVI file

NOT_VIDEO = frozenset("ansi bintext xbin idf".split())  # codecs by which FFmpeg draws text files
PLAYLISTS = frozenset("hls dash concat sdp rtsp imf".split())  # formats that name other files


def open_video(path: str | Path):
    """Opens a video file with PyAV: a container whose video stream `video_stream` returns.

    Raises:
        ValueError: if the file does not exist, is empty, or FFmpeg finds no video in it.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist.")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty.")
    try:
        # Without file:, a name like 12:30.mp4 is taken for a protocol; the whitelist keeps playlists off the network
        container = av.open(f"file:{path}", metadata_errors="ignore", options={"protocol_whitelist": "file"})
    except UnicodeEncodeError:  # PyAV takes UTF-8 names only
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
    """The default video stream, else the first; None if there are only cover pictures, thumbnails or text."""
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
    """None if FFmpeg finds a video stream in a file, else the reason. Only the head of the file is read."""
    try:
        open_video(path).close()
    except ValueError as error:
        return str(error)
    return None


def frame_rate(path: str | Path) -> float:
    """Frames per second of a file, from its header, its number of frames and its duration, or else 25.

    Raises:
        ValueError: if the file is not a video.
    """
    with open_video(path) as container:
        return frame_rate_of(container)


def frame_rate_of(container) -> float:
    """`frame_rate` of a file that is open; nothing is read."""
    stream = video_stream(container)
    if container.format.name == "avi":  # the header may count fields, or ticks of the codec
        # An entry without bytes is a frame that is left out
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
