"""Compares methods that label frames under every convention of the metrics: how far a figure moves, and who is ahead.

    vidjax audit runs/lstm runs/ms_tcn runs/asformer

Papers pool the frames and segments of a split, or average over its videos; they count the background as an action, or
not. The figures differ by several points, and so can the ranking. The command reads the result.json of finished runs.
"""

import argparse
import itertools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from vidjax import config as configs

METRICS = ("frame_accuracy", "edit", "f1_10", "f1_25", "f1_50")
Conventions = Mapping[str, Mapping[str, float]]  # convention -> metric -> value, see `segments.conventions`


class Flip(NamedTuple):
    """Two methods whose order in a metric depends on the convention: `first` is ahead in one, `second` in the other."""

    metric: str
    first: str
    second: str
    ahead: str
    behind: str


def spread(of_method: Conventions) -> dict[str, float]:
    """Returns the largest difference between two conventions, in points (percent), by metric."""
    values = {metric: [of[metric] for of in of_method.values()] for metric in METRICS}
    return {metric: 100 * (max(of) - min(of)) for metric, of in values.items()}


def flips(methods: Mapping[str, Conventions]) -> list[Flip]:
    """Returns the pairs of methods that change places between two conventions: one pair of conventions for each."""
    found = []
    for metric, (a, b) in itertools.product(METRICS, itertools.combinations(methods, 2)):
        ahead = {name: methods[a][name][metric] - methods[b][name][metric] for name in methods[a]}
        best, worst = max(ahead, key=ahead.get), min(ahead, key=ahead.get)
        if ahead[best] > 0 > ahead[worst]:
            found.append(Flip(metric, a, b, best, worst))
    return found


def table(methods: Mapping[str, Conventions]) -> str:
    """Returns the metrics of each method under each convention in percent, the spread, and the flips, as Markdown."""
    lines = [f"| method | convention | {' | '.join(METRICS)} |", "|---" * (len(METRICS) + 2) + "|"]
    for method, of_method in methods.items():
        for name, values in of_method.items():
            lines.append(f"| {method} | {name} | " + " | ".join(f"{100 * values[x]:.1f}" for x in METRICS) + " |")
        lines.append(f"| {method} | spread | " + " | ".join(f"{x:.1f}" for x in spread(of_method).values()) + " |")
    found = flips(methods)
    lines += [
        "",
        "The ranking is the same under all conventions." if not found else "The ranking depends on the convention:",
    ]
    lines += [f"- {x.metric}: {x.first} is ahead of {x.second} with {x.ahead}, behind with {x.behind}" for x in found]
    return "\n".join(lines)


def read(workdir: Path) -> Conventions:
    """Returns the metrics of a finished run under each convention.

    Raises:
        ValueError: if the run is not finished, or does not label frames.
    """
    result = configs.read_json(workdir / "result.json")
    if "segments" not in result:
        raise ValueError(f"{workdir} has no segment metrics: it needs a run with config.target = 'frame'.")
    return result["segments"]


def main():
    parser = argparse.ArgumentParser(prog="vidjax audit", description=__doc__.splitlines()[0])
    parser.add_argument("workdirs", type=Path, nargs="+", metavar="WORKDIR", help="finished runs that label frames")
    args = parser.parse_args()
    try:
        methods = {str(workdir): read(workdir) for workdir in args.workdirs}
        if len({tuple(of_method) for of_method in methods.values()}) > 1:
            raise ValueError("Some of the runs have a class background, others have not: audit them separately.")
        print(table(methods))
    except (ValueError, OSError) as error:
        sys.exit(f"vidjax audit: {error}")


if __name__ == "__main__":
    main()
