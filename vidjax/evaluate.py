"""One exact pass over a split: every video counts once, on any number of devices and processes.

python -m vidjax.evaluate --workdir W [--num_views 10 --num_crops 3]
python -m vidjax.evaluate --workdir W1 W2 ... [--fusion logits --fusion_weights 1,1.5 --out fused.json]

Several runs are evaluated on the same videos, each on the clips of its own config, and fused: see `ensemble`.
"""

import argparse
import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging as absl_logging
from tqdm import tqdm

from vidjax import config as configs
from vidjax import ensemble, losses, metrics, plots, sharding, step, trained
from vidjax.data import clips, pipeline, records, series


class Outputs(NamedTuple):
    """What a model says of the N videos of a split.

    Attributes:
        logits: float32 (N, V, K), of V clips a video; with one label a frame (N, V, T, K), so too of the words of a
            caption.
        target: (N, ...); with one label a frame (N, V, T).
        backwards: as `logits`, of the clips played backwards; None where that makes no known class.
        weight: with one label a frame (N, V, T), 0 where a video is too short; else None.
        updates: of a network that skips frames (N, V, T): 1 where a frame was used, 0 where it was skipped, not a
            number where features are too short for a clip; else None.
    """

    logits: np.ndarray
    target: np.ndarray
    backwards: np.ndarray | None = None
    weight: np.ndarray | None = None
    updates: np.ndarray | None = None


def make_eval_fn(model, spec, mesh, shardings) -> Callable:
    """Returns the compiled (params, model_state, carry, batch) -> (logits, target, weight, updates, carry).

    All but the carry are whole on every process; that is what `step.carried_step` says. `updates` (B, T) is as of
    `Outputs`.
    """

    def evaluate_batch(params, model_state, carry, batch):
        logits, ends, carry = step.carried_step(params, model_state, carry, batch, model=model, spec=spec)
        updates = ends.get("updates")
        if updates is not None and "frame_mask" in batch:
            updates = jnp.where(batch["frame_mask"] > 0, updates, jnp.nan)
        return logits, batch["target"], batch["weight"], updates, carry

    by_row, whole = sharding.batch_sharding(mesh), sharding.replicated(mesh)
    return jax.jit(
        evaluate_batch, in_shardings=(*shardings, by_row, by_row), out_shardings=(whole, whole, whole, whole, by_row)
    )


def clip_logits(
    eval_fn: Callable,
    params,
    model_state,
    batches: Iterator[pipeline.Batch],
    mesh,
    *,
    reverse: bool = False,
    per_frame: bool = False,
    is_chunked: bool = False,
) -> Outputs:
    """Runs a model over all clips of a split.

    Args:
        eval_fn: from `make_eval_fn`.
        batches: from `pipeline.eval_batches`; `video` is (B, V, T, H, W, C), or `features` (B, V, T, D).
        reverse: plays every clip backwards.
        per_frame: target and weight are (B, V, T) and also of one view.
        is_chunked: a stateful model hands its carry from one view of a video to the next; with one label a video,
            only the last view counts then, which has seen the whole video.

    Returns:
        The outputs, padding removed, in the order of the records, on every process; `backwards` is None.
    """
    all_logits, all_targets, all_weights, all_updates = [], [], [], []
    for batch in batches:
        labels = () if per_frame else ("target", "weight")
        inputs = {name: array for name, array in batch.items() if name not in labels}
        view_logits, view_targets, view_weights, view_updates, carry = [], [], [], [], {}
        for view in range(next(iter(inputs.values())).shape[1]):  # one view at a time bounds the memory
            of_view = {name: array[:, view] for name, array in inputs.items()}  # (B, T, ...)
            if reverse:
                of_view = {name: array[:, ::-1] for name, array in of_view.items()}
                if "flow" in of_view:  # what went there comes back
                    of_view["flow"] = clips.negate_flow(of_view["flow"])
            device_batch = sharding.put_batch({**batch, **of_view}, mesh)
            logits, target, weight, updates, after = eval_fn(params, model_state, carry, device_batch)
            carry = after if is_chunked else {}
            view_logits.append(logits)
            view_targets.append(target)
            view_weights.append(weight)
            view_updates.append(updates)
        if carry and not per_frame:
            view_logits = view_logits[-1:]
        weight = np.stack(view_weights, axis=1)  # (B, V), or (B, V, T)
        counted = weight.reshape(len(weight), -1).any(axis=1)
        all_logits.append(np.stack(view_logits, axis=1)[counted])  # (B, V, K), or (B, V, T, K)
        all_targets.append((np.stack(view_targets, axis=1) if per_frame else np.asarray(target))[counted])
        all_weights.append(weight[counted])
        if updates is not None:
            all_updates.append(np.stack(view_updates, axis=1)[counted])
    weights = np.concatenate(all_weights) if per_frame else None
    updates = np.concatenate(all_updates) if all_updates else None
    return Outputs(np.concatenate(all_logits), np.concatenate(all_targets), weight=weights, updates=updates)


