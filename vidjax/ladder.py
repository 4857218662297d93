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
        on_features: whether stored features are its input, whose own cost is in none of these.
    """

    num_params: int = 0
    multiply_adds: int = 0
    training: int = 0
    on_features: bool = False


# ------------------------------------------------------------------------------------------------------ beforehand


def make_records(ladder: Ladder, workdir: Path, stop: "Stop"):
    """Makes the records (or the networks of features) that are not there yet, and says which could not be made.

    Several ladders wait for each other here.
    """
    for directory, command in ladder.records.items():
        with waiting(workdir / "records.log", stop) as log:
            if stop.asked:
                return
            if not is_made(Path(directory)):
                print(f"Making {directory}: python -m {command}", flush=True)
                start = log.tell()
                status = run_command(command.split(), log, stop, look=lambda: None)
                if status and not stop.asked:
                    why = reason(workdir / "records.log", status, start)
                    print(f"{directory} could not be made: {why}", flush=True)


def is_made(directory: Path) -> bool:
    """Whether records are complete, or a run is finished."""
    path = directory / "dataset.json"
    return (path.exists() and json.loads(path.read_text()).get("complete")) or (directory / "result.json").exists()


def costs_of(ladder: Ladder) -> tuple[dict[str, Cost], dict[str, str]]:
    """The cost of each rung, and of those that cannot be traced why: records that are not there, a wrong argument."""
    costs, problems = {}, {}
    for name, rung in tqdm(ladder.rungs.items(), "costs", leave=False, disable=None):
        members = [costs[member] for member in rung.fuses or [rung.features] if member in costs]
        on_features = any(cost.on_features for cost in members) or "/" in rung.features
        sizes = sum(cost.num_params for cost in members), sum(cost.multiply_adds for cost in members)
        costs[name] = Cost(*sizes, on_features=on_features)
        if rung.config:
            try:
                costs[name] = cost_of_training(ladder, rung)
            except (ValueError, TypeError) as error:
                problems[name] = " ".join(str(error).split())
    return costs, problems


def cost_of_training(ladder: Ladder, rung: Rung) -> Cost:
    """The cost of a rung that is trained: its network is traced; errors as of `pipeline.open_records`."""
    config, clips = rungs.config_of(rung), 0
    for train_splits in splits_of_runs(ladder, rung, config):
        clips += config.num_epochs * len(pipeline.open_records(config.dataset, train_splits)) * rung.seeds
    inputs, num_classes, _ = summary.find_inputs(config, None, 1, None)
    (network, *_), _, _ = summary.layers_of(config, inputs, num_classes)
    training = round(3 * network.multiply_adds * clips)
    return Cost(network.num_params, network.multiply_adds, training, "features" in inputs)


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
        numbers[1] += " on features" if numbers[1] and cost.on_features else ""
        rows.append((name, ladder.rungs[name].title, str(len(runs[name])), str(done), *numbers))
    total = sum(costs[name].training for name in runs)
    return "\n".join([*summary.aligned(rows), "", f"training in all: {total / 1e12:.1f} T multiply-adds"])


# ------------------------------------------------------------------------------------------------------------ the runs


class Stop:
    """Ctrl-C, SIGTERM or SIGUSR1: passed on to the run at work, which saves and stops; without one it acts at once."""

    def __init__(self):
        self.asked, self.child, self.at_work = 0, None, False

    def __call__(self, number, frame):
        self.asked = number
        if self.child:
            self.child.send_signal(number)
        elif not self.at_work:
            raise KeyboardInterrupt


def run_command(command: list[str], log, stop: Stop, look, locks: Sequence = ()) -> int:
    """Runs `python -m COMMAND` to its end, calling `look` now and then; returns its exit status.

    It inherits the locks on the log and on other files, which hold as long as it is alive, even where the ladder was
    killed.
    """
    stop.at_work = True
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
    if stop.asked:  # since `at_work`
        child.send_signal(stop.asked)
    while child.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(LOOK_EVERY)
        look()
    stop.child, stop.at_work = None, False
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
def waiting(path: Path, stop: Stop) -> Iterator:
    """Opens a file for appending when no other process holds it any more, and keeps others from it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        while not stop.asked:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(LOOK_EVERY)
        yield file


