"""Draws the pictures of the report: curves, confusions, segments, and charts of accuracy against compute."""

import base64
import functools
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, NullFormatter

from vidjax import config as configs
from vidjax import label_fonts, plots
from vidjax.data.sources.untrimmed import BACKGROUND
from vidjax.evaluation import result_file, timeline
from vidjax.evaluation.predictions import KINDS
from vidjax.report import segment_plots, segments
from vidjax.report.entries import DRAWN, Entry, trainings_in
from vidjax.report.examples import evenly
from vidjax.report.page import Html, Picture, fill, optional
from vidjax.training.metrics_log import read_metrics

CLIP, VIDEO = "multiply-adds", "multiply-adds a video"  # keys of ladder.json


def as_png(draw: Callable, *arguments) -> str:
    """Returns a picture that a function draws into a file, its last argument, as base64."""
    file = io.BytesIO()
    draw(*arguments, file)
    return base64.b64encode(file.getvalue()).decode()


def pictures_of(entry: Entry, parts: Sequence[str]) -> list[Picture]:
    """Returns the curves of the first training and its one-shot picture, and per part the sum of the confusions.

    Those that exist: `vidjax.evaluate --one_shot` draws the second.
    """
    found = []
    first = entry.first_training()
    if first and (lines := read_metrics(first / "metrics.jsonl")):
        found.append(Picture(as_png(plots.curves, lines), f"Loss and hit@1 of {first}"))
    if first and (path := first / "one_shot.png").exists():
        data = base64.b64encode(path.read_bytes()).decode()
        found.append(Picture(data, f"Embeddings of classes not trained on, and their one-shot confusion, of {first}"))
    for name, caption in DRAWN.items():
        if first and (path := first / name).exists():
            data = base64.b64encode(path.read_bytes()).decode()
            found.append(Picture(data, f"{caption}, of {first}"))
    for part in parts:
        counts, labels, num_runs = confusion_of(entry.places_of(part))
        if num_runs:
            caption = f"{part}: " * bool(part)
            caption += "confusion of one run" if num_runs == 1 else f"sum of the confusions of {num_runs} runs"
            caption += legend_of(labels) if len(labels) <= plots.MOST_NAMES else ""
            draw = plots.confusion
            if entry.row.get("segments"):
                draw, caption = segment_plots.confusion, f"{caption}: % of the frames of each true class"
            found.append(Picture(as_png(draw, counts, labels), caption))
    return found


def legend_of(labels: Sequence[str]) -> str:
    """Returns the end of a caption that explains the numbers in a picture; "" if it shows the names."""
    return f"; {', '.join(label_fonts.legend(labels).splitlines())}" if label_fonts.shown(labels).is_numbered else ""


def timeline_of(found: segments.Found, count: int) -> list[Picture]:
    """Returns a picture of the segments of `count` videos, evenly spaced in the order of their names; [] for none.

    Runs on the same videos show the same ones. The background is grey.
    """
    paths = np.array(sorted(found.videos), object)
    paths = evenly(paths, min(count, timeline.MOST_VIDEOS)).tolist() if count else []
    shown = {Path(path).name: found.videos[path] for path in paths}
    shown = shown if len(shown) == len(paths) else {path: found.videos[path] for path in paths}
    if not shown:
        return []
    true, predicted = (
        {name: [x for x in of_video[kind] if x.label != BACKGROUND] for name, of_video in shown.items()}
        for kind in KINDS
    )
    labels = [label for label in found.labels if label != BACKGROUND]
    durations = {name: of_video["true"][-1].end for name, of_video in shown.items()}
    draw = functools.partial(
        timeline.draw,
        predicted,
        truth=true,
        labels=labels,
        durations=durations,
        unit="seconds" if found.unit == "s" else found.unit,
    )
    caption = f"{len(shown)} of {len(found.videos)} test videos, truth above prediction"
    caption += "; grey is background" if len(labels) < len(found.labels) else ""
    return [Picture(as_png(draw), caption + legend_of(labels))]


