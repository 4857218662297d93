"""Composes untrimmed videos with known segments out of trimmed clips.

    python -m vidjax.data.synthetic.composed labels.csv --group sequence --out data/composed
    python -m vidjax.data.make_records data/composed/segments.csv --untrimmed --split_by sequence --out data/records

Each group, such as the clips of one camera, gives one video: its clips in drawn order, in frames of one size, with
background of drawn lengths around them. The background is made of the clips themselves: the first and the last frames
of a clip, a drawn number at each end, belong to the background, not to the segment. They are played to and fro between
drawn turning points, and the end of a clip fades slowly into the beginning of the next.

So no frame is both background and activity, and the picture moves on across each boundary as it was filmed: there is no
cut, no frozen frame and no turn of time at a boundary. Still frames with which a dataset pads its clips, such as half a
second at both ends in UT-Interaction, are left out. What remains: the background shows few frames again and again, and
both scenes during a fade. A network can learn to tell it by that; `vidjax.evaluation.segment_baselines` measures what
the fades alone give away.
"""

import argparse
import csv
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from vidjax.data import augment, decoding, video
from vidjax.data.sources import split_names, splits, tables
from vidjax.data.sources.items import Item
from vidjax.progress_bar import progress_bar

MARGIN = 0.25, 0.75  # least and most seconds at each end of a clip that belong to the background
COLUMNS = ("path", "start", "end", "label")  # of segments.csv, before that of the groups
STILL = 0.2  # a frame that changes less than this share of the clip's median change is still


class Part(NamedTuple):
    """Numbers of frames: background before a clip, then those of the clip: its head, its segment and its tail."""

    background: int
    head: int
    segment: int
    tail: int


def to_and_fro(rng: np.random.Generator, num_frames: int, length: int) -> np.ndarray:
    """Draws a path through the frames 0, 1, ..., first straight on, then between turning points: int (length,).

    Neighbours differ by one, so that no frame is frozen, unless there is only one.
    """
    path, half = list(range(num_frames)), num_frames // 2
    while half and len(path) < length:
        low, high = rng.integers(half), rng.integers(half, num_frames)
        path += [*range(path[-1] - 1, low, -1), *range(low, high + 1)]
    return np.resize(path, length)


def background(
    rng: np.random.Generator, before: Sequence[np.ndarray], after: Sequence[np.ndarray], length: int
) -> Iterator[np.ndarray]:
    """Yields `length` frames between two clips. The fade takes half of them, at a drawn place.

    Args:
        before: the last frames of the clip before, in order of time; empty at the start of the video.
        after: the first frames of the clip after; empty at the end of the video.
    """
    fade = length // 2
    place = rng.integers(length - fade + 1)
    share = np.clip((np.arange(length) - place + 1) / (fade + 1), 0, 1)  # of the clip after
    tail = to_and_fro(rng, len(before) or 1, length)
    head = to_and_fro(rng, len(after) or 1, length)[::-1]  # ends straight, where the clip goes on
    if not (before and after):
        share[:] = bool(after)
    before, after = before or after, after or before
    for i in range(length):
        yield cv2.addWeighted(before[tail[i]], 1 - share[i], after[-1 - head[i]], share[i], 0)


