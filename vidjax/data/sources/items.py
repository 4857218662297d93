"""A labelled video before it is read, and a dataset of such videos.

`folders` lists videos in class folders, `tables` those of CSVs and lists, `tfds` those of tensorflow-datasets,
`protocols` those of published datasets.
"""

import dataclasses
import re
from typing import NamedTuple


class Steps(NamedTuple):
    """The time steps of stored features that are kept, and the frames that they stand for.

    Attributes:
        fps: labelled frames per second.
        stride: frames from one kept step to the next.
        every: 2 keeps every second vector of the file, from the first on.
    """

    fps: float
    stride: int = 1
    every: int = 1


class FlowFiles(NamedTuple):
    """The files of a pair of frames with true optical flow, beside the first frame, see `flow_pairs.read_example`.

    Attributes:
        second: image of the second frame.
        flow: file of the flow, in a format of `flow_files`.
        invalid: image that is not black where the flow is unknown; "" if the flow is known, or its file tells.
    """

    second: str
    flow: str
    invalid: str = ""


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
        steps: the path is that of features, see `feature_files`; None for videos.
        pair: the path is that of the first of two frames with true optical flow; None for videos.
    """

    path: str
    labels: tuple[str, ...]
    split: str = ""
    start: float = 0.0
    end: float | None = None
    columns: dict[str, str] = dataclasses.field(default_factory=dict)
    segments: tuple[tuple[float, float, str], ...] | None = None
    steps: Steps | None = None
    pair: FlowFiles | None = None


class Dataset(NamedTuple):
    """Labelled videos.

    Attributes:
        items: the videos.
        labels: class names in the order of their indices.
        horizontal_flip, time_reversal: see `dataset_info.DatasetInfo`.
        caption_length: words of the longest caption and its end; None for classes.
        folds: folds of a cross-validation by name, see `folds`.
        problems: names of videos that are annotated, but `missing`; `doubled`: annotated twice, and used once;
            `misspelt`: found under another spelling, or with an unknown class and left out. Absent kinds have none.
        inputs: contents of records of features or of pairs, see `dataset_info.DatasetInfo`; None for videos.
    """

    items: list[Item]
    labels: list[str]
    horizontal_flip: str | list[int]
    time_reversal: list[int] | None = None
    caption_length: int | None = None
    folds: dict[str, list[dict]] = {}
    problems: dict[str, list[str]] = {}
    inputs: dict | None = None


def words(caption: str) -> tuple[str, ...]:
    """Returns the lower-case words and the commas of a caption: "Red square grows, ..." -> red, square, grows, ","."""
    return tuple(re.findall(r"[\w'-]+|,", caption.lower()))
