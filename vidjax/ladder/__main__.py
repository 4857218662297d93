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
import signal
import sys
import time
from pathlib import Path

from absl import logging as absl_logging

from vidjax import config as configs
from vidjax import output_paths
from vidjax.analysis import layer_table
from vidjax.data import pipeline
from vidjax.ladder import costs as ladder_costs
from vidjax.ladder import rungs, table
from vidjax.ladder import runs as ladder_runs
from vidjax.ladder.costs import Cost
from vidjax.ladder.process import Stop, locked, reason, run_command, waiting
from vidjax.ladder.rungs import Ladder, Rung
from vidjax.ladder.runs import Run
from vidjax.progress_bar import progress_bar
from vidjax.training import interrupts, metrics_log

# ------------------------------------------------------------------------------------------------------ beforehand


def make_records(ladder: Ladder, workdir: Path, stop: Stop):
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
    complete = ladder_runs.read_result(directory / "dataset.json").get("complete", False)
    return complete or (directory / "result.json").exists()


def plan(ladder: Ladder, costs: dict[str, Cost], runs: dict[str, list[Run]]) -> str:
    """The table of what is to come: multiply-adds of a clip and of the training, and how much of it is done."""
    rows, to_do = [("rung", "", "runs", "done", "parameters", "multiply-adds a clip", "of training"), ()], 0
    for name in runs:
        cost = costs[name]
        done = sum(ladder_runs.is_finished(run) for run in runs[name])
        to_do += cost.training * (len(runs[name]) - done) / len(runs[name])
        parameters = f"{cost.num_params:,}" if cost.num_params else ""
        of_clip = (
            layer_table.in_giga(cost.multiply_adds) + " on features" * cost.on_features if cost.multiply_adds else ""
        )
        of_training = f"{cost.training / 1e12:.2f} T" if cost.training else ""
        title, count = ladder.rungs[name].title, str(len(runs[name]))
        rows.append((name, title, count, str(done), parameters, of_clip, of_training))
    total = sum(costs[name].training for name in runs) / 1e12
    last = f"training in all: {total:.1f} T multiply-adds, of which {to_do / 1e12:.1f} T are to be done"
    return "\n".join([*layer_table.aligned(rows), "", last])


# ------------------------------------------------------------------------------------------------------------ the runs


def run_one(run: Run, stop: Stop, look) -> str:
    """Runs the commands of a run; returns why it failed, or nothing. A failure is kept for those who come later."""
    if missing := [str(place) for place in run.needs if not (place / "result.json").exists()]:
        return f"needs {', '.join(missing)}, which has no result"
    # Features are computed into the run of another rung, which several rungs look at
    shared = waiting(run.needs[0] / "features.log", stop) if len(run.commands) > 1 else contextlib.nullcontext()
    with contextlib.ExitStack() as stack:
        if (log := stack.enter_context(locked(run.log))) is None:
            return "another process is at work on it"
        if ladder_runs.is_finished(run):  # by then
            return ""
        prepare(run)
        stack.enter_context(shared)
        busy = stack.enter_context(open(run.place.parents[1] / "busy.lock", "a"))
        fcntl.flock(busy, fcntl.LOCK_SH)
        for command in run.commands:
            if stop.asked:
                return "interrupted"
            start = log.tell()
            status = run_command(command, log, stop, look, locks=[busy])
            if status and (stop.asked or status == interrupts.INTERRUPTED):
                return "interrupted"
            if status:
                return keep_failure(run, reason(run.log, status, start))
        if not ladder_runs.is_finished(run):
            return keep_failure(run, f"it ended without a top1 of what was asked for: see {run.log}")
    return ""


def prepare(run: Run):
    """Makes the directory of a run that is about to begin or to go on, and writes down what it is made from."""
    run.place.mkdir(exist_ok=True)
    run.failure.unlink(missing_ok=True)
    if not (run.place / "config.json").exists():  # it begins
        (run.place / "result.json").unlink(missing_ok=True)
        if run.needs:
            run.parents.write_text(json.dumps(ladder_runs.parents_of(run), indent=2) + "\n")


def keep_failure(run: Run, why: str) -> str:
    """Leaves why a run failed beside its log; returns it."""
    run.failure.write_text(why + "\n")
    return why


