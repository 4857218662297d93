"""Video file -> decoded frames in order of display, with their times (PyAV: any container and codec of FFmpeg).

A seek may land after the time asked for (MPEG-TS, MPEG-PS), AVI stores no times of display, a file may be damaged or
cut short, and its first video stream may be a cover picture. `vidjax.data.video` is the interface.
"""

import collections
import dataclasses
import itertools
import math
import statistics
from collections.abc import Iterator
from pathlib import Path

import av

FALLBACK_FPS = 25.0  # of a file that does not say
FASTEST_FPS = 1000.0  # a higher rate in a header counts ticks, not frames
SEEK_FROM = 2.0  # seconds: to a part that starts earlier, decoding everything is as fast
LONGEST_GAP = 600.0  # seconds between two frames: a longer one is a wrong timestamp
CUT_SHORT = 0.5  # seconds that may be missing at the end: headers round

NOT_VIDEO = frozenset("ansi bintext xbin idf".split())  # codecs by which FFmpeg draws text files
PLAYLISTS = frozenset("hls dash concat sdp rtsp imf".split())  # formats that name other files

TimedFrame = tuple[av.VideoFrame, float, float]  # the frame, seconds from the first frame, 1 / frame rate


class DamagedVideo(ValueError):
    """Raised after the last frame of a file in which something is wrong; the message says what."""


# ------------------------------------------------------------------------------------------------ opening


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
        stream = video_stream(container)
        if container.format.name == "avi":  # the header may count fields, or ticks of the codec
            times = sorted(packet.dts for packet, _ in zip(_packets(container, stream), range(100), strict=False))
            steps = [after - before for before, after in zip(times, times[1:], strict=False) if after > before]
            if steps:
                return float(1 / (statistics.median(steps) * stream.time_base))
        for rate in (stream.average_rate, stream.guessed_rate):
            if rate and 0 < rate < FASTEST_FPS:
                return float(rate)
        if stream.frames and stream.duration and stream.time_base:
            return float(stream.frames / (stream.duration * stream.time_base))
        return FALLBACK_FPS


def _packets(container, stream) -> Iterator[av.Packet]:
    """The packets of a stream that hold a frame and have a time; AVI stores a dropped frame as an empty packet."""
    for packet in container.demux(stream):
        if packet.size and packet.dts is not None:
            yield packet


# ------------------------------------------------------------------------------------------------ decoding


@dataclasses.dataclass
class Damage:
    """What goes wrong while a file is decoded.

    Attributes:
        frames: times of the frames that FFmpeg marks as corrupt or could not decode, seconds.
        timestamps: times that frames got whose timestamps go back or are impossible, seconds.
        notes: whatever else is wrong, in words.
    """

    frames: list[float] = dataclasses.field(default_factory=list)
    timestamps: list[float] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)

    def check(self, path):
        """Raises a DamagedVideo if anything went wrong."""
        found = list(self.notes)
        if self.frames:
            found.append(f"damaged frames: {len(self.frames)}, the first at {self.frames[0]:.2f} s")
        if self.timestamps:
            found.append(f"wrong timestamps: {len(self.timestamps)}, the first at {self.timestamps[0]:.2f} s")
        if found:
            raise DamagedVideo(f"{path}: {'; '.join(found)}.")


def decode(path: str | Path, start: float = 0.0, end: float | None = None) -> Iterator[TimedFrame]:
    """Yields the frames from `start` or a little before it to `end` or a little after it, in order of display.

    Args:
        path: of the file.
        start, end: seconds from the first frame of the file; end None is the end of the file.

    Raises:
        ValueError: if the file is not a video, or no frame can be decoded.
        DamagedVideo: after the last frame, if some frames are damaged or missing.
    """
    rate, damage = frame_rate(path), Damage()
    decoder = _Decoder(path, start)
    with decoder.container:
        seconds, count = 0.0, 0
        latest = 1.1 * decoder.length + 10 if decoder.length else math.inf
        for frame, time in decoder.frames:
            if frame is None:
                if seconds >= start - 1 / rate:
                    damage.frames.append(seconds)
                continue
            time = None if time is None else time - decoder.origin
            if not count:
                seconds = time or 0.0
            elif time is not None and seconds < time < min(latest, seconds + LONGEST_GAP):
                seconds = time
            else:
                seconds += 1 / rate
                if time is not None and not seconds - 2.5 / rate < time <= seconds:
                    damage.timestamps.append(seconds)
            if frame.is_corrupt and seconds >= start:
                damage.frames.append(seconds)
            count += 1
            yield frame, seconds, 1 / rate
            if end is not None and seconds > end:
                break
        else:
            if not count:
                why = decoder.reading_error or decoder.decoding_error
                raise ValueError(f"{path}: no frame could be decoded{why and ': ' + why}.")
            if decoder.reading_error:
                damage.notes.append(f"cannot be read beyond {seconds:.1f} s: {decoder.reading_error}")
            if decoder.read_to < decoder.length - max(CUT_SHORT, 3 / rate):
                damage.notes.append(f"cut short after {count} frames, at {seconds:.1f} s of {decoder.length:.1f} s")
    damage.check(path)


