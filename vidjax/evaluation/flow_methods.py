"""Compares methods of optical flow on pairs of frames with true flow, at their full size, in one table.

    python -m vidjax.evaluation.flow_methods data/flow data/middlebury
        --learned raft_small=runs/raft_small spynet=runs/spynet raft_large=torchvision_raft_large

The records are those of `make_records flow`, `middlebury`, `sintel` or `kitti`.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from absl import logging as absl_logging

from vidjax import output_paths
from vidjax.data import flow_images, flow_pairs, pipeline
from vidjax.evaluation import flow_errors, reconstructions
from vidjax.inference import restore
from vidjax.progress_bar import progress_bar

HEADS = ("method", "parameters", "EPE", "0-2", "2-8", "8-16", "16+", "Fl-all", "ms per pair")
ERRORS = ("epe", "epe_0_2", "epe_2_8", "epe_8_16", "epe_16")


def find_methods(names: Sequence[str], learned: Sequence[str]) -> dict[str, flow_images.Method]:
    """Returns methods under the names that the table shows.

    Args:
        names: names in `flow_images.METHODS`.
        learned: networks as NETWORK=WEIGHTS, see `restore.find_flow`.

    Raises:
        ValueError: for an unknown method, or weights that cannot be loaded.
    """
    methods = {}
    for name in names:
        flow_images.find_method(name)
        methods[name] = name
    for text in learned:
        network, _, weights = text.partition("=")
        if network not in flow_images.NETWORKS or not weights:
            raise ValueError(f"{text}: give NETWORK=WEIGHTS, a network out of {', '.join(flow_images.NETWORKS)}.")
        methods[text] = restore.find_flow(network, weights)
    return methods


def measure(method: flow_images.Method, source: pipeline.Records, name: str = "") -> dict:
    """Computes the flow of every pair of a split, one after the other.

    Args:
        name: of the progress bar.

    Returns:
        The metrics of `flow_errors.metrics_of`; `milliseconds` per pair, the median without the first pair of each
        size, which is compiled; and `num_params`, 0 for a method without parameters.
    """
    flow_of, sums_of = flow_images.of_pairs(method), jax.jit(flow_errors.sums)
    rows, seconds, sizes = [], [], set()
    for i in progress_bar(range(len(source)), name, unit="pair", leave=False):
        frames, truth, mask = flow_pairs.read_pair(source[i])
        pair = [flow_images.seen_by(method, frame) for frame in frames]
        for _ in range(1 if mask.shape in sizes else 2):
            started = time.perf_counter()
            found = jax.block_until_ready(flow_of(*pair))
            taken = time.perf_counter() - started
        sizes.add(mask.shape)
        seconds.append(taken)
        rows.append(np.asarray(sums_of(np.asarray(found)[None], truth[None], mask[None]))[0])
    variables = method.variables()["params"] if isinstance(method, restore.LearnedFlow) else {}
    num_params = sum(x.size for x in jax.tree.leaves(variables))
    more = {"milliseconds": 1000 * float(np.median(seconds)), "num_params": num_params}
    return flow_errors.metrics_of(np.stack(rows)) | more


def table(results: Mapping[str, dict]) -> str:
    """Formats the results of `measure` by method as Markdown: errors in pixels, by true speed in pixels per frame."""
    lines = [f"| {' | '.join(HEADS)} |", f"| --- {'| ---: ' * (len(HEADS) - 1)}|"]
    for name, result in results.items():
        errors = ["" if result[x] is None else f"{result[x]:.2f}" for x in ERRORS]
        num_params = f"{result['num_params']:,}" if result["num_params"] else ""
        rest = [f"{100 * result['fl_all']:.1f} %", f"{result['milliseconds']:.0f}"]
        lines.append(f"| {' | '.join([name, num_params, *errors, *rest])} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(
        prog="python -m vidjax.evaluation.flow_methods",
        description="Compares methods of optical flow on pairs of frames with true flow, at their full size.",
    )
    add = parser.add_argument
    add("datasets", type=Path, nargs="+", metavar="DATASET", help="records of pairs, see make_records --help")
    add("--splits", nargs="+", default=["test"], help="splits to evaluate; default: test")
    methods = ", ".join(flow_images.METHODS)
    add("--methods", nargs="*", default=flow_images.METHODS, metavar="METHOD", help=f"default: all of {methods}")
    networks = ", ".join(flow_images.NETWORKS)
    help = f"networks with a name of vidjax.weights, a file or the work directory of a run; networks are {networks}"
    add("--learned", nargs="+", default=[], metavar="NETWORK=WEIGHTS", help=help)
    add("--pairs", type=int, help="evaluate this many pairs per dataset, evenly spaced; default: all")
    add("--out", type=Path, metavar="FILE", help="JSON file for all metrics")
    args = parser.parse_args()
    absl_logging.set_verbosity(absl_logging.ERROR)  # Orbax warns about read-only use, which is intended
    try:
        if args.out:
            output_paths.check_out(args.out)
        if args.pairs is not None and args.pairs < 1:
            raise ValueError(f"--pairs {args.pairs} must be 1 or more; without it all pairs are evaluated.")
        methods = find_methods(args.methods, args.learned)
        sources = {str(directory): pipeline.open_records(directory, args.splits) for directory in args.datasets}
        for directory, source in sources.items():
            if not source.info.inputs.get("true_flow"):
                raise ValueError(f"{directory} holds no true optical flow: see make_records --help.")
        results = {}
        for directory, source in sources.items():
            source = reconstructions.evenly(source, args.pairs) if args.pairs else source
            results[directory] = {name: measure(method, source, name) for name, method in methods.items()}
            print(f"{directory}, {len(source)} pairs\n\n{table(results[directory])}\n", flush=True)
            if args.out:
                args.out.write_text(json.dumps(results, indent=2) + "\n")
    except (ValueError, OSError) as error:
        sys.exit(f"vidjax.evaluation.flow_methods: {error}")


if __name__ == "__main__":
    main()
