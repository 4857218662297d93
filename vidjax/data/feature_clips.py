"""One record of features -> the stretches of a batch, cut as `clips` cuts videos."""

import numpy as np

from vidjax.data import records
from vidjax.data.clips import Clip, find_frames
from vidjax.data.targets import targets


def train_features(
    example: records.Example,
    rng: np.random.Generator,
    info: records.DatasetInfo,
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
    """Cuts one random stretch out of a sequence of features. Arguments as of `clips.train_clip`.

    Returns:
        features float32 (T, D), frame_mask float32 (T,), target, weight 1. A shorter sequence is filled up with zeros,
        for which the mask is 0.
    """
    sequence = feature_sequence(example, info)
    frames = {"num_frames": num_frames, "frame_stride": frame_stride, "sampling": sampling, "num_chunks": num_chunks}
    indices, mask = (x[chunk] for x in find_frames(len(sequence), rng, **frames))
    labelled = targets(example, info, indices, mask, multi_label=multi_label, per_frame=per_frame)
    return {**cut_features(sequence, indices, mask, out), **labelled}


def eval_features(
    example: records.Example,
    info: records.DatasetInfo,
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
    """Cuts the views of a sequence of features, as `clips.eval_clips` does of a video.

    Returns:
        features float32 (V, T, D), frame_mask float32 (V, T), target, weight 1.

    Raises:
        ValueError: for more than one crop, which features do not have.
    """
    if num_crops != 1:
        raise ValueError("Features have no space to crop: set eval.num_crops to 1.")
    sequence = feature_sequence(example, info)
    frames = {"num_frames": num_frames, "frame_stride": frame_stride, "sampling": sampling, "num_chunks": num_chunks}
    indices, mask = find_frames(len(sequence), num_views=num_views, **frames)
    labelled = targets(example, info, indices, mask, multi_label=multi_label, per_frame=per_frame)
    return {**cut_features(sequence, indices, mask, out), **labelled}


def feature_sequence(example: records.Example, info: records.DatasetInfo) -> np.ndarray:
    """The features of a record: float32 (L, D).

    Raises:
        ValueError: where they are missing or of another width than `dataset.json` says.
    """
    prefix, width = info.inputs["prefix"], info.inputs["width"]
    sequence = example.features.get(prefix)
    if sequence is None or sequence.ndim != 2 or sequence.shape[1] != width:
        found = {name: array.shape for name, array in example.features.items()}
        raise ValueError(f"The record of {example.media_id!r} holds {found}; expected {prefix} of width {width}.")
    if not len(sequence):
        raise ValueError(f"The record of {example.media_id!r} holds a sequence of no step.")
    return sequence


def cut_features(sequence: np.ndarray, indices: np.ndarray, mask: np.ndarray, out: np.ndarray | None) -> Clip:
    """(L, D) at the indices (..., T) -> features (..., T, D), 0 where the mask (..., T) is, and frame_mask (..., T)."""
    out = np.empty((*indices.shape, sequence.shape[1]), np.float32) if out is None else out
    out[:] = np.where(mask[..., None], sequence[indices], 0)
    return {"features": out, "frame_mask": mask.astype(np.float32)}
