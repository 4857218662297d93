"""Draws a strange or damaged video file from a seed, and says what is right for it. For `video_fuzz.py`."""

import math
import random
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numbered_videos
from numbered_videos import Shown, Track

NTSC = [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001)]
MPEG_RATES = [*NTSC, Fraction(25), Fraction(50)]
GIF_RATES = [Fraction(10), Fraction(25, 2), Fraction(20), Fraction(25), Fraction(50)]  # delays are 1/100 s
ANY_RATES = [*MPEG_RATES, Fraction(12), Fraction(15), Fraction(1000, 33)]
FILES = {  # container -> codecs
    "ts": ("h264", "h264 open", "h264 no B", "mpeg2"),
    "m2ts": ("h264", "mpeg2"),
    "mpg": ("mpeg1", "mpeg2"),
    "vob": ("mpeg2",),
    "mkv": ("h264", "h264 open", "mpeg4 B", "mpeg2", "vp9", "mjpeg", "ffv1"),
    "webm": ("vp8", "vp9", "vp9 hidden"),
    "flv": ("h264", "flv1"),
    "ogv": ("vp8",),
    "wmv": ("wmv2", "msmpeg4"),
    "3gp": ("h263", "mpeg4", "h264"),
    "mov": ("h264", "h264 open", "mjpeg", "mpeg4 B"),
    "gif": ("gif",),
    "avi": ("mpeg4", "mpeg4 B", "mjpeg", "h264", "h264 no B", "msmpeg4"),
    "mp4": ("h264", "h264 open", "mpeg4 B", "h264", "vp9"),
}
MOV = {"mp4", "mov", "3gp"}
UNEVEN = {"mp4", "mov", "3gp", "mkv", "webm", "ts", "m2ts", "wmv", "flv"}  # they store the time of each frame
DROPS = {("avi", "mpeg4"), ("avi", "mjpeg"), ("avi", "h264 no B"), ("avi", "msmpeg4")}  # stored as empty packets
OFFSETS = {"mp4": 3600, "mov": 3600, "mkv": 90_000, "webm": 3600, "ts": 95_440, "m2ts": 95_440, "mpg": 3600, "flv": 60}
RESIZABLE = {
    ("ts", "h264"), ("ts", "h264 no B"), ("m2ts", "h264"), ("webm", "vp8"), ("webm", "vp9"),
    ("mkv", "vp9"), ("mkv", "mjpeg"), ("mov", "mjpeg"), ("avi", "mjpeg"),
}  # fmt: skip
SOUNDS = {"ts": "aac", "m2ts": "aac", "mpg": "mp2", "vob": "mp2", "mkv": "aac", "webm": "libopus", "flv": "aac"}
SOUNDS |= {"ogv": "libopus", "wmv": "libmp3lame", "3gp": "aac", "mov": "aac", "avi": "libmp3lame", "mp4": "aac"}
SECOND_STREAM = 2000  # added to the numbers of the stream that is not the default one


class Case(NamedTuple):
    """A file and what is right for it.

    Attributes:
        path: of the file.
        features: what is special.
        shown: its frames; the first is at 0 seconds.
        turn: how they are turned, a name in numbered_videos.TURNS.
        memory: seconds for which a damaged frame may spoil later ones: to the next key frame.
        tolerance: seconds by which the container rounds times.
        index: of the right stream among the video streams that are not embedded pictures.
        has_sizes: the size changes, so that a warning is right.
        is_damaged: the file is truncated or bytes are changed.
        words: how it was made.
    """

    path: Path
    features: tuple[str, ...]
    shown: list[Shown]
    turn: str
    memory: float
    tolerance: float
    index: int
    has_sizes: bool
    is_damaged: bool
    words: str


