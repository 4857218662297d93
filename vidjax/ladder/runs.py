"""The runs of a ladder: their commands, whether their results count, and their metrics."""

import hashlib
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vidjax import config as configs
from vidjax import metrics
from vidjax.evaluation.run_outputs import VIEWS
from vidjax.ladder.rungs import OF_RUN, Ladder, Rung, config_of, folds_of, reference, referred_to

METRICS = ("top1", "top1_within_pairs", "top1_reversed")  # keys of result.json


class Run(NamedTuple):
    """A training, a cross-validation, a fusion or a classifier.

    Attributes:
        rung: name of its rung.
        place: directory of its result.json.
        commands: arguments of `python -m`, in order.
        needs: directories of runs that must finish first.
        seeds: smallest number of seeds in a complete result.
        expects: other content that result.json must have.
    """

    rung: str
    place: Path
    commands: list[list[str]]
    needs: list[Path]
    seeds: int = 1
    expects: Mapping = {}

    @property
    def log(self) -> Path:
        """The output of its commands."""
        return self.place.parent / f"{self.place.name}.log"

    @property
    def failure(self) -> Path:
        """A file with the reason of its failure, until the next attempt."""
        return self.place.parent / f"{self.place.name}.failed"

    @property
    def parents(self) -> Path:
        """A file with the digests of the runs that it started from, see `parents_of`."""
        return self.place / "parents.json"


# ------------------------------------------------------------------------------------------------- a ladder -> commands


def runs_of(ladder: Ladder, rung: Rung, workdir: Path) -> list[Run]:
    """Returns the runs of a rung: WORKDIR/NAME/seed_0 and so on, or WORKDIR/NAME/FOLDS if the ladder has folds."""
    parts = folds_of(ladder, rung) if ladder.folds else [f"seed_{seed}" for seed in range(rung.seeds)]
    make = _training if rung.config else _fusion if rung.fuses else _classifier
    return [make(ladder, rung, workdir, part) for part in parts]


def _training(ladder: Ladder, rung: Rung, workdir: Path, part: str) -> Run:
    place, config = workdir / rung.name / part, config_of(rung)
    values = {key: _filled(value, workdir, part) for key, value in rung.overrides.items()}
    settings = [f"--config.{key}={value}" for key, value in values.items()]
    command = ["--config", rung.config, "--workdir", str(place), *settings]
    if ladder.folds:
        command = ["vidjax.crossval", *command, "--folds", part, "--seeds", str(rung.seeds)]
        return Run(rung.name, place, [command], [], rung.seeds)
    command = ["vidjax.train", *command, f"--config.seed={part.removeprefix('seed_')}"]
    needs = [workdir / name / part for name in referred_to(rung)]
    expects = {name: config.eval.get(name, 1) for name in VIEWS}
    expects |= {} if config.fold else {"splits": list(config.test_splits)}  # a fold is known once its records are made
    return Run(rung.name, place, [command], needs, 1, expects)


def _fusion(ladder: Ladder, rung: Rung, workdir: Path, part: str) -> Run:
    place, places = workdir / rung.name / part, [workdir / name / part for name in rung.fuses]
    module = ["vidjax.evaluation.crossval_fusion"] if ladder.folds else ["vidjax.evaluate", "--workdir"]
    command = [*module, *map(str, places), "--fusion", rung.fusion, "--out", str(place / "result.json")]
    return Run(rung.name, place, [command], places, rung.seeds if ladder.folds else 1, {"fusion": rung.fusion})


def _classifier(ladder: Ladder, rung: Rung, workdir: Path, part: str) -> Run:
    place, commands, needs, features = workdir / rung.name / part, [], [], rung.features
    if rung.features in ladder.rungs:
        run = workdir / rung.features / part
        features, needs = str(run / "features"), [run]
        records = config_of(ladder.rungs[rung.features]).dataset
        commands.append(["vidjax.features", "--workdir", str(run), "--records", records, "--out", features])
    folds = ["--folds", part] if ladder.folds else []
    expects = {"pool": rung.pool, "classifier": rung.classifier}
    options = [text for name, value in expects.items() for text in (f"--{name}", value)]
    commands.append(["vidjax.evaluation.classify", features, *options, *folds, "--out", str(place / "result.json")])
    return Run(rung.name, place, commands, needs, 1, expects)


