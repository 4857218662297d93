"""One exact pass over a split: every video counts once, on any number of devices and processes.

python -m vidjax.evaluate --workdir W [--num_views 10 --num_crops 3]
python -m vidjax.evaluate --workdir W_RGB W_FLOW [--fusion logits --fusion_weights 1,1.5] [--out fused.json]

Several runs, the two streams of a two-stream network say, are evaluated on the same videos, each on the clips of its
own config, and fused: see `ensemble`. `--fusion svm` trains a linear SVM on their scores of the training videos.
"""

import argparse
import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from absl import logging as absl_logging

from vidjax import distributed, ensemble, figures, plots, predictions, sharding, trained
from vidjax.data import pipeline
from vidjax.outputs import Outputs, make_eval_fn, outputs_on

VIEWS = ("num_views", "num_crops")


def evaluate(
    params, model_state, eval_fn, mesh, source: pipeline.Records, config, *, num_views, num_crops
) -> tuple[dict, Outputs]:
    """`figures.figures_of` the records of `source`, and the outputs. Arguments as of `outputs.outputs_on`."""
    views = {"num_views": num_views, "num_crops": num_crops}
    outputs = outputs_on(source, params, model_state, eval_fn, mesh, config, **views)
    return figures.figures_of(outputs, config, source.info), outputs


def make_evaluator(run: trained.Trained, views: dict) -> Callable[..., Outputs]:
    """Returns `outputs_on` for a run, a function of records; it compiles once. `views` as of `views_of`."""
    variables = (run.params, run.model_state)
    eval_fn = make_eval_fn(run.model, run.preprocess, run.mesh, sharding.shardings_of(variables))
    return lambda source, **more: outputs_on(source, *variables, eval_fn, run.mesh, run.config, **views, **more)


def views_of(run: trained.Trained, asked: dict) -> dict:
    """`num_views` and `num_crops` as they are asked for, None for those of the run."""
    return {name: asked.get(name) or run.config.eval[name] for name in VIEWS}


def open_run(run: trained.Trained, splits: Sequence[str]) -> pipeline.Records:
    """The splits of the records that a run was trained on.

    Raises:
        ValueError: for an unknown split, or where there are other records by now.
    """
    source = pipeline.open_records(run.config.dataset, list(splits))
    names = ("prefix", "width", "layer", "source", "clip", "target", "scaler", "caption_length", "flow")
    there, trained_on = ([inputs.get(name) for name in names] for inputs in (source.info.inputs, run.inputs))
    if there != trained_on:
        raise ValueError(f"{run.name} was trained on records of {run.inputs}; these hold {source.info.inputs}.")
    return source


