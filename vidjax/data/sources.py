"""Where labelled videos come from: a folder of class folders, a CSV, or a tfds builder."""

import csv
import dataclasses
import functools
import random
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

SPLITS = ("train", "val", "validation", "test")
EXTENSIONS = frozenset(
    ".3gp .asf .avi .flv .gif .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .vob .webm .wmv".split()
    + ".bmp .jpeg .jpg .png .webp".split()
)


@dataclasses.dataclass(frozen=True)
class Item:
    """A labelled video that is yet to be read.

    Attributes:
        path: of the file; or `tfds:NAME/SPLIT/INDEX`.
        labels: class names, one or several; or the words of a caption, in order.
        split: its name, "" where it is yet to be drawn.
        start, end: the part to take, seconds; end None is the file's end.
        columns: the CSV's other columns.
        frame_labels: the class name of each frame of the file, or empty.
    """

    path: str
    labels: tuple[str, ...]
    split: str = ""
    start: float = 0.0
    end: float | None = None
    columns: dict[str, str] = dataclasses.field(default_factory=dict)
    frame_labels: tuple[str, ...] = ()


def from_folder(directory: Path) -> list[Item]:
    """Reads `directory/CLASS/**/video` or `directory/{train,val,test}/CLASS/**/video`; hidden files are passed over.

    Raises:
        ValueError: where there is no folder, or no video in class folders below it.
    """
    if not directory.is_dir():
        raise ValueError(f"{directory} is no folder.")
    folders = _folders(directory)
    if folders and all(folder.name in SPLITS for folder in folders):
        classes = [(split.name, folder) for split in folders for folder in _folders(split)]
    else:
        classes = [("", folder) for folder in folders]
    items = [Item(str(path), (folder.name,), split) for split, folder in classes for path in _videos(folder)]
    if not items:
        raise ValueError(
            f"{directory} has no videos: expected {directory}/CLASS/video.mp4, with one folder for each class "
            f"(known endings: {' '.join(sorted(EXTENSIONS))})."
        )
    return items


def _folders(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.is_dir() and not path.name.startswith("."))


def _videos(folder: Path) -> list[Path]:
    # No folder is followed out of the tree by a link: rglob does not follow links to folders.
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in EXTENSIONS and not p.name.startswith("."))


