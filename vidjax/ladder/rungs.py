"""Reads and checks ladder files, the files of configs/ladder/.

A ladder file has a function `get_ladder()` that returns a dict with the keys

    title      title of the table
    rungs      list of dicts, from the bottom to the top, with the attributes of `Rung` as keys
    records    optional: directory -> command that makes these records, the arguments of `python -m`
    folds      optional: names of folds of the records; each rung is cross-validated on each of them
    choose_on  optional: the folds that select the best rung, which is then reported on the others
    published  optional: published results, a list of dicts with `method`, `source` and a number for each of the folds
"""

import dataclasses
import importlib.util
import re
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from vidjax import config as configs
from vidjax import config_checks, config_files
from vidjax.analysis import networks
from vidjax.data.synthetic.sight.render import DIALS
from vidjax.evaluation import classify
from vidjax.inference import ensemble
from vidjax.models.frame_pool import POOLS

LIST = (list, tuple)
KEYS = {"title": str, "rungs": LIST, "records": Mapping, "folds": LIST, "choose_on": str, "published": LIST}
OF_RUN = ("seed", "train_splits", "val_splits", "test_splits")  # settings that each run sets itself


@dataclasses.dataclass(frozen=True)
class Rung:
    """One row of the table: a trained network (`config`), a fusion (`fuses`) or a classifier of features (`features`).

    Attributes:
        name: for `--only` and directories; title: for the table; group: of related rungs.
        sees_order: whether it can tell a clip from its reverse.
        seeds: number of runs; 1 for classifiers.
        config: FILE:ARGUMENT of a config; overrides: settings by key, where "{NAME}" stands for the run of another rung
            with the same seed.
        fuses: names of rungs; fusion: "scores", "logits" or "svm".
        features: a rung whose frame features are computed, or a directory of feature records, with a slash in it;
            pool: over time, or `classify.SIZE`; classifier: one of `classify.CLASSIFIERS`.
        folds: the folds of the ladder that it is run on; None for all.
        dial: one of `render.DIALS` if its test videos have levels; rungs with one title make a row of a matrix.
        minutes: what one run takes on one core, by the estimate of the file; 0 if unknown.
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
    dial: str = ""
    minutes: float = 0.0


# Types of attributes other than str
KINDS = {"sees_order": bool, "seeds": int, "overrides": Mapping, "fuses": LIST, "folds": (*LIST, type(None))}
KINDS |= {"minutes": (int, float)}


class Ladder(NamedTuple):
    """The content of a ladder file; `rungs` by name."""

    title: str
    rungs: dict[str, Rung]
    records: dict[str, str]
    folds: Sequence[str]
    choose_on: str
    published: Sequence[dict]


# --------------------------------------------------------------------------------------------------- a file -> a ladder


def read(path: Path, seeds: int | None = None) -> Ladder:
    """Reads and checks a ladder file.

    Args:
        seeds: replaces the seeds of the file, except for classifiers of features.

    Raises:
        ValueError: for an invalid file, or an unknown key, config, rung or setting; names the rung.
    """
    content = run_file(path)
    if not isinstance(content, Mapping):
        raise ValueError(
            f"{path}: get_ladder() must return a dict with {', '.join(KEYS)}; got {type(content).__name__}."
        )
    check_kinds(content, KEYS, f"{path}: a ladder")
    if missing := [key for key in ("title", "rungs") if not content.get(key)]:
        raise ValueError(f"{path}: the ladder lacks {', '.join(missing)}.")
    rungs, kinds = {}, {field.name: KINDS.get(field.name, str) for field in dataclasses.fields(Rung)}
    for fields in content["rungs"]:
        name = fields.get("name", "") if isinstance(fields, Mapping) else ""
        if not re.fullmatch(r"[\w-]+", name) or "title" not in fields:
            raise ValueError(f"{path}: a rung needs a title, and a name of letters, digits, _ and -; got {fields}.")
        check_kinds(fields, kinds, f"{path}, {name}: a rung")
        if name in rungs:
            raise ValueError(f"{path}: two rungs are named {name}; rename one.")
        rungs[name] = Rung(**fields)
        if seeds and not rungs[name].features:
            rungs[name] = dataclasses.replace(rungs[name], seeds=seeds)
    optional = {"records": {}, "folds": (), "choose_on": "", "published": ()}
    ladder = Ladder(**{**optional, **content, "rungs": rungs})
    if ladder.choose_on and ladder.choose_on not in ladder.folds:
        valid = ", ".join(ladder.folds) or "but it has none"
        raise ValueError(f"{path}: choose_on = {ladder.choose_on!r} must be one of the ladder's folds, {valid}.")
    for row in ladder.published:
        if not isinstance(row, Mapping) or not {"method", "source"} <= set(row) <= {"method", "source", *ladder.folds}:
            raise ValueError(
                f"{path}: a row of published needs method and source, and may have names of folds; got {row}."
            )
        if set(row) != set(ladder.published[0]):
            raise ValueError(f"{path}: all rows of published must have the keys of the first; got {row}.")
    for rung in rungs.values():
        try:
            check(rung, ladder)
        except ValueError as error:
            raise ValueError(f"{path}, {rung.name}: {error}") from None
    return ladder


def run_file(path: Path):
    """Returns what the get_ladder() of a file returns. Raises a ValueError if the file fails or does not define it."""
    path = config_files.find(path)
    if path.suffix != ".py" or not path.is_file():
        known = ", ".join(config_files.known("configs/ladder"))
        raise ValueError(f"{path} is not a ladder file; choose one of {known}, or give your own .py file.")
    spec = importlib.util.spec_from_file_location("ladder", path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        get_ladder = getattr(module, "get_ladder", None)
        content = get_ladder() if get_ladder else None
    except Exception as error:  # the file may raise anything
        line = traceback.extract_tb(error.__traceback__)[-1].lineno
        where = "" if isinstance(error, SyntaxError) else f" (line {line})"
        raise ValueError(f"{path} cannot be run: {type(error).__name__}: {error}{where}") from error
    if get_ladder is None:
        raise ValueError(f"{path} is not a ladder file: define get_ladder() in it.")
    return content


def check_kinds(fields: Mapping, kinds: Mapping, what: str):
    """Raises a ValueError for keys that are not in `kinds`, and for values of another type than `kinds` has."""
    if unknown := sorted(set(fields) - set(kinds)):
        raise ValueError(f"{what} has no key {', '.join(unknown)}; valid keys are {', '.join(kinds)}.")
    for key, value in fields.items():
        if not isinstance(value, kinds[key]):
            allowed = kinds[key] if isinstance(kinds[key], tuple) else [kinds[key]]
            names = " or ".join(kind.__name__.lower() for kind in allowed)
            raise ValueError(f"{what}'s {key} must be of type {names}; got {value!r}.")


def check(rung: Rung, ladder: Ladder):
    """Raises a ValueError for a rung that cannot be run."""
    kinds = [name for name in ("config", "fuses", "features") if getattr(rung, name)]
    if len(kinds) != 1:
        got = " and ".join(kinds) or "none of them"
        raise ValueError(f"give exactly one of config, fuses and features; got {got}.")
    if rung.seeds < 1:
        raise ValueError(f"seeds = {rung.seeds} must be 1 or more.")
    if of_run := sorted(set(rung.overrides) & set(OF_RUN)):
        raise ValueError(f"remove {', '.join(of_run)} from the overrides: each run of the ladder sets its own.")
    if unknown := sorted(set(rung.folds or ()) - set(ladder.folds)):
        advice = f"choose from {', '.join(ladder.folds)}" if ladder.folds else "it has no folds at all"
        raise ValueError(f"the ladder has no folds {', '.join(unknown)}; {advice}.")
    if rung.folds is not None and not rung.folds:
        raise ValueError("folds = () leaves nothing to run; name some, or remove it to run all.")
    check_members(rung, ladder)
    if rung.config:
        config_of(rung)
    valid = {
        "dial": ("", *DIALS),
        "fusion": ensemble.FUSIONS,
        "classifier": classify.CLASSIFIERS,
        "pool": (*POOLS, classify.SIZE),
    }
    for key, choices in valid.items():
        if (value := getattr(rung, key)) not in choices:
            raise ValueError(f"Unknown {key} {value!r}; choose one of {', '.join(filter(None, choices))}.")


def check_members(rung: Rung, ladder: Ladder):
    """Raises a ValueError unless a rung starts from earlier rungs that are trained on its seeds and folds."""
    if rung.fuses and len(set(rung.fuses)) < max(2, len(rung.fuses)):
        raise ValueError(f"fuses = {', '.join(rung.fuses)} must list at least two rungs, each once.")
    started_from = [*referred_to(rung), *([] if "/" in rung.features else filter(None, [rung.features]))]
    if ladder.folds and started_from:
        raise ValueError(f"it starts from {', '.join(started_from)}, which has one run per fold; remove folds.")
    earlier = list(ladder.rungs)[: list(ladder.rungs).index(rung.name)]
    trained = [name for name in earlier if ladder.rungs[name].config]
    for name in (*rung.fuses, *started_from):
        if name not in trained:
            valid = f"choose from {', '.join(trained)}" if trained else "there are none"
            raise ValueError(f"{name!r} is not one of the trained rungs before it; {valid}.")
        if ladder.rungs[name].seeds < rung.seeds:
            raise ValueError(
                f"it has {rung.seeds} seeds, but {name} has only {ladder.rungs[name].seeds}; make them equal."
            )
        if without := sorted(set(folds_of(ladder, rung)) - set(folds_of(ladder, ladder.rungs[name]))):
            raise ValueError(f"it is run on {', '.join(without)}, but {name} is not; change the folds of one of them.")


def referred_to(rung: Rung) -> list[str]:
    """Returns the rungs that its overrides name: "{resnet18}" is the run of `resnet18`."""
    return [found[1] for value in rung.overrides.values() if (found := reference(value))]


def reference(value) -> re.Match | None:
    """Matches a "{NAME}", with the name as group 1; None for other values."""
    return re.fullmatch(r"\{([\w-]+)\}", value) if isinstance(value, str) else None


def folds_of(ladder: Ladder, rung: Rung) -> Sequence[str]:
    """Returns the folds that a rung is run on."""
    return ladder.folds if rung.folds is None else rung.folds


def config_of(rung: Rung, seed: int = 0) -> ConfigDict:
    """Returns the config of a trained rung, including its overrides.

    Raises:
        ValueError: if the file of the config fails; also the errors of `networks.find_config` and `config.check`.
    """
    try:
        config = networks.find_config(rung.config)
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(f"{rung.config} cannot be run: {type(error).__name__}: {error}") from error
    try:
        config.update_from_flattened_dict({"seed": seed, **rung.overrides})
    except (KeyError, TypeError) as error:
        raise ValueError(f"overrides do not fit the config: {error}") from None
    config_checks.check(config)
    return configs.with_protocol(config)
