"""Decode a video file into frames in display order, with their times (PyAV: any container and codec of FFmpeg).

A seek may land after the requested time (MPEG-TS, MPEG-PS), AVI stores no display times, a file may be damaged or cut
short, and its first video stream may be a cover picture. `vidjax.data.video` is the public interface.
"""

import collections
import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import av

from vidjax.data.containers import frame_rate_of, open_video, video_stream

SEEK_FROM = 2.0  # seconds; for parts that start earlier, decoding everything is as fast
GUESSED = 8  # frames: the first timestamps after a seek may be too late by up to this
ONE_CLOCK = frozenset("mpegts mpeg flv".split())  # files joined byte by byte: times restart in the middle
LONGEST_GAP = 600.0  # seconds between two frames; a longer gap is a wrong timestamp
CUT_SHORT = 0.5  # seconds that may be missing at the end, because headers round

av.logging.set_level(av.logging.PANIC)  # print nothing, but count the errors of FFmpeg,
av.logging.set_skip_repeated(False)  # repeated ones too

TimedFrame = tuple[av.VideoFrame, float, float]  # the frame, seconds from the first frame, 1 / frame rate


class DamagedVideo(ValueError):
    """Raised after the last frame of a damaged file; the message describes the damage."""


@dataclasses.dataclass
class Damage:
    """Problems found while decoding a file.

    Attributes:
        frames: times of the frames that FFmpeg marks as corrupt or could not decode, seconds.
        timestamps: times assigned to frames whose timestamps go back or are impossible, seconds.
        notes: descriptions of other problems.
    """

    frames: list[float] = dataclasses.field(default_factory=list)
    timestamps: list[float] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)

    def check(self, path):
        """Raises a DamagedVideo if there is any problem."""
        found = list(self.notes)
        if self.frames:
            found.append(f"damaged frames: {len(self.frames)}, the first at {self.frames[0]:.2f} s")
        if self.timestamps:
            found.append(f"wrong timestamps: {len(self.timestamps)}, the first at {self.timestamps[0]:.2f} s")
        if found:
            raise DamagedVideo(f"{path}: {'; '.join(found)}.")


def decode(path: str | Path, start: float = 0.0, end: float | None = None) -> Iterator[TimedFrame]:
    """Yields the frames from `start` to `end`, and perhaps a few before and after, in display order.

    Args:
        path: the video file.
        start, end: seconds from the first frame of the file; None for `end` is the end of the file.

    Raises:
        ValueError: if the file is not a video, or no frame can be decoded.
        DamagedVideo: after the last frame, if some frames are damaged or missing.
    """
    decoder, damage = _Decoder(path, start), Damage()
    rate = frame_rate_of(decoder.container)
    with decoder.container:
        seconds, count, is_spoilt, is_lost = 0.0, 0, False, False
        latest = 1.1 * decoder.length + 10 if decoder.length else math.inf
        for frame, time, is_bad in decoder.frames:
            if frame is None:
                is_spoilt = is_lost = True
                continue
            time = None if time is None else time - decoder.origin
            if not count:
                seconds = time or 0.0
            elif time is not None and seconds < time < min(latest, seconds + LONGEST_GAP):
                seconds = time
            elif time is not None and max(seconds, time) < start and time > seconds - GUESSED / rate:
                seconds = time  # in MPEG-PS the first times after a seek are guesses
            else:
                seconds += 1 / rate
                if time is not None and not seconds - 2.5 / rate < time <= seconds:
                    damage.timestamps.append(seconds)
            # Damage is visible until the next key frame; in AVI a lost frame shifts all later frames
            is_spoilt = is_bad or is_spoilt and not (frame.key_frame and decoder.recovers)
            if (is_spoilt or is_lost) and seconds >= start - 1.5 / rate:
                damage.frames.append(seconds)
            count, is_lost = count + 1, False
            yield frame, seconds, 1 / rate
            if end is not None and seconds > end:
                break
        else:
            if not count:
                why = decoder.reading_error or decoder.decoding_error
                raise ValueError(f"{path}: no frame could be decoded{why and ': ' + why}.")
            if is_lost:
                damage.frames.append(seconds)
            if decoder.reading_error:
                damage.notes.append(f"cannot be read beyond {seconds:.1f} s: {decoder.reading_error}")
            if -math.inf < decoder.read_to < decoder.length - max(CUT_SHORT, 3 / rate):
                damage.notes.append(f"cut short after {count} frames, at {seconds:.1f} s of {decoder.length:.1f} s")
        damage.notes += decoder.notes
    damage.check(path)


def _num_errors() -> int:
    return av.logging.get_last_error()[0]


@functools.lru_cache(maxsize=64)
def has_one_clock(path: Path, size: int, changed: int) -> bool:
    """Returns whether the timestamps of a file never decrease. Reads all packets and decodes none.

    Args:
        path: the video file.
        size, changed: its bytes and modification time: part of the cache key, so that a changed file is read again.
    """
    with open_video(path) as container:
        before = -math.inf
        try:
            for packet in container.demux(video_stream(container)):
                if packet.dts is not None:
                    if packet.dts < before:
                        return False
                    before = packet.dts
        except (av.error.FFmpegError, OSError, IndexError):
            return False
    return True


