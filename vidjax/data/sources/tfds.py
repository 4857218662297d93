"""Read labelled videos from tensorflow-datasets."""

import functools
import re

import numpy as np

from vidjax.data.sources.items import Item


def list_videos(name: str) -> list[Item]:
    """Lists the videos (or images) of a tensorflow-datasets dataset with class labels; prepares it if needed.

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
        raise ValueError(f"{builder.name} has no video or image with a class label; it has {sorted(features)}.")
    return videos[0], labels[0]


@functools.lru_cache(maxsize=4)
def _tfds_split(name: str, split: str):
    import tensorflow_datasets as tfds

    builder = tfds.builder(name)
    return builder.as_data_source(split), _tfds_features(builder)[0]


def read_video(path: str) -> np.ndarray:
    """Returns the frames of an item of `list_videos`, uint8 (T, H, W, 3); T is 1 for an image."""
    name, split, index = re.fullmatch(r"tfds:(.+)/([^/]+)/(\d+)", path).groups()
    source, video = _tfds_split(name, split)
    frames = np.asarray(source[int(index)][video])
    frames = frames[None] if frames.ndim == 3 else frames
    return np.repeat(frames, 3, axis=-1) if frames.shape[-1] == 1 else frames  # grey -> RGB