def measure(logits: np.ndarray, target: np.ndarray, loss_fn: Callable, *, multi_label: bool, pairs=None) -> dict:
    """The figures of a split from its logits (N, V, K): the mean loss a clip, and those of `metrics`."""
    clip_target = np.broadcast_to(target[:, None], (*logits.shape[:2], *target.shape[1:]))
    loss = float(np.mean(loss_fn(logits, clip_target)))
    if multi_label:
        return {"loss": loss, **metrics.multi_label(np.asarray(jax.nn.sigmoid(logits)), target)}
    return {"loss": loss, **metrics.single_label(np.asarray(jax.nn.softmax(logits)), target, pairs)}


def evaluate(params, model_state, eval_fn, mesh, source: pipeline.Records, config, *, num_views, num_crops) -> dict:
    """Evaluates on the records of `source`; see `figures_of`. Arguments as of `outputs_on`."""
    views = {"num_views": num_views, "num_crops": num_crops}
    outputs = outputs_on(source, params, model_state, eval_fn, mesh, config, **views)
    return figures_of(outputs, config, source.info)


def outputs_on(
    source: pipeline.Records, params, model_state, eval_fn: Callable, mesh, config, *, num_views: int, num_crops: int
) -> Outputs:
    """Runs a model over the records of `source`, backwards too where the dataset says which classes that makes."""
    multi_label, per_frame = config.loss.name == "sigmoid", config.get("target") in ("frame", "words")
    clip_arguments = {**configs.clip_of(config), "num_views": num_views, "num_crops": num_crops}
    clip_arguments |= {"multi_label": multi_label, "per_frame": config.get("target") == "frame"}
    is_chunked, _ = pipeline.chunking(clip_arguments)

    def logits_of(reverse: bool):
        batches = pipeline.eval_batches(
            source,
            clip_arguments,
            batch_size=config.eval.batch_size,
            process=(jax.process_index(), jax.process_count()),
            num_threads=config.num_threads,
        )
        num_batches = -(-len(source) // config.eval.batch_size)
        bar = tqdm(batches, "evaluate", num_batches, leave=False, disable=jax.process_index() > 0 or None)
        kinds = {"per_frame": per_frame, "is_chunked": is_chunked}
        return clip_logits(eval_fn, params, model_state, bar, mesh, reverse=reverse, **kinds)

    outputs = logits_of(reverse=False)
    if multi_label or per_frame or is_chunked or source.info.time_reversal is None:
        return outputs
    return outputs._replace(backwards=logits_of(reverse=True).logits)


def figures_of(outputs: Outputs, config, info: records.DatasetInfo) -> dict:
    """The loss and the figures of `metrics`.

    Where the dataset says what reversing time does to a label, `top1_reversed` counts a video as right where the model
    names the partner's class when the clips are played backwards. Of a network that skips frames there are also the
    figures of `metrics.frames_used`.
    """
    if config.loss.name == "squared_error":
        figures = forecast_figures(outputs, info.inputs)
    elif outputs.weight is not None:
        figures = step_figures(outputs, config, info.time_reversal)
    else:
        figures = video_figures(outputs, config, info.time_reversal)
    if outputs.updates is not None:
        target = outputs.target if outputs.target.ndim == 1 else None
        figures |= metrics.frames_used(outputs.updates, target, len(info.labels))
    return figures


def forecast_figures(outputs: Outputs, inputs: dict) -> dict:
    """The figures of forecasts, in the unit of the series; `inputs` as of its records."""
    forecast, scaler = outputs.logits[:, 0], series.Scaler(**inputs["scaler"])
    figures = metrics.forecast(scaler.invert(forecast), scaler.invert(outputs.target))
    loss = float(np.mean(losses.squared_error(forecast, outputs.target)))
    return {"loss": loss, **figures, "baselines": inputs["baselines"]}


def step_figures(outputs: Outputs, config, pairs: list[int] | None) -> dict:
    """The figures over the frames, or the words of captions, that count."""
    counted = outputs.weight > 0
    logits, target = outputs.logits[counted], outputs.target[counted]  # (frames, K), (frames,)
    if config.target == "words":
        figures = metrics.words(outputs.logits, outputs.target, outputs.weight)
    else:
        figures = metrics.per_frame(np.asarray(jax.nn.softmax(logits)), target, pairs)
    loss = float(np.mean(losses.LOSSES[config.loss.name](logits, target)))
    return {"loss": loss, **figures, "num_videos": len(outputs.logits)}


def video_figures(outputs: Outputs, config, pairs: list[int] | None) -> dict:
    """The figures over videos, those of clips that are played backwards among them."""
    multi_label, loss_fn = config.loss.name == "sigmoid", losses.LOSSES[config.loss.name]
    pairs = None if multi_label else pairs
    figures = measure(outputs.logits, outputs.target, loss_fn, multi_label=multi_label, pairs=pairs)
    if outputs.backwards is not None:
        scores = np.asarray(jax.nn.softmax(outputs.backwards)).mean(axis=1)
        figures["top1_reversed"] = top1_reversed(scores, outputs.target, pairs)
    return figures


def top1_reversed(scores: np.ndarray, target: np.ndarray, pairs: list[int]) -> float:
    """How often videos played backwards are taken for their partner's class: from scores (N, K) and targets (N,)."""
    return float(metrics.hit_at_k(scores, np.asarray(pairs)[target], 1).mean())


def fused_figures(
    outputs: list[Outputs], weights: list[float], fusion: str, *, multi_label: bool, pairs: list[int] | None
) -> dict:
    """The figures of several models fused, see `ensemble.fuse`; of whole videos only, and without a loss."""
    fuse = functools.partial(ensemble.fuse, weights=weights, fusion=fusion, multi_label=multi_label)
    scores, target = fuse([o.logits for o in outputs]), outputs[0].target
    if multi_label:
        return metrics.multi_label(scores[:, None], target)
    result = metrics.single_label(scores[:, None], target, pairs)
    result = {name: value for name, value in result.items() if not name.endswith("_clip")}
    if pairs is not None:
        result["top1_reversed"] = top1_reversed(fuse([o.backwards for o in outputs]), target, pairs)
    return result


def check_inputs(inputs: dict, run: trained.Trained):
    """Raises a ValueError where records hold other features, series or captions than a run was trained on."""
    names = ("prefix", "width", "layer", "source", "clip", "target", "scaler", "caption_length", "flow")
    if [inputs.get(name) for name in names] != [run.inputs.get(name) for name in names]:
        raise ValueError(f"{run.name} was trained on records of {run.inputs}; these hold {inputs}.")


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
    parser.add_argument("--fusion", choices=ensemble.FUSIONS, help="what of several runs is averaged; else scores")
    parser.add_argument("--fusion_weights", help="of the runs, in order, as in 1,1.5; equal by default")
    parser.add_argument("--out", type=Path, help="JSON file to write the fused figures to; by default they are printed")
    args = parser.parse_args()
    absl_logging.set_verbosity(absl_logging.ERROR)  # Orbax warns of what is meant: that it only reads

    # ---------------------------------------------------------------------------------------------- runs and records
    try:
        check_arguments(args)
        weights = ensemble.parse_weights(args.fusion_weights, len(args.workdir))
        runs = [trained.from_run(workdir, args.step) for workdir in args.workdir]
        splits = [args.splits or list(run.config.test_splits) for run in runs]
        sources = [pipeline.open_records(run.config.dataset, s) for run, s in zip(runs, splits, strict=True)]
        for run, source in zip(runs, sources, strict=True):
            check_inputs(source.info.inputs, run)
        names = [run.name for run in runs]
        ensemble.check_same("labels", names, [run.labels for run in runs])
        ensemble.check_same("number of videos", names, [len(source) for source in sources])
        if len(runs) > 1 and any(run.config.get("target", "clip") != "clip" for run in runs):
            raise ValueError("Runs with one label a frame (config.target = 'frame'), or captions, cannot be fused.")
        if len(runs) > 1 and any(run.config.loss.name == "squared_error" for run in runs):
            raise ValueError("Forecasts (loss squared_error) cannot be fused.")
        ensemble.check_same("loss", names, [run.config.loss.name for run in runs])
        ensemble.check_same("time_reversal of dataset.json", names, [source.info.time_reversal for source in sources])
    except ValueError as error:
        parser.error(str(error))

    # ---------------------------------------------------------------------------------------------- run by run
    outputs, results, pairs = [], [], sources[0].info.time_reversal
    for run, source, named in zip(runs, sources, splits, strict=True):
        config, variables = run.config, (run.params, run.model_state)
        views = {name: getattr(args, name) or config.eval[name] for name in ("num_views", "num_crops")}
        eval_fn = make_eval_fn(run.model, run.preprocess, run.mesh, sharding.shardings_of(variables))
        outputs.append(outputs_on(source, *variables, eval_fn, run.mesh, config, **views))
        figures = figures_of(outputs[-1], config, source.info)
        results.append({**figures, "checkpoint": run.step, "splits": named, **views})

    # ---------------------------------------------------------------------------------------------- figures
    result, labels, is_main = results[0], runs[0].labels, jax.process_index() == 0
    title = "{splits}, {num_views} x {num_crops} views, checkpoint of step {checkpoint}"
    if len(runs) == 1 and is_main:
        write_result(args.workdir[0], result, labels)
    elif len(runs) > 1:
        try:
            ensemble.check_same_targets(names, [o.target for o in outputs])
        except ValueError as error:
            parser.error(str(error))
        fusion = args.fusion or "scores"
        result = fused_figures(outputs, weights, fusion, multi_label=runs[0].multi_label, pairs=pairs)
        result |= {"splits": splits[0], "fusion": fusion, "weights": weights}
        result["runs"] = [{"run": name, **of_run} for name, of_run in zip(names, results, strict=True)]
        title = "{splits}, {fusion} of the runs weighted {weights}"
        if args.out and is_main:
            args.out.write_text(json.dumps(result, indent=2) + "\n")
    if not is_main:
        return
    for of_run in result.get("runs", ()):
        print(f"{of_run['run']}: top1 {100 * of_run['top1']:.2f} %")
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


def check_arguments(args: argparse.Namespace):
    """Raises a ValueError for arguments that do not go with one run, or with several."""
    if len(args.workdir) > 1 and args.step is not None:
        raise ValueError("--step is for one --workdir: of several, the last checkpoints are fused.")
    for name in ("fusion", "fusion_weights", "out"):
        if len(args.workdir) == 1 and getattr(args, name) is not None:
            raise ValueError(f"--{name} is for several runs: --workdir W1 W2 ...")


def write_result(workdir: Path, figures: dict, labels: list[str]):
    """Merges figures into `result.json` and draws what there is: confusion.png, frames_used.png, forecast.png."""
    path = workdir / "result.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**before, **figures}, indent=2) + "\n")
    if "confusion" in figures:
        plots.confusion(np.asarray(figures["confusion"]), labels, workdir / "confusion.png")
    if "frames_used_per_class" in figures:
        share = np.asarray(figures["frames_used_per_class"], float)  # None becomes not a number
        plots.frames_used(share, labels, workdir / "frames_used.png")
    if "forecast" in figures:
        plots.forecast(np.asarray(figures["truth"]), np.asarray(figures["forecast"]), workdir / "forecast.png")


if __name__ == "__main__":
    main()
