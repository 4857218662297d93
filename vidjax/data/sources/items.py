"""What a labelled video is before it is read.

`folders` lists those in class folders, `tables` those of CSVs and lists, `tfds` those of tensorflow-datasets.
"""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Item:
    """A labelled video that is yet to be read.

    Attributes:
        path: of the file, or of a folder of numbered images; or `tfds:NAME/SPLIT/INDEX`.
        labels: class names: one, several, or none of a multi-label video; or the words of a caption, in order.
        split: its name, "" where it is yet to be drawn.
        start, end: the part to take, seconds; end None is the file's end.
        columns: the columns of the CSV.
        frame_labels: the class name of each frame of the file, or empty.
    """

    path: str
    labels: tuple[str, ...]
    split: str = ""
    start: float = 0.0
    end: float | None = None
    columns: dict[str, str] = dataclasses.field(default_factory=dict)
    frame_labels: tuple[str, ...] = ()


def words(caption: str) -> tuple[str, ...]:
    """The words of a caption in lower case, and its commas: "Red square grows, ..." -> red, square, grows, ","."""
    return tuple(re.findall(r"[\w'-]+|,", caption.lower()))
