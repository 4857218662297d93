"""One exact pass over a split: every video counts once, on any number of devices and processes.

python -m vidjax.evaluate --workdir W [--num_views 10 --num_crops 3]
"""

import argparse
import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
from absl import logging as absl_logging
from tqdm import tqdm

from vidjax import losses, metrics, plots, sharding, step, trained
from vidjax.data import pipeline


def make_eval_fn(model, spec, mesh, shardings) -> Callable:
    """Returns the compiled (params, model_state, batch) -> (logits, target, weight), each whole on every process."""

    def evaluate_batch(params, model_state, batch):
        return step.eval_step(params, model_state, batch, model=model, spec=spec), batch["target"], batch["weight"]

    in_shardings = (*shardings, sharding.batch_sharding(mesh))
    return jax.jit(evaluate_batch, in_shardings=in_shardings, out_shardings=sharding.replicated(mesh))


def clip_logits(
    eval_fn: Callable, params, model_state, batches: Iterator[pipeline.Batch], mesh, *, reverse: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Runs a model over all clips of a split.

    Args:
        eval_fn: from `make_eval_fn`.
        batches: from `pipeline.eval_batches`; `video` is (B, V, T, H, W, C), or `features` (B, V, T, D).
        reverse: plays every clip backwards.

    Returns:
        logits float32 (N, V, K) and targets (N, ...), padding removed, in the order of the records, on every process.
    """
    all_logits, all_targets = [], []
    for batch in batches:
        inputs = {name: array for name, array in batch.items() if name not in ("target", "weight")}
        view_logits = []
        for view in range(next(iter(inputs.values())).shape[1]):  # one view at a time bounds the memory
            of_view = {name: array[:, view] for name, array in inputs.items()}  # (B, T, ...)
            if reverse:
                of_view = {name: array[:, ::-1] for name, array in of_view.items()}
            device_batch = sharding.put_batch({**batch, **of_view}, mesh)
            logits, target, weight = eval_fn(params, model_state, device_batch)
            view_logits.append(logits)
        counted = np.asarray(weight) > 0
        all_logits.append(np.stack(view_logits, axis=1)[counted])  # (B, V, K)
        all_targets.append(np.asarray(target)[counted])
    return np.concatenate(all_logits), np.concatenate(all_targets)


def measure(logits: np.ndarray, target: np.ndarray, loss_fn: Callable, *, multi_label: bool, pairs=None) -> dict:
    """The figures of a split from its logits (N, V, K): the mean loss a clip, and those of `metrics`."""
    clip_target = np.broadcast_to(target[:, None], (*logits.shape[:2], *target.shape[1:]))
    loss = float(np.mean(loss_fn(logits, clip_target)))
    if multi_label:
        return {"loss": loss, **metrics.multi_label(np.asarray(jax.nn.sigmoid(logits)), target)}
    return {"loss": loss, **metrics.single_label(np.asarray(jax.nn.softmax(logits)), target, pairs)}


def evaluate(params, model_state, eval_fn, mesh, source: pipeline.Records, config, *, num_views, num_crops) -> dict:
    """Evaluates on the records of `source`; see `metrics` for the figures.

    Where the dataset says what reversing time does to a label, the clips are shown backwards too: `top1_reversed`
    counts a video as right where the model then names the partner's class.
    """
    multi_label = config.loss.name == "sigmoid"
    loss_fn = functools.partial(losses.LOSSES[config.loss.name])
    clip_arguments = {**config.clip, "num_views": num_views, "num_crops": num_crops, "multi_label": multi_label}

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
        return clip_logits(eval_fn, params, model_state, bar, mesh, reverse=reverse)

    pairs = None if multi_label else source.info.time_reversal
    result = measure(*logits_of(reverse=False), loss_fn, multi_label=multi_label, pairs=pairs)
    if pairs is not None:
        logits, target = logits_of(reverse=True)
        scores = np.asarray(jax.nn.softmax(logits)).mean(axis=1)
        result["top1_reversed"] = float(metrics.hit_at_k(scores, np.asarray(pairs)[target], 1).mean())
    return result


def check_inputs(inputs: dict, run: trained.Trained):
    """Raises a ValueError where records hold other features than a run was trained on."""
    names = ("prefix", "width", "layer", "source", "clip")
    if [inputs.get(name) for name in names] != [run.inputs.get(name) for name in names]:
        raise ValueError(f"{run.name} was trained on records of {run.inputs}; these hold {inputs}.")


def main():
    parser = argparse.ArgumentParser(description="Evaluates a trained run exactly and writes result.json.")
    parser.add_argument("--workdir", type=Path, required=True, help="of the run")
    parser.add_argument("--step", type=int, help="of the checkpoint; the last one by default")
    parser.add_argument("--splits", nargs="+", help="the run's test splits by default")
    parser.add_argument(
        "--num_views", type=int, help="clips in time that are averaged; the run's eval.num_views by default"
    )
    parser.add_argument(
        "--num_crops", type=int, choices=(1, 3), help="crops in space; the run's eval.num_crops by default"
    )
    args = parser.parse_args()
    absl_logging.set_verbosity(absl_logging.ERROR)  # Orbax warns of what is meant: that it only reads

    try:
        run = trained.from_run(args.workdir, args.step)
        config = run.config
        splits = args.splits or list(config.test_splits)
        source = pipeline.open_records(config.dataset, splits)
        check_inputs(source.info.inputs, run)
    except ValueError as error:
        parser.error(str(error))
    num_views, num_crops = args.num_views or config.eval.num_views, args.num_crops or config.eval.num_crops
    shardings = sharding.shardings_of((run.params, run.model_state))
    eval_fn = make_eval_fn(run.model, run.preprocess, run.mesh, shardings)
    views = {"num_views": num_views, "num_crops": num_crops}
    result = evaluate(run.params, run.model_state, eval_fn, run.mesh, source, config, **views)
    result |= {"checkpoint": run.step, "splits": splits, **views}
    if jax.process_index() == 0:
        write_result(args.workdir, result, run.labels)
        for name in ("top1", "top5", "top1_clip", "top5_clip", "mAP", "top1_within_pairs", "top1_reversed"):
            if name in result:
                print(f"{name:18} {100 * result[name]:6.2f} %")
        print(
            f"{result['num_videos']} videos of {splits}, {num_views} x {num_crops} views, checkpoint of step {run.step}"
        )
        for label, value in zip(run.labels, result["per_class"], strict=True):
            print(f"  {label:20} {'no video' if value is None else f'{100 * value:6.2f} %'}")


def write_result(workdir: Path, figures: dict, labels: list[str]):
    """Merges figures into `result.json` and draws `confusion.png`."""
    path = workdir / "result.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**before, **figures}, indent=2) + "\n")
    if "confusion" in figures:
        plots.confusion(np.asarray(figures["confusion"]), labels, workdir / "confusion.png")


if __name__ == "__main__":
    main()
