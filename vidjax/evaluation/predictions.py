"""What a model said of each video of a split: `predictions.csv` of a work directory, to look at its mistakes."""

import csv
from pathlib import Path

import jax
import numpy as np

from vidjax.data import pipeline
from vidjax.evaluation.outputs import Outputs

COLUMNS = ("number", "video", "true", "predicted", "score", "score_of_true")


def predictions_of(outputs: Outputs, source: pipeline.Records, config) -> list[dict]:
    """A row of `COLUMNS` for each video: its number in the split, where it comes from, class names and probabilities.

    The probabilities are averaged over the clips of a video. Empty for what is no single class of a video: several
    labels, one label a frame, captions and forecasts.
    """
    if config.loss.name != "softmax" or config.get("target", "clip") != "clip":
        return []
    return rows_of(np.asarray(jax.nn.softmax(outputs.logits)).mean(axis=1), outputs.target, source)


def rows_of(scores: np.ndarray, target: np.ndarray, source: pipeline.Records) -> list[dict]:
    """The rows of probabilities (N, K) and classes (N,) of the videos of `source`."""
    labels, rows = source.info.labels, []
    for number, (of_video, true) in enumerate(zip(scores, target, strict=True)):
        predicted = int(of_video.argmax())
        names = {"video": source[number].media_id, "true": labels[true], "predicted": labels[predicted]}
        rows.append({"number": number, **names, "score": of_video[predicted], "score_of_true": of_video[true]})
    return rows


def write(workdir: Path, rows: list[dict], name: str = "predictions.csv"):
    """Writes `predictions.csv`, where there are rows; probabilities with 4 digits."""
    if not rows:
        return
    # A path that is not UTF-8 has surrogates, which become its bytes again
    with open(workdir / name, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows({**row, **{name: f"{row[name]:.4f}" for name in COLUMNS[-2:]}} for row in rows)


def read(workdir: Path) -> list[dict]:
    """The rows of `predictions.csv`, the most confident mistakes first; [] where there is none."""
    path = workdir / "predictions.csv"
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = [{**row, "number": int(row["number"]), "score": float(row["score"])} for row in csv.DictReader(file)]
    return sorted(rows, key=lambda row: (row["true"] == row["predicted"], -row["score"]))