def run_one(run: Run, stop: Stop, look) -> str:
    """Runs what a run needs; returns why it failed, or nothing."""
    if missing := [str(place) for place in run.needs if not (place / "result.json").exists()]:
        return f"needs {', '.join(missing)}, which has no result"
    path = log_path(run)
    # Features are computed into the run of another rung, which several rungs look at
    shared = waiting(run.needs[0] / "features.log", stop) if len(run.commands) > 1 else contextlib.nullcontext()
    with contextlib.ExitStack() as stack:
        if (log := stack.enter_context(locked(path))) is None:
            return "another process is at work on it"
        if rungs.is_finished(run):  # by then
            return ""
        run.place.mkdir(exist_ok=True)
        stack.enter_context(shared)
        busy = stack.enter_context(open(run.place.parents[1] / "busy.lock", "a"))
        fcntl.flock(busy, fcntl.LOCK_SH)
        for command in run.commands:
            if stop.asked:
                return "interrupted"
            start = log.tell()
            status = run_command(command, log, stop, look, locks=[busy])
            if status and (stop.asked or status == progress.INTERRUPTED):
                return "interrupted"
            if status:
                return reason(path, status, start)
    return "" if rungs.is_finished(run) else f"it ended without a result: see {path}"


def log_path(run: Run) -> Path:
    return run.place.parent / f"{run.place.name}.log"


def reason(log: Path, status: int, start: int = 0) -> str:
    """Why a command ended: the signal, or the last error in what it wrote after the first `start` bytes of the log."""
    if status < 0:
        return f"ended by {signal.Signals(-status).name}" + (": out of memory, perhaps" if status == -9 else "")
    text = log.read_bytes()[start:].decode(errors="replace")
    lines = [line.strip() for line in re.split(r"[\r\n]", text) if line.strip()]
    is_error = re.compile(r"(vidjax\.\w+|[\w.]*(Error|Exception|Interrupt)): .")
    for i in reversed(range(len(lines))):
        if is_error.match(lines[i]):
            rule = next((k for k in range(i, len(lines)) if lines[k].startswith("-----")), len(lines))  # JAX's remark
            return "; ".join(lines[i:rule])[:300]
    return lines[-1][:300] if lines else f"exit status {status}, without a word"


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
    """Times the model of a finished run, in a process of its own, when no process is at a run of this ladder.

    It leaves `speed.json` in the run's place; returns why that failed.
    """
    out, log_of_speed = run.place / "speed.json", run.place / "speed.log"
    first = next(iter(sorted(run.place.glob("seed_*/fold_*"))), run.place)
    with waiting(run.place.parents[1] / "busy.lock", stop) as busy, open(log_of_speed, "a") as log:
        if out.exists() or stop.asked:
            return ""
        start, command = log.tell(), ["vidjax.bench", "step", str(first), "--out", str(out)]
        status = run_command(command, log, stop, look=lambda: None, locks=[busy])
    return reason(log_of_speed, status, start) if status and not stop.asked else ""


# ---------------------------------------------------------------------------------------------------------- the command


