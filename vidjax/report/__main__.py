"""Writes one page about runs: table, curves, confusions, accuracy against compute, mistakes, and Grad-CAM maps.

Runs that label frames have timelines of their segments and errors per class in place of mistakes.

    python -m vidjax.report runs/ladder_motion --out report.html
    python -m vidjax.report runs/a runs/b --out report.html [--examples 6] [--no_maps]

Give the directory of a ladder, a run or a cross-validation. The page is one self-contained file. It needs JavaScript
only to sort the table. To show frames, run this command in the directory where training ran, so that it finds the
records.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import logging as absl_logging

from vidjax.progress_bar import progress_bar
from vidjax.report import page, profiles, segments
from vidjax.report.entries import Entry, entries_of, files_of
from vidjax.report.examples import examples_of, predictions_of
from vidjax.report.pictures import charts_of, classes_of, pictures_of, timeline_of


def report(workdirs: Sequence[Path], out: Path, count: int, with_maps: bool) -> list[str]:
    """Writes the page.

    Args:
        count: mistakes, or timelines of videos, to show per rung.
        with_maps: whether to show Grad-CAM maps.

    Returns:
        Notes that say what could not be shown, and why.

    Raises:
        ValueError: before any work, if the page cannot be written; also the errors of `entries_of` and
            `predictions_of`.
    """
    check_out(out)
    if count < 0:
        raise ValueError(f"--examples {count} must be 0 or more: the number of mistakes to show per rung.")
    tables = [entries_of(workdir) for workdir in workdirs]
    if len(tables) > 1 and all(content["parts"] == [""] and len(entries) == 1 for content, entries in tables):
        entries = [entry for _, (entry,) in tables]  # several runs share one table
        title = ", ".join(map(str, workdirs))
        tables = [({**tables[0][0], "title": title, "rungs": [entry.row for entry in entries]}, entries)]
    for content, entries in tables:
        for entry in entries:
            figures = {part: segments.figures_of(entry.places_of(part)) for part in content["parts"]}
            entry.row["segments"] = {part: of_part for part, of_part in figures.items() if of_part}
    predictions = [[predictions_of(entry) if count else None for entry in entries] for _, entries in tables]
    sections, notes = [], []
    for k, ((content, entries), of_entries) in enumerate(zip(tables, predictions, strict=True), 1):
        anchors = [f"rung-{k}-{number}" for number in range(1, len(entries) + 1)]
        bar, rungs = progress_bar(entries, content["title"][:40], unit="rung"), []
        for number, (entry, found) in enumerate(zip(bar, of_entries, strict=True), 1):
            examples, of_rung = examples_of(found, count, with_maps) if found else ([], [])
            notes += of_rung
            videos = page.videos(found, examples, of_rung, out.parent) if found else page.Html()
            if entry.row["segments"]:
                videos, of_rung = segments_of(entry, count, out.parent)
                notes += of_rung
            pictures = profiles.of_rung(entry.row) + pictures_of(entry, content["parts"])
            rungs.append(page.rung(anchors[number - 1], number, entry.row, pictures, videos))
        files = [files_of(entry) for entry in entries]
        seen = profiles.of_ladder(content["rungs"])
        # The rungs of several dials are not to be compared in one chart
        charts = [] if seen else charts_of(content["rungs"], content["parts"])
        sections.append(page.section(content, anchors, files, charts, rungs, out.parent, seen))
    out.write_text(page.page(", ".join(content["title"] for content, _ in tables), sections), encoding="utf-8")
    return list(dict.fromkeys(notes))


def segments_of(entry: Entry, count: int, start: Path) -> tuple[page.Html, list[str]]:
    """Returns the segments of a rung that labels frames, and notes that say what is missing."""
    found, notes = segments.segments_of(entry)
    texts = [page.fill("note", text=note) for note in notes]
    if found:
        classes = segments.of_classes(found)
        pictures = timeline_of(found, count) + classes_of(classes, found.unit)
        texts.append(page.segments_of(found, classes, pictures, start))
    return page.Html("\n".join(texts)), notes


def check_out(out: Path):
    """Makes the directory of the page. Raises a ValueError if no file can be written there."""
    if out.is_dir():
        raise ValueError(f"--out {out} is a directory; name a file, such as {out / 'report.html'}.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"--out {out} cannot be written: {error.strerror}.") from None
    if not os.access(out if out.exists() else out.parent, os.W_OK):
        raise ValueError(f"--out {out} cannot be written: permission denied.")


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="vidjax report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("workdirs", nargs="+", type=Path, metavar="W", help="directory of a ladder, a run or a cross-validation")
    add("--out", type=Path, default=Path("report.html"), help="file of the page (default: report.html)")
    add("--examples", type=int, default=6, help="most confident mistakes, or timelines, to show per rung (default: 6)")
    add("--no_maps", action="store_true", help="skip Grad-CAM maps, for which networks must be compiled")
    args = parser.parse_args(argv)
    absl_logging.set_verbosity(absl_logging.ERROR)  # Orbax warns that it restores only a part
    try:
        notes = report(args.workdirs, args.out, args.examples, not args.no_maps)
    except ValueError as error:
        sys.exit(f"vidjax.report: {error}")
    for note in notes:
        print(note)
    print(f"Wrote {args.out} ({args.out.stat().st_size / 2**20:.1f} MiB).")


if __name__ == "__main__":
    main()