def fraction_done(run: Run, total_steps: int) -> float:
    """How far a run is: by the last line of metrics.jsonl, or by the folds that have a result."""
    if run.commands[0][0] == "vidjax.crossval":
        return len(list(run.place.glob("seed_*/fold_*/result.json"))) / max(total_steps, 1)
    lines = metrics_log.read_metrics(run.place / "metrics.jsonl")
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
    done = sum(share[name] * sum(map(ladder_runs.is_finished, runs[name])) for name in runs)
    total, failed = sum(share[name] * len(runs[name]) for name in runs), {}
    form = "{percentage:3.0f}%|{bar}| {elapsed}<{remaining} {desc}"
    with progress_bar(None, total=total, initial=done, bar_format=form) as bar:
        for name in runs:
            for run in [run for run in runs[name] if not ladder_runs.is_finished(run)]:
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
    first_runs = [runs[name][0] for name in runs if ladder.rungs[name].config]
    to_measure = [r for r in first_runs if ladder_runs.is_finished(r) and not (r.place / "speed.json").exists()]
    speeds = progress_bar(to_measure, "speed", leave=False)
    for run in speeds:
        if why := measure_speed(run, stop):
            speeds.write(f"{run.rung}: its speed could not be measured: {why}")
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
    before = {number: signal.signal(number, stop) for number in interrupts.SIGNALS}
    try:
        failed = climb(args, stop)
    except (ValueError, OSError) as error:
        sys.exit(f"vidjax.ladder: {error}")
    except KeyboardInterrupt:
        failed = {}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if stop.asked:
        print("Interrupted: the same command goes on.")
        return interrupts.INTERRUPTED
    if not args.plan:
        minutes = math.ceil((time.perf_counter() - started) / 60)
        print(f"Wrote ladder.md, ladder.csv and ladder.json to {args.workdir} ({minutes} minutes).")
    return 1 if failed else 0


def climb(args: argparse.Namespace, stop: Stop) -> dict[str, str]:
    """What the command does; returns why each rung failed that did, or cannot be run."""
    ladder = rungs.read(args.ladder, args.seeds)
    asked = list(ladder.rungs) if args.only is None else args.only.split(",")
    if unknown := sorted(set(asked) - set(ladder.rungs)):
        raise ValueError(f"no rung {', '.join(map(repr, unknown))}; {args.ladder} has {', '.join(ladder.rungs)}.")
    args.workdir.mkdir(parents=True, exist_ok=True)
    output_paths.check_writable(args.workdir, "--workdir")
    if not args.plan:
        make_records(ladder, args.workdir, stop)
    costs, untraced = ladder_costs.costs_of(ladder)
    runs = {name: ladder_runs.runs_of(ladder, rung, args.workdir) for name, rung in ladder.rungs.items()}
    unfit = unfit_rungs(ladder, runs)
    print(plan(ladder, costs, {name: runs[name] for name in ladder.rungs if name in asked}), flush=True)
    problems = untraced | unfit
    for name, why in problems.items():
        print(f"{name}: {why}", flush=True)
    if args.plan or stop.asked:
        return {}
    to_run = {name: runs[name] for name in ladder.rungs if name in asked and name not in problems}
    failures = problems | run_all(ladder, to_run, costs, stop)
    # Another process may have run them by now, and what is finished stays so where its records are gone
    done = [name for name in runs if name not in unfit and all(map(ladder_runs.is_finished, runs[name]))]
    failures = {name: why for name, why in failures.items() if name not in done}
    print("\n" + table.write(ladder, costs, args.workdir, untraced | failures, unfit))
    return {name: why for name, why in failures.items() if name in asked}


def unfit_rungs(ladder: Ladder, runs: dict[str, list[Run]]) -> dict[str, str]:
    """Rungs whose runs do not count, and why: see `ladder.runs.stale`; and those that are made from such."""
    found = {}
    for name, rung in ladder.rungs.items():
        members = [member for member in (*rung.fuses, *rungs.referred_to(rung), rung.features) if member in found]
        if why := ladder_runs.stale(rung, runs[name]) or ", ".join(f"{m} does not count: {found[m]}" for m in members):
            found[name] = why
    return found


if __name__ == "__main__":
    sys.exit(main())
