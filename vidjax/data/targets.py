"""What is to be learnt of a record: the target of a clip, and how much each part of it weighs."""

from collections.abc import Sequence

import numpy as np

from vidjax.data import records

Targets = dict[str, np.ndarray]


def targets(
    example: records.Example,
    info: records.DatasetInfo,
    indices: np.ndarray,
    mask: np.ndarray,
    *,
    multi_label: bool,
    per_frame: bool,
) -> Targets:
    """The target and the weight of a clip, or of its frames at the indices (..., T), where the mask (..., T) is true.

    A series to forecast has a float target (H,). A caption has `tokens` (..., L) too, see `caption`.

    Raises:
        ValueError: for a record without one label for each of its frames, several labels a frame, or part of a window.
    """
    if "target" in info.inputs:
        window = len(example.features[info.inputs["prefix"]])
        if indices.shape[-1] != window:
            raise ValueError(f"The records hold windows of {window} values: set config.clip.num_frames to that.")
        return {"target": example.features[info.inputs["target"]][:, 0], "weight": np.float32(1)}
    if "caption_length" in info.inputs:
        words = caption(example, info.inputs["caption_length"])
        return {name: np.broadcast_to(x, (*indices.shape[:-1], len(x))) for name, x in words.items()}
    if not per_frame:
        return {"target": make_target(example.labels, len(info.labels), multi_label), "weight": np.float32(1)}
    if multi_label:
        raise ValueError("Several labels a frame are not supported: config.target = 'frame' needs the loss softmax.")
    sequence = example.features.get(info.inputs.get("prefix"))
    length = len(example.images) if sequence is None else len(sequence)
    if len(example.frame_labels) != length:
        raise ValueError(
            f"The record of {example.media_id!r} has {len(example.frame_labels)} frame labels (image/label/index) for "
            f"{length} frames or steps: config.target = 'frame' needs one for each."
        )
    return {"target": np.asarray(example.frame_labels, np.int32)[indices], "weight": mask.astype(np.float32)}


def caption(example: records.Example, length: int) -> Targets:
    """The words of a caption as a decoder reads and writes them.

    Returns:
        target int32 (L,): the words, then 0 for the end; tokens int32 (L,): the word before each, 0 for the start;
        weight float32 (L,): 0 after the end.

    Raises:
        ValueError: for a record without a word, or with more than fit in.
    """
    words = list(example.labels)
    if not 0 < len(words) < length:
        raise ValueError(f"The caption of {example.media_id!r} has {len(words)} words; 1 to {length - 1} are right.")
    target, tokens, weight = np.zeros(length, np.int32), np.zeros(length, np.int32), np.zeros(length, np.float32)
    target[: len(words)], tokens[1 : len(words) + 1], weight[: len(words) + 1] = words, words, 1
    return {"target": target, "tokens": tokens, "weight": weight}


def make_target(labels: Sequence[int], num_classes: int, multi_label: bool) -> np.ndarray:
    """One class index as int32, or float32 multi-hot (K,)."""
    if multi_label:
        target = np.zeros(num_classes, np.float32)
        target[list(labels)] = 1
        return target
    if len(labels) != 1:
        raise ValueError(
            f"A record has the labels {list(labels)}: where that is not one, train with multi_label = True."
        )
    return np.int32(labels[0])
