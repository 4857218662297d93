"""How fast each part is beside what a user would pick instead, as ratios in one run: `python -m vidjax.bench --help`.

What is compared alternates, so that whatever else the machine does falls on both; the figures are medians with the
spread. A file a section.
"""

import time
from collections.abc import Callable

import numpy as np
from tqdm import tqdm


def alternate(contestants: dict[str, Callable], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each function in each round; one more round comes before, which compiles."""
    times = {name: [] for name in contestants}
    for i in tqdm(range(rounds + 1), "rounds"):
        for name, function in contestants.items():
            started = time.perf_counter()
            function()
            if i:
                times[name].append(1e3 * (time.perf_counter() - started))
    return times


def compare(theirs: list[float], ours: list[float]) -> dict:
    """How many times as fast we are: the ratio of the medians, with the smallest and the largest of the rounds."""
    ratios = summary([b / a for a, b in zip(ours, theirs, strict=True)])
    return ratios | {"median": float(np.median(theirs) / np.median(ours))}


def summary(values: list[float]) -> dict:
    return {"median": float(np.median(values)), "min": min(values), "max": max(values), "runs": len(values)}


def show(result: dict, unit: str):
    """Prints the summaries and counts of a section, summaries of ratios as times."""
    width = max(map(len, result))
    for name, values in result.items():
        if not isinstance(values, dict):
            print(f"{name:{width}} {values!s:>8}")
            continue
        kind = "x" if "ratio" in name or "/" in name else "kB" if name.endswith("kB") else unit
        spread = f"[{values['min']:.2f}, {values['max']:.2f}] in {values['runs']} runs"
        print(f"{name:{width}} {values['median']:8.2f} {kind:8} {spread}")
