"""Find equal videos: parts of one file, or files with the same bytes."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from vidjax.data import frame_folder
from vidjax.data.sources.items import Item
from vidjax.progress_bar import progress_bar


def find_copies(paths: Iterable[str]) -> dict[str, str]:
    """Finds files, and folders of numbered images, with the same bytes.

    Compares sizes first and reads only files of equal size. Empty and missing files have no copies.

    Returns:
        A map from each path that has copies to the first of them in sorted order.
    """
    by_size = defaultdict(list)
    for path in progress_bar(sorted(set(paths)), "comparing sizes", unit="video", leave=False):
        if size := _size(path):
            by_size[size].append(path)
    candidates = [path for same in by_size.values() if len(same) > 1 for path in same]
    by_content = defaultdict(list)
    for path in progress_bar(candidates, "looking for copies", unit="video", leave=False):
        if digest := _digest(path):
            by_content[digest].append(path)
    return {path: same[0] for same in by_content.values() if len(same) > 1 for path in same}


def _files(path: str) -> list[Path]:
    return frame_folder.numbered_images(Path(path)) if Path(path).is_dir() else [Path(path)]


def _size(path: str) -> tuple[int, int] | None:
    """Returns the number of files and their bytes in all; None if there are none."""
    try:
        sizes = [file.stat().st_size for file in _files(path)]
    except OSError:
        return None  # reported when the video is read
    return (len(sizes), sum(sizes)) if sum(sizes) else None


def _digest(path: str) -> bytes | None:
    digest = hashlib.sha256()
    try:
        for file in _files(path):
            with open(file, "rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    except OSError:
        return None
    return digest.digest()


def same_video(items: Sequence[Item], say: Callable[[str], None] = print) -> dict[str, str]:
    """Maps each path to its video: copies share one.

    Args:
        items: labelled videos; those of tensorflow-datasets are not compared.
        say: receives warnings of copies, repeated rows and contradictory labels.

    Returns:
        A map from each path to itself, or to the first of its copies.
    """
    files = {item.path for item in items if not item.path.startswith("tfds:")}
    copies = find_copies(files)
    if extra := len(copies) - len(set(copies.values())):
        path, other = next((path, other) for path, other in copies.items() if path != other)
        say(f"warning: {extra} of {len(files)} videos are copies of others (the same bytes), like {path} of {other}.")
    first, different, repeated = {}, [], []
    for item in items:
        part = copies.get(item.path, item.path), item.start, item.end
        before = first.setdefault(part, item)
        if set(before.labels) != set(item.labels) and "caption" not in item.columns:  # several captions are usual
            different.append((before, item))
        elif before is not item and before.path == item.path and before.labels == item.labels:
            repeated.append(item)
    if repeated:
        say(f"warning: {len(repeated)} videos are listed twice, like {repeated[0].path}; remove one of the rows.")
    if different:
        a, b = different[0]
        say(
            f"warning: {len(different)} videos are given twice with different labels, like {a.path} "
            f"({_names(a)}) and {b.path} ({_names(b)}); correct or remove one, or separate "
            "several labels of a video by |."
        )
    return {item.path: copies.get(item.path, item.path) for item in items}


def _names(item: Item) -> str:
    return "|".join(item.labels) or "no label"


def warn_across_splits(items: Sequence[Item], videos: Mapping[str, str], say: Callable[[str], None] = print):
    """Warns if one video is in several splits.

    Args:
        videos: result of `same_video`.
    """
    by_video = defaultdict(dict)
    for item in items:
        by_video[videos[item.path]].setdefault(item.split, item)
    shared = [splits for splits in by_video.values() if len(splits) > 1]
    if shared:
        example = ", ".join(f"{item.path} in {split}" for split, item in sorted(shared[0].items()))
        say(
            f"warning: {len(shared)} videos are in several splits, like {example}. Accuracy on them does not hold for "
            "new videos; correct the splits."
        )
