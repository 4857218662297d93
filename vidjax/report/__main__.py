"""Runs -> one page: the table, curves, confusions, accuracy against compute, mistakes, and where networks look.

    python -m vidjax.report runs/ladder_motion --out report.html
    python -m vidjax.report runs/a runs/b --out report.html [--examples 6] [--no_maps]

A directory is that of a ladder, of a run, or of a cross-validation. The page is one file that needs no network, and is
readable without JavaScript, which only sorts the table. Frames are shown where the records still are where the run had
them: run it in the directory where training ran.
"""

import argparse
import base64
import html
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from absl import logging as absl_logging
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, NullFormatter

from vidjax import config as configs
from vidjax import label_fonts, plots
from vidjax.evaluation import result_file
from vidjax.progress_bar import progress_bar
from vidjax.report import page
from vidjax.report.entries import Entry, entries_of, files_of, metrics_of, trainings_in
from vidjax.report.examples import examples_of, said_by
from vidjax.report.page import Picture

CLIP, VIDEO = "multiply-adds", "multiply-adds a video"  # columns of ladder.json

# -------------------------------------------------------------------------------------------------- entries -> pictures


def as_png(draw: Callable, *arguments) -> str:
    """A picture that a function of `plots` draws, as base64."""
    file = io.BytesIO()
    draw(*arguments, file)
    return base64.b64encode(file.getvalue()).decode()


def pictures_of(entry: Entry, parts: Sequence[str]) -> list[Picture]:
    """Curves of the first training, and of each part the confusions of all its runs, added up; as far as there are."""
    found = []
    first = entry.first_training()
    if first and (lines := metrics_of(first)):
        found.append(Picture(as_png(plots.curves, lines), f"loss and hit@1 of {first}"))
    for part in parts:
        counts, labels, num_runs = confusion_of(entry.places_of(part))
        if num_runs:
            what = "confusion of one run" if num_runs == 1 else f"confusions of {num_runs} runs, added up"
            what = f"{part}: {what}" if part else what
            if len(labels) <= plots.MOST_NAMES and label_fonts.shown(labels).is_numbered:
                what += f"; {', '.join(label_fonts.legend(labels).splitlines())}"
            found.append(Picture(as_png(plots.confusion, counts, labels), what))
    return found


def confusion_of(places: Sequence[Path]) -> tuple[np.ndarray, list[str], int]:
    """The confusions of all runs in these places, added up.

    Returns:
        Counts int (K, K), rows are true classes; the K labels; and of how many runs, 0 where no result has a confusion.
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
    """The class names of a run; [] of what is not trained."""
    return configs.read(run)[1] if (run / "config.json").exists() else []


def chart_points(rows: Sequence[dict], part: str) -> tuple[str, list[tuple[int, float, float, str]]]:
    """What the chart of a part shows: all rungs with multiply-adds and a top1, but for those on stored features.

    What these cost is not in their multiply-adds.

    Returns:
        The name of the column that x is from, `VIDEO` where all of them have it; and of each its number in the table,
        x, top1 in %, and its group.
    """
    drawn = [(number, row) for number, row in enumerate(rows, 1) if part in row["figures"] and not row["on_features"]]
    drawn = [(number, row) for number, row in drawn if row[CLIP]]
    column = VIDEO if all(row.get(VIDEO) for _, row in drawn) else CLIP  # tables of earlier versions lack it
    top1 = [100 * row["figures"][part]["top1"]["mean"] for _, row in drawn]
    points = [(number, row[column], y, row["group"]) for (number, row), y in zip(drawn, top1, strict=True)]
    return column, points


def charts_of(rows: Sequence[dict], parts: Sequence[str]) -> list[str]:
    """A chart of each part with two points or more as SVG, else of the first with one; [] without any."""
    points = {part: chart_points(rows, part)[1] for part in parts}
    drawn = [part for part in parts if len(points[part]) > 1] or [part for part in parts if points[part]][:1]
    return [compute_chart(rows, part) for part in drawn]


def compute_chart(rows: Sequence[dict], part: str) -> str:
    """Accuracy against multiply-adds as SVG; the numbers are those of the table's rows."""
    column, points = chart_points(rows, part)
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    groups = list(dict.fromkeys(group for *_, group in points))
    for k, group in enumerate(groups):
        of_group = [(x, y) for _, x, y, other in points if other == group]
        axes.scatter(*zip(*of_group, strict=True), color=f"C{k}", s=28, label=f"group {k}")
    for number, x, y, _ in points:
        axes.annotate(str(number), (x, y), xytext=(4, 3), textcoords="offset points", fontsize=8)
    of_what = "of a video: of all clips that are averaged" if column == VIDEO else "of a clip"
    axes.set(xscale="log", xlabel=f"multiply-adds {of_what}", ylabel=f"top1 %{', ' + part if part else ''}")
    axes.xaxis.set_major_formatter(EngFormatter())
    xs = [x for _, x, _, _ in points]
    axes.xaxis.set_minor_formatter(EngFormatter() if max(xs) < 10 * min(xs) else NullFormatter())  # else too many
    axes.grid(alpha=0.3)
    axes.yaxis.label.set_parse_math(False)
    names = label_fonts.shown([group or "runs" for group in groups])
    names.set_on(axes.legend(fontsize=8).get_texts())
    text = io.StringIO()
    figure.savefig(text, format="svg")
    legend = ", ".join(label_fonts.legend(groups).splitlines()) if names.is_numbered else ""
    caption = f"<figcaption>{html.escape(legend)}</figcaption>" if legend else ""
    return "".join([*text.getvalue().partition("<svg")[1:], caption])


