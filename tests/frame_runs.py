"""Writes small finished runs that label frames, for the tests of the report."""

import json
from pathlib import Path

import numpy as np

from vidjax.evaluation import predictions, result_file, segments

LABELS = ["background", "run", "walk"]


def write_run(place: Path, videos: dict[str, tuple[str, str]]):
    """Writes result.json, config.json and segments.csv. A video is its true and its predicted label of each second,
    such as ("bwwr", "bwrr")."""
    place.mkdir(parents=True)
    steps = {path: [np.array(["brw".index(x) for x in side]) for side in sides] for path, sides in videos.items()}
    true, predicted = zip(*steps.values(), strict=True)
    counts = np.zeros((3, 3), int)
    np.add.at(counts, (np.concatenate(true), np.concatenate(predicted)), 1)
    result = {"top1": float(np.trace(counts) / counts.sum()), "num_videos": len(videos), "per_class": [None] * 3}
    result |= {"segments": segments.conventions(predicted, true, ["background"], LABELS), "confusion": counts}
    result_file.write(place / "result.json", result, LABELS)
    config = {"dataset": "data", "test_splits": ["test"], "clip": {}, "model": {"name": "x"}, "target": "frame"}
    (place / "config.json").write_text(json.dumps({"config": config, "labels": LABELS, "inputs": {}}))
    rows = [
        dict(zip(predictions.OF_SEGMENTS, (path, start, end, "s", LABELS[label], kind), strict=True))
        for path, sides in steps.items()
        for kind, side in zip(predictions.KINDS, sides, strict=True)
        for label, start, end in zip(*segments.find_segments(side), strict=True)
    ]
    predictions.write(place, rows)