def classes_of(of_classes: Sequence[segments.OfClass], unit: str) -> list[Picture]:
    """Returns a picture of the errors per class."""
    caption = "Over-segmentation and duration errors per class; bars end at 4, beside them predicted / true segments"
    caption += legend_of([x.label for x in of_classes])
    return [Picture(as_png(segment_plots.classes, of_classes, unit), caption)] if of_classes else []


def confusion_of(places: Sequence[Path]) -> tuple[np.ndarray, list[str], int]:
    """Returns the sum of the confusions of all runs in these directories.

    Returns:
        Counts, int (K, K), rows are true classes; the K labels; the number of runs, 0 if no result has a confusion.
    """
    found, labels, num_runs = np.zeros((0, 0), int), [], 0
    for run in (run for place in places for run in trainings_in(place) or [place]):
        path = run / "result.json"
        counts = result_file.read_confusion(path) if path.exists() else None
        if counts is not None:
            found, num_runs = found + counts if num_runs else counts, num_runs + 1
            labels = labels or configs.read_json(path).get("labels") or labels_of(run)
    return found, labels or [str(number) for number in range(len(found))], num_runs


def labels_of(run: Path) -> list[str]:
    """Returns the class names of a run; [] for fusions and classifiers."""
    return configs.read(run)[1] if (run / "config.json").exists() else []


def charts_of(rows: Sequence[dict], parts: Sequence[str]) -> list[Html]:
    """Returns a chart as SVG for each part with at least two points, else for the first with one."""
    points = {part: chart_points(rows, part)[1] for part in parts}
    drawn = [part for part in parts if len(points[part]) > 1] or [part for part in parts if points[part]][:1]
    return [compute_chart(rows, part) for part in drawn]


def chart_points(rows: Sequence[dict], part: str) -> tuple[str, list[tuple[int, float, float, str]]]:
    """Returns the points of the chart of a part: all rungs with multiply-adds and a top1.

    Rungs on stored features are left out, because their multiply-adds do not include the features.

    Returns:
        The key of x, `VIDEO` if all rungs have it; per point the number in the table, x, top1 in %, and the group.
    """
    drawn = [(number, row) for number, row in enumerate(rows, 1) if part in row["figures"] and not row["on_features"]]
    drawn = [(number, row) for number, row in drawn if row[CLIP]]
    key = VIDEO if all(row.get(VIDEO) for _, row in drawn) else CLIP  # tables of earlier versions lack it
    return key, [(k, row[key], 100 * row["figures"][part]["top1"]["mean"], row["group"]) for k, row in drawn]


def compute_chart(rows: Sequence[dict], part: str) -> Html:
    """Draws accuracy against multiply-adds as SVG, with the numbers of the table's rows."""
    key, points = chart_points(rows, part)
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    groups = list(dict.fromkeys(group for *_, group in points))
    for k, group in enumerate(groups):
        of_group = [(x, y) for _, x, y, other in points if other == group]
        axes.scatter(*zip(*of_group, strict=True), color=f"C{k}", s=28, label=f"group {k}")
    for number, x, y, _ in points:
        axes.annotate(str(number), (x, y), xytext=(4, 3), textcoords="offset points", fontsize=8)
    unit = "video (all clips that are averaged)" if key == VIDEO else "clip"
    axes.set(xscale="log", xlabel=f"multiply-adds per {unit}", ylabel=f"top1 %{', ' + part if part else ''}")
    axes.xaxis.set_major_formatter(EngFormatter())
    xs = [x for _, x, _, _ in points]
    axes.xaxis.set_minor_formatter(EngFormatter() if max(xs) < 10 * min(xs) else NullFormatter())  # avoids crowding
    axes.grid(alpha=0.3)
    axes.yaxis.label.set_parse_math(False)
    names = label_fonts.shown([group or "runs" for group in groups])
    names.set_on(axes.legend(fontsize=8).get_texts())
    text = io.StringIO()
    figure.savefig(text, format="svg")
    svg = Html("".join(text.getvalue().partition("<svg")[1:]))
    legend = ", ".join(label_fonts.legend(groups).splitlines()) if names.is_numbered else ""
    return fill("chart", svg=svg, caption=optional("caption", text=legend))