# ---------------------------------------------------------------------------------------------------------- the command


def report(workdirs: Sequence[Path], out: Path, count: int, with_maps: bool) -> list[str]:
    """Writes the page; arguments as of the command.

    Returns:
        What could not be shown, and why.

    Raises:
        ValueError: before any work, for a page that cannot be written, and as of `entries_of` and `said_by`.
    """
    check_out(out)
    if count < 0:
        raise ValueError(f"--examples {count}: how many videos of each rung; 0 shows none.")
    found = [entries_of(workdir) for workdir in workdirs]
    single = [(content, entries) for content, entries in found if content["parts"] == [""] and len(entries) == 1]
    if len(single) == len(found) > 1:  # several runs are one table
        content = {**found[0][0], "title": ", ".join(str(workdir) for workdir in workdirs)}
        content["rungs"] = [entry.row for _, entries in found for entry in entries]
        found = [(content, [entry for _, entries in found for entry in entries])]
    said = [[said_by(entry) if count else None for entry in entries] for _, entries in found]
    sections, notes = [], []
    for k, ((content, entries), of_entries) in enumerate(zip(found, said, strict=True), 1):
        ids = [f"rung-{k}-{number}" for number in range(1, len(entries) + 1)]
        bar, details = progress_bar(entries, content["title"][:40], unit="rung"), []
        for number, (entry, of_entry) in enumerate(zip(bar, of_entries, strict=True), 1):
            examples, of_rung = examples_of(of_entry, count, with_maps) if of_entry else ([], [])
            notes += of_rung
            videos = page.videos(of_entry, examples, of_rung, out.parent) if of_entry else ""
            pictures = pictures_of(entry, content["parts"])
            details.append(page.details(ids[number - 1], number, entry.row, pictures, videos))
        files = [files_of(entry) for entry in entries]
        charts = charts_of(content["rungs"], content["parts"])
        sections.append(page.section(content, ids, files, charts, details, out.parent))
    out.write_text(page.page(", ".join(content["title"] for content, _ in found), sections))
    return list(dict.fromkeys(notes))


def check_out(out: Path):
    """Makes the directory of the page; raises a ValueError where no file can be written there."""
    if out.is_dir():
        raise ValueError(f"--out {out} is a directory: name the file, as in {out / 'report.html'}.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"--out {out} cannot be written: {error.strerror}.") from None
    if not os.access(out if out.exists() else out.parent, os.W_OK):
        raise ValueError(f"--out {out} cannot be written: permission denied.")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("workdirs", nargs="+", type=Path, metavar="W", help="of a ladder, a run or a cross-validation")
    add("--out", type=Path, default=Path("report.html"), help="the page (default: report.html)")
    add("--examples", type=int, default=6, help="videos of each rung that it was most wrong about (default: 6)")
    add("--no_maps", action="store_true", help="leave out where networks look: it needs them compiled")
    args = parser.parse_args(argv)
    absl_logging.set_verbosity(absl_logging.ERROR)  # Orbax warns of what is meant: that it only reads
    try:
        notes = report(args.workdirs, args.out, args.examples, not args.no_maps)
    except ValueError as error:
        sys.exit(f"vidjax.report: {error}")
    for note in notes:
        print(note)
    print(f"Wrote {args.out} ({args.out.stat().st_size / 2**20:.1f} MiB).")


if __name__ == "__main__":
    main()
