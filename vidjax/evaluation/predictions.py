"""Writes and reads the predictions for test videos: `predictions.csv`, and `segments.csv` of runs that label frames."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vidjax import eval_protocols
from vidjax.data import pipeline, records
from vidjax.data.segment_files import Segment
from vidjax.evaluation import segments, split_detections, split_metrics
from vidjax.evaluation.outputs import Outputs

COLUMNS = ("number", "video", "true", "predicted", "score", "score_of_true")
OF_SEGMENTS = ("path", "start", "end", "unit", "label", "kind")  # columns of segments.csv
KINDS = ("true", "predicted")


def predictions_of(outputs: Outputs, source: pipeline.Records, config) -> list[dict]:
    """Returns a row of `COLUMNS` per video: its number in the split, path, class names and probabilities.

    Probabilities are those of the protocol of the config. With one label per frame, see `segments_of`. [] for several
    labels, captions and forecasts.
    """
    target = config.get("target", "clip")
    if target == "frame" and config.loss.name != "sigmoid":
        fps = split_detections.steps_per_second(source, config.clip.get("frame_stride", 1))
        return segments_of(split_metrics.scored(outputs, multi_label=False, fps=fps), source, source.info.labels)
    if config.loss.name != "softmax" or target != "clip":
        return []
    mean = eval_protocols.of(config.get("eval", {})).mean
    return rows_of(eval_protocols.pooled(outputs.logits, mean), outputs.target, source)


def segments_of(
    videos: Sequence[split_detections.Scored], examples: Sequence[records.Example], labels: Sequence[str]
) -> list[dict]:
    """Returns a row of `OF_SEGMENTS` per run of equal labels, background included: the true ones of a video first.

    Times count from the first step that the network saw: in seconds ("s"), or in "steps" if a rate is unknown. If
    several records have one path, the later ones get their number.
    """
    unit, rows, seen = "s" if all(video.fps for video in videos) else "steps", [], set()
    for number, video in enumerate(videos):
        path = examples[number].media_id
        path = f"{path} #{number}" if path in seen else path
        seen.add(path)
        for kind, of_steps in zip(KINDS, (video.target, video.scores.argmax(-1)), strict=True):
            for label, *ends in zip(*segments.find_segments(of_steps), strict=True):
                start, end = ends if unit == "steps" else (round(float(x) / video.fps, 6) for x in ends)
                row = (path, start, end, unit, labels[label], kind)
                rows.append(dict(zip(OF_SEGMENTS, row, strict=True)))
    return rows


def rows_of(scores: np.ndarray, target: np.ndarray, source: pipeline.Records) -> list[dict]:
    """Returns the rows for probabilities (N, K) and classes (N,) of the videos of `source`."""
    labels, rows = source.info.labels, []
    for number, (of_video, true) in enumerate(zip(scores, target, strict=True)):
        predicted = int(of_video.argmax())
        names = {"video": source[number].media_id, "true": labels[true], "predicted": labels[predicted]}
        rows.append({"number": number, **names, "score": of_video[predicted], "score_of_true": of_video[true]})
    return rows


def write(workdir: Path, rows: list[dict], name: str = "predictions.csv"):
    """Writes `predictions.csv` if there are rows, probabilities with 4 digits; `segments.csv` for rows of segments."""
    if not rows:
        return
    columns = tuple(rows[0])
    if columns == OF_SEGMENTS:
        name = name.removesuffix("predictions.csv") + "segments.csv"
    # Paths that are not UTF-8 hold surrogates, which become the original bytes
    with open(workdir / name, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({**row, **{x: f"{row[x]:.4f}" for x in COLUMNS[-2:] if x in row}} for row in rows)


def read(workdir: Path) -> list[dict]:
    """Returns the rows of `predictions.csv`, most confident mistakes first; [] without a file."""
    path = workdir / "predictions.csv"
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = [{**row, "number": int(row["number"]), "score": float(row["score"])} for row in csv.DictReader(file)]
    return sorted(rows, key=lambda row: (row["true"] == row["predicted"], -row["score"]))


def read_segments(path: Path) -> tuple[dict[str, dict[str, list[Segment]]], str]:
    """Returns the segments of each video and of each of `KINDS` in a `segments.csv`, and their unit.

    Raises:
        ValueError: if the file is not valid.
    """
    found, units = {}, set()
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        reader = csv.DictReader(file)
        if missing := [name for name in OF_SEGMENTS if name not in (reader.fieldnames or ())]:
            raise ValueError(f"{path} lacks the columns {', '.join(missing)}: evaluate the run again.")
        for row in reader:
            try:
                segment = Segment(float(row["start"]), float(row["end"]), row["label"])
                found.setdefault(row["path"], {kind: [] for kind in KINDS})[row["kind"]].append(segment)
            except (KeyError, ValueError, TypeError):
                raise ValueError(f"{path}, line {reader.line_num} is damaged: evaluate the run again.") from None
            units.add(row["unit"])
    return found, "/".join(sorted(units))
