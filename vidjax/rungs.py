"""The rungs of a ladder: what a file of configs/ladder/ says of them, the commands that run them, and their figures.

A ladder file has a function `get_ladder()` that returns a dict of

    title      what the table is of
    rungs      a list of dicts, from the bottom to the top: the attributes of `Rung`
    records    optional: directory -> the command that makes these records, as after `python -m`
    folds      optional: names of folds in configs/common/data.py; each rung is then cross-validated on each of them
    choose_on  optional: the folds by which the best rung is chosen, which is then reported on the others
    published  optional: figures of others, a list of dicts of `method`, `source` and a number for each of the folds
"""

import dataclasses
import importlib.util
import json
import re
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from vidjax import classify, ensemble, metrics, summary
from vidjax import config as configs
from vidjax.models.frame_pool import POOLS

KEYS = ("title", "rungs", "records", "folds", "choose_on", "published")
OF_RUN = ("seed", "train_splits", "val_splits", "test_splits")  # settings that seeds and folds make
FIGURES = ("top1", "top1_within_pairs", "top1_reversed")  # of a result.json


@dataclasses.dataclass(frozen=True)
class Rung:
    """One row of the table. It is trained (`config`), or several others fused (`fuses`), or a classifier (`features`).

    Attributes:
        name: for `--only` and directories; title: for people; group: of rungs that belong together.
        sees_order: whether it could tell a clip from its reverse.
        seeds: how many runs; 1 of classifiers.
        config: FILE:ARGUMENT of a config; overrides: settings by key, where "{NAME}" stands for the run of another rung
            with the same seed.
        fuses: names of rungs; fusion: "scores", "logits" or "svm".
        features: a rung whose frame features are computed, or a directory of records of features, with a slash in it;
            pool: over time, or `classify.SIZE`; classifier: one of `classify.CLASSIFIERS`.
        folds: those of the ladder that it is run on; all by default.
    """

    name: str
    title: str
    group: str = ""
    sees_order: bool = True
    seeds: int = 1
    config: str = ""
    overrides: Mapping = dataclasses.field(default_factory=dict)
    fuses: Sequence[str] = ()
    fusion: str = "scores"
    features: str = ""
    pool: str = "mean"
    classifier: str = "svm"
    folds: Sequence[str] | None = None


class Ladder(NamedTuple):
    """What a ladder file says; `rungs` by name."""

    title: str
    rungs: dict[str, Rung]
    records: dict[str, str]
    folds: Sequence[str]
    choose_on: str
    published: Sequence[dict]


class Run(NamedTuple):
    """One thing to do: a training, a cross-validation, a fusion, a classifier.

    Attributes:
        rung: its name.
        place: directory that its result.json is in.
        commands: one after the other, as after `python -m`.
        needs: places of runs that have to be finished before.
        seeds: how many its result has at least.
    """

    rung: str
    place: Path
    commands: list[list[str]]
    needs: list[Path]
    seeds: int = 1


# --------------------------------------------------------------------------------------------------- a file -> a ladder


def read(path: Path, seeds: int | None = None) -> Ladder:
    """Reads and checks a ladder file.

    Args:
        seeds: of each rung that is trained, in place of those of the file.

    Raises:
        ValueError: for what is no ladder, an unknown key, config, rung, or setting; says of which rung.
    """
    if path.suffix != ".py" or not path.exists():
        there = ", ".join(map(str, sorted(Path("configs/ladder").glob("[!_]*.py")))) or "none in this directory"
        raise ValueError(f"{path} is no file of a ladder; there are {there}.")
    sys.path.append(".")  # configs/ belongs to the repository and is not installed
    spec = importlib.util.spec_from_file_location("ladder", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "get_ladder"):
        raise ValueError(f"{path} is no ladder: it has no get_ladder().")
    content = module.get_ladder()
    if unknown := sorted(set(content) - set(KEYS)):
        raise ValueError(f"{path}: a ladder has no {', '.join(unknown)}; it has {', '.join(KEYS)}.")
    if missing := [key for key in ("title", "rungs") if not content.get(key)]:
        raise ValueError(f"{path}: the ladder lacks {', '.join(missing)}.")
    rungs, attributes = {}, [field.name for field in dataclasses.fields(Rung)]
    for fields in content["rungs"]:
        name = fields.get("name", "")
        if not re.fullmatch(r"[\w-]+", name) or "title" not in fields:
            raise ValueError(f"{path}: a rung needs a name of letters, digits, _ and -, and a title; got {fields}.")
        if unknown := sorted(set(fields) - set(attributes)):
            raise ValueError(f"{path}, {name}: a rung has no {', '.join(unknown)}; it has {', '.join(attributes)}.")
        if name in rungs:
            raise ValueError(f"{path}: there are two rungs {name}.")
        rungs[name] = Rung(**fields)
        if seeds and not rungs[name].features:
            rungs[name] = dataclasses.replace(rungs[name], seeds=seeds)
    optional = {"records": {}, "folds": (), "choose_on": "", "published": ()}
    ladder = Ladder(**{**optional, **content, "rungs": rungs})
    if ladder.choose_on and ladder.choose_on not in ladder.folds:
        raise ValueError(f"{path}: choose_on = {ladder.choose_on!r} is none of its folds, {', '.join(ladder.folds)}.")
    for rung in rungs.values():
        try:
            check(rung, ladder)
        except ValueError as error:
            raise ValueError(f"{path}, {rung.name}: {error}") from None
    return ladder


