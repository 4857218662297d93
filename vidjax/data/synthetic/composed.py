"""Composes untrimmed videos with known segments out of trimmed clips.

    python -m vidjax.data.synthetic.composed labels.csv --group sequence --out data/composed
    python -m vidjax.data.make_records data/composed/segments.csv --untrimmed --split_by group --out data/records

Each group, such as the clips of one camera, gives one video: its clips in a drawn order, in frames of one size, with
background before, between and after them. The background is made of the clips' own frames: the last frames of the clip
before are played to and fro, then fade into the first frames of the clip after, which are played to and fro up to its
start. So the frames of background have the scene of the activity, and no hard cut marks where it begins or ends.
"""

import argparse
import csv
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from vidjax.data import augment, video
from vidjax.data.sources import splits, tables
from vidjax.data.sources.items import Item
from vidjax.progress_bar import progress_bar

EDGE = 4  # frames of a clip's end that its background shows: short enough to show no activity
FADE = 8  # frames of a cross-fade


def to_and_fro(edge: np.ndarray, length: int) -> np.ndarray:
    """Plays frames (K, ...) to and fro: edge[0], ..., edge[K - 1], ..., edge[0], ..., in all `length` frames."""
    there_and_back = [*range(len(edge)), *range(len(edge) - 2, 0, -1)]
    return edge[[there_and_back[i % len(there_and_back)] for i in range(length)]]


def background(before: np.ndarray | None, after: np.ndarray | None, length: int) -> np.ndarray:
    """Makes the frames between two clips: uint8 (length, H, W, 3).

    Args:
        before: the last frames of the clip before, (K, H, W, 3); None at the start of the video.
        after: the first frames of the clip after; None at the end of the video.
    """
    tail = None if before is None else to_and_fro(before[::-1], length).astype(np.float32)
    head = None if after is None else to_and_fro(after, length)[::-1].astype(np.float32)
    if tail is None or head is None:
        return np.uint8(head if tail is None else tail)
    share = np.clip((np.arange(length) - length / 2) / FADE + 0.5, 0, 1)[:, None, None, None]
    return np.uint8(np.round((1 - share) * tail + share * head))


def compose(clips: Sequence[np.ndarray], lengths: Sequence[int]) -> Iterator[np.ndarray]:
    """Yields the frames of a video: background of the first length, the first clip, background, ..., background.

    Args:
        clips: uint8 (T, H, W, 3), read one at a time.
        lengths: frames of background, one more than there are clips; at least `FADE`.
    """
    before, clips = None, iter(clips)
    for length in lengths[:-1]:
        clip = next(clips)
        yield from background(before, clip[:EDGE], length)
        yield from clip
        before = clip[-EDGE:]
    yield from background(before, None, lengths[-1])


def read_clip(item: Item, fps: float, size: int) -> np.ndarray:
    """Reads a clip: uint8 (T, size, size, 3). Raises a ValueError if it has no frame."""
    found = video.iterate_frames(item.path, fps=fps, start=item.start, end=item.end)
    frames = [augment.resize(frame, size, size) for frame, *_ in found]
    if not frames:
        raise ValueError(f"{item.path} has no frames: remove it from the table.")
    return np.stack(frames)


def write_group(
    path: Path, items: Sequence[Item], seed: tuple[int, int], size: int, mean_background: int
) -> list[tuple]:
    """Writes the video of a group; returns its segments (start, end, label) in seconds."""
    rng = np.random.default_rng(seed)
    items = [items[i] for i in rng.permutation(len(items))]
    lengths = rng.integers(max(FADE, mean_background // 2), 3 * mean_background // 2 + 1, len(items) + 1).tolist()
    fps, counts = video.frame_rate(items[0].path), []

    def clips():
        for item in items:
            clip = read_clip(item, fps, size)
            counts.append(len(clip))
            yield clip

    video.write_video(path, compose(clips(), lengths), fps)
    starts = np.cumsum([0, *itertools.chain.from_iterable(zip(lengths, counts, strict=False))])
    return [
        (float(starts[2 * i + 1] / fps), float(starts[2 * i + 2] / fps), item.labels[0]) for i, item in enumerate(items)
    ]


def write(table: Path, group: str, out: Path, *, size: int, mean_background: int, seed: int):
    """Writes out/GROUP.mp4 per group, and out/segments.csv with the columns path, start, end, label and group.

    Raises:
        ValueError: for a column that is missing, a clip without frames or with several labels, or a group of one clip.
    """
    items = tables.from_tables([table])
    if several := [item.path for item in items if len(item.labels) != 1]:
        raise ValueError(f"{several[0]} has no label or several: composed videos need exactly one per clip.")
    names = splits.column_of(items, group, "--group")
    groups = {
        name: [item for item, of in zip(items, names, strict=True) if of == name] for name in dict.fromkeys(names)
    }
    if alone := [name for name, of in groups.items() if len(of) < 2]:
        raise ValueError(f"The group {alone[0]} has one clip: an untrimmed video needs two or more.")
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, (name, of) in enumerate(progress_bar(sorted(groups.items()), "compose", unit="video")):
        path = out / f"{name.replace('/', '_')}.mp4"
        segments = write_group(path, of, (seed, number), size, mean_background)
        rows += [(path.name, *segment, name) for segment in segments]
    with open(out / "segments.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "start", "end", "label", "group"), *rows])
    print(f"Wrote {len(groups)} videos and {len(rows)} segments to {out}; segments.csv lists them.")


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("table", type=Path, help="CSV of trimmed clips, path,label, with a column for --group")
    add(
        "--group",
        required=True,
        metavar="COLUMN",
        help="the clips of a group make one video, such as those of a camera",
    )
    add("--out", type=Path, required=True, help="directory of the videos and of segments.csv")
    add("--size", type=int, default=128, help="height and width of the frames (default: %(default)d)")
    add("--background", type=int, default=60, help="mean frames of background between clips (default: %(default)d)")
    add("--seed", type=int, default=0, help="of the order of clips and of the lengths of background")
    args = parser.parse_args(argv)
    if args.size < 16 or args.background < 2 * FADE:
        parser.error(f"--size must be 16 or more, and --background {2 * FADE} or more")
    return args


def main():
    args = parse_args()
    settings = {"size": args.size, "mean_background": args.background, "seed": args.seed}
    try:
        write(args.table, args.group, args.out, **settings)
    except (ValueError, OSError) as error:
        sys.exit(f"composed: {error}")


if __name__ == "__main__":
    main()
