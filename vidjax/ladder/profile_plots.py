"""Draws profiles: accuracy against the level of a dial, and the matrix of rungs and dials."""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vidjax.data.synthetic.sight.render import DIALS
from vidjax.evaluation.profile import THRESHOLD, range_text


def unit_of(dial: str) -> str:
    """Returns what the levels of a dial are, such as "coherence (%)"."""
    return DIALS[dial].unit


def curve(row: dict, file: Path | BinaryIO):
    """Draws the curve of one row of ladder.json with its intervals."""
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    draw_curve(axes, row, "C0", with_interval=True)
    finish(axes, row)
    figure.savefig(file, dpi=100, format="png")


def curves(rows: Sequence[dict], file: Path | BinaryIO):
    """Draws one chart per dial with the curves of all rungs."""
    dials, titles = (list(dict.fromkeys(row[key] for row in rows)) for key in ("dial", "title"))
    columns = min(len(dials), 3)
    lines, legend_lines = -(-len(dials) // columns), -(-len(titles) // (2 * columns))
    figure = Figure(figsize=(5 * columns, 3.6 * lines + 0.17 * legend_lines + 0.2), layout="constrained")
    charts = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, dial in zip(charts, dials, strict=False):
        of_dial = [row for row in rows if row["dial"] == dial]
        for row in of_dial:
            draw_curve(axes, row, *style(titles.index(row["title"])), with_interval=len(of_dial) == 1)
        finish(axes, of_dial[0])
        axes.set_title(dial)
    for axes in charts[len(dials) :]:
        axes.remove()
    shown = {
        text: line
        for axes in charts[: len(dials)]
        for line, text in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend([shown[x] for x in titles], titles, loc="outside lower center", ncols=2 * columns, fontsize=8)
    figure.savefig(file, dpi=100, format="png")


def style(number: int) -> tuple[str, str]:
    """Returns the colour and the dashes of a curve; ten colours, then the same ones dashed."""
    return f"C{number % 10}", ("-", "--", ":")[number // 10 % 3]


def draw_curve(axes: Axes, row: dict, colour: str, dashes: str = "-", *, with_interval: bool):
    """Draws the curve of a row, and if wanted its intervals as a band."""
    levels = row["profile"]["levels"]
    places = np.arange(len(levels))
    axes.plot(places, [100 * x["accuracy"] for x in levels], dashes, color=colour, marker="o", ms=3, label=row["title"])
    if with_interval:
        axes.fill_between(places, *([100 * x[key] for x in levels] for key in ("low", "high")), color=colour, alpha=0.2)


def finish(axes: Axes, row: dict):
    """Names the axes, and draws chance and the threshold. Levels are evenly spaced, as most are in octaves."""
    levels = [x["level"] for x in row["profile"]["levels"]]
    for share in (row["profile"]["chance"], THRESHOLD):
        axes.axhline(100 * share, color="grey", linestyle=":", linewidth=1)
    axes.set(ylim=(0, 103), ylabel="accuracy (%)", xlabel=unit_of(row["dial"]))
    axes.set_xticks(range(len(levels)), [f"{level:g}" for level in levels])
    axes.grid(alpha=0.3)


def matrix(rows: Sequence[dict], file: Path | BinaryIO):
    """Draws rungs and dials: the colour is the mean accuracy, 0 at chance and 1 if perfect; the text, what is seen."""
    dials, titles = (list(dict.fromkeys(row[key] for row in rows)) for key in ("dial", "title"))
    values = np.full((len(titles), len(dials)), np.nan)
    figure = Figure(figsize=(2.5 + 1.3 * len(dials), 1.2 + 0.33 * len(titles)), layout="constrained")
    axes = figure.subplots()
    for row in rows:
        of, place = row["profile"], (titles.index(row["title"]), dials.index(row["dial"]))
        values[place] = max(0.0, (of["mean"] - of["chance"]) / (1 - of["chance"]))
        colour = "white" if values[place] > 0.6 else "black"
        text = range_text(of, intervals=False).replace(" (", "\n(") if of["seen"] else "none"
        axes.text(*place[::-1], text, ha="center", va="center", color=colour, fontsize=8)
    image = axes.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    figure.colorbar(image, ax=axes, label="mean above chance")
    axes.set_xticks(range(len(dials)), [f"{dial}\n{unit_of(dial)}".replace(" (", "\n(") for dial in dials], fontsize=8)
    axes.set_yticks(range(len(titles)), titles, fontsize=8)
    axes.xaxis.tick_top()
    figure.savefig(file, dpi=110, format="png")
