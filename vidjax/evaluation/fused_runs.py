"""Fuses several runs, such as two streams, on the same videos; each run sees its own clips."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vidjax import config as configs
from vidjax import eval_protocols
from vidjax.data import pipeline
from vidjax.evaluation import split_metrics
from vidjax.evaluation.outputs import Outputs
from vidjax.evaluation.run_outputs import make_evaluator, open_run, views_of
from vidjax.inference import ensemble, restore


class Fused(NamedTuple):
    """The fused scores of several runs for the N videos of a split.

    Attributes:
        scores: (N, K), higher is better; probabilities unless `fusion="svm"`.
        backwards: scores of the videos played backwards; None if the reversal of classes is unknown.
        target: (N,), or multi-hot (N, K).
        pairs: the reversal of each class; None if unknown.
        multi_label: whether classes are independent.
        charades: whether average precision is Charades', see `eval_protocols.Protocol`.
        labels: class names.
        results: metrics of each run alone.
        source: the videos, from the records of the first run.
    """

    scores: np.ndarray
    backwards: np.ndarray | None
    target: np.ndarray
    pairs: list[int] | None
    multi_label: bool
    charades: bool
    labels: list[str]
    results: list[dict]
    source: pipeline.Records


def fuse_runs(
    workdirs: Sequence[Path],
    *,
    splits: Sequence[str] | None = None,
    views: dict | None = None,
    fusion: str = "scores",
    weights: Sequence[float] | None = None,
) -> Fused:
    """Evaluates several runs on the same videos, each on its own clips, and fuses their scores.

    Args:
        splits: splits to evaluate; the test splits of the runs by default.
        views: see `views_of`.
        fusion, weights: see `ensemble.fuse`; "svm" is `ensemble.fit_svm` on the runs' training splits.

    Raises:
        ValueError: if the runs differ in labels, loss, protocol, splits or videos, or do not classify whole videos.
    """
    views = views or {}
    for workdir in workdirs:
        configs.check_dataset(workdir)
    runs = [restore.from_run(workdir) for workdir in workdirs]
    names = [run.name for run in runs]
    ensemble.check_same("labels", names, [run.labels for run in runs])
    if any(run.config.get("target", "clip") != "clip" for run in runs):
        raise ValueError("Runs with one label per frame (config.target = 'frame') or captions cannot be fused.")
    if any(run.config.loss.name == "squared_error" for run in runs):
        raise ValueError("Forecasts (loss squared_error) cannot be fused.")
    ensemble.check_same("loss", names, [run.config.loss.name for run in runs])
    multi_label = runs[0].multi_label
    protocols = [eval_protocols.of(run.config.get("eval", {})) for run in runs]
    ensemble.check_same("pooling of config.eval.protocol", names, [x.mean for x in protocols])
    ensemble.check_same("protocol: average precision of Charades", names, [x.charades for x in protocols])
    mean, charades = protocols[0].mean, protocols[0].charades

    ensemble.check_same("test splits", names, [list(splits or run.config.test_splits) for run in runs])
    splits = list(splits or runs[0].config.test_splits)
    sources, train_sources = open_same(runs, splits), []
    if fusion == "svm":
        if multi_label:
            raise ValueError("--fusion svm needs one label per video: use scores or logits for several labels.")
        if weights:
            raise ValueError("--fusion_weights applies to scores and logits: an SVM learns its own weights.")
        ensemble.check_same("training splits", names, [list(run.config.train_splits) for run in runs])
        trained_on = list(runs[0].config.train_splits)
        if common := set(trained_on) & set(splits):
            raise ValueError(f"--fusion svm trains on {', '.join(sorted(common))}: test it on other splits.")
        train_sources = open_same(runs, trained_on)

    evaluators = [make_evaluator(run) for run in runs]

    def outputs_on(sources: Sequence[pipeline.Records], backwards: bool) -> list[Outputs]:
        return [
            evaluator.outputs(run.params, run.model_state, source, **views_of(run, views), backwards=backwards)
            for evaluator, run, source in zip(evaluators, runs, sources, strict=True)
        ]

    outputs = outputs_on(sources, backwards=True)
    ensemble.check_same_targets(names, [o.target for o in outputs])
    if fusion == "svm":
        train_outputs = outputs_on(train_sources, backwards=False)
        ensemble.check_same_targets(names, [o.target for o in train_outputs])
        fuse = ensemble.fit_svm([o.logits for o in train_outputs], train_outputs[0].target)
    else:
        weights = weights or [1.0] * len(runs)
        kind = {"multi_label": multi_label, "mean": mean}
        fuse = functools.partial(ensemble.fuse, weights=weights, fusion=fusion, **kind)

    info, results = sources[0].info, []
    for run, source, of_run in zip(runs, sources, outputs, strict=True):
        metrics = split_metrics.metrics_of(of_run, run.config, source.info)
        metrics.pop("confusion", None)  # K x K counts; the fusion has its own
        metrics |= {"checkpoint": run.step, "splits": splits, **views_of(run, views)}
        metrics |= split_metrics.convention(of_run, run.config, metrics["num_crops"])
        results.append({"run": run.name, **metrics})
    backwards = None if outputs[0].backwards is None else fuse([o.backwards for o in outputs])
    scores = fuse([o.logits for o in outputs])
    pairs = None if multi_label else info.time_reversal
    kind = {"pairs": pairs, "multi_label": multi_label, "charades": charades}
    return Fused(
        scores, backwards, outputs[0].target, **kind, labels=runs[0].labels, results=results, source=sources[0]
    )


def open_same(runs: Sequence[restore.Trained], splits: Sequence[str]) -> list[pipeline.Records]:
    """Opens the splits of each run. Raises a ValueError if they do not hold the same videos in the same order.

    File names identify videos, so that records of frames, flow and features may be in different directories.
    """
    names = [run.name for run in runs]
    sources = [open_run(run, splits) for run in runs]
    ensemble.check_same("number of videos", names, [len(source) for source in sources])
    ensemble.check_same("time_reversal of dataset.json", names, [source.info.time_reversal for source in sources])
    for name, source in zip(names, sources, strict=True):
        if source.places == sources[0].places:
            continue
        for i in range(len(source)):
            ours, theirs = (Path(x[i].media_id).name for x in (sources[0], source))
            if ours and theirs and ours != theirs:
                raise ValueError(
                    f"Only runs on the same videos in the same order can be fused: video {i} is {ours} of {names[0]}, "
                    f"but {theirs} of {name}."
                )
    return sources
