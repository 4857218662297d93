"""Directories of ladders, runs and cross-validations -> the rows of the report, checked before any work is done."""

import math
from pathlib import Path
from typing import NamedTuple

from vidjax.config import read_json
from vidjax.evaluation.fold_results import fold_places
from vidjax.ladder import runs
from vidjax.ladder.runs import Run
from vidjax.training.metrics_log import read_metrics

OF_TABLE = ("title", "parts", "rungs", "chosen", "machines", "published")  # what a ladder.json holds
OF_ROW = (
    *("name", "title", "group", "sees_order", "parameters", "multiply-adds", "on_features"),
    *("figures", "speed", "seconds", "note", "runs"),
)
OLDER = "the table is older than result.json: run vidjax.ladder again"


class Entry(NamedTuple):
    """One row of the page.

    Attributes:
        row: of ladder.json, see `ladder.table.row`.
        places: directories with the result.json that its figures are from: of runs, cross-validations or fusions.
        members: such directories of the rungs that it was made from, of fusions and of classifiers of features.
    """

    row: dict
    places: list[Path]
    members: list[Path] = []

    def places_of(self, part: str) -> list[Path]:
        """Those places whose figures are of one part of the table, as of `ladder.table.parts_of`."""
        return [place for place in self.places if part in ("", place.name)]

    def first_training(self) -> Path | None:
        """The first run of the first place that was trained, or None."""
        return next((run for place in self.places for run in trainings_in(place)), None)


def trainings_in(place: Path) -> list[Path]:
    """The place itself where it is a run, else the folds of a cross-validation in the order of seeds and folds.

    [] of fusions and classifiers, which are not trained.
    """
    if (place / "config.json").exists():
        return [place]
    return fold_places(place)


def entries_of(workdir: Path) -> tuple[dict, list[Entry]]:
    """The content of ladder.json, or the like of a single run, and its entries.

    Raises:
        ValueError: for what is none of a ladder, a finished run, or a finished cross-validation, and for files in it
            that cannot be read.
    """
    if (workdir / "ladder.json").exists():
        content = ladder_in(workdir / "ladder.json")
    elif (workdir / "result.json").exists():
        content = of_single(workdir)
    else:
        raise ValueError(what_is_wrong(workdir))
    entries = []
    for row in content["rungs"]:
        places, members = ([workdir / place for place in row.get(key) or ()] for key in ("runs", "members"))
        entry = Entry(row, places, members)
        check_files(entry)
        if note := stale(entry):
            row["note"] = "; ".join(filter(None, [row["note"], note]))
        entries.append(entry)
    return content, entries


def ladder_in(path: Path) -> dict:
    """The content of a ladder.json. Raises a ValueError where it is no table of a ladder."""
    try:
        content = read_json(path, OF_TABLE)
        if not content["rungs"]:
            raise ValueError(f"{path} has no rungs.")
        for i, row in enumerate(content["rungs"], 1):
            if missing := [key for key in OF_ROW if key not in row]:
                raise ValueError(f"{path}, rung {i} lacks {', '.join(missing)}.")
    except ValueError as error:
        raise ValueError(f"{error} vidjax.ladder writes the table: run it again.") from None
    return content


def what_is_wrong(workdir: Path) -> str:
    """Why a directory without ladder.json and result.json cannot be reported, and what to do."""
    if not workdir.exists():
        return f"{workdir} does not exist."
    if not workdir.is_dir():
        return f"{workdir} is a file: name the directory that it is in."
    if (workdir / "config.json").exists() or any(workdir.glob("seed_*/fold_*")):
        return f"{workdir} is not finished: run its command again, which goes on."
    inner = sorted(path.parent for path in workdir.glob("*/result.json"))
    inner += sorted(path.parent for path in workdir.glob("*/config.json") if path.parent not in inner)
    if inner:
        above = workdir.absolute().parent
        ladder = f", or {above}, the directory of the ladder" if (above / "ladder.json").exists() else ""
        return f"{workdir} is the directory of several runs: name them ({', '.join(map(str, inner))}){ladder}."
    if any(workdir.glob("*/*/config.json")) or any(workdir.glob("*/*/seed_*/fold_*")):
        return f"{workdir} has no ladder.json yet: vidjax.ladder writes it at its end; run its command again, or wait."
    return f"{workdir} is no run: it has neither ladder.json nor config.json and result.json."


