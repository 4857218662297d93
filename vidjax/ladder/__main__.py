"""Trains and tests a ladder of models on one dataset, and writes one table of the results.

    python -m vidjax.ladder configs/ladder/motion.py --workdir runs/ladder_motion [--only i3d,lstm] [--seeds 3] [--plan]

Each run is a process of its own, and its output is in WORKDIR/RUNG/seed_0.log. A run that fails does not stop the
others. The same command continues after an interrupt: it skips finished runs and resumes interrupted ones. Several
commands, for example one per GPU, share the runs of a WORKDIR.

At the end WORKDIR holds the table as ladder.md, ladder.csv and ladder.json. `python -m vidjax.report` turns it into a
page. Rungs whose test videos have levels also get matrix.md, matrix.csv, matrix.png, curves.png and profiles.csv.
"""

import argparse
import contextlib
import fcntl
import fnmatch
import itertools
import json
import math
import os
import signal
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from absl import logging as absl_logging

from vidjax import output_paths
from vidjax.analysis import layer_table
from vidjax.ladder import costs as ladder_costs
from vidjax.ladder import profiles, rungs, table
from vidjax.ladder import runs as ladder_runs
from vidjax.ladder.costs import Cost
from vidjax.ladder.process import NO_WAIT, Stop, locked, reason, run_command
from vidjax.ladder.rungs import Ladder
from vidjax.ladder.runs import Run, is_finished
from vidjax.progress_bar import progress_bar
from vidjax.training import interrupts

# ------------------------------------------------------------------------------------------------- before the first run


def needed(ladder: Ladder, names: Collection[str]) -> dict[str, str]:
    """Returns those of `ladder.records` that rungs are trained on, or that the commands of others name."""
    wanted = [ladder.rungs[name] for name in names]
    wanted = {rungs.config_of(rung).dataset if rung.config else rung.features for rung in wanted}
    found = {}
    for directory, command in reversed(ladder.records.items()):  # what a command reads was made before it
        if directory in wanted or any(Path(directory).name in other for other in found.values()):
            found[directory] = command
    return dict(reversed(found.items()))


def make_records(records: Mapping[str, str], workdir: Path, stop: Stop):
    """Makes missing records and networks, commands by directory, one at a time; prints failures."""
    for directory, command in records.items():
        with locked(workdir / "records.log") as log:
            if not is_made(Path(directory)):
                print(f"Making {directory}: python -m {command}", flush=True)
                start = log.tell()
                status = run_command(command.split(), log, stop)
                if stop.asked:
                    return
                if status:
                    why = reason(workdir / "records.log", status, start)
                    print(f"{directory} could not be made: {why}", flush=True)


def is_made(directory: Path) -> bool:
    """Returns whether the records in a directory are complete, or the run in it is finished."""
    complete = ladder_runs.read_result(directory / "dataset.json").get("complete", False)
    return complete or (directory / "result.json").exists()


def plan(ladder: Ladder, costs: dict[str, Cost], runs: dict[str, list[Run]]) -> str:
    """Returns the plan as a table: runs, finished runs, parameters, multiply-adds and minutes of each rung."""
    heads = ("rung", "", "dial", "runs", "done", "parameters", "multiply-adds per clip", "in training", "minutes")
    rows, to_do, minutes, minutes_to_do = [heads, ()], 0, 0.0, 0.0
    for name in runs:
        cost, count, rung = costs[name], len(runs[name]), ladder.rungs[name]
        done = sum(map(is_finished, runs[name]))
        to_do += cost.training * (count - done) / count
        minutes, minutes_to_do = minutes + rung.minutes * count, minutes_to_do + rung.minutes * (count - done)
        parameters = f"{cost.num_params:,}" if cost.num_params else ""
        per_clip = table.multiply_adds_text(cost.multiply_adds, cost.on_features)
        in_training = f"{cost.training / 1e12:.2f} T" if cost.training else ""
        of_rung = f"{rung.minutes * count:.1f}" if rung.minutes else ""
        rows.append((name, rung.title, rung.dial, str(count), str(done), parameters, per_clip, in_training, of_rung))
    total = sum(costs[name].training for name in runs)
    last = f"Training: {total / 1e12:.1f} T multiply-adds in all, {to_do / 1e12:.1f} T to do."
    if minutes:
        hours, to_do = minutes / 60, minutes_to_do / 60
        last += f"\nTime: {hours:.1f} hours of one core in all, {to_do:.1f} to do, by the estimates of the file."
    return "\n".join([*layer_table.aligned(without_empty(rows)), "", last])


