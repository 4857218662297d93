"""Reads features that others have published: one NumPy file VIDEO.npy per video, with the axes (D, time steps).

The layout is that of github.com/yabufarha/ms-tcn, whose I3D features of 50Salads, GTEA and Breakfast have D = 2048.
"""

from pathlib import Path

import numpy as np

from vidjax.data import records
from vidjax.data.sources.items import Item
from vidjax.data.sources.untrimmed import frame_labels

PREFIX = "RGB"  # prefix of the keys in records, as in `vidjax.features`


def open_features(path: str | Path) -> np.ndarray:
    """Opens the features of a video, (D, time steps), without reading them.

    Raises:
        ValueError: if the file is missing, is not a NumPy file, or holds Python objects or another number of axes.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} cannot be read as a NumPy array of numbers: {error}") from None
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind != "f" or not array.size:
        found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else "an archive"
        raise ValueError(f"{path} holds {found}; features are floating-point numbers with the axes (D, time steps).")
    return array


def read_example(item: Item, labels: list[str]) -> records.Example:
    """Reads the kept time steps of a video's features, with the label of the frame at which each begins, if any.

    Raises:
        ValueError: if the file cannot be read, or a number is not finite.
    """
    fps, stride, every = item.steps
    names = [] if item.segments is None else frame_labels(item.segments, round(item.end * fps), fps)[::stride]
    features = open_features(item.path)[:, ::every]
    features = np.asarray(features[:, : len(names) or None].T, np.float32)
    if not np.isfinite(features).all():
        raise ValueError(f"{item.path} holds numbers that are not finite; download it again")
    return records.Example(
        images=(),
        labels=[labels.index(name) for name in item.labels],
        label_names=item.labels,
        media_id=item.path,
        fps=fps,
        end=item.end or 0.0,
        frame_labels=[labels.index(name) for name in names],
        segments=[
            records.IndexedSegment(start, end, labels.index(name), name) for start, end, name in item.segments or ()
        ],
        features={PREFIX: features},
        feature_times={PREFIX: [(i * stride + 0.5) / fps for i in range(len(names))]} if names else {},
    )