def make(seed: int, folder: Path) -> Case:
    """Writes the file of a seed into a folder, which holds nothing else of this seed."""
    draw = random.Random(seed)
    ending = draw.choice(list(FILES))
    codec = draw.choice(FILES[ending])
    path = folder / f"seed{seed}.{ending}"
    rate = draw.choice(GIF_RATES if ending == "gif" else MPEG_RATES if codec.startswith("mpeg") else ANY_RATES)
    if codec == "h263":
        rate = Fraction(30000, 1001)
    count = min(300, max(40, round(draw.uniform(2.5, 9) * rate)))
    gop = draw.choice([1, 5, 12, 25, 50, 125, 250])
    features, words = [], [ending, codec, f"{float(rate):.3f} fps", f"{count} frames", f"key frame every {gop}"]

    shown = [Shown(k, float(k / rate)) for k in range(count)]
    if (ending in UNEVEN or (ending, codec) in DROPS) and draw.random() < 0.35:
        shown, how = _uneven(draw, shown, float(rate), can_shift=ending in UNEVEN)
        features.append("variable rate")
        words.append(how)
    scales = [(0, 1)]
    if (ending, codec) in RESIZABLE and draw.random() < 0.4:
        sizes = draw.sample([1, 1.5, 2], 2)
        scales = [(0, sizes[0]), (draw.randrange(10, len(shown) - 10), sizes[1])]
        features.append("two sizes")
        words.append(f"sizes {scales}")
    offset, hidden = 0.0, 0
    if ending in ("mp4", "mov") and draw.random() < 0.4:
        hidden = draw.randrange(1, len(shown) // 2)
        offset = -shown[hidden].seconds
        features.append("edit list")
        words.append(f"first {hidden} frames hidden")
    elif ending in OFFSETS and draw.random() < 0.4:
        offset = draw.choice([0.5, 10, OFFSETS[ending] - draw.uniform(0, 6)])
        features.append("start offset")
        words.append(f"starts at {offset:.2f} s")
    placed = [Shown(frame.number, frame.seconds + offset) for frame in shown]

    tracks, index = [Track(codec, rate, placed, gop, scales)], 0
    if ending in (*MOV, "mkv", "webm", "ts", "wmv") and draw.random() < 0.15:
        other = [Shown(frame.number + SECOND_STREAM, frame.seconds) for frame in placed]
        other_track = Track(codec, rate, other, gop, is_default=False)
        index = draw.randrange(2) if ending in ("mp4", "mov", "mkv") else 0
        tracks.insert(1 - index, other_track)
        features.append("two streams")
        words.append(f"stream {index} of two is the default")
    cover = None
    if ending == "mp4" and draw.random() < 0.2:
        cover = draw.randrange(len(tracks) + 1)
        features.append("cover picture")
    sound = SOUNDS.get(ending) if draw.random() < 0.35 else None
    features += ["sound"] * bool(sound)
    options = {}
    if ending in MOV:
        options = draw.choice([{}, {"movflags": "faststart"}])
        options |= {"avoid_negative_ts": "disabled", "use_editlist": "1"} if ending in ("mp4", "mov") else {}
    numbered_videos.write(path, tracks, sound=sound, cover=cover, options=options)

    data = bytearray(path.read_bytes())
    if "edit list" in features and not sound and len(tracks) == 1 and draw.random() < 0.5:
        last = draw.randrange(hidden + 5, len(shown) - 1)
        _end_edit(data, (shown[last].seconds + shown[last + 1].seconds) / 2 - shown[hidden].seconds)
        shown = shown[: last + 1]
        words.append(f"last frame {last}")
    turn = "upright"
    if ending in MOV and draw.random() < 0.5:
        turn = draw.choice(list(numbered_videos.TURNS))
        _set_matrices(data, numbered_videos.TURNS[turn], draw.choice([0, 96]))
        features.append("turned")
        words.append(turn)
    damage = draw.choice(["", "", "truncated", "bytes changed"])
    if damage == "truncated":
        del data[draw.randrange(len(data) // 10, len(data)) :]
        words.append(f"cut at byte {len(data)}")
    elif damage:
        places = [draw.randrange(len(data)) for _ in range(draw.randint(1, 50))]
        for place in places:
            data[place] ^= draw.randrange(1, 256)
        words.append(f"{len(places)} bytes changed")
    path.write_bytes(data)
    return Case(
        path=path,
        features=tuple([*features, *([damage] * bool(damage))] or ["plain"]),
        shown=[Shown(frame.number, frame.seconds - shown[hidden].seconds) for frame in shown[hidden:]],
        turn=turn,
        memory=math.inf if ending in ("gif", "avi") else float(2 * gop / rate) + 1,
        tolerance=numbered_videos.MUXERS[ending][2],
        index=index,
        has_sizes=len(scales) > 1,
        is_damaged=bool(damage),
        words=", ".join(words),
    )


def _uneven(draw, shown: list[Shown], rate: float, can_shift: bool) -> tuple[list[Shown], str]:
    """Frames with a variable rate, and how in words."""
    how = draw.choice(["dropped", "pause", "shifted", "half rate"] if can_shift else ["dropped", "pause"])
    if how == "dropped":
        share = draw.uniform(0.05, 0.5)
        return shown[:1] + [frame for frame in shown[1:] if draw.random() > share], f"{share:.0%} dropped"
    first = draw.randrange(10, len(shown) // 2)
    if how == "pause":
        missing = draw.randrange(2, len(shown) // 2 - 5)
        return shown[:first] + shown[first + missing :], f"{missing} dropped after {first}"
    if how == "half rate":
        later = [Shown(frame.number, frame.seconds + k / rate) for k, frame in enumerate(shown[first:])]
        return shown[:first] + later, f"half the rate from {first}"
    return [Shown(k, seconds + draw.uniform(0, 0.6) / rate * (k > 0)) for k, seconds in shown], "times shifted"


# ------------------------------------------------------------------------------------------------ boxes of MP4


def _boxes(data: bytes, name: bytes) -> list[int]:
    """Where the contents of the boxes of a name start."""
    places, at = [], 0
    while (at := data.find(name, at)) >= 0:
        at += 4
        places.append(at)
    return places


def _set_matrices(data: bytearray, matrix: Sequence[int], shift: int):
    """Writes a display matrix into the header of each track."""
    a, b, c, d = matrix
    words = [a << 16, b << 16, 0, c << 16, d << 16, 0, shift << 16, 0, 1 << 30]
    for at in _boxes(data, b"tkhd"):
        at += 40 if data[at] == 0 else 52  # version 1 has longer times
        data[at : at + 36] = b"".join(word.to_bytes(4, "big", signed=True) for word in words)


def _end_edit(data: bytearray, seconds: float):
    """Lets the edit list of a file with one track end after `seconds`."""
    scale = int.from_bytes(data[_boxes(data, b"mvhd")[0] + 12 :][:4], "big")
    at = _boxes(data, b"elst")[0]
    if data[at] != 0 or int.from_bytes(data[at + 4 : at + 8], "big") != 1:
        raise RuntimeError("The edit list does not have one short entry.")
    data[at + 8 : at + 12] = round(seconds * scale).to_bytes(4, "big")
