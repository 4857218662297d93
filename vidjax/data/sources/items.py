"""A labelled video before it is read.

`folders` lists videos in class folders, `tables` those of CSVs and lists, `tfds` those of tensorflow-datasets.
"""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Item:
    """A labelled video that has not been read yet.

    Attributes:
        path: of the file, or of a folder of numbered images; or `tfds:NAME/SPLIT/INDEX`.
        labels: class names: one, or any number for a multi-label video; or the words of a caption, in order.
        split: name of the split, "" if it is not drawn yet.
        start, end: the part of the file, seconds; None for `end` is the end of the file.
        columns: cells of the CSV by column.
        segments: (start, end, class name) of the segments of an untrimmed video, in seconds; None if it is trimmed.
    """

    path: str
    labels: tuple[str, ...]
    split: str = ""
    start: float = 0.0
    end: float | None = None
    columns: dict[str, str] = dataclasses.field(default_factory=dict)
    segments: tuple[tuple[float, float, str], ...] | None = None


def words(caption: str) -> tuple[str, ...]:
    """Returns the lower-case words and the commas of a caption: "Red square grows, ..." -> red, square, grows, ","."""
    return tuple(re.findall(r"[\w'-]+|,", caption.lower()))
