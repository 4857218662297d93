"""Records that a run was not trained on: their classes are matched with those of the run by name."""

import dataclasses
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax

from vidjax.data import label_scan, pipeline, targets
from vidjax.evaluation import run_outputs
from vidjax.inference import restore
from vidjax.progress_bar import progress_bar

MOST_NAMED = 3  # maximum number of videos in a note


class Other(NamedTuple):
    """Records that a run was not trained on, with the classes of the run.

    Attributes:
        source: the videos that can be evaluated, labelled with the classes of the run.
        notes: remarks for readers of the metrics.
        left_out: class name -> its videos, for each class that the run does not know.
        absent: classes of the run without a video.
    """

    source: pipeline.Records
    notes: list[str]
    left_out: dict[str, list[str]]
    absent: list[str]


def open_other(run: restore.Trained, directory: Path, splits: Sequence[str]) -> Other:
    """Opens splits of other records for a run.

    A video is left out if the run does not know its class, or the class of one of its frames. A video with several
    labels is left out only if the run knows none of them; unknown labels are ignored.

    Raises:
        ValueError: if a split is missing, the inputs or labels do not fit the run, the run does not classify, or no
            video is left.
    """
    if run.config.get("target") == "words" or run.config.loss.name == "squared_error":
        raise ValueError("--dataset is for runs that classify videos or frames; this run writes captions or forecasts.")
    found = pipeline.open_records(directory, splits)
    run_outputs.check_inputs(run, found.info.inputs)
    if run.config.get("target") == "flow":  # without classes
        return Other(found, [], {}, [])
    per_frame, ours = run.config.get("target") == "frame", [label.strip() for label in run.labels]
    classes, notes = match(found.info.labels, ours)
    notes += different_inputs(run.inputs, found.info.inputs)
    kept, seen, left_out, ignored = [], set(), {}, set()
    bar = progress_bar(found.places, f"labels of {directory}", leave=False, disable=jax.process_index() > 0)
    for number, place in enumerate(bar):
        example = label_scan.of_record(*place)
        with found.naming(number):
            targets.check_indices(example, found.info)
            if not (run.multi_label or per_frame):
                targets.check_single(example.labels)
        labels = example.frame_labels if per_frame else example.labels
        unknown = sorted({index for index in labels if index not in classes})
        if unknown and (not run.multi_label or len(unknown) == len(set(labels))):
            for index in unknown:
                left_out.setdefault(found.info.labels[index], []).append(example.media_id)
            continue
        ignored.update(found.info.labels[index] for index in unknown)
        kept.append(place)
        seen.update(classes[index] for index in labels if index in classes)
    if not kept:
        raise ValueError(
            f"No video of {directory} has a class that {run.name} knows. Classes of the records: "
            f"{', '.join(found.info.labels)}; classes of the run: {', '.join(ours)}."
        )
    for name, videos in left_out.items():
        more = ", ..." if len(videos) > MOST_NAMED else ""
        notes.append(
            f"Left out, because the run does not know the class: {name}, {_count(videos)} "
            f"({', '.join(videos[:MOST_NAMED])}{more})."
        )
    if ignored:
        notes.append(f"Ignored labels, which the run does not know: {', '.join(sorted(ignored))}.")
    absent = [name for index, name in enumerate(ours) if index not in seen]
    if absent:
        notes.append(f"Classes of the run without a video in {directory}: {', '.join(absent)}.")
    same = found.info.labels == ours
    pairs = found.info.time_reversal if same else None
    flip = found.info.horizontal_flip if found.info.horizontal_flip == "unchanged" else "forbidden"  # else of theirs
    info = dataclasses.replace(found.info, labels=ours, horizontal_flip=flip, time_reversal=pairs)
    return Other(pipeline.Records(info, kept, classes), notes, left_out, absent)


def match(theirs: Sequence[str], ours: Sequence[str]) -> tuple[dict[int, int], list[str]]:
    """Matches classes by name; if no name is equal, by the only name that is equal except for upper and lower case.

    Returns:
        {index in theirs: index in ours} for classes with a match, and a note on names that differ in case.
    """
    classes = {i: ours.index(name) for i, name in enumerate(theirs) if name in ours}
    free = [(_folded(name), k) for k, name in enumerate(ours) if k not in classes.values()]
    spelled = []
    for i, name in enumerate(theirs):
        same = [k for folded, k in free if folded == _folded(name)]
        rivals = [j for j, other in enumerate(theirs) if j not in classes and _folded(other) == _folded(name)]
        if i not in classes and len(same) == 1 and rivals == [i]:
            spelled.append(f"{name} is {ours[same[0]]}")
            classes[i] = same[0]
    return classes, [f"Matched except for upper and lower case: {', '.join(spelled)}."] if spelled else []


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()  # macOS decomposes accented letters in file names


def _count(videos: Sequence[str]) -> str:
    return f"{len(videos)} video{'s' * (len(videos) != 1)}"


def different_inputs(trained_on: dict, there: dict) -> list[str]:
    """Returns warnings about records whose frame rate or size differs from the training records."""
    return [
        f"warning: the run was trained with {name} = {trained_on[name]}, but these records have {name} = {there[name]} "
        f"(0: original): accuracy may suffer. Make them again with --{name} {trained_on[name]}."
        for name in ("fps", "short_side")
        if name in trained_on and name in there and trained_on[name] != there[name]
    ]