class _Decoder:
    """A file that is open, and stands at or before a time.

    Attributes:
        container: PyAV's.
        origin: the presentation time of the first frame of the file, seconds.
        length: seconds from the origin to the end of the file according to its header; 0 if it does not say.
        read_to: seconds from the origin to the end of what has been read: of the video if the header says how long that
            is, else of all streams.
        frames: iterator of (frame, its presentation time in seconds or None); (None, None) for a packet that could not
            be decoded.
        reading_error: why reading stopped before the end of the file, or "".
        decoding_error: why the last packet without a frame could not be decoded, or "".
    """

    def __init__(self, path: str | Path, start: float):
        self.reading_error = self.decoding_error = ""
        self._open(path)
        is_seekable = self.container.format.name != "avi"  # there, order alone tells the time of a frame
        margin = 1.0
        while is_seekable and start > SEEK_FROM and margin < start:
            if self._seek(start - margin, start):
                return
            margin *= 4  # the frame before `start` may be a key frame far back
        if margin > 1:
            self.container.close()
            self._open(path)

    def _open(self, path):
        self.container = open_video(path)
        self.stream = video_stream(self.container)
        self.stream.codec_context.thread_count = 1  # make_records runs one process a core
        self._read_to = -math.inf
        self._restart()
        self.origin = self._first_time or 0.0
        self.length, start = 0.0, self.stream.start_time or 0
        if self.stream.duration:
            self.length = float((start + self.stream.duration) * self.stream.time_base) - self.origin
        elif self.container.duration:
            end = (self.container.start_time or 0) + self.container.duration
            self.length = end / av.time_base - self.origin

    @property
    def read_to(self) -> float:
        return self._read_to - self.origin

    def _seek(self, target: float, start: float) -> bool:
        """Seeks to before `target`; returns whether the first frame there is known to be at or before `start`."""
        if self._first_time is None:
            return False
        try:
            self.container.seek(int((target + self.origin) / self.stream.time_base), stream=self.stream)
        except (av.error.FFmpegError, OSError):
            return False
        self._restart()
        return self._first_time is not None and self._first_time - self.origin <= start

    def _restart(self):
        """Decodes up to the first frame from where the container stands."""
        frames, before = self._decode(), []
        for frame, time in frames:
            before.append((frame, time))
            if frame is not None:
                break
        self._first_time = before[-1][1] if before else None
        self.frames = itertools.chain(before, frames)

    def _decode(self):
        is_avi, due = self.container.format.name == "avi", collections.deque()
        packets = self.container.demux()
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError) as error:
                self.reading_error = error.strerror
                return
            if packet is None:
                return
            is_video = packet.stream.index == self.stream.index
            if packet.dts is not None and (is_video or not self.stream.duration):
                end = packet.dts if packet.pts is None else packet.pts
                self._read_to = max(self._read_to, float((end + (packet.duration or 0)) * packet.time_base))
            if not is_video or (not packet.size and packet.dts is not None):  # empty: a frame that AVI leaves out
                continue
            if is_avi and packet.dts is not None:
                due.append(packet.dts)
            try:
                decoded = packet.decode()
            except av.error.FFmpegError as error:
                self.decoding_error, decoded = error.strerror, ()
                if is_avi and due:
                    due.pop()
                yield None, None
            for frame in decoded:
                if is_avi:  # the k-th frame that is shown has the k-th smallest timestamp
                    frame.pts = due.popleft() if due else None
                yield frame, frame.time
