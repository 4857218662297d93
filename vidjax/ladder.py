"""A ladder of models on one dataset: every rung trained and tested by one command, one table at the end.

    python -m vidjax.ladder configs/ladder/motion.py --workdir runs/ladder_motion [--only i3d,lstm] [--seeds 3] [--plan]

Each run is a process of its own, whose output is in WORKDIR/RUNG/seed_0.log. Started again, it runs what is not done
yet, goes on with what was interrupted, and skips what is finished; a rung that fails does not stop the others. Started
several times at once, on a GPU each, say, the commands share the runs out.

In the end WORKDIR holds the table as ladder.md, ladder.csv and ladder.json. `python -m vidjax.report` makes a page.
"""

import argparse
import contextlib
import fcntl
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from absl import logging as absl_logging
from tqdm import tqdm

from vidjax import config as configs
from vidjax import ladder_table, progress, rungs, summary
from vidjax.data import pipeline
from vidjax.rungs import Ladder, Run, Rung

LOOK_EVERY = 0.5  # seconds between looks at a run


class Cost(NamedTuple):
    """What a rung takes, from its network traced on shapes.

    Attributes:
        num_params: of the network, or of all that are fused.
        multiply_adds: of one clip's forward pass, or of all that are fused.
        training: multiply-adds of all its runs, a step counted as three forward passes; 0 of what is not trained.
    """

    num_params: int
    multiply_adds: int
    training: int


# ------------------------------------------------------------------------------------------------------ beforehand


def make_records(ladder: Ladder, workdir: Path, stop: "Stop") -> str:
    """Makes the records (or the networks of features) that are not there yet; returns why that failed, or nothing."""
    for directory, command in ladder.records.items():
        path = Path(directory) / "dataset.json"
        if path.exists() and json.loads(path.read_text()).get("complete") or (path.parent / "result.json").exists():
            continue
        print(f"Making {directory}: python -m {command}", flush=True)
        with open(workdir / "records.log", "a") as log:
            status = run_command(command.split(), log, stop, look=lambda: None)
        if status:
            return f"python -m {command}: {reason(workdir / 'records.log', status)}"
    return ""


def costs_of(ladder: Ladder) -> dict[str, Cost]:
    """The cost of each rung; errors as of `summary.find_inputs`, where its records are not there."""
    costs = {}
    for name, rung in tqdm(ladder.rungs.items(), "costs", leave=False, disable=None):
        if rung.config:
            costs[name] = cost_of_training(ladder, rung)
            continue
        members = [costs[member] for member in rung.fuses or [rung.features] if member in costs]
        costs[name] = Cost(sum(c.num_params for c in members), sum(c.multiply_adds for c in members), 0)
    return costs


def cost_of_training(ladder: Ladder, rung: Rung) -> Cost:
    """The cost of a rung that is trained: its network is traced."""
    config = rungs.config_of(rung)
    inputs, num_classes, _ = summary.find_inputs(config, None, 1, None)
    (network, *_), _, _ = summary.layers_of(config, inputs, num_classes)
    clips = 0
    for train_splits in splits_of_runs(ladder, rung, config):
        clips += config.num_epochs * len(pipeline.open_records(config.dataset, train_splits)) * rung.seeds
    return Cost(network.num_params, network.multiply_adds, round(3 * network.multiply_adds * clips))


def splits_of_runs(ladder: Ladder, rung: Rung, config) -> list[Sequence[str]]:
    """The training splits of each run of one seed."""
    if not ladder.folds:
        return [config.train_splits]
    dataset = Path(config.dataset).name
    return [fold[0] for name in rungs.folds_of(ladder, rung) for fold in configs.find_folds(f"{dataset}:{name}")]


def plan(ladder: Ladder, costs: dict[str, Cost], runs: dict[str, list[Run]]) -> str:
    """The table of what is to come: multiply-adds of a clip and of the training, and how much of it is done."""
    rows = [("rung", "", "runs", "done", "parameters", "multiply-adds a clip", "of training"), ()]
    for name in runs:
        cost = costs[name]
        done = sum(rungs.is_finished(run) for run in runs[name])
        numbers = [f"{cost.num_params:,}", summary.in_giga(cost.multiply_adds), f"{cost.training / 1e12:.2f} T"]
        numbers = [text if cost.num_params else "" for text in numbers[:2]] + [numbers[2] if cost.training else ""]
        rows.append((name, ladder.rungs[name].title, str(len(runs[name])), str(done), *numbers))
    total = sum(costs[name].training for name in runs)
    return "\n".join([*summary.aligned(rows), "", f"training in all: {total / 1e12:.1f} T multiply-adds"])


