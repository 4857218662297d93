"""Compares methods under every convention of the metrics: how far a figure moves, and who is ahead.

    vidjax audit runs/lstm runs/ms_tcn runs/asformer

Papers that label frames pool the frames and segments of a split, or average over its videos; they count the background
as an action, or not. The command reads these metrics from the result.json of finished runs. Papers that classify videos
average probabilities or logits of one clip or of thirty; the command evaluates such runs under every convention, see
`protocol_audit`. The figures differ by several points, and so can the ranking.
"""

import argparse
import itertools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from absl import logging as absl_logging

from vidjax import config as configs
from vidjax.evaluation import protocol_audit

METRICS = ("frame_accuracy", "edit", "f1_10", "f1_25", "f1_50")  # of runs that label frames
Conventions = Mapping[str, Mapping[str, float]]  # convention -> metric -> value, see `segments.conventions`


class Flip(NamedTuple):
    """Two methods whose order in a metric depends on the convention: `first` is ahead in one, `second` in the other."""

    metric: str
    first: str
    second: str
    ahead: str
    behind: str


def metrics_of(of_method: Conventions) -> list[str]:
    """Returns the names of the metrics of a method."""
    return list(next(iter(of_method.values())))


def spread(of_method: Conventions) -> dict[str, float]:
    """Returns the largest difference between two conventions, in points (percent), by metric."""
    values = {metric: [of[metric] for of in of_method.values()] for metric in metrics_of(of_method)}
    return {metric: 100 * (max(of) - min(of)) for metric, of in values.items()}


def flips(methods: Mapping[str, Conventions]) -> list[Flip]:
    """Returns the pairs of methods that change places between two conventions of both: one such pair for each."""
    found = []
    metrics = metrics_of(next(iter(methods.values())))
    for metric, (a, b) in itertools.product(metrics, itertools.combinations(methods, 2)):
        ahead = {name: methods[a][name][metric] - methods[b][name][metric] for name in methods[a] if name in methods[b]}
        best, worst = max(ahead, key=ahead.get), min(ahead, key=ahead.get)
        if ahead[best] > 0 > ahead[worst]:
            found.append(Flip(metric, a, b, best, worst))
    return found


def table(methods: Mapping[str, Conventions]) -> str:
    """Returns the metrics of each method under each convention in percent, the spread, and the flips, as Markdown."""
    metrics = metrics_of(next(iter(methods.values())))
    lines = [f"| method | convention | {' | '.join(metrics)} |", "|---" * (len(metrics) + 2) + "|"]
    for method, of_method in methods.items():
        for name, values in of_method.items():
            lines.append(f"| {method} | {name} | " + " | ".join(f"{100 * values[x]:.1f}" for x in metrics) + " |")
        lines.append(f"| {method} | spread | " + " | ".join(f"{x:.1f}" for x in spread(of_method).values()) + " |")
    if len(methods) == 1:
        return "\n".join(lines)
    found = flips(methods)
    lines += [
        "",
        "The ranking is the same under all conventions." if not found else "The ranking depends on the convention:",
    ]
    lines += [f"- {x.metric}: {x.first} is ahead of {x.second} with {x.ahead}, behind with {x.behind}" for x in found]
    return "\n".join(lines)


def read(workdir: Path) -> Conventions:
    """Returns the metrics of a finished run under each convention; evaluates a run that classifies videos.

    Raises:
        ValueError: if the run is not finished, or has another kind of target.
    """
    result = configs.read_json(workdir / "result.json")
    if "segments" in result:
        return {name: {metric: of[metric] for metric in METRICS} for name, of in result["segments"].items()}
    return protocol_audit.conventions_of(workdir)


def main():
    parser = argparse.ArgumentParser(prog="vidjax audit", description=__doc__.splitlines()[0])
    parser.add_argument("workdirs", type=Path, nargs="+", metavar="WORKDIR", help="finished runs, all of one kind")
    args = parser.parse_args()
    absl_logging.set_verbosity(absl_logging.ERROR)  # Orbax warns about read-only use, which is intended
    try:
        methods = {str(workdir): read(workdir) for workdir in args.workdirs}
        kinds = {(*metrics_of(of), any("without_background" in name for name in of)) for of in methods.values()}
        if len(kinds) > 1:
            raise ValueError(
                "The runs have several kinds of targets, or some have a class background: audit each kind."
            )
        print(table(methods))
    except (ValueError, OSError) as error:
        sys.exit(f"vidjax audit: {error}")


if __name__ == "__main__":
    main()
