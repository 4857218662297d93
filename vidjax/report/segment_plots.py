"""Draws errors of runs that label frames: numbers and durations of segments per class, and shares of frames."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vidjax import label_fonts, plots
from vidjax.report.segments import OfClass

MOST = 4  # predicted segments per true one at which a bar is cut, so that reports agree


def classes(of_classes: Sequence[OfClass], unit: str, file: io.BytesIO):
    """Draws the predicted segments per true one of each class, up to `MOST`, and quartiles of the duration errors."""
    figure = Figure(figsize=(12, 1.2 + 0.3 * len(of_classes)), layout="constrained")
    numbers, errors = figure.subplots(1, 2, sharey=True)
    rows = np.arange(len(of_classes))
    ratios = [x.num_predicted / x.num_true if x.num_true else 0 for x in of_classes]
    numbers.barh(rows, ratios, color=["tab:grey", *["tab:blue"] * (len(rows) - 1)])
    for row, x in zip(rows, of_classes, strict=True):
        place = {"transform": numbers.get_yaxis_transform(), "va": "center"}
        numbers.text(1.01, row, f"{x.num_predicted} / {x.num_true}", **place)
        if x.errors:
            low, middle, high = np.percentile(x.errors, (25, 50, 75))
            errors.plot([low, high], [row, row], color="tab:blue", linewidth=5, alpha=0.4, solid_capstyle="butt")
            errors.plot(middle, row, "o", color="tab:blue")
    numbers.set(xlabel="predicted segments per true one", xlim=(0, MOST))
    errors.set(xlabel=f"predicted - true duration ({unit}): median and quartiles")
    numbers.axvline(1, color="black", linewidth=1)
    errors.axvline(0, color="black", linewidth=1)
    name_ticks(numbers, [x.label for x in of_classes], on_x=False)
    numbers.invert_yaxis()
    figure.savefig(file, dpi=120)


def confusion(counts: np.ndarray, labels: list[str], file: io.BytesIO):
    """Draws a confusion matrix of frames, int (K, K), as percentages of each true class."""
    share = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.5 + 0.5 * min(len(labels), plots.MOST_NAMES)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
    figure.colorbar(image, ax=axes, label="% of the frames of the true class", fraction=0.046)
    axes.set(xlabel="predicted", ylabel="true")
    if len(labels) <= plots.MOST_NAMES:
        name_ticks(axes, labels, on_x=True)
        name_ticks(axes, labels, on_x=False)
        for row, column in np.argwhere(share >= 0.5):
            colour = "white" if share[row, column] > 50 else "black"
            axes.text(column, row, f"{share[row, column]:.0f}", ha="center", va="center", color=colour, fontsize=9)
    figure.savefig(file, dpi=120)


def name_ticks(axes: Axes, labels: Sequence[str], on_x: bool):
    names = label_fonts.shown(list(labels))
    turned = {"rotation": 45, "ha": "right"} if on_x else {}
    (axes.set_xticks if on_x else axes.set_yticks)(range(len(labels)), names.texts, **turned, **names.style)