# ------------------------------------------------------------------------------------------------------------ the runs


class Stop:
    """Ctrl-C or SIGTERM: passed on to the run at work, which saves and stops; a second one acts as usual there."""

    def __init__(self):
        self.asked, self.child = False, None

    def __call__(self, number, frame):
        self.asked = True
        if self.child:
            self.child.send_signal(number)


def run_command(command: list[str], log, stop: Stop, look, locks: Sequence = ()) -> int:
    """Runs `python -m COMMAND` to its end, calling `look` now and then; returns its exit status.

    It inherits the locks on the log and on other files, which hold as long as it is alive, even where the ladder was
    killed.
    """
    arguments = [sys.executable, "-m", *command]
    child = subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,  # so that a terminal's Ctrl-C reaches the ladder alone, which passes it on once
        pass_fds=[file.fileno() for file in (log, *locks)],
    )
    stop.child = child
    while child.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(LOOK_EVERY)
        look()
    stop.child = None
    return child.returncode


@contextlib.contextmanager
def locked(path: Path) -> Iterator:
    """Opens a log for appending, or gives None where another process is at work on it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as log:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield log


@contextlib.contextmanager
def alone(workdir: Path, stop: Stop) -> Iterator:
    """Waits until no process is at a run of this ladder, and keeps others from starting one."""
    with open(workdir / "busy.lock", "a") as busy:
        while not stop.asked:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(busy, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(1)
        yield busy


def run_one(run: Run, stop: Stop, look) -> str:
    """Runs what a run needs; returns why it failed, or nothing."""
    if missing := [str(place) for place in run.needs if not (place / "result.json").exists()]:
        return f"needs {', '.join(missing)}, which has no result"
    path = log_path(run)
    with locked(path) as log:
        if log is None:
            return "another process is at work on it"
        if rungs.is_finished(run):  # by then
            return ""
        run.place.mkdir(exist_ok=True)
        with open(run.place.parents[1] / "busy.lock", "a") as busy:
            fcntl.flock(busy, fcntl.LOCK_SH)
            for command in run.commands:
                if stop.asked:
                    return "interrupted"
                if status := run_command(command, log, stop, look, locks=[busy]):
                    return "interrupted" if status == progress.INTERRUPTED else reason(path, status)
    return "" if rungs.is_finished(run) else f"it ended without a result: see {path}"


def log_path(run: Run) -> Path:
    return run.place.parent / f"{run.place.name}.log"


def reason(log: Path, status: int) -> str:
    """Why a command ended: the last line that it wrote, or the signal."""
    if status < 0:
        return f"ended by {signal.Signals(-status).name}" + (": out of memory, perhaps" if status == -9 else "")
    lines = [line.strip() for line in re.split(r"[\r\n]", log.read_text(errors="replace")) if line.strip()]
    return lines[-1] if lines else f"exit status {status}, without a word"


def fraction_done(run: Run, total_steps: int) -> float:
    """How far a run is: by the last line of metrics.jsonl, or by the folds that have a result."""
    if run.commands[0][0] == "vidjax.crossval":
        return len(list(run.place.glob("seed_*/fold_*/result.json"))) / max(total_steps, 1)
    lines = progress.read_metrics(run.place / "metrics.jsonl")
    return lines[-1]["step"] / total_steps if lines else 0.0


def total_of(ladder: Ladder, rung: Rung) -> int:
    """Steps of a run, or how many runs a cross-validation has: what `fraction_done` counts to."""
    if not rung.config:
        return 1
    config = rungs.config_of(rung)
    if ladder.folds:
        name = rungs.folds_of(ladder, rung)[0]
        return len(configs.find_folds(f"{Path(config.dataset).name}:{name}")) * rung.seeds
    videos = len(pipeline.open_records(config.dataset, config.train_splits))
    return max(1, round(config.num_epochs * videos / config.batch_size))


def measure_speed(run: Run, stop: Stop) -> str:
    """Times the model of a finished run in a process of its own: `speed.json` beside the run; why that failed."""
    rung = run.place.parent
    place = next(iter(sorted(run.place.glob("seed_*/fold_*"))), run.place)
    with alone(rung.parent, stop) as busy, open(rung / "speed.log", "a") as log:
        if (rung / "speed.json").exists() or stop.asked:
            return ""
        command = ["vidjax.bench", "step", str(place), "--out", str(rung / "speed.json")]
        status = run_command(command, log, stop, look=lambda: None, locks=[busy])
    return reason(rung / "speed.log", status) if status else ""


# ---------------------------------------------------------------------------------------------------------- the command


def run_all(ladder: Ladder, runs: dict[str, list[Run]], costs: dict[str, Cost], stop: Stop) -> dict[str, str]:
    """Runs these runs of rungs, and measures the rungs' speed; returns why each failed that did."""
    names = list(runs)
    # What is not trained takes a little time as well
    share = {name: max(costs[name].training, 1e9) / len(runs[name]) for name in names}
    done = sum(share[name] * sum(map(rungs.is_finished, runs[name])) for name in names)
    total, failed = sum(share[name] * len(runs[name]) for name in names), {}
    form = "{percentage:3.0f}%|{bar}| {elapsed}<{remaining} {desc}"
    interval = 0.5 if sys.stderr.isatty() else 60
    with tqdm(total=total, initial=done, bar_format=form, mininterval=interval) as bar:
        for name in names:
            rung = ladder.rungs[name]
            to_come, whole = [run for run in runs[name] if not rungs.is_finished(run)], 1
            if to_come:
                whole = total_of(ladder, rung)
            for run in to_come:
                bar.set_description_str(f"{name}, {run.place.name}")
                start = bar.n

                def look(run=run, start=start, whole=whole):
                    bar.n = start + share[name] * fraction_done(run, whole)  # noqa: B023
                    bar.update(0)

                if why := run_one(run, stop, look):
                    failed[name] = why
                    bar.write(f"{name}, {run.place.name}: {why}")
                bar.n = start + share[name]
                bar.update(0)
                if stop.asked:
                    return failed
    for name in tqdm(names, "speed", mininterval=interval):
        if not ladder.rungs[name].config or not rungs.is_finished(runs[name][0]):
            continue
        if (runs[name][0].place.parent / "speed.json").exists():
            continue
        if (why := measure_speed(runs[name][0], stop)) and not stop.asked:
            tqdm.write(f"{name}: its speed could not be measured: {why}")
        if stop.asked:
            break
    return failed


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("ladder", type=Path, help="a file of configs/ladder/")
    add("--workdir", type=Path, required=True, help="for the runs and the table; started again, it goes on")
    add("--only", metavar="A,B", help="rungs to run, by name; the table has all that are done")
    add("--seeds", type=int, help="of each rung that is trained; by default those of the file")
    add("--plan", action="store_true", help="only say what there is to do, and what it costs")
    args = parser.parse_args(argv)
    if args.seeds is not None and args.seeds < 1:
        parser.error("--seeds must be 1 or more")
    return args