def check(rung: Rung, ladder: Ladder):
    """Raises a ValueError for a rung that cannot be run."""
    kinds = [name for name in ("config", "fuses", "features") if getattr(rung, name)]
    if len(kinds) != 1:
        raise ValueError("a rung has either a config, or others that it fuses, or features.")
    if rung.seeds < 1:
        raise ValueError(f"seeds = {rung.seeds} must be 1 or more.")
    earlier = list(ladder.rungs)[: list(ladder.rungs).index(rung.name)]
    started_from = [*referred_to(rung), *([] if "/" in rung.features else filter(None, [rung.features]))]
    if ladder.folds and started_from:
        raise ValueError(f"it starts from {', '.join(started_from)}, which is a run for each fold here.")
    for name in (*rung.fuses, *started_from):
        if name not in earlier:
            raise ValueError(f"{name!r} is no rung before it; there are {', '.join(earlier) or 'none'}.")
        if ladder.rungs[name].seeds < rung.seeds:
            raise ValueError(f"it has {rung.seeds} seeds, and {name} only {ladder.rungs[name].seeds}.")
    if rung.config:
        config_of(rung)
    if rung.fusion not in ensemble.FUSIONS:
        raise ValueError(f"Unknown fusion {rung.fusion!r}; choose one of {', '.join(ensemble.FUSIONS)}.")
    if rung.classifier not in classify.CLASSIFIERS:
        raise ValueError(f"Unknown classifier {rung.classifier!r}; choose one of {', '.join(classify.CLASSIFIERS)}.")
    if rung.pool not in (*POOLS, classify.SIZE):
        raise ValueError(f"Unknown pool {rung.pool!r}; choose one of {', '.join((*POOLS, classify.SIZE))}.")
    if rung.folds is not None and not rung.folds:
        raise ValueError("folds = () leaves nothing to run.")
    if unknown := sorted(set(rung.folds or ()) - set(ladder.folds)):
        raise ValueError(f"the ladder has no folds {', '.join(unknown)}; it has {', '.join(ladder.folds) or 'none'}.")


def referred_to(rung: Rung) -> list[str]:
    """The rungs that its overrides name: "{resnet18}" is the run of `resnet18`."""
    return [found[1] for value in rung.overrides.values() if (found := _reference(value))]


def _reference(value) -> re.Match | None:
    return re.fullmatch(r"\{([\w-]+)\}", value) if isinstance(value, str) else None


def config_of(rung: Rung, seed: int = 0) -> ConfigDict:
    """The config of a rung that is trained, overrides included; errors as of `summary.find_config`."""
    config = summary.find_config(rung.config)
    try:
        config.update_from_flattened_dict({"seed": seed, **rung.overrides})
    except (KeyError, TypeError) as error:
        raise ValueError(f"overrides do not fit the config: {error}") from None
    configs.check(config)
    return config


# ------------------------------------------------------------------------------------------------- a ladder -> commands


def runs_of(ladder: Ladder, rung: Rung, workdir: Path) -> list[Run]:
    """The runs of a rung: one a seed, or one for each of the folds.

    They are in WORKDIR/NAME/seed_0, or WORKDIR/NAME/FOLDS.
    """
    if ladder.folds:
        return [_run(ladder, rung, workdir, name, ["--folds", name]) for name in folds_of(ladder, rung)]
    return [_run(ladder, rung, workdir, f"seed_{seed}", []) for seed in range(rung.seeds)]


def folds_of(ladder: Ladder, rung: Rung) -> Sequence[str]:
    """The folds that a rung is run on."""
    return ladder.folds if rung.folds is None else rung.folds


