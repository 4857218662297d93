"""Draws the pictures of a run, such as curves and the confusion matrix (matplotlib, without a display).

Class names that no installed font can show become numbers, with a legend in a file, see `label_fonts.write_legend`.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from vidjax import label_fonts

MOST_NAMES = 30  # maximum number of classes in a confusion matrix with names


def curves(lines: list[dict], path: Path):
    """Draws loss and hit@1 of training and validation over steps, from the lines of `metrics.jsonl`."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, name, label in zip(figure.subplots(1, 2), ("loss", "top1"), ("loss", "hit@1"), strict=True):
        trained = [(line["step"], line[name]) for line in lines if name in line]
        validated = [(line["step"], line[f"val_{name}"]) for line in lines if f"val_{name}" in line]
        if trained:
            steps, values = np.asarray(trained).T
            width = max(1, len(values) // 50)
            smooth = np.convolve(values, np.ones(width) / width, "valid")
            axes.plot(steps, values, color="tab:blue", alpha=0.25, linewidth=1)
            axes.plot(steps[width - 1 :], smooth, color="tab:blue", label=f"training, mean of {width}")
        if validated:
            axes.plot(*np.asarray(validated).T, color="tab:orange", marker="o", markersize=4, label="validation")
        axes.set(xlabel="step", ylabel=label)
        axes.grid(alpha=0.3)
        if trained or validated:
            axes.legend()
    figure.axes[1].set_ylim(0, 1.02)
    figure.savefig(path, dpi=120)


def confusion(counts: np.ndarray, labels: list[str], path: Path | io.BytesIO):
    """Draws a confusion matrix: true classes as rows, predicted classes as columns, row shares as shades.

    Args:
        counts: int (K, K).
        labels: K names; the picture shows names and counts for up to `MOST_NAMES` classes.
    """
    num_classes = len(labels)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.5 + 0.5 * min(num_classes, MOST_NAMES)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class", fraction=0.046)
    axes.set(
        xlabel="predicted",
        ylabel="true",
        title=f"hit@1 {np.trace(counts) / max(counts.sum(), 1):.1%} of {counts.sum()}",
    )
    if num_classes <= MOST_NAMES:
        names = _shown(labels, path)
        axes.set_xticks(range(num_classes), names.texts, rotation=45, ha="right", **names.style)
        axes.set_yticks(range(num_classes), names.texts, **names.style)
        for row, column in np.argwhere(counts):
            colour = "white" if share[row, column] > 0.5 else "black"
            axes.text(column, row, counts[row, column], ha="center", va="center", color=colour, fontsize=9)
    figure.savefig(path, dpi=120, bbox_inches="tight", pad_inches=0.2)


def frames_used(share: np.ndarray, labels: list[str], path: Path | io.BytesIO):
    """Draws how often a network used each frame, per class.

    Args:
        share: share of the videos, float (K, T); NaN for frames that no video has.
        labels: K names.
    """
    figure = Figure(figsize=(3 + 0.3 * share.shape[1], 1.8 + 0.35 * min(len(labels), 60)), layout="constrained")
    axes = figure.subplots()
    figure.colorbar(axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto"), ax=axes, label="share of videos")
    axes.set(xlabel="frame of the clip", title="used frames")
    names = _shown(labels, path)
    axes.set_yticks(range(len(labels)), names.texts, **names.style)
    figure.savefig(path, dpi=120)


def dataset(
    counts: Mapping[str, np.ndarray],
    labels: Sequence[str],
    lengths: Sequence[float],
    unit: str,
    sizes: Sequence[tuple[int, int]],
    rates: Sequence[float],
    path: Path,
):
    """Draws a dataset: videos per class and split, lengths, sizes and frame rates.

    Args:
        counts: videos of each class, int (K,), by split; the most frequent classes are drawn.
        lengths: of the videos, in `unit`.
        sizes: (width, height) of the videos.
        rates: frames per second of the videos.
    """
    figure = Figure(figsize=(12, 8), layout="constrained")
    (of_classes, of_lengths), (of_sizes, of_rates) = figure.subplots(2, 2)
    order = np.argsort(-sum(counts.values()), kind="stable")[:MOST_NAMES]
    names, left = _shown([labels[k] for k in order], path), np.zeros(len(order))
    for split, of_split in counts.items():
        of_classes.barh(range(len(order)), of_split[order], left=left, label=split)
        left = left + of_split[order]
    of_classes.set_yticks(range(len(order)), names.texts, fontsize=8, **names.style)
    of_classes.invert_yaxis()
    more = f" ({len(order)} of {len(labels)})" if len(labels) > len(order) else ""
    of_classes.set(xlabel="videos", title=f"classes{more}")
    if len(counts) <= 8:
        of_classes.legend(loc="lower right")
    of_lengths.hist(lengths, bins=min(40, max(5, len(lengths) // 10)))
    of_lengths.set(xlabel=unit, ylabel="videos", title="lengths")
    pairs, times = np.unique(np.asarray(sizes), axis=0, return_counts=True)
    of_sizes.scatter(*pairs.T, s=20 + 300 * times / times.max(), alpha=0.6)
    of_sizes.set(xlabel="width", ylabel="height", title="sizes (area: number of videos)")
    of_sizes.set_xlim(0, 1.15 * max(1, pairs[:, 0].max()))
    of_sizes.set_ylim(0, 1.15 * max(1, pairs[:, 1].max()))
    values, times = np.unique(np.round(rates, 2), return_counts=True)
    of_rates.bar([f"{value:g}" for value in values[:MOST_NAMES]], times[:MOST_NAMES])
    of_rates.tick_params("x", labelrotation=45 if len(values) > 8 else 0)
    of_rates.set(xlabel="frames per second", ylabel="videos", title="frame rates")
    figure.savefig(path, dpi=100)


def _shown(labels: Sequence[str], path: Path | io.BytesIO) -> label_fonts.Shown:
    """Returns the names as drawn. If they are numbers and the picture is a file, also writes the legend beside it."""
    names = label_fonts.shown(labels)
    if names.is_numbered and isinstance(path, Path):
        label_fonts.write_legend(path, labels)
    return names


def forecast(truth: np.ndarray, forecasts: np.ndarray, path: Path):
    """Draws a series and its forecasts, (N, H) each: the first and the last step ahead."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(truth[:, 0], color="black", marker="o", markersize=3, label="truth")
    for ahead in sorted({0, forecasts.shape[1] - 1}):
        steps = np.arange(len(forecasts)) + ahead
        axes.plot(steps, forecasts[:, ahead], marker="o", markersize=3, alpha=0.8, label=f"{ahead + 1} ahead")
    axes.set(xlabel="step of the test part", ylabel="value")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