def main(argv=None) -> int:
    """Runs the ladder; returns the exit status: 1 where a rung failed, 75 where it was interrupted."""
    args = parse_args(argv)
    absl_logging.set_verbosity(absl_logging.WARNING)
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str((args.workdir / "compiled").absolute()))
    started, stop = time.perf_counter(), Stop()
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ladder = rungs.read(args.ladder, args.seeds)
        names = args.only.split(",") if args.only else list(ladder.rungs)
        if unknown := sorted(set(names) - set(ladder.rungs)):
            raise ValueError(f"no rung {', '.join(unknown)}; {args.ladder} has {', '.join(ladder.rungs)}.")
        args.workdir.mkdir(parents=True, exist_ok=True)
        if why := make_records(ladder, args.workdir, stop):
            raise ValueError(why)
        for rung in ladder.rungs.values():
            rungs.check_unchanged(rung, rungs.runs_of(ladder, rung, args.workdir), args.workdir)
        costs = costs_of(ladder)
        runs = {name: rungs.runs_of(ladder, ladder.rungs[name], args.workdir) for name in names}
        print(plan(ladder, costs, runs), flush=True)
        if args.plan:
            return 0
        failed = run_all(ladder, runs, costs, stop)
        print("\n" + ladder_table.write(ladder, costs, args.workdir, failed))
    except ValueError as error:
        sys.exit(f"vidjax.ladder: {error}")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if stop.asked:
        print("Interrupted: the same command goes on.")
        return progress.INTERRUPTED
    minutes = math.ceil((time.perf_counter() - started) / 60)
    print(f"Wrote ladder.md, ladder.csv and ladder.json to {args.workdir} ({minutes} minutes).")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
