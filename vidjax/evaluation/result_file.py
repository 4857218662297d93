"""Writes and reads result.json, the metrics of a run or a fusion, with the confusion matrix as CSV and pictures."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vidjax import config as configs
from vidjax import output_paths, plots

EPE = ("epe", "epe_0_2", "epe_2_8", "epe_8_16", "epe_16")  # see `flow_errors.metrics_of`
CONFUSION = ("true", "predicted", "count", "true_label", "predicted_label")  # columns of confusion.csv


def beside(path: Path, name: str) -> Path:
    """Returns the path of a file that belongs to a result: `name` beside result.json, `X_name` beside X.json."""
    return path.with_name(name if path.stem == "result" else f"{path.stem}_{name}")


def write(path: Path, result: dict, labels: Sequence[str], *, merge: bool = False) -> dict:
    """Writes metrics as JSON, and their pictures: confusion.png, frames_used.png, forecast.png.

    Args:
        result: see `split_metrics.metrics_of`. A confusion matrix, K x K counts, goes to confusion.csv, one line per
            pair of classes that occurs; the JSON file holds the name of that file.
        merge: keeps metrics of an existing file that are not in `result`.

    Returns:
        The content of the JSON file.

    Raises:
        ValueError: with `merge`, if the existing file cannot be read.
    """
    before = configs.read_json(path) if merge and path.exists() else {}
    before.pop("confusion", None)
    result = dict(result)
    if "confusion" in result:
        counts = np.asarray(result["confusion"])
        result["confusion"] = beside(path, "confusion.csv").name
        write_confusion(beside(path, "confusion.csv"), counts, labels)
        plots.confusion(counts, list(labels), beside(path, "confusion.png"))
    if "frames_used_per_class" in result:
        share = np.asarray(result["frames_used_per_class"], float)  # None becomes NaN
        plots.frames_used(share, list(labels), beside(path, "frames_used.png"))
    if "forecast" in result:
        plots.forecast(np.asarray(result["truth"]), np.asarray(result["forecast"]), beside(path, "forecast.png"))
    content = {**before, **result}
    output_paths.write_whole(path, json.dumps(content, indent=2) + "\n")
    return content


def write_confusion(path: Path, counts: np.ndarray, labels: Sequence[str]):
    """Writes the pairs of classes that occur and their counts, from int (K, K) with true classes as rows."""
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(CONFUSION)
        for true, predicted in np.argwhere(counts).tolist():
            writer.writerow([true, predicted, counts[true, predicted], labels[true], labels[predicted]])


def read_confusion(path: Path) -> np.ndarray | None:
    """Returns the confusion matrix of a result, int (K, K), from its confusion.csv or the result itself; None without.

    Raises:
        ValueError: if the result or its confusion.csv cannot be read.
    """
    result = configs.read_json(path)
    found = result.get("confusion")
    if not isinstance(found, str):
        return None if found is None else np.asarray(found)
    try:
        num_classes = len(result["per_class"])
        counts = np.zeros((num_classes, num_classes), int)
        with open(path.with_name(Path(found).name), newline="", encoding="utf-8", errors="surrogateescape") as file:
            for row in csv.DictReader(file):
                true, predicted = int(row["true"]), int(row["predicted"])
                if min(true, predicted) < 0:
                    raise IndexError(f"class {min(true, predicted)}")
                counts[true, predicted] += int(row["count"])
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise ValueError(
            f"{path.with_name(Path(found).name)}, the confusion matrix of {path}, cannot be read ({error}): evaluate "
            "the run again with vidjax.evaluate."
        ) from None
    return counts


def shown(result: dict, decimals: int) -> dict[str, str]:
    """Returns the main metrics as text: errors in the unit of the series or in pixels, then shares in %.

    The convention comes last.
    """
    shares = ("top1", "top5", "top1_clip", "top5_clip", "mAP", "top1_within_pairs", "top1_reversed")
    shares += ("top1_verb", "top1_noun", "top1_action", "frames_used", "exact")
    shares += ("recall_at_1", "recall_at_5", "recall_at_10")
    shares += ("within_1px", "within_3px", "within_5px", "fl_all")
    texts = {name: f"{100 * result[name]:.{decimals}f} %" for name in shares if name in result}
    errors = {name: result[name] for name in ("rmse", "mae", *EPE) if result.get(name) is not None}
    errors |= {f"rmse of {name}": error for name, error in result.get("baselines", {}).items()}
    pooled = result.get("segments", {}).get("pooled", {})
    texts |= {
        name: f"{100 * pooled[name]:.{decimals}f} %" for name in ("edit", "f1_10", "f1_25", "f1_50") if name in pooled
    }
    if "activitynet" in (detection := result.get("detection", {})):
        found = {"mAP@.3:.7": detection["activitynet"]["mAP"], "hit@3": detection["video"]["hit_3"]}
        texts |= {name: f"{100 * value:.{decimals}f} %" for name, value in found.items()}
    if not texts and not errors and "loss" in result:  # nothing but a loss, such as that of reconstructions
        return {"loss": f"{result['loss']:.4f}"}
    texts = {name: f"{error:.2f}" for name, error in errors.items()} | texts
    return texts | ({"convention": result["convention"]} if "convention" in result else {})


def first_metric(result: dict) -> dict[str, str]:
    """Returns the first metric of `shown`: top1, or mAP if videos have several labels."""
    return dict(list(shown(result, decimals=2).items())[:1])
