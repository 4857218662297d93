"""Evaluates a run on whole splits: every video counts once, on any number of devices and processes.

python -m vidjax.evaluate --workdir W [--num_views 10 --num_crops 3] [--protocol '10x3 views']
python -m vidjax.evaluate --workdir W --dataset OTHER [--splits test]
python -m vidjax.evaluate --workdir W_RGB W_FLOW [--fusion logits --fusion_weights 1,1.5] [--out fused.json]
python -m vidjax.evaluate --workdir W --choose_rule [--splits val]
python -m vidjax.evaluate --weights NAME --dataset DIR [--templates FILE]
python -m vidjax.evaluate --workdir W --one_shot 20x1 [--within superclass] [--across '_(\\d+)\\.']

The metrics go to W/result.json, or to the file of `--out`. Those of splits that are not the run's test splits go to
W/result_SPLIT.json. With `--dataset` a run is evaluated on other records, whose classes are matched by name, see
`other_records`; these metrics go to W/result_OTHER.json. Optical flow is evaluated on the whole frames of other
records, whatever their size.

Published weights are evaluated likewise, and their metrics go to result_NAME_DIR.json. Networks that compare videos
with texts, such as clip_vit_b32, take the class names of the records as texts ("zero-shot").

Several runs, such as two streams, are evaluated on the same videos, each with the clips of its own config, and fused:
see `ensemble`. `--fusion svm` trains a linear SVM on their scores for the training videos.

With `--one_shot` the embeddings of the videos are compared in episodes of classes that the run need not know, see
`one_shot_run`; the metrics go to W/one_shot.json.

For a run that labels frames, `--choose_rule` chooses the rule that gives segments by the mAP of the detections in the
validation splits, and writes it to W/segment_rule.json. From then on evaluate and detect use it.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import NamedTuple

import jax
from absl import logging as absl_logging

from vidjax import config as configs
from vidjax import config_checks, output_paths
from vidjax.data import clips, dataset_info, pipeline
from vidjax.eval_protocols import PROTOCOLS
from vidjax.evaluation import (
    one_shot_run,
    other_records,
    predictions,
    result_file,
    segment_rule,
    split_detections,
    split_metrics,
)
from vidjax.evaluation.fused_runs import fuse_runs
from vidjax.evaluation.outputs import Outputs
from vidjax.evaluation.run_outputs import VIEWS, config_of_weights, make_evaluator, open_run, views_of
from vidjax.inference import ensemble, restore, zero_shot
from vidjax.training import distributed


class Evaluated(NamedTuple):
    """Metrics, class names, a title, and the rows of predictions.csv."""

    result: dict
    labels: list[str]
    title: str
    rows: list[dict]


def evaluate_run(args: argparse.Namespace, views: dict) -> Evaluated:
    """Evaluates one run on its own records, or on those of `--dataset`."""
    run = open_weights(args) if args.weights else restore.from_run(args.workdir[0], args.step)
    if args.protocol is not None:
        run = dataclasses.replace(run, config=configs.with_protocol(run.config, args.protocol))
        config_checks.check_protocol(run.config)
    if args.dataset and run.config.get("target") == "flow":
        run = dataclasses.replace(run, config=configs.with_whole_frames(run.config))
    splits, views = list(args.splits or run.config.test_splits), views_of(run, views)
    more = {}
    if args.dataset:
        other = other_records.open_other(run, args.dataset, splits)
        source, more = other.source, {"dataset": str(args.dataset), "left_out": other.left_out, "absent": other.absent}
        if jax.process_index() == 0:
            print("".join(f"{note}\n" for note in other.notes), end="", flush=True)
    else:
        source = open_run(run, splits)
    result, outputs = make_evaluator(run)(run.params, run.model_state, source, **views)
    if "detection" in result and (rule := segment_rule.read(args.workdir[0])):
        result["detection"] = split_detections.detection_metrics(scored(run, outputs, source), rule, run.labels)
        if jax.process_index() == 0:
            print(f"Detections by {args.workdir[0] / segment_rule.FILE}: {segment_rule.described(rule)}", flush=True)
    result |= {"checkpoint": run.step, "splits": splits, **views, **more}
    protocol = run.config.eval.get("protocol", "")  # other views make another protocol
    result["protocol"] = protocol if views == views_of(run, {}) else ""
    note = run.name.partition(f", step {run.step}")[2]  # ", the best val_loss", if the run chose this checkpoint
    title = "{splits}, {num_views} x {num_crops} views, ".format(splits=splits, **views)
    title += run.name if args.weights else f"checkpoint of step {run.step}{note}"
    return Evaluated(result, run.labels, title, predictions.predictions_of(outputs, source, run.config))


def open_weights(args: argparse.Namespace) -> restore.Trained:
    """Loads published weights as a run; networks that compare videos with texts get the classes of the records."""
    run = restore.from_weights(args.weights)
    if not run.labels:
        labels = dataset_info.read(args.dataset).labels
        templates = zero_shot.read_templates(args.templates) if args.templates else (zero_shot.TEMPLATE,)
        run = zero_shot.with_classes(run, labels, templates, args.tokenizer)
    elif args.templates or args.tokenizer:
        raise ValueError(f"--templates and --tokenizer do not go with {run.name}, which has classes of its own.")
    return dataclasses.replace(run, config=config_of_weights(run, args.dataset))


def scored(run: restore.Trained, outputs: Outputs, source: pipeline.Records) -> list[split_detections.Scored]:
    """Returns the probabilities of the frames of a split, with their rate."""
    fps = split_detections.steps_per_second(source, run.config.clip.get("frame_stride", 1))
    return split_metrics.scored(outputs, multi_label=run.multi_label, fps=fps)


def choose_rule(args: argparse.Namespace, views: dict):
    """Chooses the rule that gives segments, writes segment_rule.json, and prints the mAP of each rule."""
    workdir = args.workdir[0]
    config, _, _ = configs.read(workdir)
    splits = split_detections.splits_to_choose_on(workdir, config, args.splits)
    output_paths.check_writable(workdir, "--workdir")
    run = restore.from_run(workdir, args.step)
    source = open_run(run, splits)
    outputs = make_evaluator(run).outputs(run.params, run.model_state, source, **views_of(run, views))
    videos = scored(run, outputs, source)
    rule, tried = split_detections.choose(videos, run.labels)
    if jax.process_index() == 0:
        if not all(video.fps for video in videos):
            print("note: rules in seconds are left out; these records do not hold the times of their features.")
        best = max(value for _, value in tried)
        segment_rule.write(workdir, rule, splits=splits, checkpoint=run.step, mAP=best)
        for other, value in tried:
            print(f"{100 * value:6.2f} %  {segment_rule.described(other)}")
        print(f"{segment_rule.described(rule)} has the highest mAP on {splits}; wrote {workdir / segment_rule.FILE}")


def evaluate_runs(args: argparse.Namespace, views: dict) -> Evaluated:
    """Evaluates and fuses several runs."""
    weights, fusion = ensemble.weights_of(args, len(args.workdir)), args.fusion or "scores"
    fused = fuse_runs(args.workdir, splits=args.splits, views=views, fusion=fusion, weights=weights)
    kind = {"multi_label": fused.multi_label, "charades": fused.charades, "pairs": fused.pairs}
    result = split_metrics.fused_metrics(fused.scores, fused.backwards, fused.target, **kind)
    result |= {"splits": fused.results[0]["splits"], "fusion": fusion, "weights": weights}
    result |= {"runs": fused.results, "labels": fused.labels}
    title = f"{result['splits']}, {fusion} of the runs" + (f" weighted {weights}" if weights else "")
    is_probability = fusion != "svm" and not fused.multi_label
    rows = predictions.rows_of(fused.scores, fused.target, fused.source) if is_probability else []
    return Evaluated(result, fused.labels, title, rows)


def evaluate_one_shot(args: argparse.Namespace, views: dict):
    """Evaluates the embeddings of one run by episodes, see `one_shot_run`; prints the metrics."""
    out = args.out or args.workdir[0] / "one_shot.json"
    output_paths.check_out(out)
    settings = {"step": args.step, "dataset": args.dataset, "splits": args.splits, "number": args.episodes or 1000}
    settings |= {"within": args.within, "across": args.across, "orders": args.orders}
    result = one_shot_run.run_one_shot(args.workdir[0], args.one_shot, out=out, **settings, **views)
    if jax.process_index() == 0:
        for name, text in one_shot_run.shown(result).items():
            print(f"{name:24} {text}")
        print(f"Wrote {out} and its picture")


def main():
    parser = argparse.ArgumentParser(
        prog="vidjax evaluate", description="Evaluates a trained run and writes result.json; fuses several runs."
    )
    add = parser.add_argument
    network = parser.add_mutually_exclusive_group(required=True)
    network.add_argument("--workdir", type=Path, nargs="+", help="directory of the run, or of the runs to fuse")
    network.add_argument("--weights", metavar="NAME|FILE", help="published weights or a weights file; needs --dataset")
    add("--templates", type=Path, metavar="FILE", help="texts around a class, one per line with {} in its place, for "
        f"--weights that compare videos with texts (default: {zero_shot.TEMPLATE!r})")  # fmt: skip
    add("--tokenizer", type=Path, metavar="FILE", help="tokenizer.json or sentencepiece.model (default: published)")
    add("--step", type=int, help="step of the checkpoint (default: the last, or the best with keep_best)")
    add("--dataset", type=Path, help="evaluate on other records; classes are matched by name")
    add("--splits", nargs="+", help="splits to evaluate (default: the run's test splits)")
    add("--num_views", type=int, help="clips in time to average (default: the run's eval.num_views)")
    add("--num_crops", type=int, choices=clips.NUM_CROPS, help="crops in space (default: the run's eval.num_crops)")
    add("--protocol", help=f"views and pooling by name (default: the run's eval.protocol): {', '.join(PROTOCOLS)}")
    ensemble.add_arguments(parser, ensemble.FUSIONS)
    add("--one_shot", metavar="WAYSxSHOTS", help="few-shot evaluation of the embeddings, such as 20x1; any --dataset")
    add("--episodes", type=int, help="episodes of --one_shot (default: 1000)")
    add("--lake_runs", type=Path, metavar="DIR", help="error of the embeddings on Omniglot's 20 one-shot runs (Lake)")
    groups = "split|superclass|REGEX"
    add("--within", metavar=groups, help="the classes of an episode come from one group, such as an alphabet")
    add("--across", metavar=groups, help="a query is from another group than its supports, such as a drawer")
    add("--orders", action="store_true", help="with --one_shot: also shuffle the frames, and play queries backwards")
    add("--choose_rule", action="store_true", help="choose the rule from scores to segments on validation splits")
    add("--out", type=Path, help="JSON file for the metrics; predictions and the confusion matrix go next to it")
    args = parser.parse_args()
    args.workdir = args.workdir or []
    absl_logging.set_verbosity(absl_logging.ERROR)  # Orbax warns about read-only use, which is intended
    views = {name: getattr(args, name) for name in VIEWS}
    with distributed.started("vidjax.evaluate"):
        is_main, is_single = jax.process_index() == 0, len(args.workdir) <= 1
        check_arguments(args)
        if args.choose_rule:
            return choose_rule(args, views)
        if args.one_shot:
            return evaluate_one_shot(args, views)
        if args.lake_runs:
            found = one_shot_run.run_lake(args.workdir[0], args.lake_runs, args.step)["within_alphabet_runs"]
            low, high = found["interval"]
            return print(f"error {100 * found['error']:.2f} % [{100 * low:.2f}, {100 * high:.2f}] over 20 runs")
        out = place_of(args)
        evaluated = evaluate_run(args, views) if is_single else evaluate_runs(args, views)
        if is_main and out:
            in_run = bool(args.workdir) and out == args.workdir[0] / "result.json"
            result_file.write(out, evaluated.result, evaluated.labels, merge=in_run)
            name = result_file.beside(out, "predictions.csv").name if is_single else "predictions.csv"
            predictions.write(out.parent, evaluated.rows, name)
    if is_main:
        show(evaluated)


def check_arguments(args: argparse.Namespace):
    """Raises a ValueError if the arguments do not fit one run or several, or a directory is not a run."""
    if len(args.workdir) > 1 and args.step is not None:
        raise ValueError("--step is for one --workdir: fusion uses the last checkpoints.")
    if len(args.workdir) > 1 and args.dataset is not None:
        raise ValueError("--dataset is for one --workdir: fusion evaluates each run on its own records.")
    for name in ("fusion", "fusion_weights"):
        if len(args.workdir) < 2 and getattr(args, name) is not None:
            raise ValueError(f"--{name} needs several runs: --workdir W1 W2 ...")
    if args.weights and (not args.dataset or args.step is not None):
        raise ValueError("--weights needs --dataset DIR, the records to evaluate on, and has no --step.")
    if args.weights and (args.choose_rule or args.one_shot or args.lake_runs):
        raise ValueError("--choose_rule, --one_shot and --lake_runs need a --workdir, not --weights.")
    if not args.weights and (args.templates or args.tokenizer):
        raise ValueError("--templates and --tokenizer need --weights of a network that compares videos with texts.")
    if args.choose_rule and (len(args.workdir) > 1 or args.dataset or args.out):
        raise ValueError("--choose_rule is for one --workdir and its own records, without --dataset and --out.")
    if bool(args.choose_rule) + bool(args.one_shot) + bool(args.lake_runs) > 1:
        raise ValueError("--choose_rule, --one_shot and --lake_runs exclude each other: give one at a time.")
    for name in ("dataset", "splits", "num_views", "num_crops", "out"):
        if args.lake_runs and getattr(args, name) is not None:
            raise ValueError(f"--{name} does not go with --lake_runs, which compares single images and only prints.")
    if (args.one_shot or args.lake_runs) and len(args.workdir) > 1:
        raise ValueError("--one_shot and --lake_runs are for one --workdir.")
    for name in ("episodes", "within", "across", "orders"):
        if not args.one_shot and getattr(args, name):
            raise ValueError(f"--{name} needs --one_shot WAYSxSHOTS.")
    if args.num_views is not None and args.num_views < 1:
        raise ValueError(f"--num_views {args.num_views} must be 1 or more.")
    if args.protocol is not None and (len(args.workdir) > 1 or args.num_views or args.num_crops):
        raise ValueError("--protocol is for one run, and sets the views: remove --num_views and --num_crops.")
    if args.protocol is not None and (args.choose_rule or args.one_shot or args.lake_runs):
        raise ValueError("--protocol is for the classes of videos: remove --choose_rule, --one_shot and --lake_runs.")
    for workdir in args.workdir:
        configs.read(workdir)
        if not args.dataset:
            configs.check_dataset(workdir)


def place_of(args: argparse.Namespace) -> Path | None:
    """Returns the JSON file for the metrics; None if several runs are fused without `--out`.

    Raises:
        ValueError: if it cannot be written.
    """
    if args.out:
        output_paths.check_out(args.out)
        return args.out
    if len(args.workdir) > 1:
        return None
    if args.weights:
        out = Path(f"result_{Path(args.weights).stem}_{args.dataset.resolve().name}.json")
        output_paths.check_out(out)
        return out
    test_splits = list(configs.read(args.workdir[0])[0].test_splits)
    others = [args.dataset.resolve().name] if args.dataset else args.splits if args.splits != test_splits else None
    out = args.workdir[0] / f"{'_'.join(['result', *(others or ())])}.json"
    remedy = "name another file for the metrics, --out FILE"
    output_paths.check_writable(args.workdir[0], "--workdir", remedy)
    names = ("confusion.csv", "confusion.png", "predictions.csv", "segments.csv")
    output_paths.check_replaceable([out, *(result_file.beside(out, name) for name in names)], remedy)
    if out.exists():
        configs.read_json(out)
    return out


def show(evaluated: Evaluated):
    """Prints the metrics."""
    result = evaluated.result
    for of_run in result.get("runs", ()):
        metric = "  ".join(f"{name} {text}" for name, text in result_file.first_metric(of_run).items())
        print(f"{of_run['run']}: {metric}" + (f"  {of_run['convention']}" if "convention" in of_run else ""))
    for name, text in result_file.shown(result, decimals=2).items():
        print(f"{name:18} {text:>8}")
    print(f"{result['num_videos']} videos of {evaluated.title}")
    for label, value in zip(evaluated.labels, result.get("per_class", ()), strict="per_class" in result):
        print(f"  {label:20} {'no video' if value is None else f'{100 * value:6.2f} %'}")


if __name__ == "__main__":
    main()
