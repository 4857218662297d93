"""Videos whose frames show their own number and which side is up: written and read back without vidjax.

A frame is 128x96 pixels, 6 rows of 8 blocks of 16x16. The first row is red, but its first two blocks are green; the
last row is blue. The 32 blocks between are the bits of the number, white where set, lowest first: 16 bits, then their
inverse, so that a damaged frame cannot be mistaken for another. `video_containers.py` and `video_fuzz.py` use this.
"""

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np

BLOCK, ROWS, COLUMNS = 16, 6, 8
BITS = 16
SAMPLES = 960  # of sound, per frame
SOUND_RATE = 48_000  # samples per second
GREEN, RED, BLUE = (0, 255, 0), (255, 0, 0), (0, 0, 255)
TICKS = 90_000  # a second, of the packets before the muxer rounds them
COVER = av.stream.Disposition.attached_pic
STILL_ON_SCREEN = 1e-6  # seconds: halfway between two frames, the earlier one is right

# Matrices (a, b, c, d): the pixel at (x, y), y downwards, is shown at (a x + c y, b x + d y).
TURNS = {
    "upright": (1, 0, 0, 1),
    "clockwise": (0, 1, -1, 0),
    "half": (-1, 0, 0, -1),
    "counterclockwise": (0, -1, 1, 0),
    "mirrored": (-1, 0, 0, 1),
    "upside down": (1, 0, 0, -1),
    "transpose": (0, 1, 1, 0),
    "transverse": (0, -1, -1, 0),
}
X264 = "keyint={gop}:min-keyint={gop}:scenecut=0:b-adapt=0:threads=1"
FAST = {"preset": "ultrafast", "qp": "22"}
COARSE = {"flags": "+qscale", "global_quality": "354", "sc_threshold": "1000000000"}  # 354: a quantiser of 3
VPX = {"deadline": "realtime", "cpu-used": "8", "b": "600000"}
# Name -> FFmpeg's encoder, its options ("{gop}" is frames between key frames), its pixel format.
CODECS = {
    "h264": ("libx264", {"preset": "ultrafast", "qp": "22", "x264-params": f"{X264}:bframes=3"}, "yuv420p"),
    "h264 open": (
        "libx264",
        {"preset": "ultrafast", "qp": "22", "x264-params": f"{X264}:bframes=3:open-gop=1"},
        "yuv420p",
    ),
    "h264 no B": ("libx264", {"preset": "ultrafast", "qp": "22", "x264-params": f"{X264}:bframes=0"}, "yuv420p"),
    "mpeg1": ("mpeg1video", COARSE | {"bf": "2"}, "yuv420p"),
    "mpeg2": ("mpeg2video", COARSE | {"bf": "2"}, "yuv420p"),
    "mpeg4": ("mpeg4", COARSE, "yuv420p"),
    "mpeg4 B": ("mpeg4", COARSE | {"bf": "2"}, "yuv420p"),
    "msmpeg4": ("msmpeg4", COARSE, "yuv420p"),
    "wmv2": ("wmv2", COARSE, "yuv420p"),
    "h263": ("h263", COARSE, "yuv420p"),
    "flv1": ("flv", COARSE, "yuv420p"),
    "vp8": ("libvpx", VPX | {"lag-in-frames": "0"}, "yuv420p"),
    "vp8 hidden": ("libvpx", VPX | {"deadline": "good", "lag-in-frames": "16", "auto-alt-ref": "1"}, "yuv420p"),
    "vp9": ("libvpx-vp9", VPX | {"lag-in-frames": "0"}, "yuv420p"),
    "vp9 hidden": ("libvpx-vp9", VPX | {"deadline": "good", "lag-in-frames": "16", "auto-alt-ref": "1"}, "yuv420p"),
    "theora": ("libtheora", {}, "yuv420p"),
    "mjpeg": ("mjpeg", COARSE, "yuvj420p"),
    "ffv1": ("ffv1", {}, "yuv420p"),
    "gif": ("gif", {}, "rgb8"),
}
# Ending -> FFmpeg's muxer, its options, the resolution of its timestamps in seconds.
MUXERS = {
    "ts": ("mpegts", {}, 1e-4),
    "m2ts": ("mpegts", {"mpegts_m2ts_mode": "1"}, 1e-4),
    "mpg": ("mpeg", {}, 0.1),  # the muxer packs small frames together, and some times are two frames off
    "vob": ("vob", {}, 0.1),
    "mkv": ("matroska", {}, 1e-3),
    "webm": ("webm", {}, 1e-3),
    "flv": ("flv", {}, 1e-3),
    "ogv": ("ogv", {}, 1e-4),
    "wmv": ("asf", {}, 1e-3),
    "3gp": ("3gp", {}, 1e-4),
    "mov": ("mov", {}, 1e-4),
    "mp4": ("mp4", {}, 1e-4),
    "avi": ("avi", {}, 1e-4),
    "gif": ("gif", {}, 1e-2),
}
KEEPS_RATE = {"avi", "ogv"}  # these muxers count frames of one duration instead of ticks