# ------------------------------------------------------------------------------------------------ several runs as one


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
        views: as of `views_of`.
        fusion, weights: as of `ensemble.fuse`; "svm" is `ensemble.fit_svm` on the runs' training splits.

    Raises:
        ValueError: where the runs have other labels, losses, splits or videos, or are none of whole videos.
    """
    views = views or {}
    runs = [trained.from_run(workdir) for workdir in workdirs]
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

    evaluators = [make_evaluator(run, views_of(run, views)) for run in runs]
    outputs = [evaluator(source) for evaluator, source in zip(evaluators, sources, strict=True)]
    ensemble.check_same_targets(names, [o.target for o in outputs])
    if fusion == "svm":
        seen = [evaluator(source, reverse=False) for evaluator, source in zip(evaluators, of_training, strict=True)]
        ensemble.check_same_targets(names, [o.target for o in seen])
        fuse = ensemble.fit_svm([o.logits for o in seen], seen[0].target)
    else:
        weights = weights or [1.0] * len(runs)
        fuse = functools.partial(ensemble.fuse, weights=weights, fusion=fusion, multi_label=multi_label)

    info, results = sources[0].info, []
    for run, source, of_run in zip(runs, sources, outputs, strict=True):
        of_run = figures.figures_of(of_run, run.config, source.info)
        of_run |= {"checkpoint": run.step, "splits": splits, **views_of(run, views)}
        results.append({"run": run.name, **of_run})
    backwards = None if outputs[0].backwards is None else fuse([o.backwards for o in outputs])
    scores = fuse([o.logits for o in outputs])
    pairs = None if multi_label else info.time_reversal
    return Fused(scores, backwards, outputs[0].target, pairs, multi_label, runs[0].labels, results, sources[0])


def open_same(runs: Sequence[trained.Trained], splits: Sequence[str]) -> list[pipeline.Records]:
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


# ------------------------------------------------------------------------------------------------------- the command


def main():
    parser = argparse.ArgumentParser(description="Evaluates a trained run exactly and writes result.json; fuses runs.")
    parser.add_argument("--workdir", type=Path, nargs="+", required=True, help="of the run, or of the runs to fuse")
    parser.add_argument("--step", type=int, help="of the checkpoint; the last one by default")
    parser.add_argument("--splits", nargs="+", help="the run's test splits by default")
    parser.add_argument(
        "--num_views", type=int, help="clips in time that are averaged; the run's eval.num_views by default"
    )
    parser.add_argument(
        "--num_crops", type=int, choices=(1, 3), help="crops in space; the run's eval.num_crops by default"
    )
    ensemble.add_arguments(parser, ensemble.FUSIONS)
    parser.add_argument("--out", type=Path, help="JSON file of the fused figures, beside predictions.csv (not of SVMs)")
    args = parser.parse_args()
    absl_logging.set_verbosity(absl_logging.ERROR)  # Orbax warns of what is meant: that it only reads
    views = {name: getattr(args, name) for name in VIEWS}
    with distributed.started("vidjax.evaluate"):
        is_main = jax.process_index() == 0
        check_arguments(args)
        if len(args.workdir) == 1:
            run = trained.from_run(args.workdir[0], args.step)
            splits, views = list(args.splits or run.config.test_splits), views_of(run, views)
            source = open_run(run, splits)
            outputs = make_evaluator(run, views)(source)
            result = figures.figures_of(outputs, run.config, source.info)
            result |= {"checkpoint": run.step, "splits": splits, **views}
            labels, title = run.labels, "{splits}, {num_views} x {num_crops} views, checkpoint of step {checkpoint}"
            if is_main:
                write_result(args.workdir[0], result, labels)
                if splits == list(run.config.test_splits):
                    predictions.write(args.workdir[0], predictions.predictions_of(outputs, source, run.config))
        else:
            weights, fusion = ensemble.weights_of(args, len(args.workdir)), args.fusion or "scores"
            fused = fuse_runs(args.workdir, splits=args.splits, views=views, fusion=fusion, weights=weights)
            kind = {"multi_label": fused.multi_label, "pairs": fused.pairs}
            result = figures.fused_figures(fused.scores, fused.backwards, fused.target, **kind)
            result |= {"splits": fused.results[0]["splits"], "fusion": fusion, "weights": weights}
            result["runs"], result["labels"], labels = fused.results, fused.labels, fused.labels
            title = "{splits}, {fusion} of the runs" + (" weighted {weights}" if weights else "")
            if args.out and is_main:
                args.out.write_text(json.dumps(result, indent=2) + "\n")
                if fusion != "svm" and not fused.multi_label:  # what a SVM says is no probability
                    predictions.write(args.out.parent, predictions.rows_of(fused.scores, fused.target, fused.source))

    if not is_main:
        return
    for of_run in result.get("runs", ()):
        print(f"{of_run['run']}: {'  '.join(f'{name} {text}' for name, text in first_figure(of_run).items())}")
    for name, text in shown(result, decimals=2).items():
        print(f"{name:18} {text:>8}")
    print(f"{result['num_videos']} videos of {title.format(**result)}")
    for label, value in zip(labels, result.get("per_class", ()), strict="per_class" in result):
        print(f"  {label:20} {'no video' if value is None else f'{100 * value:6.2f} %'}")


def shown(result: dict, decimals: int) -> dict[str, str]:
    """The figures that people ask for first, as text: shares in %, errors in the unit of the series."""
    shares = ("top1", "top5", "top1_clip", "top5_clip", "mAP", "top1_within_pairs", "top1_reversed")
    shares += ("frames_used", "exact")
    texts = {name: f"{100 * result[name]:.{decimals}f} %" for name in shares if name in result}
    errors = {name: result[name] for name in ("rmse", "mae") if name in result}
    errors |= {f"rmse of {name}": error for name, error in result.get("baselines", {}).items()}
    return texts | {name: f"{error:.2f}" for name, error in errors.items()}


def first_figure(result: dict) -> dict[str, str]:
    """The first of `shown`: top1, or mAP where videos have several labels."""
    return dict(list(shown(result, decimals=2).items())[:1])


def check_arguments(args: argparse.Namespace):
    """Raises a ValueError for arguments that do not go with one run, or with several."""
    if len(args.workdir) > 1 and args.step is not None:
        raise ValueError("--step is for one --workdir: of several, the last checkpoints are fused.")
    for name in ("fusion", "fusion_weights", "out"):
        if len(args.workdir) == 1 and getattr(args, name) is not None:
            raise ValueError(f"--{name} is for several runs: --workdir W1 W2 ...")


def write_result(workdir: Path, result: dict, labels: list[str]):
    """Merges figures into `result.json` and draws what there is: confusion.png, frames_used.png, forecast.png."""
    path = workdir / "result.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**before, **result}, indent=2) + "\n")
    if "confusion" in result:
        plots.confusion(np.asarray(result["confusion"]), labels, workdir / "confusion.png")
    if "frames_used_per_class" in result:
        share = np.asarray(result["frames_used_per_class"], float)  # None becomes not a number
        plots.frames_used(share, labels, workdir / "frames_used.png")
    if "forecast" in result:
        plots.forecast(np.asarray(result["truth"]), np.asarray(result["forecast"]), workdir / "forecast.png")


if __name__ == "__main__":
    main()
