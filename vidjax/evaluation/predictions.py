"""Writes and reads `predictions.csv`: the predicted class of each video, for a look at the mistakes."""

import csv
from pathlib import Path

import jax
import numpy as np

from vidjax.data import pipeline
from vidjax.evaluation.outputs import Outputs

COLUMNS = ("number", "video", "true", "predicted", "score", "score_of_true")


def predictions_of(outputs: Outputs, source: pipeline.Records, config) -> list[dict]:
    """Returns a row of `COLUMNS` per video: its number in the split, path, class names and probabilities.

    Probabilities are averaged over the clips of a video. [] unless videos have one label each: several labels, one
    label per frame, captions and forecasts have no rows.
    """
    if config.loss.name != "softmax" or config.get("target", "clip") != "clip":
        return []
    return rows_of(np.asarray(jax.nn.softmax(outputs.logits)).mean(axis=1), outputs.target, source)


def rows_of(scores: np.ndarray, target: np.ndarray, source: pipeline.Records) -> list[dict]:
    """Returns the rows for probabilities (N, K) and classes (N,) of the videos of `source`."""
    labels, rows = source.info.labels, []
    for number, (of_video, true) in enumerate(zip(scores, target, strict=True)):
        predicted = int(of_video.argmax())
        names = {"video": source[number].media_id, "true": labels[true], "predicted": labels[predicted]}
        rows.append({"number": number, **names, "score": of_video[predicted], "score_of_true": of_video[true]})
    return rows


def write(workdir: Path, rows: list[dict], name: str = "predictions.csv"):
    """Writes `predictions.csv` if there are rows; probabilities with 4 digits."""
    if not rows:
        return
    # Paths that are not UTF-8 hold surrogates, which become the original bytes
    with open(workdir / name, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows({**row, **{name: f"{row[name]:.4f}" for name in COLUMNS[-2:]}} for row in rows)


def read(workdir: Path) -> list[dict]:
    """Returns the rows of `predictions.csv`, most confident mistakes first; [] without a file."""
    path = workdir / "predictions.csv"
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = [{**row, "number": int(row["number"]), "score": float(row["score"])} for row in csv.DictReader(file)]
    return sorted(rows, key=lambda row: (row["true"] == row["predicted"], -row["score"]))