class NotHere(Exception):
    """Raised where this FFmpeg has no such encoder."""


class Shown(NamedTuple):
    """A frame: its number and when it is shown, seconds."""

    number: int
    seconds: float


def number_frame(number: int, scale: float = 1) -> np.ndarray:
    """The frame of a number below 2**16, uint8 (96 * scale, 128 * scale, 3) RGB."""
    cells = np.zeros((ROWS, COLUMNS, 3), np.uint8)
    cells[0], cells[0, :2], cells[-1] = RED, GREEN, BLUE
    bits = [number >> bit & 1 for bit in range(BITS)]
    cells[1:-1] = 255 * np.array([*bits, *(1 - bit for bit in bits)], np.uint8).reshape(ROWS - 2, COLUMNS, 1)
    side = round(BLOCK * scale)
    return cells.repeat(side, 0).repeat(side, 1)


def read_frame(image: np.ndarray) -> tuple[int | None, str | None]:
    """The number of a frame, uint8 (H, W, 3) RGB, and its name in TURNS; None where it cannot be read."""
    size = (ROWS, COLUMNS) if image.shape[0] < image.shape[1] else (COLUMNS, ROWS)
    image = cv2.resize(image, (size[1] * BLOCK, size[0] * BLOCK), interpolation=cv2.INTER_AREA)
    blocks = image.reshape(size[0], BLOCK, size[1], BLOCK, 3)[:, 4:12, :, 4:12]
    cells = blocks.mean((1, 3))  # (6, 8, 3), or (8, 6, 3)
    for name, (a, b, c, d) in TURNS.items():
        upright = turn(cells, (a, c, b, d))  # the transposed matrix turns back
        if upright.shape == (ROWS, COLUMNS, 3) and _is_upright(upright):
            return _number(upright[1:-1].mean(-1).reshape(-1)), name
    return None, None


def _number(grey: np.ndarray) -> int | None:
    bits = (grey > 128).astype(int)
    if (np.abs(grey - 128) < 40).any() or (bits[:BITS] + bits[BITS:] != 1).any():
        return None
    return int(bits[:BITS] @ (1 << np.arange(BITS)))


def _is_upright(cells: np.ndarray) -> bool:
    def looks(part, colour):
        return (np.abs(part - np.array(colour)) < 100).all()

    return looks(cells[0, :2], GREEN) and looks(cells[0, 2:], RED) and looks(cells[-1], BLUE)