def of_single(workdir: Path) -> dict:
    """A run or a cross-validation as a ladder of one rung. Raises a ValueError where it is no classifier's."""
    result = read_json(workdir / "result.json")
    if "top1" not in result:
        raise ValueError(f"{workdir} has no top1: reports are of classifiers with one label a video or frame.")
    read_json(workdir / "result.json", ("num_videos",))
    figures = runs.figures_of([Run("", workdir, [], [])])
    count = figures.pop("num_videos")
    found = {name: runs.summarised(values, count) for name, values in figures.items()}
    row = {"name": workdir.name, "title": str(workdir), "group": result.get("model", ""), "sees_order": True}
    row |= {"parameters": result.get("num_params"), "multiply-adds": None, "speed": {}, "note": ""}
    row |= {"seconds": result.get("seconds", 0.0), "on_features": False}
    row |= {"figures": {"": {**found, "num_videos": count}}, "runs": ["."]}
    return {"title": str(workdir), "parts": [""], "rungs": [row], "chosen": {}, "machines": [], "published": []}


def check_files(entry: Entry):
    """Raises a ValueError for a file of an entry that cannot be read, with its path."""
    for place in entry.places:
        if (place / "result.json").exists():
            read_json(place / "result.json", ("top1", "num_videos"))
        for run in trainings_in(place):
            if (run / "config.json").exists():
                check_config(run / "config.json")
            if run != place and (run / "result.json").exists():
                read_json(run / "result.json")
    if first := entry.first_training():
        metrics_of(first)


def check_config(path: Path):
    """Raises a ValueError for a config.json that lacks what the report reads of it."""
    config = read_json(path, ("config", "labels", "inputs"))["config"]
    if missing := [key for key in ("dataset", "test_splits", "clip", "model") if key not in (config or ())]:
        raise ValueError(f"{path} lacks {', '.join(missing)} of the config.")


def metrics_of(run: Path) -> list[dict]:
    """The lines of its metrics.jsonl. Raises a ValueError with the path where these are none."""
    try:
        return read_metrics(run / "metrics.jsonl")
    except ValueError as error:
        raise ValueError(f"{run / 'metrics.jsonl'} cannot be read: {error}") from None


def stale(entry: Entry) -> str:
    """What to do where the result.json are no longer those that the row's figures were taken from, else ""."""
    if gone := [str(place) for place in entry.places if not (place / "result.json").exists()]:
        return f"{', '.join(gone)} has no result.json any more: run vidjax.ladder again"
    for part, figures in entry.row["figures"].items():
        values = runs.figures_of([Run("", place, [], []) for place in entry.places_of(part)]).get("top1", [])
        # The mean over the same runs: rounded as it was then
        if not values or not math.isclose(sum(values) / len(values), figures["top1"]["mean"], abs_tol=1e-6):
            return OLDER
    return ""


def files_of(entry: Entry) -> dict[Path, str]:
    """The files that the numbers of an entry are from, and what to call each.

    These are the result.json of each place, a config.json and the speed.json, or those of the rungs that it was made
    from.
    """
    found = {place / "result.json": place.name for place in entry.places}
    if trained := entry.first_training():
        found[trained / "config.json"] = "config"
    found |= {place / "speed.json": f"{place.name} speed" for place in entry.places}
    for member in entry.members:
        of_member = (f"{member.parent.name}/{member.name}", *trainings_in(member)[:1])
        found |= {run / "config.json": f"{of_member[0]} config" for run in of_member[1:]}
        found[member / "speed.json"] = f"{of_member[0]} speed"
    return {path: text for path, text in found.items() if path.exists()}