def without_empty(rows: list[tuple]) -> list[tuple]:
    """Returns a table, whose second row is a rule, without columns that have only a head."""
    kept = [i for i, head in enumerate(rows[0]) if not head or any(row[i] for row in rows[2:])]
    return [tuple(row[i] for i in kept) if row else () for row in rows]


def stale_rungs(ladder: Ladder, runs: dict[str, list[Run]]) -> dict[str, str]:
    """Returns the rungs with stale runs, see `runs.stale`, and those that start from them, each with a reason."""
    found = {}
    for name, rung in ladder.rungs.items():
        members = [member for member in (*rung.fuses, *rungs.referred_to(rung), rung.features) if member in found]
        if why := ladder_runs.stale(rung, runs[name]) or ", ".join(f"{m} does not count: {found[m]}" for m in members):
            found[name] = why
    return found


# ------------------------------------------------------------------------------------------------------------- the runs


def run_all(ladder: Ladder, runs: dict[str, list[Run]], costs: dict[str, Cost], stop: Stop) -> dict[str, str]:
    """Runs all unfinished runs, then measures missing speeds; returns the failed rungs, each with a reason."""
    # The progress bar counts multiply-adds; rungs without training take a little time too
    share = {name: max(costs[name].training, 1e9) / len(runs[name]) for name in runs}
    total = sum(share[name] * len(runs[name]) for name in runs)
    done = sum(share[run.rung] for run in itertools.chain(*runs.values()) if is_finished(run))
    form, failed = "{percentage:3.0f}%|{bar}| {elapsed}<{remaining} {desc}", {}
    with progress_bar(None, total=total, initial=done, bar_format=form) as bar:
        for run in itertools.chain(*runs.values()):
            if is_finished(run):  # checked late: a new run of a rung makes those that started from it unfinished
                continue
            bar.set_description_str(f"{run.rung}, {run.place.name}")
            if why := run_one(run, stop):
                failed[run.rung] = why
                bar.write(f"{run.rung}, {run.place.name}: {why}")
            if stop.asked:
                return failed
            bar.update(share[run.rung])
    # The dials of a network share its speed, which ladders without dials measure
    first_runs = [runs[name][0] for name in runs if ladder.rungs[name].config and not ladder.rungs[name].dial]
    to_measure = [run for run in first_runs if is_finished(run) and not (run.place / "speed.json").exists()]
    speeds = progress_bar(to_measure, "speed", leave=False)
    for run in speeds:
        if why := measure_speed(run, stop):
            speeds.write(f"{run.rung}: its speed could not be measured: {why}")
        if stop.asked:
            break
    return failed


def run_one(run: Run, stop: Stop) -> str:
    """Runs the commands of a run; returns why it failed, or "". Writes the reason to `run.failure` too."""
    if missing := [str(place) for place in run.needs if not (place / "result.json").exists()]:
        return f"needs {', '.join(missing)}, which has no result"
    with contextlib.ExitStack() as stack:
        if (log := stack.enter_context(locked(run.log, NO_WAIT))) is None:
            return "another process is running it"
        if is_finished(run):  # by another process, a moment ago
            return ""
        prepare(run)
        if len(run.commands) > 1:  # the first command writes features into the run of a rung that several rungs share
            stack.enter_context(locked(run.needs[0] / "features.log"))
        busy = stack.enter_context(locked(run.place.parents[1] / "busy.lock", fcntl.LOCK_SH))
        for command in run.commands:
            start = log.tell()
            status = run_command(command, log, stop, locks=[busy])
            if stop.asked or status == interrupts.INTERRUPTED:
                return "interrupted" if status or not is_finished(run) else ""
            if status:
                return keep_failure(run, reason(run.log, status, start))
        if not is_finished(run):
            return keep_failure(run, f"it ended without the expected top1: see {run.log}")
    return ""


def prepare(run: Run):
    """Makes the directory of a run. If the run is new, also records the runs that it starts from."""
    run.place.mkdir(exist_ok=True)
    run.failure.unlink(missing_ok=True)
    if not (run.place / "config.json").exists():
        (run.place / "result.json").unlink(missing_ok=True)
        if run.needs:
            run.parents.write_text(json.dumps(ladder_runs.parents_of(run), indent=2) + "\n")