def turn(image: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """The image (H, W, C) as a display matrix (a, b, c, d) shows it."""
    a, b, c, d = matrix
    y, x = np.indices(image.shape[:2])
    shown_x, shown_y = a * x + c * y, b * x + d * y
    shown_x, shown_y = shown_x - shown_x.min(), shown_y - shown_y.min()
    turned = np.zeros((shown_y.max() + 1, shown_x.max() + 1, image.shape[2]), image.dtype)
    turned[shown_y, shown_x] = image
    return turned


class Track(NamedTuple):
    """A video stream to write.

    Attributes:
        codec: a name in CODECS.
        rate: nominal frames per second.
        shown: the frames in the order of display.
        gop: frames between key frames.
        scales: [(index in `shown`, scale)]: from this frame on, frames have this size; each starts with a key frame.
        is_default: the stream has the default flag.
    """

    codec: str
    rate: Fraction
    shown: Sequence[Shown]
    gop: int
    scales: Sequence[tuple[int, float]] = ((0, 1),)
    is_default: bool = True


def write(
    path: Path,
    tracks: Sequence[Track],
    *,
    sound: str | None = None,
    cover: int | None = None,
    options: dict[str, str] | None = None,
):
    """Writes a video file; its ending, of MUXERS, says the container.

    Args:
        tracks: of the file, in this order.
        sound: encoder of a sound track beside them, or None.
        cover: place of an embedded picture among the streams, 0 the first, or None.
        options: of the muxer, beside those in MUXERS.
    """
    muxer, fixed, _ = MUXERS[path.suffix[1:]]
    packets = []
    with av.open(str(path), "w", format=muxer, options={**fixed, **(options or {})}) as container:
        for place, track in enumerate(tracks):
            if cover == place:
                packets += _cover(container)
            packets += _encode(container, track, keeps_rate=path.suffix[1:] in KEEPS_RATE)
        if cover is not None and cover >= len(tracks):
            packets += _cover(container)
        if sound:
            first, last = tracks[0].shown[0].seconds, tracks[0].shown[-1].seconds
            packets += _sound(container, sound, first, last)
        container.mux(sorted(packets, key=lambda packet: packet.dts * packet.time_base))


def _encode(container, track: Track, keeps_rate: bool) -> list[av.Packet]:
    encoder, options, pixels = CODECS[track.codec]
    options = {name: value.format(gop=track.gop) for name, value in options.items()}
    try:
        stream = container.add_stream(encoder, rate=track.rate, options={**options, "g": str(track.gop)})
    except av.codec.codec.UnknownCodecError:
        raise NotHere(f"no encoder {encoder}") from None
    if not keeps_rate:
        stream.time_base = Fraction(1, TICKS)
    stream.disposition = av.stream.Disposition.default if track.is_default else av.stream.Disposition(0)
    times = [shown.seconds for shown in track.shown]
    ends = [first for first, _ in track.scales[1:]] + [len(times)]
    packets = []
    for (first, scale), end in zip(track.scales, ends, strict=True):
        context = stream.codec_context
        if first:
            context = av.CodecContext.create(encoder, "w")
            context.options = {**options, "g": str(track.gop)}
        _set_up(context, track.rate, pixels, scale)
        for packet in _packets(context, track.shown[first:end], scale, pixels):
            shown, decoded = (
                round(value * packet.time_base * track.rate) + first for value in (packet.pts, packet.dts)
            )
            packet.pts, packet.dts = (round(_time(times, index, track.rate) * TICKS) for index in (shown, decoded))
            packet.duration = round(_time(times, shown + 1, track.rate) * TICKS) - packet.pts
            packet.time_base = Fraction(1, TICKS)
            packet.stream = stream
            packets.append(packet)
    return packets


def _set_up(context, rate: Fraction, pixels: str, scale: float):
    context.width, context.height, context.pix_fmt = round(COLUMNS * BLOCK * scale), round(ROWS * BLOCK * scale), pixels
    context.framerate, context.time_base, context.thread_count = rate, 1 / rate, 1


def _packets(context, shown: Iterable[Shown], scale: float, pixels: str) -> list[av.Packet]:
    packets = []
    for index, (number, _) in enumerate(shown):
        frame = av.VideoFrame.from_ndarray(number_frame(number, scale), format="rgb24").reformat(format=pixels)
        frame.pts, frame.time_base = index, context.time_base
        packets += context.encode(frame)
    return packets + context.encode(None)


def _time(times: list[float], index: int, rate: Fraction) -> float:
    """The time of a frame; before the first and after the last one, the nominal rate goes on."""
    if index < 0:
        return times[0] + index / float(rate)
    return times[index] if index < len(times) else times[-1] + (index - len(times) + 1) / float(rate)


def _sound(container, encoder: str, first: float, last: float) -> list[av.Packet]:
    """A hum from `first` to `last`, seconds."""
    stream = container.add_stream(encoder, rate=SOUND_RATE)
    rate, packets = SOUND_RATE, []
    stream.codec_context.layout = "mono"
    for at in range(0, round((last - first) * rate), SAMPLES):
        wave = 3000 * np.sin(2 * np.pi * 220 * np.arange(at, at + SAMPLES) / rate)
        frame = av.AudioFrame.from_ndarray(wave[None].astype(np.int16), "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
        packets += stream.encode(frame)
    packets += stream.encode(None)
    start = round(first / packets[0].time_base) - packets[0].dts
    for packet in packets:
        packet.pts, packet.dts = packet.pts + start, packet.dts + start
    return packets


def _cover(container) -> list[av.Packet]:
    """An embedded picture of a number that no frame has."""
    stream = container.add_stream("mjpeg", rate=1)
    stream.disposition = COVER
    _set_up(stream.codec_context, Fraction(1), "yuvj420p", 2)
    packets = _packets(stream.codec_context, [Shown(65_000, 0)], 2, "yuvj420p")
    for packet in packets:
        packet.stream = stream
    return packets


def plain_decode(path: Path, index: int = 0) -> tuple[list[Shown], list[tuple[float, str]]]:
    """Decodes a whole video with plain PyAV: its frames, with number -1 where unreadable, and FFmpeg's complaints.

    The k-th frame that the decoder shows takes the k-th smallest timestamp (of the packets in AVI, which stores no
    other); the first frame is at 0 seconds. A complaint is an error message with the time of the next frame.

    Args:
        index: of the stream among the video streams that are not embedded pictures.
    """
    numbers, times, complaints = [], [], []
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    with av.logging.Capture() as logs:
        try:
            for frame, time in _plain_frames(path, index):
                if time is not None:
                    times.append(time)
                if frame is not None:
                    number, _ = read_frame(frame.to_ndarray(format="rgb24"))
                    if frame.is_corrupt:
                        complaints.append((len(numbers), "corrupt"))
                    numbers.append(-1 if number is None else number)
                complaints += [(len(numbers), message.strip()) for _, _, message in logs]
                logs.clear()
        except (av.error.FFmpegError, IndexError) as error:
            complaints.append((len(numbers), str(error)))
        complaints += [(len(numbers), message.strip()) for _, _, message in logs]
    av.logging.set_level(None)
    first, ordered = min(times, default=0), sorted(times)
    frames = [Shown(number, float(time - first)) for number, time in zip(numbers, ordered, strict=False)]
    seconds = [frame.seconds for frame in frames] + [math.inf]
    return frames, [(seconds[min(place, len(frames))], message) for place, message in complaints]


def _plain_frames(path: Path, index: int):
    """Yields (frame or None, time or None), together except in AVI."""
    with av.open(str(path), metadata_errors="ignore") as container:
        streams = [stream for stream in container.streams.video if not stream.disposition & COVER]
        streams[index].codec_context.thread_count = 1
        is_avi = container.format.name == "avi"
        for packet in container.demux(streams[index]):
            if is_avi and packet.size:
                yield None, packet.dts * packet.time_base
            try:
                decoded = packet.decode()
            except av.error.FFmpegError:
                yield None, None  # FFmpeg has said why in its log
                continue
            for frame in decoded:
                yield frame, None if is_avi else frame.time


def nearest(frames: Sequence[Shown], seconds: float, tolerance: float = STILL_ON_SCREEN) -> set[int]:
    """Numbers of the frames that are right at a time: the nearest; where several are equally near, the earliest.

    Args:
        tolerance: distances that differ by less, in seconds, are equal; beyond STILL_ON_SCREEN all of these are right.
    """
    distances = [abs(frame.seconds - seconds) for frame in frames]
    near = [frame.number for frame, far in zip(frames, distances, strict=True) if far <= min(distances) + tolerance]
    return set(near) if tolerance > STILL_ON_SCREEN else set(near[:1])