def run_all(ladder: Ladder, runs: dict[str, list[Run]], costs: dict[str, Cost], stop: Stop) -> dict[str, str]:
    """Runs these runs of rungs, and measures the rungs' speed; returns why each failed that did."""
    # What is not trained takes a little time as well
    share = {name: max(costs[name].training, 1e9) / len(runs[name]) for name in runs}
    done = sum(share[name] * sum(map(rungs.is_finished, runs[name])) for name in runs)
    total, failed = sum(share[name] * len(runs[name]) for name in runs), {}
    form = "{percentage:3.0f}%|{bar}| {elapsed}<{remaining} {desc}"
    interval = 0.5 if sys.stderr.isatty() else 60
    with tqdm(total=total, initial=done, bar_format=form, mininterval=interval) as bar:
        for name in runs:
            for run in [run for run in runs[name] if not rungs.is_finished(run)]:
                bar.set_description_str(f"{name}, {run.place.name}")
                start, whole = bar.n, total_of(ladder, ladder.rungs[name])

                def look(name=name, run=run, start=start, whole=whole):
                    bar.n = start + share[name] * fraction_done(run, whole)
                    bar.update(0)

                if why := run_one(run, stop, look):
                    failed[name] = why
                    bar.write(f"{name}, {run.place.name}: {why}")
                bar.n = start + share[name]
                bar.update(0)
                if stop.asked:
                    return failed
    to_measure = [runs[name][0] for name in runs if ladder.rungs[name].config and rungs.is_finished(runs[name][0])]
    to_measure = [run for run in to_measure if not (run.place / "speed.json").exists()]
    for run in tqdm(to_measure, "speed", mininterval=interval, disable=not to_measure):
        if why := measure_speed(run, stop):
            tqdm.write(f"{run.rung}: its speed could not be measured: {why}")
        if stop.asked:
            break
    return failed


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("ladder", type=Path, help="a file of configs/ladder/")
    add("--workdir", type=Path, required=True, help="for the runs and the table; started again, it goes on")
    add("--only", metavar="A,B", help="rungs to run, by name; the table has all")
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
    before = {number: signal.signal(number, stop) for number in progress.SIGNALS}
    try:
        failed = climb(args, stop)
    except ValueError as error:
        sys.exit(f"vidjax.ladder: {error}")
    except KeyboardInterrupt:
        failed = {}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if stop.asked:
        print("Interrupted: the same command goes on.")
        return progress.INTERRUPTED
    if not args.plan:
        minutes = math.ceil((time.perf_counter() - started) / 60)
        print(f"Wrote ladder.md, ladder.csv and ladder.json to {args.workdir} ({minutes} minutes).")
    return 1 if failed else 0


def climb(args: argparse.Namespace, stop: Stop) -> dict[str, str]:
    """What the command does; returns why each rung failed that did, or cannot be run."""
    ladder = rungs.read(args.ladder, args.seeds)
    asked = args.only.split(",") if args.only else list(ladder.rungs)
    if unknown := sorted(set(asked) - set(ladder.rungs)):
        raise ValueError(f"no rung {', '.join(unknown)}; {args.ladder} has {', '.join(ladder.rungs)}.")
    args.workdir.mkdir(parents=True, exist_ok=True)
    if not args.plan:
        make_records(ladder, args.workdir, stop)
    costs, problems = costs_of(ladder)
    runs = {name: rungs.runs_of(ladder, rung, args.workdir) for name, rung in ladder.rungs.items()}
    problems |= {name: why for name, rung in ladder.rungs.items() if (why := rungs.stale(rung, runs[name]))}
    print(plan(ladder, costs, {name: runs[name] for name in ladder.rungs if name in asked}), flush=True)
    for name, why in problems.items():
        print(f"{name}: {why}", flush=True)
    if args.plan or stop.asked:
        return {}
    to_run = {name: runs[name] for name in ladder.rungs if name in asked and name not in problems}
    failed = problems | run_all(ladder, to_run, costs, stop)
    # Another process may have run them by now
    done = [name for name in runs if name not in problems and all(map(rungs.is_finished, runs[name]))]
    failed = {name: why for name, why in failed.items() if name not in done}
    print("\n" + ladder_table.write(ladder, costs, args.workdir, failed, problems))
    return {name: why for name, why in failed.items() if name in asked}


if __name__ == "__main__":
    sys.exit(main())
