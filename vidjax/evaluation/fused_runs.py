"""Several runs as one: the two streams of a two-stream network, say, on the same videos, each on its own clips."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vidjax import config as configs
from vidjax.data import pipeline
from vidjax.evaluation import split_metrics
from vidjax.evaluation.outputs import Outputs
from vidjax.evaluation.run_outputs import make_evaluator, open_run, views_of
from vidjax.inference import ensemble, restore


class Fused(NamedTuple):
    """What several runs together say of the N videos of a split.

    Attributes:
        scores: (N, K), the higher the better; probabilities but for `fusion="svm"`.
        backwards: the same of videos that are played backwards; None where that makes no known class.
        target: (N,), or multi-hot (N, K).
        pairs: the class that playing backwards makes of each; None where it is not known.
        multi_label: whether classes are independent of each other.
        labels: class names.
        results: the figures of each run alone.
        source: the videos, as the first run sees them.
    """

    scores: np.ndarray
    backwards: np.ndarray | None
    target: np.ndarray
    pairs: list[int] | None
    multi_label: bool
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
    """Evaluates several runs on the same videos, each on its own clips, and fuses what they say.

    Args:
        splits: the test splits of each run by default.
        views: see `views_of`.
        fusion, weights: see `ensemble.fuse`; "svm" is `ensemble.fit_svm` on the runs' training splits.

    Raises:
        ValueError: where the runs have other labels, losses, splits or videos, or are none of whole videos.
    """
    views = views or {}
    for workdir in workdirs:
        configs.check_dataset(workdir)
    runs = [restore.from_run(workdir) for workdir in workdirs]
    names = [run.name for run in runs]
    ensemble.check_same("labels", names, [run.labels for run in runs])
    if any(run.config.get("target", "clip") != "clip" for run in runs):
        raise ValueError("Runs with one label a frame (config.target = 'frame'), or captions, cannot be fused.")
    if any(run.config.loss.name == "squared_error" for run in runs):
        raise ValueError("Forecasts (loss squared_error) cannot be fused.")
    ensemble.check_same("loss", names, [run.config.loss.name for run in runs])
    multi_label = runs[0].multi_label

    ensemble.check_same("test splits", names, [list(splits or run.config.test_splits) for run in runs])
    splits = list(splits or runs[0].config.test_splits)
    sources, of_training = open_same(runs, splits), []
    if fusion == "svm":
        if multi_label:
            raise ValueError("--fusion svm is for one label a video; fuse scores or logits of runs with several.")
        if weights:
            raise ValueError("--fusion_weights is for scores and logits: a SVM finds its own.")
        ensemble.check_same("training splits", names, [list(run.config.train_splits) for run in runs])
        trained_on = list(runs[0].config.train_splits)
        if common := set(trained_on) & set(splits):
            raise ValueError(f"--fusion svm is trained on {', '.join(sorted(common))}: it cannot be tested there too.")
        of_training = open_same(runs, trained_on)

    evaluators = [make_evaluator(run) for run in runs]

    def outputs_on(sources: Sequence[pipeline.Records], backwards: bool) -> list[Outputs]:
        return [
            evaluator.outputs(run.params, run.model_state, source, **views_of(run, views), backwards=backwards)
            for evaluator, run, source in zip(evaluators, runs, sources, strict=True)
        ]

    outputs = outputs_on(sources, backwards=True)
    ensemble.check_same_targets(names, [o.target for o in outputs])
    if fusion == "svm":
        seen = outputs_on(of_training, backwards=False)
        ensemble.check_same_targets(names, [o.target for o in seen])
        fuse = ensemble.fit_svm([o.logits for o in seen], seen[0].target)
    else:
        weights = weights or [1.0] * len(runs)
        fuse = functools.partial(ensemble.fuse, weights=weights, fusion=fusion, multi_label=multi_label)

    info, results = sources[0].info, []
    for run, source, of_run in zip(runs, sources, outputs, strict=True):
        of_run = split_metrics.figures_of(of_run, run.config, source.info)
        of_run.pop("confusion", None)  # K x K numbers, which the fusion has of its own
        of_run |= {"checkpoint": run.step, "splits": splits, **views_of(run, views)}
        results.append({"run": run.name, **of_run})
    backwards = None if outputs[0].backwards is None else fuse([o.backwards for o in outputs])
    scores = fuse([o.logits for o in outputs])
    pairs = None if multi_label else info.time_reversal
    return Fused(scores, backwards, outputs[0].target, pairs, multi_label, runs[0].labels, results, sources[0])


def open_same(runs: Sequence[restore.Trained], splits: Sequence[str]) -> list[pipeline.Records]:
    """Opens the splits of each run; raises a ValueError where they are not of the same videos in the same order.

    Videos are known by the names of their files: records of frames, of flow and of features may lie anywhere.
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
