"""Reads the rows of the report from ladders, runs and cross-validations, and checks their files before any work."""

import math
from pathlib import Path
from typing import NamedTuple

from vidjax.config import read_json
from vidjax.evaluation import flow_errors, reconstructions
from vidjax.evaluation.fold_results import fold_places
from vidjax.ladder import runs
from vidjax.ladder.runs import Run
from vidjax.training.metrics_log import read_metrics

OF_TABLE = ("title", "parts", "rungs", "chosen", "machines", "published")  # keys of ladder.json
OF_ROW = (
    *("name", "title", "group", "sees_order", "parameters", "multiply-adds", "on_features"),
    *("figures", "speed", "seconds", "note", "runs"),
)
DRAWN = {  # pictures of runs that do not classify, and their captions
    reconstructions.NAME: "Clips, what the network sees of them, and what it reconstructs",
    flow_errors.NAME: "First frames, their true and their estimated optical flow, and the errors",
}
OUTDATED = "the table is older than result.json: run vidjax.ladder again"


class Entry(NamedTuple):
    """One row of the page.

    Attributes:
        row: of ladder.json, see `ladder.table.row`.
        places: directories with the result.json of its metrics: of runs, cross-validations or fusions.
        members: the directories of the runs that a fusion or a classifier started from.
    """

    row: dict
    places: list[Path]
    members: list[Path] = []

    def places_of(self, part: str) -> list[Path]:
        """Returns the places of one part of the table, see `ladder.table.parts_of`."""
        return [place for place in self.places if part in ("", place.name)]

    def first_training(self) -> Path | None:
        """Returns the first run of the first trained place, or None."""
        return next((run for place in self.places for run in trainings_in(place)), None)


def trainings_in(place: Path) -> list[Path]:
    """Returns [place] for a run, the folds of a cross-validation in order, and [] for fusions and classifiers."""
    return [place] if (place / "config.json").exists() else fold_places(place)


def entries_of(workdir: Path) -> tuple[dict, list[Entry]]:
    """Returns the content of ladder.json, or an equivalent for a single run, and its entries.

    Raises:
        ValueError: if the directory is not a ladder, a finished run or a finished cross-validation, or if one of its
            files cannot be read.
    """
    if (workdir / "ladder.json").exists():
        content = ladder_in(workdir / "ladder.json")
    elif (workdir / "result.json").exists():
        content = of_single(workdir)
    else:
        raise ValueError(explain(workdir))
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
    """Reads a ladder.json. Raises a ValueError if it lacks content."""
    try:
        content = read_json(path, OF_TABLE)
        if not content["rungs"]:
            raise ValueError(f"{path} has no rungs.")
        for i, row in enumerate(content["rungs"], 1):
            if missing := [key for key in OF_ROW if key not in row]:
                raise ValueError(f"{path}, rung {i} lacks {', '.join(missing)}.")
    except ValueError as error:
        raise ValueError(f"{str(error).rstrip('.')}. Run vidjax.ladder again, which writes it.") from None
    return content


def explain(workdir: Path) -> str:
    """Returns why there is no report of a directory without ladder.json and result.json, and what to do."""
    if not workdir.exists():
        return f"{workdir} does not exist."
    if not workdir.is_dir():
        return f"{workdir} is a file; give the directory that contains it."
    if (workdir / "config.json").exists() or any(workdir.glob("seed_*/fold_*")):
        return f"{workdir} is not finished; run its command again to continue."
    inner = sorted(path.parent for path in workdir.glob("*/result.json"))
    inner += sorted(path.parent for path in workdir.glob("*/config.json") if path.parent not in inner)
    if inner:
        above = workdir.absolute().parent
        ladder = f", or give {above}, the directory of the ladder" if (above / "ladder.json").exists() else ""
        return f"{workdir} contains several runs; give their directories, {', '.join(map(str, inner))}{ladder}."
    if any(workdir.glob("*/*/config.json")) or any(workdir.glob("*/*/seed_*/fold_*")):
        return f"{workdir} has no ladder.json yet; wait until vidjax.ladder ends, or run it again."
    return f"{workdir} is not a finished run or ladder: it has neither result.json nor ladder.json."


