"""The runs of a ladder: the commands that make them, whether their results count, and their figures."""

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

FIGURES = ("top1", "top1_within_pairs", "top1_reversed")  # of a result.json


class Run(NamedTuple):
    """One thing to do: a training, a cross-validation, a fusion, a classifier.

    Attributes:
        rung: its name.
        place: directory that its result.json is in.
        commands: one after the other, as after `python -m`.
        needs: places of runs that have to be finished before.
        seeds: how many its result has at least.
        expects: what else its result.json says where it is of this rung.
    """

    rung: str
    place: Path
    commands: list[list[str]]
    needs: list[Path]
    seeds: int = 1
    expects: Mapping = {}

    @property
    def log(self) -> Path:
        """What its commands wrote."""
        return self.place.parent / f"{self.place.name}.log"

    @property
    def failure(self) -> Path:
        """A file with the reason why it failed, as long as nobody has tried again."""
        return self.place.parent / f"{self.place.name}.failed"

    @property
    def parents(self) -> Path:
        """A file that says which trainings of others it was made from."""
        return self.place / "parents.json"


# ------------------------------------------------------------------------------------------------- a ladder -> commands


def runs_of(ladder: Ladder, rung: Rung, workdir: Path) -> list[Run]:
    """The runs of a rung: one a seed, or one for each of the folds.

    They are in WORKDIR/NAME/seed_0, or WORKDIR/NAME/FOLDS.
    """
    parts = folds_of(ladder, rung) if ladder.folds else [f"seed_{seed}" for seed in range(rung.seeds)]
    make = _training if rung.config else _fusion if rung.fuses else _classifier
    return [make(ladder, rung, workdir, part) for part in parts]


def _training(ladder: Ladder, rung: Rung, workdir: Path, part: str) -> Run:
    place, config = workdir / rung.name / part, config_of(rung)
    values = {key: _filled(value, workdir, part) for key, value in rung.overrides.items()}
    settings = [f"--config.{key}={value}" for key, value in values.items()]
    command = ["--config", rung.config, "--workdir", str(place), *settings]
    if ladder.folds:
        of_dataset = f"{Path(config.dataset).name}:{part}"
        command = ["vidjax.crossval", *command, "--folds", of_dataset, "--seeds", str(rung.seeds)]
        return Run(rung.name, place, [command], [], rung.seeds)
    command = ["vidjax.train", *command, f"--config.seed={part.removeprefix('seed_')}"]
    needs = [workdir / name / part for name in referred_to(rung)]
    expects = {"splits": list(config.test_splits), **{name: config.eval.get(name, 1) for name in VIEWS}}
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
    folds = ["--folds", f"{Path(features).name}:{part}"] if ladder.folds else []
    expects = {"pool": rung.pool, "classifier": rung.classifier}
    how = [text for name, value in expects.items() for text in (f"--{name}", value)]
    commands.append(["vidjax.evaluation.classify", features, *how, *folds, "--out", str(place / "result.json")])
    return Run(rung.name, place, commands, needs, 1, expects)


def _filled(value, workdir: Path, part: str) -> str:
    """A setting as text, "{NAME}" as the run of that rung."""
    if found := reference(value):
        return str(workdir / found[1] / part)
    return value if isinstance(value, str) else repr(value)


# ------------------------------------------------------------------------------------------------- does a result count?


def stale(rung: Rung, runs: Sequence[Run]) -> str:
    """Why the runs of a rung that are there cannot count: made with another config, or from an earlier run; or ""."""
    for run in runs if rung.config else ():
        config = config_of(rung)
        paths = [run.place / "config.json", *sorted(run.place.glob("seed_*/fold_*/config.json"))]
        for path in filter(Path.exists, paths):
            try:
                content = configs.read_json(path, ["config"])
            except ValueError as error:
                return f"{error}. Remove {path.parent} to run it anew"
            before, may_change = content["config"], (*configs.MAY_CHANGE, *OF_RUN)
            for key in (key for key, value in rung.overrides.items() if reference(value)):
                before[key] = config.get(key)  # the run of a rung, wherever the ladder is
            started_in = content.get("started_in", "")
            if lines := configs.differences(before, config, may_change, started_in=started_in):
                there = " ".join("; ".join(lines).split())
                return f"{path.parent} holds a run of another config ({there}): remove it to run it anew"
        if changed := changed_parents(run):
            return f"{run.place} started from an earlier {', '.join(changed)}: remove it to run it anew"
    return ""


def parents_of(run: Run) -> dict[str, str]:
    """What tells the trainings that it needs from any other: by place, a digest of the first lines that they logged.

    These hold times, so that no two trainings share them.
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
    """The runs that have been trained anew since this one was made from them."""
    before, now = read_result(run.parents), parents_of(run)
    return [name for name, digest in now.items() if before.get(name, digest) != digest]


def is_finished(run: Run) -> bool:
    """Whether its result is there: of all seeds, of what the rung says, and of the trainings that it needs."""
    result = read_result(run.place / "result.json")
    top1 = result.get("top1")
    if top1 is None or (isinstance(top1, list) and len(top1) < run.seeds):
        return False
    if any(result.get(name) != value for name, value in run.expects.items()):
        return False
    if "steps" in result and result.get("checkpoint", result["steps"]) != result["steps"]:  # evaluated halfway
        return False
    return all((place / "result.json").exists() for place in run.needs) and not changed_parents(run)


def read_result(path: Path) -> dict:
    """The content of a JSON file; {} where there is none, or half of one: what made it is run again."""
    try:
        return configs.read_json(path) if path.exists() else {}
    except ValueError:
        return {}


# --------------------------------------------------------------------------------------------------- results -> figures


def figures_of(runs: Sequence[Run]) -> dict:
    """The figures of runs on the same videos: `num_videos`, and `top1` and the like as lists over seeds."""
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