class _Decoder:
    """An open file, positioned at or before a time.

    Attributes:
        container: PyAV container.
        origin: the presentation time of the first frame of the file, seconds.
        length: seconds from the origin to the end of the file according to its header; 0 if it has no duration.
        read_to: seconds from the origin to the end of the data read so far: of the video stream if its header has a
            duration, else of all streams.
        recovers: whether a key frame ends the effect of earlier damage.
        frames: iterator over (frame, presentation time in seconds or None, whether FFmpeg reported an error while
            decoding it); the frame is None if an error yields no frame.
        notes: descriptions of problems at the beginning of the file.
        reading_error: why reading stopped before the end of the file, or "".
        decoding_error: why the last packet without a frame could not be decoded, or "".
    """

    def __init__(self, path: str | Path, start: float):
        self.reading_error = self.decoding_error = ""
        self._open(path)
        margin = 1.0
        while start > SEEK_FROM and margin < start and self._can_seek(Path(path)):
            if self._seek(start - margin, start):
                return
            margin *= 4  # the last key frame before `start` may be far back
        if margin > 1:
            self.container.close()
            self._open(path)

    def _open(self, path):
        before = _num_errors()
        self.container = open_video(path)
        self.notes = ["FFmpeg reports errors at its beginning"] if _num_errors() > before else []
        self.recovers = self.container.format.name not in ("avi", "gif")
        self.stream = video_stream(self.container)
        self.stream.codec_context.thread_count = 1  # make_records runs one process per core
        self._read_to = -math.inf
        self._restart()
        if self._lost_first:
            self.notes = ["its first frames are lost: times count from the first that can be decoded"]
        self.origin = self._first_time or 0.0
        self.length, start = 0.0, self.stream.start_time or 0
        if self.stream.duration:
            duration = self.stream.duration
            if self.container.format.name == "avi":  # FFmpeg limits it to what the file size allows
                duration = max(duration, self.stream.frames)
            self.length = float((start + duration) * self.stream.time_base) - self.origin
        elif self.container.duration:
            # Matroska's duration counts from 0, not from the first frame
            start = 0 if "matroska" in self.container.format.name else self.container.start_time or 0
            self.length = (start + self.container.duration) / av.time_base - self.origin

    @property
    def read_to(self) -> float:
        return self._read_to - self.origin

    def _can_seek(self, path: Path) -> bool:
        name = self.container.format.name
        if name in ONE_CLOCK:
            status = path.stat()
            return has_one_clock(path, status.st_size, status.st_mtime_ns)
        return name != "avi"  # AVI: only the order of frames gives their times

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
        """Decodes from the current position up to the first frame; drops errors before it, see `_lost_first`."""
        frames, self._lost_first, self._first_time = self._decode(), False, None
        for first in frames:
            if first[0] is not None:
                self._first_time = first[1]
                frames = itertools.chain([first], frames)
                break
            self._lost_first = True
        self.frames = frames

    def _decode(self):
        is_avi, due, first_pts = self.container.format.name == "avi", collections.deque(), None
        packets, ticks = self.container.demux(), collections.defaultdict(float)  # seconds; fractions are slow
        ticks |= {stream.index: float(stream.time_base or 0) for stream in self.container.streams}
        while True:
            before = _num_errors()
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError) as error:
                self.reading_error = error.strerror
                return
            except IndexError:  # raised by PyAV
                self.reading_error = "a new stream begins"
                return
            is_bad = _num_errors() > before
            if packet is None:
                if is_bad:
                    yield None, None, True
                return
            is_video = packet.stream.index == self.stream.index
            is_bad |= is_video and packet.is_corrupt
            if packet.dts is not None and (is_video or not self.stream.duration):
                end = packet.dts if packet.pts is None else packet.pts
                self._read_to = max(self._read_to, (end + (packet.duration or 0)) * ticks[packet.stream.index])
            if not is_video or (not packet.size and packet.dts is not None):  # empty: a dropped frame in AVI
                if is_bad:
                    yield None, None, True
                continue
            if is_avi and packet.dts is not None:
                due.append(packet.dts)
            before, decoded = _num_errors(), ()
            try:
                decoded = packet.decode()
            except av.error.FFmpegError as error:
                self.decoding_error = error.strerror
                if is_avi and due:
                    due.pop()
                is_bad = True
            first_pts = packet.pts if first_pts is None else first_pts
            if packet.pts is None or packet.pts >= first_pts:  # else a B frame whose reference is before the seek
                is_bad |= _num_errors() > before
            if is_bad and not decoded:
                yield None, None, True
            for frame in decoded:
                if is_avi:  # the k-th displayed frame has the k-th smallest timestamp
                    frame.pts = due.popleft() if due else None
                yield frame, frame.time, is_bad or frame.is_corrupt
