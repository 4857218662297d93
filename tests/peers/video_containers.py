"""Reads parts of videos in every container that FFmpeg writes here, and compares them with a full decode by plain PyAV.

    python tests/peers/video_containers.py [--out table.md] [--only ts]         about 5 minutes on one core

Videos of 30 s at 25 fps whose frames show their own number, with key frames every 1, 2, 5 and 10 s. The table counts
frames whose number is wrong, missing or too many. Exits with 1 if there is any.
"""

import argparse
import math
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import numbered_videos

from vidjax.data import video
from vidjax.progress_bar import progress_bar

FPS, SECONDS = 25, 30
KEY_FRAMES = (1, 2, 5, 10)  # seconds between them
PARTS = (  # start, end, fps; fps None yields the file's frames
    (0.0, 2.0, 12.5),
    (4.2, 6.0, 12.5),
    (14.9, 17.0, 12.5),
    (15.0, 17.0, 5.0),
    (15.0, 17.0, None),
    (27.5, 29.9, 12.5),
    (29.0, None, 12.5),
    (0.0, None, None),
)
FILES = {  # container -> codecs: those with B frames where the container takes them
    "ts": ("h264", "h264 open", "mpeg2"),
    "m2ts": ("h264", "mpeg2"),
    "mpg": ("mpeg1", "mpeg2"),
    "vob": ("mpeg2",),
    "mkv": ("h264", "h264 open", "mpeg4 B"),
    "webm": ("vp8", "vp9", "vp9 hidden"),
    "flv": ("h264", "flv1"),
    "ogv": ("theora", "vp8"),
    "wmv": ("wmv2", "msmpeg4"),
    "3gp": ("h263", "mpeg4", "h264"),
    "mov": ("h264", "mjpeg"),
    "gif": ("gif",),
    "avi": ("mpeg4", "mpeg4 B", "mjpeg", "h264", "msmpeg4"),
    "mp4": ("h264", "h264 open", "mpeg4 B"),
}


def expected(frames: list[numbered_videos.Shown], start: float, end: float | None, fps: float | None) -> list[int]:
    """The numbers that a part has, by the definition in the docstring of `video.iterate_frames`."""
    end = end or SECONDS
    if fps is None:
        return [frame.number for frame in frames if start - 1e-6 <= frame.seconds < end - 1e-6]
    wanted = [start + k / fps for k in range(math.ceil((end - start) * fps - 1e-6))]
    return [number for seconds in wanted for number in numbered_videos.nearest(frames, seconds)]


def read(path: Path, start: float, end: float | None, fps: float | None) -> list[int | None]:
    frames = video.iterate_frames(path, start=start, end=end, fps=fps)
    return [numbered_videos.read_frame(frame)[0] for frame, _ in frames]


def wrong_frames(path: Path) -> tuple[int, int, list[str]]:
    """Frames that are wrong in all parts of a file, of how many, and what is wrong in words."""
    frames, complaints = numbered_videos.plain_decode(path)
    if [frame.number for frame in frames] != list(range(FPS * SECONDS)) or complaints:
        raise RuntimeError(f"{path.name}: plain PyAV does not read what was written: {complaints[:3]}.")
    wrong, total, words = 0, 0, []
    for part in PARTS:
        right = expected(frames, *part)
        total += len(right)
        try:
            got = read(path, *part)
        except ValueError as error:
            wrong += len(right)
            words.append(f"{part}: {error}")
            continue
        differ = sum(a != b for a, b in zip(got, right, strict=False)) + abs(len(got) - len(right))
        if differ:
            wrong += differ
            words.append(f"{part}: {len(got)} frames, {got[:3]}..., right are {len(right)}, {right[:3]}...")
    return wrong, total, words


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="file for the table; it is printed as well")
    parser.add_argument("--only", choices=list(FILES), help="this container alone")
    arguments = parser.parse_args()
    names = [(ending, codec) for ending, codecs in FILES.items() for codec in codecs]
    names = [name for name in names if arguments.only in (None, name[0])]
    rows, all_wrong, missing = [], 0, []
    bar = progress_bar(None, "containers", len(names) * len(KEY_FRAMES), unit="file")
    with tempfile.TemporaryDirectory() as folder, bar:
        for ending, codec in names:
            cells, total = [], 0
            for gap in KEY_FRAMES:
                path = Path(folder, f"key_frames_{gap}s.{ending}")
                shown = [numbered_videos.Shown(k, k / FPS) for k in range(FPS * SECONDS)]
                try:
                    numbered_videos.write(path, [numbered_videos.Track(codec, Fraction(FPS), shown, gap * FPS)])
                except (numbered_videos.NotHere, ValueError) as error:
                    missing.append(f"{ending} with {codec}: FFmpeg does not write it here ({error}).")
                    bar.update(len(KEY_FRAMES))
                    break
                wrong, total, words = wrong_frames(path)
                all_wrong += wrong
                cells.append(f"{wrong} of {total}")
                for line in words:
                    print(f"{ending} {codec}, key frames every {gap} s: {line}", flush=True)
                path.unlink()
                bar.update()
            else:
                rows.append(f"| {ending} | {codec} | " + " | ".join(cells) + " |")
    head = "| container | codec | " + " | ".join(f"key frames every {gap} s" for gap in KEY_FRAMES) + " |"
    table = "\n".join([head, "|---" * (2 + len(KEY_FRAMES)) + "|", *rows, "", *sorted(set(missing))])
    print(table)
    if arguments.out:
        arguments.out.write_text(table + "\n")
    sys.exit(1 if all_wrong else 0)


if __name__ == "__main__":
    main()
