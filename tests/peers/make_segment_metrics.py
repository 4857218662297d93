"""Writes segment_metrics.json: what the official scripts of three benchmarks compute for 1,000 random cases each.

    python tests/peers/make_segment_metrics.py MS_TCN ACTIVITYNET TCN         needs pandas

The arguments are checkouts of github.com/yabufarha/ms-tcn, github.com/activitynet/ActivityNet and
github.com/colincsl/TemporalConvolutionalNetworks; the last has THUMOS14's evaluation in Python, without ambiguous
segments. Made at their commits 33ed91c, 82304fa and cccdf86 with NumPy 2.4.6 and pandas 3.1.1.

A case is drawn from its number. The draws of RandomState do not change between versions of NumPy.
"""

import json
import re
import sys
import types
from pathlib import Path

import numpy as np

NUM_CASES = 1000
SCALE = 10**5  # metrics are stored as integers in units of 1 / SCALE
BACKGROUND = 0


def label_case(case: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Predicted and true labels, 0 to 3, of one to three videos of 1 to 24 frames; no truth is all background."""
    rng = np.random.RandomState(case)

    def runs(length):
        return np.repeat(rng.randint(4, size=length), rng.randint(1, 7, size=length))[:length]

    predicted, true = [], []
    for _ in range(rng.randint(1, 4)):
        y = runs(rng.randint(1, 25))
        if not y.any():
            y[rng.randint(len(y))] = 1
        kind = rng.randint(10)
        if kind == 0:  # nothing is predicted
            p = np.full(len(y), BACKGROUND)
        elif kind < 4:
            p = runs(len(y))
        else:  # moved, with wrong frames
            p = np.where(rng.random_sample(len(y)) < 0.1, rng.randint(4, size=len(y)), np.roll(y, rng.randint(-1, 2)))
        predicted.append(p)
        true.append(y)
    return predicted, true


def detection_case(case: int) -> tuple[list[tuple], list[tuple]]:
    """Detections (video, start, end, label, score) and true segments (video, start, end, label) of three videos.

    Times and scores are coarse, so that IoUs and scores are often equal. Some classes or all lack detections.
    """
    rng = np.random.RandomState(case)
    detections, truth = [], []
    for video in ("a", "b", "c"):
        real = []
        for _ in range(rng.randint(5)):
            start = rng.randint(8)
            real.append((video, float(start), float(start + rng.randint(1, 6)), rng.randint(3)))
        for _ in range(rng.randint(8) if case % 20 else 0):
            start = rng.randint(16) / 2
            found = video, start, start + rng.randint(1, 11) / 2, rng.randint(3)
            if real and rng.randint(3):  # near a true segment
                _, start, end, label = real[rng.randint(len(real))]
                found = video, start - rng.randint(2) / 2, end + rng.randint(-1, 2) / 4, label
            detections.append((*found, rng.randint(6) / 4))
        truth += real
    return detections, truth or [("b", 1.0, 3.0, 0)]


def video_case(case: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores (5, 4), -inf where a class is not predicted, and multi-hot targets (5, 4), of which some are empty."""
    rng = np.random.RandomState(case)
    scores = np.where(rng.random_sample((5, 4)) < 0.7, rng.randint(6, size=(5, 4)) / 4, -np.inf)
    target = (rng.random_sample((5, 4)) < 0.3).astype(int)
    target[rng.randint(5), rng.randint(4)] = 1
    return scores, target


def load(path: Path, start: str, end: str = r"\Z", **names) -> types.SimpleNamespace:
    """Runs the part of a script between two patterns: the rest is in Python 2.

    Sorting is made stable: NumPy's default orders equal numbers differently on different processors.
    """
    source = re.search(f"{start}.*?(?={end})", path.read_text(), re.DOTALL).group()
    names = {"np": np, **names}
    exec(source.replace("argsort()", 'argsort(kind="stable")'), names)
    return types.SimpleNamespace(**names)


def segment_results(script, predicted, true, background: list) -> list[float]:
    """Accuracy, edit score, F1@10, F1@25, F1@50 as the script's main function combines them, in [0, 1]."""
    accuracy = np.mean(np.concatenate(predicted) == np.concatenate(true))
    pairs = [(p.tolist(), t.tolist()) for p, t in zip(predicted, true, strict=True)]
    edit = np.mean([script.edit_score(p, t, bg_class=background) for p, t in pairs]) / 100
    results = [accuracy, edit]
    for overlap in (0.1, 0.25, 0.5):
        tp, fp, fn = np.sum([script.f_score(p, t, overlap, background) for p, t in pairs], axis=0)
        with np.errstate(invalid="ignore"):
            precision, recall = tp / (tp + fp), tp / (tp + fn)
            results.append(np.nan_to_num(2 * precision * recall / (precision + recall)))
    return results


def activitynet_results(script, pd, detections, truth) -> list[float]:
    """The mean over IoUs 0.5, 0.55, ..., 0.95 and the values at 0.5, 0.75 and 0.95 of the mean average precision."""
    columns = ["video-id", "t-start", "t-end", "label"]
    found, real = pd.DataFrame(detections, columns=[*columns, "score"]), pd.DataFrame(truth, columns=columns)
    per_class = []
    for label in sorted(set(real["label"])):
        of_class = [frame[frame["label"] == label].reset_index(drop=True) for frame in (real, found)]
        per_class.append(script.compute_average_precision_detection(*of_class))
    by_threshold = np.mean(per_class, axis=0)
    return [by_threshold.mean(), *by_threshold[[0, 5, 9]]]


def thumos_results(script, detections, truth) -> list[float]:
    """The mean average precision at IoUs of 0.3, 0.5 and 0.7."""
    video, start, end, label = (np.array(x) for x in zip(*truth, strict=True))
    found = [np.array(x) for x in zip(*detections, strict=True)] or [np.zeros(0)] * 5
    intervals = np.stack([start, end], 1), np.stack(found[1:3], 1)
    arguments = video, found[0], label, found[3], *intervals, found[4]
    return [script.IoU_mAP(*arguments, threshold=threshold)[2] for threshold in (0.3, 0.5, 0.7)]


def video_results(script, pd, scores, target) -> list[float]:
    """Mean average precision, hit@3 and average hit@3."""
    rows = [(v, k, scores[v, k]) for v, k in np.argwhere(scores > -np.inf)]
    found = pd.DataFrame(rows, columns=["video-id", "label", "score"])
    real = pd.DataFrame(np.argwhere(target), columns=["video-id", "label"])
    per_class = []
    for label in sorted(set(real["label"])):
        of_class = [frame[frame["label"] == label].reset_index(drop=True) for frame in (real, found)]
        per_class.append(script.compute_average_precision_classification(*of_class))
    hits = [script.compute_video_hit_at_k(real, found, top_k=3, avg=average) for average in (False, True)]
    return [np.mean(per_class), *hits]


def main(ms_tcn: str, activitynet: str, tcn: str):
    import pandas as pd

    np.float = float  # which NumPy has dropped
    evaluation = Path(activitynet) / "Evaluation"
    segments = load(Path(ms_tcn) / "eval.py", "def get_labels_start_end_time", "def main")
    utils = vars(load(evaluation / "utils.py", "def interpolated_prec_rec", "def wrapper_segment_iou"))
    detection = load(evaluation / "eval_detection.py", "def compute_average_precision_detection", **utils, pd=pd)
    video = load(evaluation / "eval_classification.py", "def compute_average_precision_classification", **utils)
    thumos = load(Path(tcn) / "code/metrics.py", r"def argsort\(")

    golden = {"labels": [], "labels_without_background": [], "activitynet": [], "thumos14": [], "videos": []}
    for case in range(NUM_CASES):
        golden["labels"].append(segment_results(segments, *label_case(case), []))
        golden["labels_without_background"].append(segment_results(segments, *label_case(case), [BACKGROUND]))
        golden["activitynet"].append(activitynet_results(detection, pd, *detection_case(case)))
        golden["thumos14"].append(thumos_results(thumos, *detection_case(case)))
        golden["videos"].append(video_results(video, pd, *video_case(case)))
    golden = {key: np.rint(SCALE * np.array(values)).astype(int).tolist() for key, values in golden.items()}
    path = Path(__file__).with_name("segment_metrics.json")
    path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    print(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
