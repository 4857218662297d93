"""Fuses the runs of several cross-validations fold by fold, such as two streams.

    vidjax crossval-fusion runs/ut_rgb runs/ut_flow [--fusion logits --fusion_weights 1,1.5] [--out F.json]

`vidjax.crossval` wrote each directory, with the same folds and seeds. The runs of a fold are fused like in
`vidjax.evaluate --workdir`; the accuracy of a seed is over the videos of all folds.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from absl import logging as absl_logging

from vidjax import output_paths
from vidjax.evaluation import split_metrics
from vidjax.evaluation.fold_results import described, fold_places, summary
from vidjax.evaluation.fused_runs import fuse_runs
from vidjax.inference import ensemble
from vidjax.progress_bar import progress_bar
from vidjax.training import compile_cache


def find_runs(workdirs: Sequence[Path]) -> dict[str, list[str]]:
    """Returns the folds of each seed: seed_0 -> fold_0, fold_1, ...

    Raises:
        ValueError: if a directory has no folds, is not finished, or has other folds than the first.
    """
    found = []
    for workdir in workdirs:
        folds = fold_places(workdir)
        if not folds:
            raise ValueError(f"{workdir} has no seed_0/fold_0: it is not a directory of vidjax.crossval.")
        if not (workdir / "result.json").exists():
            raise ValueError(f"{workdir} is not finished: run vidjax.crossval again.")
        found.append([(fold.parent.name, fold.name) for fold in folds])
    ensemble.check_same("number of folds", [str(workdir) for workdir in workdirs], [len(folds) for folds in found])
    ensemble.check_same("seeds and folds", [str(workdir) for workdir in workdirs], found)
    return {seed: [fold for other, fold in found[0] if other == seed] for seed, _ in found[0]}


def fuse_folds(workdirs: Sequence[Path], *, fusion: str = "scores", weights: Sequence[float] | None = None) -> dict:
    """Fuses fold by fold; see `fused_runs.fuse_runs` for arguments and errors.

    Returns:
        The result of `fold_results.summary`, and `runs`: the same for each directory alone.
    """
    runs = find_runs(workdirs)
    fused_top1, alone_top1, num_videos = [], [], 0
    with progress_bar(None, "folds", sum(map(len, runs.values()))) as bar:
        for seed, folds in runs.items():
            of_seed = []
            for fold in folds:
                of_seed.append(fuse_runs([w / seed / fold for w in workdirs], fusion=fusion, weights=weights))
                bar.update()
            if of_seed[0].multi_label:
                raise ValueError("These runs have several labels per video: there is no accuracy over all folds.")
            scores, target = (np.concatenate([getattr(f, name) for f in of_seed]) for name in ("scores", "target"))
            fused_top1.append(split_metrics.fused_metrics(scores, None, target)["top1"])
            counts, num_videos = [len(f.target) for f in of_seed], len(target)
            top1 = [[f.results[i]["top1"] for f in of_seed] for i in range(len(workdirs))]
            alone_top1.append([float(np.average(of_run, weights=counts)) for of_run in top1])
    alone = [summary("top1", list(values), num_videos) for values in zip(*alone_top1, strict=True)]
    named = [{"run": str(workdir), **of_run} for workdir, of_run in zip(workdirs, alone, strict=True)]
    return {**summary("top1", fused_top1, num_videos), "fusion": fusion, "weights": weights, "runs": named}


def main():
    parser = argparse.ArgumentParser(
        prog="vidjax crossval-fusion", description="Fuses the runs of several cross-validations fold by fold."
    )
    parser.add_argument(
        "workdirs", type=Path, nargs="+", metavar="WORKDIR", help="work directories of `vidjax crossval`, two or more"
    )
    ensemble.add_arguments(parser, ensemble.FUSIONS)
    parser.add_argument("--out", type=Path, help="JSON file for the metrics")
    args = parser.parse_args()
    absl_logging.set_verbosity(absl_logging.ERROR)
    with compile_cache.compiled_once():
        try:
            if len(args.workdirs) < 2:
                raise ValueError("Give two or more directories.")
            if args.out:
                output_paths.check_out(args.out)
            weights = ensemble.weights_of(args, len(args.workdirs))
            result = fuse_folds(args.workdirs, fusion=args.fusion or "scores", weights=weights)
        except ValueError as error:
            parser.error(str(error))
    if jax.process_index() > 0:
        return
    if args.out:
        output_paths.write_whole(args.out, json.dumps(result, indent=2) + "\n")
    for of_run in [*result["runs"], {**result, "run": f"fused, {result['fusion']}"}]:
        print(f"{of_run['run']}: {described(of_run)}")


if __name__ == "__main__":
    main()
