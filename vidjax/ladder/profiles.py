"""Writes what the rungs of a ladder see: a matrix of rungs and dials, and a curve per rung and dial.

A dial is a dataset whose test videos have levels, see `vidjax.data.synthetic.sight`. Rungs of one title on several
dials make one row of the matrix.
"""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from vidjax.evaluation import predictions, profile
from vidjax.ladder import profile_plots, results
from vidjax.ladder.runs import Run

MATRIX = "matrix.md"
PICTURES = {
    "matrix.png": "What each rung sees: mean accuracy over the levels of each dial, 0 is chance and 1 is perfect; in "
    "the cells, the levels at 75 % or more",
    "curves.png": "Accuracy against the level of each dial; dotted: chance and 75 %",
}


def profile_of(runs: Sequence[Run]) -> dict:
    """Returns the profile of finished runs of a rung, see `evaluation.profile.profile_of`; {} without predictions."""
    rows = [rows for run in runs if (rows := predictions.read(run.place))]
    return profile.profile_of(rows) if rows else {}


def write(workdir: Path) -> str:
    """Writes matrix.md, matrix.csv, profiles.csv and `PICTURES` from ladder.json; returns the text of matrix.md.

    Returns "" and writes nothing if no rung has a profile.
    """
    rows = [row for row in json.loads((workdir / "ladder.json").read_text())["rungs"] if row["profile"]]
    if not rows:
        return ""
    text = as_markdown(rows)
    (workdir / MATRIX).write_text(text + "\n")
    write_csv(workdir / "matrix.csv", list(map(line_of, rows)))
    names = [{"rung": row["title"], "dial": row["dial"]} for row in rows]
    lines = [name | x for name, row in zip(names, rows, strict=True) for x in row["profile"]["levels"]]
    write_csv(workdir / "profiles.csv", lines)
    for name, draw in zip(PICTURES, (profile_plots.matrix, profile_plots.curves), strict=True):
        draw(rows, workdir / name)
    return text


def as_markdown(rows: Sequence[dict]) -> str:
    """Returns the matrix of the seen levels and their intervals, with one column per dial."""
    titles, dials, cells = in_matrix(rows)
    columns = {"rung": titles}
    for dial in dials:
        of_dial = [cells.get((title, dial)) for title in titles]
        columns[f"{dial}: {profile_plots.unit_of(dial)}"] = [x and profile.range_text(x) or "" for x in of_dial]
    note = "Levels with 75 % or more, interpolated; [95 % interval over resampled videos]."
    return f"{results.markdown(columns)}\n\n{note}"


def in_matrix(rows: Sequence[dict]) -> tuple[list[str], list[str], dict[tuple[str, str], dict]]:
    """Returns the titles and dials in order, and the profile of each pair that has one."""
    titles, dials = (list(dict.fromkeys(row[key] for row in rows)) for key in ("title", "dial"))
    return titles, dials, {(row["title"], row["dial"]): row["profile"] for row in rows}


def line_of(row: dict) -> dict:
    """Returns the line of a rung and dial for matrix.csv; ends of the seen range are empty if nothing is seen."""
    of, nothing = row["profile"], (None, None)
    line = {"rung": row["title"], "dial": row["dial"], "chance": of["chance"], "mean": of["mean"]}
    for name, end, interval in zip(
        ("from", "to"), of["seen"] or nothing, of["seen_intervals"] or (nothing, nothing), strict=True
    ):
        line |= {f"seen {name}": end, f"seen {name} low": interval[0], f"seen {name} high": interval[1]}
    return line


def write_csv(path: Path, lines: Sequence[dict]):
    """Writes lines with equal keys as CSV."""
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