def _run(ladder: Ladder, rung: Rung, workdir: Path, part: str, folds: list[str]) -> Run:
    place = workdir / rung.name / part
    if rung.config:
        config = config_of(rung)
        values = {key: _filled(value, workdir, part) for key, value in rung.overrides.items()}
        settings = [f"--config.{key}={value}" for key, value in values.items()]
        command = ["--config", rung.config, "--workdir", str(place), *settings]
        if folds:
            of_dataset = f"{Path(config.dataset).name}:{part}"
            command = ["vidjax.crossval", *command, "--folds", of_dataset, "--seeds", str(rung.seeds)]
        else:
            command = ["vidjax.train", *command, f"--config.seed={part.removeprefix('seed_')}"]
        needs = [workdir / name / part for name in referred_to(rung)]
        return Run(rung.name, place, [command], needs, rung.seeds if folds else 1)
    result = ["--out", str(place / "result.json")]
    if rung.fuses:
        places = [workdir / name / part for name in rung.fuses]
        module = ["vidjax.crossval_fusion"] if folds else ["vidjax.evaluate", "--workdir"]
        command = [*module, *map(str, places), "--fusion", rung.fusion, *result]
        return Run(rung.name, place, [command], places, rung.seeds if folds else 1)
    commands, needs, features = [], [], rung.features
    if rung.features in ladder.rungs:
        run = workdir / rung.features / part
        features, needs = str(run / "features"), [run]
        records = config_of(ladder.rungs[rung.features]).dataset
        commands.append(["vidjax.features", "--workdir", str(run), "--records", records, "--out", features])
    folds = ["--folds", f"{Path(features).name}:{part}"] if folds else []
    how = ["--pool", rung.pool, "--classifier", rung.classifier]
    commands.append(["vidjax.classify", features, *how, *folds, *result])
    return Run(rung.name, place, commands, needs)


def _filled(value, workdir: Path, part: str) -> str:
    """A setting as text, "{NAME}" as the run of that rung."""
    if found := _reference(value):
        return str(workdir / found[1] / part)
    return value if isinstance(value, str) else repr(value)


def stale(rung: Rung, runs: Sequence[Run]) -> str:
    """Why the runs of a rung that are there cannot count: made with another config, or from an earlier run; or ""."""
    for run in runs if rung.config else ():
        config = config_of(rung)
        paths = [run.place / "config.json", *sorted(run.place.glob("seed_*/fold_*/config.json"))]
        for path in filter(Path.exists, paths):
            before = json.loads(path.read_text())["config"]
            for key in (key for key, value in rung.overrides.items() if _reference(value)):
                before[key] = config.get(key)  # the run of a rung, wherever the ladder is
            if lines := configs.differences(before, config, (*configs.MAY_CHANGE, *OF_RUN)):
                there = " ".join("; ".join(lines).split())
                return f"{path.parent} holds a run of another config ({there}): remove it to run it anew"
        newer = [str(place) for place in run.needs if _is_newer(place / "config.json", run.place / "config.json")]
        if newer:
            return f"{run.place} started from an earlier {', '.join(newer)}: remove it to run it anew"
    return ""


def _is_newer(path: Path, other: Path) -> bool:
    return path.exists() and other.exists() and path.stat().st_mtime > other.stat().st_mtime


def is_finished(run: Run) -> bool:
    """Whether its result is there, of all seeds and of the run's own test splits, and not older than what it needs."""
    path, needed = run.place / "result.json", [place / "result.json" for place in run.needs]
    if not path.exists() or not all(other.exists() for other in needed):
        return False
    result = json.loads(path.read_text())
    if isinstance(result["top1"], list) and len(result["top1"]) < run.seeds:
        return False
    if (run.place / "config.json").exists():  # of a run that is trained, which `stale` compares with what it needs
        return result.get("splits") == list(configs.read(run.place)[0].test_splits)
    return not any(_is_newer(other, path) for other in needed)


# --------------------------------------------------------------------------------------------------- results -> figures


def figures_of(runs: Sequence[Run]) -> dict:
    """The figures of a rung: `num_videos`, and `top1` and the like as lists over seeds."""
    found, num_videos = {}, 0
    for run in runs:
        result = json.loads((run.place / "result.json").read_text())
        num_videos = result["num_videos"]
        for name in FIGURES:
            if name in result:
                values = result[name] if isinstance(result[name], list) else [result[name]]
                found.setdefault(name, []).extend(values)
    return {**found, "num_videos": num_videos}


def summarised(values: Sequence[float], num_videos: int) -> dict:
    """Mean, sample standard deviation over seeds (None of one) and the 95 % interval that `num_videos` leave open."""
    mean = statistics.mean(values)
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": mean, "deviation": deviation, "interval": metrics.wilson_interval(mean * num_videos, num_videos)}
