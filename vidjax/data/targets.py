"""Targets and weights of clips, made from the labels of a record, and checks of these labels."""

from collections.abc import Sequence

import numpy as np

from vidjax.data import dataset_info, records
from vidjax.data.sources.untrimmed import BACKGROUND

Targets = dict[str, np.ndarray]
CLIP_LABELS, FRAME_LABELS, SEGMENTS = "clip/label/index", "image/label/index", "segment/label/index"  # record keys


def targets(
    example: records.Example,
    info: dataset_info.DatasetInfo,
    indices: np.ndarray,
    mask: np.ndarray,
    *,
    multi_label: bool,
    per_frame: bool,
) -> Targets:
    """Returns `target` and `weight` of a clip or, with `per_frame`, of each of its frames.

    A series to forecast has a float target (H,). A caption also has `tokens` (..., L), see `caption`.

    Args:
        indices: frame indices of the clip (..., T).
        mask: false for frames beyond the end of the video (..., T); their weight is 0.
        multi_label: return a multi-hot target (K,) instead of one class index.
        per_frame: return one class index and one weight per frame (..., T); with `multi_label` targets (..., T, K).

    Raises:
        ValueError: if the frame labels do not match the frames, the clip is not the full window of a series, or a class
            index is invalid.
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
    sequence = example.features.get(info.inputs.get("prefix"))
    length = len(example.images) if sequence is None else len(sequence)
    weight = mask.astype(np.float32)
    if multi_label and example.segments:
        return {"target": segment_classes(example, info, length)[indices], "weight": weight}
    if len(example.frame_labels) != length:
        raise ValueError(
            f"The record of {example.media_id!r} has {len(example.frame_labels)} frame labels (image/label/index) for "
            f"{length} frames or steps: config.target = 'frame' needs one per frame."
        )
    check_range(example.frame_labels, len(info.labels), f"{FRAME_LABELS} of {example.media_id!r}")
    target = np.asarray(example.frame_labels, np.int32)[indices]
    if multi_label:
        target = without_background(np.eye(len(info.labels), dtype=np.float32), info.labels)[target]
    return {"target": target, "weight": weight}


def segment_classes(example: records.Example, info: dataset_info.DatasetInfo, length: int) -> np.ndarray:
    """Multi-hot targets of the frames or feature steps of a record: the classes of all segments that hold their middle.

    Returns:
        float32 (`length`, K).

    Raises:
        ValueError: if a class index is invalid, or the times of the frames or steps are unknown.
    """
    check_range([x.label for x in example.segments], len(info.labels), f"{SEGMENTS} of {example.media_id!r}")
    if "prefix" in info.inputs:
        times = example.feature_times.get(info.inputs["prefix"], ())
        if len(times) != length:
            raise ValueError(
                f"The record of {example.media_id!r} has {len(times)} timestamps for {length} feature steps: several "
                "labels per frame need one each. Make the features again, in another --out."
            )
    elif not example.fps:
        raise ValueError(f"The record of {example.media_id!r} has segments, but no frame rate: make the record again.")
    else:
        times = (np.arange(length) + 0.5) / example.fps
    times, target = np.round(times, 6), np.zeros((length, len(info.labels)), np.float32)  # records hold microseconds
    for start, end, label, _ in example.segments:
        target[(start <= times) & (times < end), label] = 1
    return without_background(target, info.labels)


def without_background(target: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """Multi-hot targets (..., K) in which the class "background" is not set: it is the absence of all others."""
    return target * np.array([label != BACKGROUND for label in labels], np.float32)


def caption(example: records.Example, length: int) -> Targets:
    """Decoder targets and input tokens of a caption.

    Returns:
        target int32 (L,): the words, then 0 for the end; tokens int32 (L,): the word before each target, 0 for the
        start; weight float32 (L,): 0 after the end.

    Raises:
        ValueError: if the record has no words, or more than `length` - 1.
    """
    words = list(example.labels)
    if not 0 < len(words) < length:
        raise ValueError(f"The caption of {example.media_id!r} has {len(words)} words; 1 to {length - 1} are valid.")
    target, tokens, weight = np.zeros(length, np.int32), np.zeros(length, np.int32), np.zeros(length, np.float32)
    target[: len(words)], tokens[1 : len(words) + 1], weight[: len(words) + 1] = words, words, 1
    return {"target": target, "tokens": tokens, "weight": weight}


def make_target(labels: Sequence[int], num_classes: int, multi_label: bool) -> np.ndarray:
    """One class index, int32, or with `multi_label` a multi-hot vector, float32 (K,); all zeros if there is no label.

    Raises:
        ValueError: if an index is outside 0..K-1, or if there is not exactly one label and `multi_label` is false.
    """
    check_range(labels, num_classes, CLIP_LABELS)
    if multi_label:
        target = np.zeros(num_classes, np.float32)
        target[list(labels)] = 1
        return target
    check_single(labels)
    return np.int32(labels[0])


# ------------------------------------------------------------------------------------------------------------- checks


def check_single(labels: Sequence[int]):
    """Raises a ValueError unless there is exactly one label: exclusive classes (loss softmax) need one."""
    if not labels:
        raise ValueError(
            "A record has no label, but the loss softmax needs one per video: leave the video out, or use the loss "
            "sigmoid, which allows videos without a label."
        )
    if len(labels) > 1:
        raise ValueError(
            f"A record has the labels {list(labels)}: train videos with several labels with the loss sigmoid "
            "(multi_label = True)."
        )


def check_range(indices: Sequence[int], num_classes: int, what: str, first: int = 0):
    """Raises a ValueError if an index is outside first..num_classes-1; `what` names the source of the indices."""
    if not indices or (first <= min(indices) and max(indices) < num_classes):
        return
    position = next(i for i, index in enumerate(indices) if not first <= index < num_classes)
    at = f" at position {position}" if len(indices) > 1 else ""
    remedy = "If the indices count from 1, subtract 1; if labels.txt lacks names, add them."
    if indices[position] < 0:
        remedy = "If it marks videos without a label, leave them out."
    raise ValueError(
        f"{what} holds the class index {indices[position]}{at}, but labels.txt names {num_classes} classes: valid are "
        f"{first} to {num_classes - 1}. {remedy}"
    )


def check_indices(example: records.Example, info: dataset_info.DatasetInfo):
    """Raises a ValueError if `info.labels` has no name for a class index of the clip or of a frame."""
    if "target" in info.inputs:  # a series has no classes
        return
    first = 1 if "caption_length" in info.inputs else 0  # word 0 is the end of a caption
    check_range(example.labels, len(info.labels), f"{CLIP_LABELS} of {example.media_id!r}", first)
    check_range(example.frame_labels, len(info.labels), f"{FRAME_LABELS} of {example.media_id!r}")
    check_range([x.label for x in example.segments], len(info.labels), f"{SEGMENTS} of {example.media_id!r}")


def check_info(info: dataset_info.DatasetInfo, directory: object):
    """Raises a ValueError, naming `directory`, if a permutation of the classes in dataset.json is invalid."""
    for key in ("horizontal_flip", "time_reversal"):
        value, num_classes = getattr(info, key), len(info.labels)
        if value is None or (key == "horizontal_flip" and value in ("unchanged", "forbidden")):
            continue
        words = "'unchanged', 'forbidden'" if key == "horizontal_flip" else "null"
        choices = f"valid are {words}, or a list of the {num_classes} indices 0 to {num_classes - 1}, each once."
        where = f"{directory}/dataset.json: {key}"
        if not isinstance(value, list) or not all(type(index) is int for index in value):
            raise ValueError(f"{where} is {str(value)[:80]}; {choices}")
        if len(value) != num_classes:
            raise ValueError(f"{where} has {len(value)} indices for {num_classes} classes; {choices}")
        if missing := sorted(set(range(num_classes)) - set(value)):
            raise ValueError(f"{where} is not a permutation: it lacks {str(missing[:10]).strip('[]')}; {choices}")
