"""Cross-validation: trains and tests a config on each fold of a dataset, with several seeds, in one process.

    python -m vidjax.crossval --config configs/frame_rnn.py:dataset=ut_interaction_i3d --folds set1
        --workdir runs/ut_lstm [--seeds 3] [--config.key=value]

The records hold folds by name (`make_records --folds` and `--split_by`, published datasets), such as
leave-one-group-out or the three splits of a benchmark, `--folds split1..3`. Each fold is a separate run in
WORKDIR/seed_0/fold_0. Run the same command again to continue with the missing folds. The accuracy of a seed is over the
videos of all folds; result.json also has `mean_of_folds`, the mean of the folds' accuracies, as papers on UCF101 and
HMDB51 report it. Forecasts have the root mean square error.
"""

import json
import os
import statistics
import sys
from pathlib import Path

from absl import app, flags
from absl import logging as absl_logging
from ml_collections import ConfigDict, config_flags

from vidjax import config as configs
from vidjax import losses, output_paths, train
from vidjax.data.folds import Fold, find_folds
from vidjax.evaluation import fold_results
from vidjax.training import command_line, compile_cache, distributed, interrupts, splits, status


def of_fold(config: ConfigDict, fold: Fold, seed: int) -> ConfigDict:
    """Returns the config of one fold, without validation, because nothing is selected."""
    config = ConfigDict(config.to_dict())
    config.train_splits, config.test_splits = map(tuple, fold)
    config.val_splits, config.fold, config.seed = (), "", seed
    return config


def run(config: ConfigDict, folds: list[Fold], workdir: Path, num_seeds: int) -> dict | None:
    """Trains every fold with every seed, and pools the results of all folds.

    Args:
        config: config of each run, except for its splits and seed.
        num_seeds: uses seeds 0 to num_seeds - 1.

    Returns:
        `top1` of each seed, their `mean` and sample standard `deviation` (0 for one seed), `interval` (95 % Wilson
        interval of the mean, from the number of videos), `num_videos` and `mean_of_folds` (in which each fold counts
        the same). Forecasts have `rmse` and no interval; Skip RNNs also have the mean `frames_used`. None if
        interrupted.

    Raises:
        ValueError: before training, see `check_folds`; after it, see `check_convention`.
    """
    check_folds(config, folds, workdir, num_seeds)
    values, used, of_folds, name, num_videos = [], [], [], "top1", 0
    for seed in range(num_seeds):
        results = []
        for number, fold in enumerate(folds):
            place = workdir / f"seed_{seed}" / f"fold_{number}"
            finished = (place / "result.json").exists()
            if not finished and train.train(of_fold(config, fold, seed), place) is None:
                return None
            results.append(json.loads((place / "result.json").read_text()))
            if not finished:
                name = "rmse" if "rmse" in results[-1] else "top1"
                count = f"{results[-1]['num_videos']} videos; fold {number + 1} of {len(folds)}, seed {seed}"
                print(f"{place}: {name} {results[-1][name]:.3f} of {count}", flush=True)
        check_convention(workdir / f"seed_{seed}", results)
        num_videos = sum(result["num_videos"] for result in results)
        name = "rmse" if "rmse" in results[0] else "top1"
        power = 2 if name == "rmse" else 1
        total = sum(result[name] ** power * result["num_videos"] for result in results)
        values.append((total / num_videos) ** (1 / power))
        of_folds += [result[name] for result in results]
        if "frames_used" in results[0]:
            used.append(sum(result["frames_used"] * result["num_videos"] for result in results) / num_videos)
        print(f"{workdir}, seed {seed}: {name} {values[-1]:.3f} of {num_videos} videos", flush=True)
    more = {"mean_of_folds": statistics.mean(of_folds)} if name == "top1" else {}
    more |= {"convention": results[0]["convention"]} if "convention" in results[0] else {}
    more |= {"frames_used": statistics.mean(used)} if used else {}
    return fold_results.summary(name, values, num_videos) | more


def check_folds(config: ConfigDict, folds: list[Fold], workdir: Path, num_seeds: int):
    """Raises a ValueError that names the fold if the splits or labels of an unfinished fold cannot be used.

    Also raises one if a loss has no accuracy, or if a run that exists is of another config or another fold.
    """
    if config.loss.name in losses.WITHOUT_CLASSES:
        raise ValueError(
            f"config.loss.name = {config.loss.name!r} has no accuracy to pool over folds: train each fold."
        )
    output_paths.check_writable(workdir, "--workdir")
    for number, fold in enumerate(folds):
        places = [workdir / f"seed_{seed}" / f"fold_{number}" for seed in range(num_seeds)]
        for seed, place in enumerate(places):
            check_same(place, of_fold(config, fold, seed))
        if all((place / "result.json").exists() for place in places):
            continue
        try:
            splits.open_splits(of_fold(config, fold, 0))
        except ValueError as error:
            raise ValueError(f"Fold {number}, trained on {fold[0]} and tested on {fold[1]}: {error}") from None


def check_same(place: Path, config: ConfigDict):
    """Raises a ValueError if a directory holds a run of another config; the result of a finished one would be used."""
    if not (path := place / "config.json").exists():
        return
    before = configs.read_json(path, ["config"])
    if lines := configs.differences(before["config"], config, started_in=before.get("started_in", "")):
        raise ValueError(f"{place} holds a run of another config:{''.join(lines)}\nUse another --workdir.")


def check_convention(place: Path, results: list[dict]):
    """Raises a ValueError if folds were evaluated with different views or pooling, so that they cannot be pooled."""
    found = {result.get("convention"): number for number, result in enumerate(results)}
    if len(found) > 1:
        lines = "".join(f"\n  fold_{number}: {convention}" for convention, number in found.items())
        raise ValueError(
            f"The folds of {place} were evaluated in different ways:{lines}\nRemove the result.json of those that are "
            "to be evaluated again; the same command then does it."
        )


def main(argv):
    status.ignore()  # also between folds
    absl_logging.set_verbosity(absl_logging.WARNING)
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments {argv[1:]}; give settings as --config.key=value.")
    workdir, num_seeds = Path(flags.FLAGS.workdir), flags.FLAGS.seeds
    try:
        if distributed.arguments_from(os.environ) is not None:
            raise ValueError("cross-validation runs in one process, but several were started: start one.")
        with compile_cache.compiled_once():
            config = flags.FLAGS.config
            result = run(config, find_folds(Path(config.dataset), flags.FLAGS.folds), workdir, num_seeds)
    except (ValueError, FloatingPointError, OSError) as error:
        sys.exit(f"vidjax.crossval: {error}")
    if result is None:
        sys.exit(interrupts.INTERRUPTED)
    output_paths.write_whole(workdir / "result.json", json.dumps(result, indent=2) + "\n")
    print(f"{fold_results.described(result)}; wrote {workdir / 'result.json'}")


if __name__ == "__main__":
    config_flags.DEFINE_config_file("config", help_string="a file of configs/, such as configs/frame_rnn.py")
    flags.DEFINE_string("folds", None, "name of the folds in the records, such as leave_one_out or split1..3")
    flags.DEFINE_string("workdir", None, "directory of the runs; existing runs continue")
    flags.DEFINE_integer("seeds", 1, "number of seeds", lower_bound=1)
    flags.mark_flags_as_required(["config", "folds", "workdir"])
    app.run(main, flags_parser=command_line.parse_flags)