def draw_parts(rng: np.random.Generator, counts: Sequence[int], fps: float, mean_background: float) -> list[Part]:
    """Draws the parts of a video, and the background at its end as a last part without a clip.

    Args:
        counts: frames of each clip, at least 3. At most a third of a clip goes to each end.
        mean_background: seconds; drawn uniformly from half of it to one and a half.
    """

    def drawn(least: float, most: float) -> int:
        return max(1, int(rng.integers(round(least * fps), round(most * fps) + 1)))

    parts = []
    for count in [*counts, 0]:
        background, head, tail = (drawn(0.5 * mean_background, 1.5 * mean_background), drawn(*MARGIN), drawn(*MARGIN))
        head, tail = min(head, count // 3), min(tail, count // 3)
        parts.append(Part(background, head, count - head - tail, tail))
    return parts


def compose(clips: Iterable[Iterator[np.ndarray]], parts: Sequence[Part], rng: np.random.Generator):
    """Yields the frames of a video; holds the ends of two clips only.

    Args:
        clips: the frames of each clip, uint8 (H, W, 3), taken one by one.
        parts: see `draw_parts`; one more than there are clips.
    """
    before = []
    for frames, part in zip(clips, parts[:-1], strict=True):
        yield from background(rng, before, list(islice(frames, part.head)), part.background)
        yield from islice(frames, part.segment)
        before = list(frames)
    yield from background(rng, before, [], parts[-1].background)


def frames_of(item: Item, fps: float, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yields the frames of a clip, resized; only those that can be read, if it is damaged."""
    try:
        for frame, _ in video.iterate_frames(item.path, fps=fps, start=item.start, end=item.end):
            yield augment.resize(frame, *size)
    except decoding.DamagedVideo as damage:
        print(f"note: {damage}")


def moving_part(item: Item, fps: float, size: tuple[int, int]) -> range:
    """Returns the frames of a clip without still ones at its ends. Raises a ValueError if fewer than 3 are left."""
    changes, before = [], None
    for frame in frames_of(item, fps, size):
        if before is not None:
            changes.append(cv2.absdiff(frame, before).mean())
        before = frame
    moving = np.flatnonzero(changes > STILL * np.median(changes or [0]))
    part = range(moving[0], moving[-1] + 2) if len(moving) else range(len(changes) + (before is not None))
    if len(part) < 3:
        raise ValueError(f"{item.path} has {len(part)} frames, but a clip needs 3 or more: remove it from the table.")
    return part


def read_groups(table: Path, column: str) -> dict[str, list[Item]]:
    """Reads a table of clips, see `tables.from_tables`, and returns those of each value of a column.

    Raises:
        ValueError: for a column that does not exist or has another role, a clip without a label or with several, or a
            group of one clip.
    """
    if column in COLUMNS:
        raise ValueError(f"--group {column}: the segments have a column of that name; name another one.")
    items = tables.from_tables([table])
    if wrong := [item for item in items if len(item.labels) != 1]:
        raise ValueError(f"{wrong[0].path} has {len(wrong[0].labels)} labels: give each clip exactly one.")
    groups = {}
    for item, value in zip(items, splits.column_of(items, column, "--group"), strict=True):
        groups.setdefault(value, []).append(item)
    if single := [value for value, of_group in groups.items() if len(of_group) == 1]:
        raise ValueError(f"--group {column}: {single[0]!r} has one clip; give a column whose values have several.")
    return groups


def write(groups: dict[str, list[Item]], column: str, out: Path, *, size=(128, 128), background=2.0, seed=0):
    """Writes `out/VALUE.mp4` for each group, and `out/segments.csv` with the columns path,start,end,label,`column`.

    All videos have the frame rate of the first clip.

    Args:
        size: height and width of the frames, pixels; the aspect ratio of a clip is not kept.
        background: mean seconds of background between two clips.
        seed: of the order of the clips and of all lengths. The draws of a group depend on it and on its number only.

    Raises:
        ValueError: if a clip cannot be read, before anything is written.
    """
    fps = video.frame_rate(next(iter(groups.values()))[0].path)
    clips = [(value, item) for value, items in groups.items() for item in items]
    moving = defaultdict(list)
    for value, item in progress_bar(clips, "read", unit="clip"):
        moving[value].append((item, moving_part(item, fps, size)))
    names = split_names.safe_names(groups)
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, (value, of_group) in enumerate(progress_bar(moving.items(), "compose", unit="video")):
        rng = np.random.default_rng((seed, number))
        of_group = [of_group[i] for i in rng.permutation(len(of_group))]
        parts = draw_parts(rng, [len(frames) for _, frames in of_group], fps, background)
        path = out / f"{names[value]}.mp4"
        films = (islice(frames_of(item, fps, size), frames.start, frames.stop) for item, frames in of_group)
        video.write_video(path, compose(films, parts, rng), fps)
        start = 0
        for (item, _), part in zip(of_group, parts[:-1], strict=True):
            start += part.background
            rows.append((path.name, start / fps, (start + part.segment) / fps, item.labels[0], value))
            start += part.segment
    with open(out / "segments.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([(*COLUMNS, column), *rows])


def main(argv: Sequence[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("table", type=Path, help="CSV of trimmed clips: path,label and a column to group them by")
    add("--group", metavar="COLUMN", required=True, help="the clips of each value of this column make one video")
    add("--out", type=Path, required=True, help="directory of the videos and of segments.csv")
    add("--size", type=int, nargs=2, default=(128, 128), metavar=("HEIGHT", "WIDTH"), help="of the frames")
    add("--background", type=float, default=2.0, metavar="SECONDS", help="between two clips, on average (default 2)")
    add("--seed", type=int, default=0, help="of the order of the clips and of all lengths (default 0)")
    args = parser.parse_args(argv)
    try:
        if min(args.size) < 16 or args.background <= 0 or args.seed < 0:
            raise ValueError(
                f"--size {args.size[0]} {args.size[1]}, --background {args.background:g}, --seed {args.seed}: give "
                "at least 16 pixels, a positive number of seconds, and a seed of 0 or more."
            )
        groups = read_groups(args.table, args.group)
        settings = {"size": tuple(args.size), "background": args.background, "seed": args.seed}
        write(groups, args.group, args.out, **settings)
    except (ValueError, OSError) as error:
        sys.exit(f"vidjax.data.synthetic.composed: {error}")
    clips = sum(map(len, groups.values()))
    print(f"{args.out}: {len(groups)} videos of {clips} clips; make records of {args.out / 'segments.csv'} --untrimmed")


if __name__ == "__main__":
    main()