def keep_failure(run: Run, why: str) -> str:
    """Writes why a run failed beside its log; returns it."""
    run.failure.write_text(why + "\n")
    return why


def measure_speed(run: Run, stop: Stop) -> str:
    """Times the model of a finished run and writes `speed.json`; returns why that failed, or "".

    Waits until no process works on a run of this ladder.
    """
    out, log_path = run.place / "speed.json", run.place / "speed.log"
    trained = next(iter(sorted(run.place.glob("seed_*/fold_*"))), run.place)
    with locked(run.place.parents[1] / "busy.lock") as busy, open(log_path, "a") as log:
        if out.exists():
            return ""
        start, command = log.tell(), ["vidjax.bench", "step", str(trained), "--out", str(out)]
        status = run_command(command, log, stop, locks=[busy])
    return reason(log_path, status, start) if status and not stop.asked else ""


# ---------------------------------------------------------------------------------------------------------- the command


def run_ladder(args: argparse.Namespace, stop: Stop) -> dict[str, str]:
    """Runs the ladder and writes the table; returns the selected rungs that failed, each with a reason."""
    ladder = rungs.read(args.ladder, args.seeds)
    patterns = ["*"] if args.only is None else args.only.split(",")
    selected = [name for name in ladder.rungs if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]
    if unknown := [pattern for pattern in sorted(set(patterns)) if not fnmatch.filter(ladder.rungs, pattern)]:
        names = ", ".join(map(repr, unknown))
        raise ValueError(f"--only: {args.ladder} has no rung {names}; choose from {', '.join(ladder.rungs)}.")
    output_paths.check_writable(args.workdir, "--workdir")
    args.workdir.mkdir(parents=True, exist_ok=True)
    if not args.plan:
        make_records(needed(ladder, selected), args.workdir, stop)
    runs = {name: ladder_runs.runs_of(ladder, rung, args.workdir) for name, rung in ladder.rungs.items()}
    in_table = [name for name in runs if name in selected or any(map(is_finished, runs[name]))]
    costs, untraced = ladder_costs.costs_of(ladder, in_table)
    stale = stale_rungs(ladder, runs)
    print(plan(ladder, costs, {name: runs[name] for name in runs if name in selected}), flush=True)
    problems = untraced | stale
    for name in selected:
        if name in problems:
            print(f"{name}: {problems[name]}", flush=True)
    if args.plan or stop.asked:
        return {}
    to_run = {name: runs[name] for name in runs if name in selected and name not in problems}
    failures = problems | run_all(ladder, to_run, costs, stop)
    # Another process may have finished failed rungs, and finished rungs still count if their records are gone
    finished = {name for name in runs if name not in stale and all(map(is_finished, runs[name]))}
    failures = {name: why for name, why in failures.items() if name not in finished}
    print("\n" + table.write(ladder, costs, args.workdir, untraced | failures, stale))
    if matrix := profiles.write(args.workdir):
        print("\n" + matrix)
    return {name: why for name, why in failures.items() if name in selected}


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="vidjax ladder", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("ladder", type=Path, help="a file of configs/ladder/")
    add("--workdir", type=Path, required=True, help="directory of the runs and the table; use it again to continue")
    add("--only", metavar="A,B", help="names of the rungs to run (default: all), or patterns like 'gap-*'")
    add("--seeds", type=int, help="runs per trained rung (default: as in the file)")
    add("--plan", action="store_true", help="only print the runs and their cost")
    args = parser.parse_args(argv)
    if args.seeds is not None and args.seeds < 1:
        parser.error("--seeds must be 1 or more")
    return args


def main(argv=None) -> int:
    """Runs the command; returns the exit status: 1 if a rung failed, 75 if interrupted, else 0."""
    args = parse_args(argv)
    absl_logging.set_verbosity(absl_logging.WARNING)
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str((args.workdir / "compiled").absolute()))
    started, stop = time.perf_counter(), Stop()
    before = {number: signal.signal(number, stop) for number in interrupts.SIGNALS}
    try:
        failed = run_ladder(args, stop)
    except (ValueError, OSError) as error:
        sys.exit(f"vidjax.ladder: {error}")
    except KeyboardInterrupt:
        failed = {}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if stop.asked:
        print("Interrupted. Run the same command to continue.")
        return interrupts.INTERRUPTED
    if not args.plan:
        minutes = math.ceil((time.perf_counter() - started) / 60)
        print(f"Wrote ladder.md, ladder.csv and ladder.json to {args.workdir} ({minutes} minutes).")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
