"""Benchmarks: the speed of each part as a ratio to common alternatives. See `python -m vidjax.bench --help`.

Contestants alternate, so that other load on the machine affects all of them. Results are medians with the spread. One
file per section.
"""

import time
from collections.abc import Callable

import numpy as np
from tqdm import tqdm


def alternate(contestants: dict[str, Callable], rounds: int) -> dict[str, list[float]]:
    """Returns the milliseconds of each function in each round, after one round that compiles and does not count."""
    times = {name: [] for name in contestants}
    for i in tqdm(range(rounds + 1), "rounds"):
        for name, function in contestants.items():
            started = time.perf_counter()
            function()
            if i:
                times[name].append(1e3 * (time.perf_counter() - started))
    return times


def compare(theirs: list[float], ours: list[float]) -> dict:
    """Returns our speed relative to theirs: the ratio of the medians, and the smallest and largest ratio of a round."""
    ratios = summary([b / a for a, b in zip(ours, theirs, strict=True)])
    return ratios | {"median": float(np.median(theirs) / np.median(ours))}


def summary(values: list[float]) -> dict:
    """Returns median, minimum, maximum and number of some values."""
    return {"median": float(np.median(values)), "min": min(values), "max": max(values), "runs": len(values)}


def show(result: dict, unit: str):
    """Prints the summaries and counts of a section; ratios have the unit x."""
    width = max(map(len, result))
    for name, values in result.items():
        if not isinstance(values, dict):
            print(f"{name:{width}} {values!s:>8}")
            continue
        kind = "x" if "ratio" in name or "/" in name else "kB" if name.endswith("kB") else unit
        spread = f"[{values['min']:.2f}, {values['max']:.2f}] in {values['runs']} runs"
        print(f"{name:{width}} {values['median']:8.2f} {kind:8} {spread}")
