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

MOST_NAMED = 3  # videos that a note names


class Other(NamedTuple):
    """Records as a run sees them.

    Attributes:
        source: those that can be evaluated, with the classes of the run.
        notes: what a reader of the figures has to know, in words.
        left_out: the videos of each class that the run does not know, by its name.
        absent: classes of the run without a video.
    """

    source: pipeline.Records
    notes: list[str]
    left_out: dict[str, list[str]]
    absent: list[str]


def open_other(run: restore.Trained, directory: Path, splits: Sequence[str]) -> Other:
    """Opens splits of other records for a run.

    A video is left out where the run does not know its class, or that of one of its frames; with several labels, where
    it knows none of them (the others do not count).

    Raises:
        ValueError: for a split that is not there, inputs that the network does not take, labels that do not go with the
            loss, a run that does not classify, or where no video is left.
    """
    if run.config.get("target") == "words" or run.config.loss.name == "squared_error":
        raise ValueError("--dataset is for runs that classify videos or frames; this run writes captions or forecasts.")
    found = pipeline.open_records(directory, splits)
    run_outputs.check_inputs(run, found.info.inputs)
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
            f"No video of {directory} is of a class that {run.name} knows. Classes there: "
            f"{', '.join(found.info.labels)}; classes of the run: {', '.join(ours)}."
        )
    for name, videos in left_out.items():
        more = ", ..." if len(videos) > MOST_NAMED else ""
        notes.append(
            f"Left out, a class that the run does not know: {name}, {_count(videos)} "
            f"({', '.join(videos[:MOST_NAMED])}{more})."
        )
    if ignored:
        notes.append(f"Labels that the run does not know do not count: {', '.join(sorted(ignored))}.")
    absent = [name for index, name in enumerate(ours) if index not in seen]
    if absent:
        notes.append(f"Classes of the run without a video in {directory}: {', '.join(absent)}.")
    same = found.info.labels == ours
    pairs = found.info.time_reversal if same else None
    info = dataclasses.replace(found.info, labels=ours, horizontal_flip="forbidden", time_reversal=pairs)
    return Other(pipeline.Records(info, kept, classes), notes, left_out, absent)


def match(theirs: Sequence[str], ours: Sequence[str]) -> tuple[dict[int, int], list[str]]:
    """Which of our classes each of theirs is: of the same name, else of one that differs in upper and lower case only.

    Returns:
        Our index by theirs, without those that have no match; and a note on those that are not spelled alike.
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
    return classes, [f"Matched without regard to case: {', '.join(spelled)}."] if spelled else []


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()  # composed letters, which macOS takes apart in file names


def _count(videos: Sequence[str]) -> str:
    return f"{len(videos)} video{'s' * (len(videos) != 1)}"


def different_inputs(trained_on: dict, there: dict) -> list[str]:
    """Notes on records with another frame rate or size than those of the training."""
    units = {"fps": "frames per second", "short_side": "pixels on the short side"}
    return [
        f"warning: the run was trained on {trained_on[name] or 'each its own'} {unit}, and these records have "
        f"{there[name] or 'each its own'}: accuracy may suffer. Make them again with --{name} {trained_on[name]}."
        for name, unit in units.items()
        if name in trained_on and name in there and trained_on[name] != there[name]
    ]
