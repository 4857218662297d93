"""Finds the runs of a cross-validation and summarises their results."""

import statistics
from pathlib import Path

from vidjax import metrics


def fold_places(workdir: Path) -> list[Path]:
    """Returns the runs of a cross-validation in the order of seeds and folds; [] if there are none."""

    def numbers(place: Path) -> list[tuple[int, str]]:  # fold_2 before fold_10
        return [(len(name), name) for name in place.parts[-2:]]

    return sorted(workdir.glob("seed_*/fold_*"), key=numbers)


def summary(name: str, values: list[float], num_videos: int) -> dict:
    """Summarises the metric `name` of each seed: mean, deviation and interval, in the format of `crossval.run`."""
    mean = statistics.mean(values)
    result = {name: values, "mean": mean, "deviation": statistics.stdev(values) if len(values) > 1 else 0.0}
    if name == "top1":
        result["interval"] = metrics.wilson_interval(mean * num_videos, num_videos)
    return {**result, "num_videos": num_videos}


def described(result: dict) -> str:
    """Describes the result of `crossval.run` in one line."""
    mean, deviation, videos = result["mean"], result["deviation"], f"{result['num_videos']} videos"
    if "top1" not in result:
        return f"rmse {mean:.2f} +- {deviation:.2f} over {len(result['rmse'])} seeds for {videos}"
    low, high = (100 * x for x in result["interval"])
    used = f", {100 * result['frames_used']:.1f} % of the frames used" if "frames_used" in result else ""
    seeds = f"over {len(result['top1'])} seeds, [{low:.1f}, {high:.1f}]{used}"
    made = f"; {result['convention']}" if "convention" in result else ""
    return f"top1 {100 * mean:.1f} % +- {100 * deviation:.1f} {seeds} for {videos}{made}"