def of_single(workdir: Path) -> dict:
    """Returns a run or cross-validation as a ladder of one rung. Raises a ValueError if it is not a classifier."""
    result = read_json(workdir / "result.json")
    is_drawn = does_draw(workdir)
    if "top1" not in result and not is_drawn:
        raise ValueError(
            f"{workdir} has no top1; give a classifier with one label per video or frame, a pretraining, or a network "
            "of optical flow."
        )
    read_json(workdir / "result.json", ("num_videos",))
    metrics = runs.metrics_of([Run("", workdir, [], [])])
    count = metrics.pop("num_videos")
    figures = {name: runs.summarise(values, count) for name, values in metrics.items()}
    row = {"name": workdir.name, "title": str(workdir), "group": result.get("model", ""), "sees_order": True}
    row |= {"parameters": result.get("num_params"), "multiply-adds": None, "speed": {}, "note": ""}
    row |= {"seconds": result.get("seconds", 0.0), "on_features": False}
    row |= {"figures": {} if is_drawn else {"": {**figures, "num_videos": count}}, "runs": ["."]}
    return {"title": str(workdir), "parts": [""], "rungs": [row], "chosen": {}, "machines": [], "published": []}


def does_draw(workdir: Path) -> bool:
    """Whether a run has a picture of `DRAWN`."""
    return any((workdir / name).exists() for name in DRAWN)


def check_files(entry: Entry):
    """Raises a ValueError, with the path, if a file of an entry cannot be read."""
    for place in entry.places:
        if (place / "result.json").exists():
            read_json(place / "result.json", ("num_videos",) if does_draw(place) else ("top1", "num_videos"))
        for run in trainings_in(place):
            if (run / "config.json").exists():
                check_config(run / "config.json")
            if run != place and (run / "result.json").exists():
                read_json(run / "result.json")
    if first := entry.first_training():
        read_metrics(first / "metrics.jsonl")


def check_config(path: Path):
    """Raises a ValueError if a config.json lacks content that the report needs."""
    config = read_json(path, ("config", "labels", "inputs"))["config"]
    if missing := [key for key in ("dataset", "test_splits", "clip", "model") if key not in (config or ())]:
        raise ValueError(f"{path} lacks config.{', config.'.join(missing)}.")


def stale(entry: Entry) -> str:
    """Returns what to do if a result.json is missing or newer than the row, else ""."""
    if gone := [str(place) for place in entry.places if not (place / "result.json").exists()]:
        return f"{', '.join(gone)} no longer has a result.json: run vidjax.ladder again"
    for part, metrics in entry.row["figures"].items():
        values = runs.metrics_of([Run("", place, [], []) for place in entry.places_of(part)]).get("top1", [])
        if not values or not math.isclose(sum(values) / len(values), metrics["top1"]["mean"], abs_tol=1e-6):
            return OUTDATED
    return ""


def files_of(entry: Entry) -> dict[Path, str]:
    """Returns the source files of an entry's numbers, and a name for each.

    These are the result.json of each place, a config.json, and speed.json files; for a fusion or a classifier the last
    two are those of its members.
    """
    found = {place / "result.json": place.name for place in entry.places}
    if trained := entry.first_training():
        found[trained / "config.json"] = "config"
    found |= {place / "speed.json": f"{place.name} speed" for place in entry.places}
    for member in entry.members:
        name = f"{member.parent.name}/{member.name}"
        found |= {run / "config.json": f"{name} config" for run in trainings_in(member)[:1]}
        found[member / "speed.json"] = f"{name} speed"
    return {path: text for path, text in found.items() if path.exists()}
