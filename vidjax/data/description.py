"""Describes records: classes, lengths, sizes, frame rates, splits, and copies by content.

found = describe(Path("data/mine"))
print(text(found))
"""

import hashlib
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vidjax.data import dataset_info, pipeline, records, tfrecords
from vidjax.data.sources import class_counts
from vidjax.data.sources.items import Item
from vidjax.data.sources.named_videos import shown
from vidjax.progress_bar import progress_bar

MOST = 6  # sizes and frame rates that the text lists
PROBLEMS = ("missing", "doubled", "misspelt", "skipped", "damaged")  # lists in dataset.json


class Video(NamedTuple):
    """What is known of a record.

    Attributes:
        path: where it is from.
        split: name of its split.
        labels: class names.
        length: frames, or steps of features.
        fps: frames per second; 0 if they are unknown.
        size: (width, height) in pixels, or (1, width of the features).
        num_bytes: of the compressed frames, or of the features.
        digest: hash of these bytes; equal ones are copies.
    """

    path: str
    split: str
    labels: tuple[str, ...]
    length: int
    fps: float
    size: tuple[int, int]
    num_bytes: int
    digest: bytes


class Description(NamedTuple):
    """A dataset, as described in `dataset.json` and by its records.

    Attributes:
        directory, info: the dataset.
        videos: its records, split by split.
        problems: names of videos in `dataset.json` by kind, see `PROBLEMS`, and of splits without videos.
    """

    directory: Path
    info: dataset_info.DatasetInfo
    videos: list[Video]
    problems: dict[str, list[str]]

    def counts(self) -> dict[str, np.ndarray]:
        """Returns the videos per class, int (K,), by split."""
        index = {label: k for k, label in enumerate(self.info.labels)}
        found = {video.split: np.zeros(len(index), int) for video in self.videos}
        for video in self.videos:
            for label in set(video.labels):
                found[video.split][index[label]] += 1
        return found

    def copies(self) -> list[list[Video]]:
        """Returns the groups of videos whose frames, or features, have the same bytes."""
        by_content = defaultdict(list)
        for video in self.videos:
            by_content[video.digest].append(video)
        return [same for same in by_content.values() if len(same) > 1]


def describe(directory: Path) -> Description:
    """Reads all records of a dataset.

    Raises:
        ValueError: if there are none, or one is damaged.
    """
    info, content, videos = dataset_info.read(directory), dataset_info.read_description(directory), []
    names = ("train", "val", "test")  # first, in this order
    splits = sorted(tfrecords.find_splits(directory), key=lambda x: (names.index(x) if x in names else len(names), x))
    if not splits:
        raise ValueError(f"{directory} has no TFRecord shards: make them with vidjax make-records.")
    pipeline.open_records(directory, splits)  # a ValueError if no split has records
    empty = [split for split in splits if not any(map(tfrecords.read_index, tfrecords.find_shards(directory, split)))]
    sources = {split: pipeline.open_records(directory, [split]) for split in splits if split not in empty}
    with progress_bar(None, "reading records", sum(map(len, sources.values())), leave=False) as bar:
        for split, source in sources.items():
            for number in range(len(source)):
                videos.append(_describe_record(source[number], split, info))
                bar.update()
    found = {kind: [x if isinstance(x, str) else x[0] for x in content.get(kind, [])] for kind in PROBLEMS}
    found["splits without videos"] = empty
    return Description(Path(directory), info, videos, {kind: names for kind, names in found.items() if names})


def _describe_record(example: records.Example, split: str, info: dataset_info.DatasetInfo) -> Video:
    if (prefix := info.inputs.get("prefix")) is not None:
        features = example.features[prefix]
        content, length, size, fps = [features.tobytes()], len(features), (1, features.shape[1]), 0.0
    else:
        is_encoded = isinstance(example.images, records.EncodedVideo)
        content = [example.images.data] if is_encoded else example.images
        length, size, fps = len(example.images), (example.width, example.height), example.fps
    digest = hashlib.sha256()
    for part in content:
        digest.update(hashlib.sha256(part).digest())
    is_class = "target" not in info.inputs
    labels = tuple(info.labels[label] for label in example.labels) if is_class else ()
    return Video(example.media_id, split, labels, length, fps, size, sum(map(len, content)), digest.digest())