def from_csv(path: Path) -> list[Item]:
    """Reads a CSV with the columns `path,label` and optionally `split,start,end` (seconds) and any others.

    Paths are relative to the CSV's folder; several labels are separated by `|`. In place of `label` there may be
    `caption`. That a file is missing is found out when it is read, as of any other unreadable file.

    Raises:
        ValueError: for a missing file, column or value, or a start or end that is no number; names the line.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist.")
    items = []
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames or []
        if "caption" in columns and "label" in columns:
            raise ValueError(f"{path} has both a label and a caption: keep the column that is to be learnt.")
        key = "caption" if "caption" in columns else "label"
        if missing := [name for name in ("path", key) if name not in columns]:
            found = ", ".join(columns) or "none"
            raise ValueError(f"{path} has no column {' or '.join(missing)}; it has {found}.")
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            labels = words(row[key] or "") if key == "caption" else tuple((row[key] or "").split("|"))
            if not row["path"] or not labels or not labels[0]:
                raise ValueError(f"{where}: path and {key} must both be given.")
            try:
                start, end = float(row.get("start") or 0), float(row["end"]) if row.get("end") else None
            except ValueError:
                raise ValueError(f"{where}: start and end are seconds, not {row['start']!r}, {row['end']!r}.") from None
            others = {name: value for name, value in row.items() if name and value is not None}
            items.append(Item(str(path.parent / row["path"]), labels, row.get("split") or "", start, end, others))
    if not items:
        raise ValueError(f"{path} has a header but no rows.")
    return items


def words(caption: str) -> tuple[str, ...]:
    """The words of a caption in lower case, and its commas: "Red square grows, ..." -> red, square, grows, ","."""
    return tuple(re.findall(r"[\w'-]+|,", caption.lower()))


def from_tfds(name: str) -> list[Item]:
    """Lists a dataset of tensorflow-datasets that has a class label and a video or an image; prepares it if need be.

    Raises:
        ValueError: for an unknown name, or a dataset without such features.
    """
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name)
    except tfds.core.DatasetNotFoundError as error:
        raise ValueError(f"tensorflow-datasets has no {name!r}: {str(error).splitlines()[0]}") from None
    video, label = _tfds_features(builder)
    builder.download_and_prepare(file_format="array_record")  # random access, and no TensorFlow needed to read it
    names = builder.info.features[label].names
    items = []
    for split, info in builder.info.splits.items():
        labels = builder.as_data_source(split, decoders={video: tfds.decode.SkipDecoding()})
        items += [
            Item(f"tfds:{name}/{split}/{i}", (names[labels[i][label]],), split.replace("validation", "val"))
            for i in range(info.num_examples)
        ]
    return items


def _tfds_features(builder) -> tuple[str, str]:
    import tensorflow_datasets as tfds

    features = builder.info.features
    kinds = (tfds.features.Video, tfds.features.Image)
    videos = [key for key in features if isinstance(features[key], kinds)]
    labels = [key for key in features if isinstance(features[key], tfds.features.ClassLabel)]
    if not videos or not labels:
        raise ValueError(f"{builder.name} has no video or image with a class label, but {sorted(features)}.")
    return videos[0], labels[0]


@functools.lru_cache(maxsize=4)
def _tfds_split(name: str, split: str):
    import tensorflow_datasets as tfds

    builder = tfds.builder(name)
    return builder.as_data_source(split), _tfds_features(builder)[0]


def read_tfds(path: str) -> np.ndarray:
    """The frames of an item of `from_tfds`: uint8 (T, H, W, 3); T is 1 for an image."""
    name, split, index = re.fullmatch(r"tfds:(.+)/([^/]+)/(\d+)", path).groups()
    source, video = _tfds_split(name, split)
    frames = np.asarray(source[int(index)][video])
    frames = frames[None] if frames.ndim == 3 else frames
    return np.repeat(frames, 3, axis=-1) if frames.shape[-1] == 1 else frames  # grey -> RGB


def split_by(items: Iterable[Item], column: str) -> list[Item]:
    """Makes one split for each value of a CSV column, named `COLUMN_VALUE`.

    Raises:
        ValueError: where the column does not exist.
    """
    items = list(items)
    if missing := [item for item in items if column not in item.columns]:
        raise ValueError(f"--split_by {column}: no such column; there are {sorted(missing[0].columns) or 'none'}.")
    names = [re.sub(r"[^A-Za-z0-9_.]", "_", f"{column}_{item.columns[column]}") for item in items]
    return [dataclasses.replace(item, split=name) for item, name in zip(items, names, strict=True)]


def split_randomly(items: Iterable[Item], test_fraction: float, val_fraction: float, seed: int) -> list[Item]:
    """Draws the splits train, val and test within each class, so that each has every class.

    Raises:
        ValueError: where a class has fewer videos than there are splits, or the fractions leave none to train on.
    """
    if not 0 <= val_fraction + test_fraction < 1 or min(val_fraction, test_fraction) < 0:
        raise ValueError(f"Fractions of {val_fraction} for val and {test_fraction} for test leave nothing to train on.")
    fractions = {name: part for name, part in (("test", test_fraction), ("val", val_fraction)) if part}
    by_class = defaultdict(list)
    for item in items:
        by_class["" if "caption" in item.columns else item.labels[0]].append(item)
    if few := [f"{label} ({len(group)})" for label, group in by_class.items() if len(group) <= len(fractions)]:
        names = ", ".join(["train", *fractions])
        raise ValueError(f"Too few videos to split into {names}: {', '.join(few)}. Add videos, or give a split column.")
    result = []
    for label in sorted(by_class):
        group = list(by_class[label])
        random.Random(f"{seed} {label}").shuffle(group)
        for name, part in fractions.items():
            count = max(1, round(part * len(by_class[label])))
            result += [dataclasses.replace(item, split=name) for item in group[:count]]
            group = group[count:]
        result += [dataclasses.replace(item, split="train") for item in group]
    return sorted(result, key=lambda item: (item.split, item.path, item.start))
