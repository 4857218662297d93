"""Cut stretches of a feature record, as `clips` cuts clips out of a video."""

import numpy as np

from vidjax.data import dataset_info, records
from vidjax.data.clips import Clip, find_frames
from vidjax.data.targets import targets


def train_features(
    example: records.Example,
    rng: np.random.Generator,
    info: dataset_info.DatasetInfo,
    *,
    num_frames: int,
    frame_stride: int = 1,
    sampling: str = "clip",
    num_chunks: int = 1,
    chunk: int = 0,
    multi_label: bool = False,
    per_frame: bool = False,
    out: np.ndarray | None = None,
) -> Clip:
    """Cuts one random stretch out of a sequence of features. For the arguments see `clips.train_clip`.

    Returns:
        features float32 (T, D), frame_mask float32 (T,), target, weight 1. Shorter sequences are padded with zeros,
        where the mask is 0.
    """
    sequence = feature_sequence(example, info)
    frames = {"num_frames": num_frames, "frame_stride": frame_stride, "sampling": sampling, "num_chunks": num_chunks}
    indices, mask = (x[chunk] for x in find_frames(len(sequence), rng, **frames))
    labelled = targets(example, info, indices, mask, multi_label=multi_label, per_frame=per_frame)
    return {**cut_features(sequence, indices, mask, out), **labelled}


def eval_features(
    example: records.Example,
    info: dataset_info.DatasetInfo,
    *,
    num_frames: int,
    frame_stride: int = 1,
    sampling: str = "clip",
    num_chunks: int = 1,
    num_views: int = 1,
    num_crops: int = 1,
    multi_label: bool = False,
    per_frame: bool = False,
    out: np.ndarray | None = None,
) -> Clip:
    """Cuts the evaluation views of a sequence of features, like `clips.eval_clips` for a video.

    Returns:
        features float32 (V, T, D), frame_mask float32 (V, T), target, weight 1.

    Raises:
        ValueError: if `num_crops` is not 1.
    """
    if num_crops != 1:
        raise ValueError(f"eval.num_crops = {num_crops}, but features have no space to crop: set it to 1.")
    sequence = feature_sequence(example, info)
    frames = {"num_frames": num_frames, "frame_stride": frame_stride, "sampling": sampling, "num_chunks": num_chunks}
    indices, mask = find_frames(len(sequence), num_views=num_views, **frames)
    labelled = targets(example, info, indices, mask, multi_label=multi_label, per_frame=per_frame)
    return {**cut_features(sequence, indices, mask, out), **labelled}


def feature_sequence(example: records.Example, info: dataset_info.DatasetInfo) -> np.ndarray:
    """The features of a record, float32 (L, D).

    Raises:
        ValueError: if they are missing, empty, or their width differs from `dataset.json`.
    """
    prefix, width = info.inputs["prefix"], info.inputs["width"]
    sequence = example.features.get(prefix)
    if sequence is None or sequence.ndim != 2 or sequence.shape[1] != width:
        found = {name: array.shape for name, array in example.features.items()}
        raise ValueError(f"The record of {example.media_id!r} holds {found}; expected {prefix} of width {width}.")
    if not len(sequence):
        raise ValueError(f"The record of {example.media_id!r} holds an empty sequence of features: remove the record.")
    return sequence


def cut_features(sequence: np.ndarray, indices: np.ndarray, mask: np.ndarray, out: np.ndarray | None) -> Clip:
    """Selects `indices` (..., T) from a sequence (L, D): features (..., T, D), 0 where `mask` is, and frame_mask."""
    out = np.empty((*indices.shape, sequence.shape[1]), np.float32) if out is None else out
    out[:] = np.where(mask[..., None], sequence[indices], 0)
    return {"features": out, "frame_mask": mask.astype(np.float32)}