def _filled(value, workdir: Path, part: str) -> str:
    """Returns a setting as text; "{NAME}" becomes the run of that rung."""
    if found := reference(value):
        return str(workdir / found[1] / part)
    return value if isinstance(value, str) else repr(value)


# ------------------------------------------------------------------------------------------------- does a result count?


def stale(rung: Rung, runs: Sequence[Run]) -> str:
    """Returns why the existing runs of a rung do not count and what to do, or "".

    They do not count if they have another config, or started from runs that have been trained again since. Overrides
    with "{NAME}" may differ: the ladder may have been moved.
    """
    if not rung.config:
        return ""
    for run in runs:
        config = config_of(rung)
        paths = [run.place / "config.json", *sorted(run.place.glob("seed_*/fold_*/config.json"))]
        for path in filter(Path.exists, paths):
            try:
                content = configs.read_json(path, ["config"])
            except ValueError as error:
                return f"{str(error).rstrip('.')}. Remove {path.parent} to run it again"
            before, may_change = content["config"], (*configs.MAY_CHANGE, *OF_RUN)
            for key in (key for key, value in rung.overrides.items() if reference(value)):
                before[key] = config.get(key)
            started_in = content.get("started_in", "")
            if lines := configs.differences(before, config, may_change, started_in=started_in):
                differing = " ".join("; ".join(lines).split())
                return f"{path.parent} holds a run of another config ({differing}): remove it to run it again"
        if changed := changed_parents(run):
            return f"{run.place} started from an earlier {', '.join(changed)}: remove it to run it again"
    return ""


def parents_of(run: Run) -> dict[str, str]:
    """Returns digests that identify the trainings that a run needs, by RUNG/PART.

    A digest covers the first line of each metrics.jsonl. It contains a time, so that no two trainings share it.
    """
    found = {}
    for place in run.needs:
        digest = hashlib.sha256()
        for path in [place / "metrics.jsonl", *sorted(place.glob("seed_*/fold_*/metrics.jsonl"))]:
            if path.exists():
                with open(path, "rb") as file:
                    digest.update(file.readline())
        found["/".join(place.parts[-2:])] = digest.hexdigest()
    return found


def changed_parents(run: Run) -> list[str]:
    """Returns the runs that have been trained again since this run started from them."""
    before, now = read_result(run.parents), parents_of(run)
    return [name for name, digest in now.items() if before.get(name, digest) != digest]


def is_finished(run: Run) -> bool:
    """Returns whether the result of a run has all seeds and the expected content, and its parents have not changed."""
    result = read_result(run.place / "result.json")
    top1 = result.get("top1")
    if top1 is None or (isinstance(top1, list) and len(top1) < run.seeds):
        return False
    if any(result.get(name) != value for name, value in run.expects.items()):
        return False
    last = result.get("steps")
    if last and not result.get("keep_best") and result.get("checkpoint", last) != last:  # of an earlier checkpoint
        return False
    return all((place / "result.json").exists() for place in run.needs) and not changed_parents(run)


def read_result(path: Path) -> dict:
    """Reads a JSON object; returns {} if the file is missing or incomplete, so that its run is repeated."""
    try:
        return configs.read_json(path) if path.exists() else {}
    except ValueError:
        return {}


# --------------------------------------------------------------------------------------------------- results -> metrics


def metrics_of(runs: Sequence[Run]) -> dict:
    """Returns `num_videos` and the `METRICS` of runs on the same videos, as lists over seeds."""
    found, num_videos = {}, 0
    for run in runs:
        result = json.loads((run.place / "result.json").read_text())
        num_videos = result["num_videos"]
        for name in METRICS:
            if name in result:
                values = result[name] if isinstance(result[name], list) else [result[name]]
                found.setdefault(name, []).extend(values)
    return {**found, "num_videos": num_videos}


def summarise(values: Sequence[float], num_videos: int) -> dict:
    """Returns the mean, the sample standard deviation over seeds (None for one) and the 95 % interval (Wilson).

    The interval is that of the mean as a share of `num_videos`.
    """
    mean = statistics.mean(values)
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": mean, "deviation": deviation, "interval": metrics.wilson_interval(mean * num_videos, num_videos)}
