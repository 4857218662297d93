"""The target of a clip and its weight, from the labels of a record; and checks of these labels."""

from collections.abc import Sequence

import numpy as np

from vidjax.data import records

Targets = dict[str, np.ndarray]
CLIP_LABELS, FRAME_LABELS = "clip/label/index", "image/label/index"  # keys of the records


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
        ValueError: for a record without one label for each of its frames, several labels per frame, part of a window,
            or an index that no class has.
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
    check_range(example.frame_labels, len(info.labels), f"{FRAME_LABELS} of {example.media_id!r}")
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
    """One class index as int32, or float32 multi-hot (K,), which is all zeros for a record without any label.

    Raises:
        ValueError: for an index outside of 0 .. K - 1, and without `multi_label` for no label or several.
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
    """Raises a ValueError where there is not one label, which exclusive classes (loss softmax) need."""
    if not labels:
        raise ValueError(
            "A record has no label, but the loss softmax needs one for each video: leave the video out, or use the "
            "loss sigmoid, for which a video may have no label."
        )
    if len(labels) > 1:
        raise ValueError(
            f"A record has the labels {list(labels)}: train videos with several labels with the loss sigmoid "
            "(multi_label = True)."
        )


def check_range(indices: Sequence[int], num_classes: int, what: str, first: int = 0):
    """Raises a ValueError for an index outside of first .. num_classes - 1; `what` says where the indices are from."""
    if not indices or (first <= min(indices) and max(indices) < num_classes):
        return
    position = next(i for i, index in enumerate(indices) if not first <= index < num_classes)
    at = f" at position {position}" if len(indices) > 1 else ""
    remedy = "If the indices count from 1, subtract 1; if labels.txt lacks names, add them."
    if indices[position] < 0:
        remedy = "If it marks what has no label, leave these videos out."
    raise ValueError(
        f"{what} holds the class index {indices[position]}{at}, but labels.txt names {num_classes} classes: valid are "
        f"{first} to {num_classes - 1}. {remedy}"
    )


def check_indices(example: records.Example, info: records.DatasetInfo):
    """Raises a ValueError for a class index, of the clip or of a frame, that `info.labels` has no name for."""
    if "target" in info.inputs:  # a series has no classes
        return
    first = 1 if "caption_length" in info.inputs else 0  # word 0 is the end of a caption
    check_range(example.labels, len(info.labels), f"{CLIP_LABELS} of {example.media_id!r}", first)
    check_range(example.frame_labels, len(info.labels), f"{FRAME_LABELS} of {example.media_id!r}")


def check_info(info: records.DatasetInfo, directory: object):
    """Raises a ValueError if a permutation of the classes in dataset.json is wrong; `directory` is named."""
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
