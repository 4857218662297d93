"""What a labelled video is before it is read, and those of tensorflow-datasets.

`vidjax.data.folders` lists the videos in class folders, `vidjax.data.tables` those of CSVs and lists.
"""

import dataclasses
import functools
import re

import numpy as np


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
