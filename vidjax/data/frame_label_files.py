"""Reads datasets with one label per frame, in the layout of 50Salads, GTEA and Breakfast.

    read_mapping         number name      the classes
    read_bundle          VIDEO.txt        the videos of a split
    read_frame_labels    label            a folder with one file per video, one line per frame

The layout is that of github.com/yabufarha/ms-tcn. Readers raise a ValueError, which names the place, for a file that
is empty or has another form.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

from vidjax.data.sources.text_files import clean, numbered_lines, read_text, split_lines


def read_mapping(path: Path) -> list[str]:
    """Reads a file with lines `number name`, such as `0 cut_tomato`: the names of the classes in order."""
    names = {}
    for where, line in numbered_lines(path):
        number, _, name = line.partition(" ")
        if not number.isdecimal() or not clean(name):
            raise ValueError(f"{where}: {line!r} is not `number name`.")
        if int(number) in names or clean(name) in names.values():
            raise ValueError(f"{where}: {line!r} repeats a number or a name.")
        names[int(number)] = clean(name)
    if not names:
        raise ValueError(f"{path} names no classes.")
    if missing := sorted({*range(max(names) + 1)} - names.keys()):
        raise ValueError(f"{path} misses class {', '.join(map(str, missing))}; numbers must count from 0.")
    return [names[number] for number in sorted(names)]


def read_bundle(path: Path) -> list[str]:
    """Reads the videos of a split, one file name per line; returns them without .txt."""
    videos = [line.removesuffix(".txt") for _, line in numbered_lines(path)]
    if not videos:
        raise ValueError(f"{path} names no videos.")
    if repeated := sorted({video for video in videos if videos.count(video) > 1}):
        raise ValueError(f"{path} names {', '.join(repeated)} more than once.")
    return videos


def read_frame_labels(
    folder: Path, *, mapping: Collection[str] | None = None, bundle: Sequence[str] | None = None
) -> dict[str, list]:
    """Reads the labels of each frame from files VIDEO.txt with one label per line: {video: labels}.

    Args:
        folder: such as groundTruth.
        mapping: the classes, see `read_mapping`; a label that is not among them is an error.
        bundle: the videos to read, see `read_bundle`; all by default.
    """
    names = bundle if bundle is not None else sorted(path.stem for path in Path(folder).glob("*.txt"))
    if not names:
        raise ValueError(f"{folder} has no file VIDEO.txt.")
    videos, unknown = {}, {}
    for video in names:
        path = Path(folder) / f"{video}.txt"
        videos[video] = [clean(line) for line in split_lines(read_text(path).rstrip())]
        for number, label in enumerate(videos[video], 1):
            if not label:
                raise ValueError(f"{path}, line {number} is empty; each line is the label of a frame.")
            if mapping is not None and label not in mapping:
                unknown.setdefault(label, f"{label} ({path}, line {number})")
    if unknown:
        raise ValueError(f"The mapping misses {', '.join(unknown.values())}; it has {', '.join(mapping)}.")
    return videos