def text(found: Description) -> str:
    """Returns a description in lines of plain English."""
    videos, info = found.videos, found.info
    is_video = "prefix" not in info.inputs
    of_time = f", {_duration(sum(x.length / x.fps for x in videos if x.fps))}" if is_video else ""
    size = sum(x.num_bytes for x in videos)
    lines = [
        f"{found.directory}: {len(videos)} videos{of_time}, {len(info.labels)} classes, {size / 2**20:.1f} MiB",
        "",
    ]
    if "target" not in info.inputs and "caption_length" not in info.inputs:
        lines += [class_counts.table([Item(x.path, x.labels, x.split) for x in videos]), ""]
        per_class = sum(found.counts().values())
        several = Counter(len(x.labels) for x in videos)
        lines.append(f"videos per class: {_range(per_class)}" + _unused(per_class))
        if set(several) != {1}:
            lines.append(f"labels per video: {_listed(several)}")
    lines.append(f"{'frames' if is_video else 'steps'} per video: {_range([x.length for x in videos])}")
    if is_video:
        seconds = [x.length / x.fps for x in videos if x.fps]
        lines += [f"seconds per video: {_range(seconds)}"] if seconds else []
        lines.append(f"frames per second: {_listed(Counter(x.fps for x in videos))}")
        lines.append(f"width x height: {_listed(Counter('{}x{}'.format(*x.size) for x in videos))}")
    else:
        lines.append(f"features: {_listed(Counter(x.size[1] for x in videos))} numbers, {info.inputs.get('layer', '')}")
    flip = info.horizontal_flip
    swaps = (
        [f"{info.labels[a]} / {info.labels[b]}" for a, b in enumerate(flip) if a < b] if isinstance(flip, list) else []
    )
    lines.append(f"mirroring: {'swaps ' + shown(swaps) if swaps else flip if isinstance(flip, str) else 'unchanged'}")
    if info.folds:
        lines.append("folds: " + ", ".join(f"{name} ({len(folds)})" for name, folds in info.folds.items()))
    return "\n".join([*lines, *_copies(found), *_problems(found)])


def _copies(found: Description) -> list[str]:
    copies = found.copies()
    if not copies:
        return ["copies: none have the same content"]
    extra = sum(len(same) - 1 for same in copies)
    a, b = copies[0][:2]
    lines = [f"copies: {extra} videos have the content of another, like {a.path} ({a.split}) and {b.path} ({b.split})"]
    if across := [same for same in copies if len({x.split for x in same}) > 1]:
        lines.append(
            f"warning: {len(across)} contents are in several splits; accuracy on them does not hold for new videos"
        )
    if different := [same for same in copies if len({x.labels for x in same}) > 1]:
        lines.append(f"warning: {len(different)} contents have different labels, like {different[0][0].path}")
    return lines


def _problems(found: Description) -> list[str]:
    return [f"{kind}: {len(names)}: {shown(names)}" for kind, names in found.problems.items()]


def _unused(per_class: np.ndarray) -> str:
    return f"; {count} classes have none" if (count := int((per_class == 0).sum())) else ""


def _range(values) -> str:
    low, middle, high = np.min(values), np.median(values), np.max(values)
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}, median {middle:.4g}"


def _listed(counts: Counter) -> str:
    first = [
        f"{value:g} ({n})" if not isinstance(value, str) else f"{value} ({n})" for value, n in counts.most_common(MOST)
    ]
    return ", ".join(first) + (f", and {len(counts) - MOST} others" if len(counts) > MOST else "")


def _duration(seconds: float) -> str:
    return (
        f"{seconds / 3600:.1f} h"
        if seconds >= 3600
        else f"{seconds / 60:.1f} min"
        if seconds >= 60
        else f"{seconds:.1f} s"
    )
