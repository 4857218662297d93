"""Numbers of runs that label frames: columns of the table from result.json, and errors per class from segments.csv.

The columns follow the conventions of `evaluation.segments`: frames and segments are pooled over the videos of a test
split, as in MS-TCN's evaluation (Abu Farha and Gall, 2019), with background and without. The value of a
cross-validation is the mean over its folds.
"""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vidjax import config as configs
from vidjax.data.segment_files import Segment
from vidjax.evaluation.predictions import KINDS, read_segments
from vidjax.inference.segments_from_scores import temporal_iou
from vidjax.ladder import table as ladder_table
from vidjax.report.entries import Entry, trainings_in
from vidjax.report.examples import folds_of_first_seed

FILE = "segments.csv"
OVERLAP = 0.1  # IoU from which a predicted segment matches a true one: as many match as F1@10 counts
METRICS = ("edit", "f1_10", "f1_25", "f1_50")
HEADS = {  # of the table -> convention, metric
    "frame accuracy %": ("pooled", "frame_accuracy"),
    **{f"{x} %".replace("f1_", "F1@"): ("pooled", x) for x in METRICS},
    "over-segmentation": ("pooled", "over_segmentation"),
    "frame accuracy %, no background": ("pooled_without_background", "frame_accuracy_foreground"),
    **{f"{x} %, no background".replace("f1_", "F1@"): ("pooled_without_background", x) for x in METRICS},
}


class Found(NamedTuple):
    """The segments of the test videos of a rung.

    Attributes:
        who: a run, or several folds.
        files: their segments.csv.
        videos: true and predicted segments, see `predictions.read_segments`.
        unit: of times, "s" or "steps".
        labels: the classes in the order of the run.
    """

    who: str
    files: list[Path]
    videos: Mapping[str, Mapping[str, Sequence[Segment]]]
    unit: str
    labels: list[str]


class OfClass(NamedTuple):
    """Numbers of true and predicted segments of a class, and the predicted minus the true duration of matched ones."""

    label: str
    num_true: int
    num_predicted: int
    errors: list[float]


# ------------------------------------------------------------------------------------------------------------ the table


def figures_of(places: Sequence[Path]) -> dict[str, list[float]]:
    """Returns one value per seed by head; {} for runs that do not label frames."""
    found = {}
    for place in places:
        for _, runs in itertools.groupby(trainings_in(place) or [place], key=lambda run: run.parent):
            paths = [run / "result.json" for run in runs if (run / "result.json").exists()]
            results = [configs.read_json(path).get("segments", {}) for path in paths]
            for head, (convention, metric) in HEADS.items():
                values = [of_run.get(convention, {}).get(metric) for of_run in results]
                if values and None not in values:
                    found.setdefault(head, []).append(statistics.mean(values))
    return found


def text(head: str, values: Sequence[float]) -> str:
    """Formats the mean over seeds, and their standard deviation: `41.6 ± 2.0`; "" without values."""
    scale, decimals = (100, 1) if "%" in head else (1, 2)
    numbers = [statistics.mean(values)] if values else []
    numbers += [statistics.stdev(values)] if len(values) > 1 else []
    return " ± ".join(f"{scale * x:.{decimals}f}" for x in numbers)


def columns(content: dict) -> dict[str, list[str]]:
    """Returns `ladder.table.columns`; rows with `segments`, see `figures_of`, have those metrics in place of top1."""
    rows, found = [row | ({"figures": {}} if row.get("segments") else {}) for row in content["rungs"]], {}
    others = ladder_table.columns({**content, "rungs": rows})
    for part, head in itertools.product(content["parts"], HEADS):
        values = [row.get("segments", {}).get(part, {}).get(head, []) for row in rows]
        found[f"{part}, {head}" if part else head] = [text(head, x) for x in values]
    return {"rung": others.pop("rung")} | {head: cells for head, cells in found.items() if any(cells)} | others


# ---------------------------------------------------------------------------------------------------------- the classes


def segments_of(entry: Entry) -> tuple[Found | None, list[str]]:
    """Returns the segments of the first run of an entry, or of all folds of its first seed; notes say what is missing.

    Raises:
        ValueError: if a segments.csv cannot be read.
    """
    runs = [run for place in entry.places[:1] for run in folds_of_first_seed(place)]
    there = [run for run in runs if (run / FILE).exists()]
    notes = [
        f"{run} has no {FILE}: evaluate again, vidjax evaluate --workdir {run}." for run in runs if run not in there
    ]
    if not there:
        return None, notes[:1]
    read = [read_segments(run / FILE) for run in there]
    videos = {path: of_video for of_run, _ in read for path, of_video in of_run.items()}
    used = sorted({x.label for of_video in videos.values() for kind in of_video.values() for x in kind})
    labels = list(dict.fromkeys([*configs.read(there[0])[1], *used]))
    who = str(there[0]) if there == entry.places[:1] else f"{len(there)} of {len(runs)} folds of {there[0].parent}"
    units = "/".join(sorted({unit for _, unit in read}))
    return Found(who, [run / FILE for run in there], videos, units, labels), notes


def of_classes(found: Found) -> list[OfClass]:
    """Returns the numbers of all classes together, then of each class that occurs."""
    each = []
    for label in found.labels:
        num_true = num_predicted = 0
        errors = []
        for of_video in found.videos.values():
            true, predicted = ([x for x in of_video[kind] if x.label == label] for kind in KINDS)
            num_true, num_predicted = num_true + len(true), num_predicted + len(predicted)
            errors += duration_errors(predicted, true)
        if num_true or num_predicted:
            each.append(OfClass(label, num_true, num_predicted, errors))
    sums = [sum(column, type(column[0])()) for column in list(zip(*each, strict=True))[1:]]
    return [OfClass("all classes", *sums), *each] if each else []


def duration_errors(predicted: Sequence[Segment], true: Sequence[Segment]) -> list[float]:
    """Returns the predicted minus the true duration of the matched segments of one class in one video.

    Each predicted segment points at the true one with the highest IoU, as in F1. A true segment is matched by the best
    that points at it, if their IoU is at least `OVERLAP`.
    """
    if not predicted or not true:
        return []
    p, t = (np.array([x[:2] for x in side], float) for side in (predicted, true))
    iou = temporal_iou(p[:, None], t[None])  # (P, Y)
    iou = np.where(np.arange(len(t)) == iou.argmax(axis=1)[:, None], iou, 0)
    best = iou.argmax(axis=0)
    matched = iou.max(axis=0) >= OVERLAP - 1e-4  # times are rounded
    return (np.diff(p[best])[:, 0] - np.diff(t)[:, 0])[matched].tolist()


def class_columns(classes: Sequence[OfClass], unit: str) -> dict[str, list[str]]:
    """Returns the table of the classes, by head."""
    quartiles = [np.percentile(x.errors, (25, 50, 75)) if x.errors else None for x in classes]
    middle = f"duration error, median ({unit})"
    return {
        "class": [x.label for x in classes],
        "true segments": [str(x.num_true) for x in classes],
        "predicted": [str(x.num_predicted) for x in classes],
        "predicted / true": [f"{x.num_predicted / x.num_true:.2f}" if x.num_true else "" for x in classes],
        "matched": [str(len(x.errors)) for x in classes],
        middle: ["" if q is None else f"{q[1]:+.3g}" for q in quartiles],
        "quartiles": ["" if q is None else f"{q[0]:+.3g} to {q[2]:+.3g}" for q in quartiles],
    }
