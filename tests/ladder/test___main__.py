import csv
import fcntl
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import ladder_files
from vidjax import config as configs
from vidjax.ladder import __main__ as ladder
from vidjax.ladder import process as ladder_process
from vidjax.ladder import rungs, runs
from vidjax.training import interrupts

THREE = [
    {"name": "narrow", "config": "tiny:narrow"},
    {"name": "wide", "config": "tiny:wide"},
    {"name": "both", "fuses": ["narrow", "wide"]},
]
TIMES = ("ms a step", "forward clips/s", "seconds")


@pytest.fixture
def three(tiny_motion, tmp_path) -> Path:
    return ladder_files.write(tmp_path, tiny_motion, THREE)


@pytest.fixture
def commands(monkeypatch) -> list[list[str]]:
    """Records the commands of a ladder in order. Instead of running, they only leave a result."""
    ran = []

    def run(command, log, stop, locks=()):
        ran.append(command)
        if command[0] == "vidjax.train":
            place = Path(command[command.index("--workdir") + 1])
            ladder_files.write_result(place, 0.5, **ladder_files.TRAINED, top1_within_pairs=0.75)
        elif command[0] == "vidjax.evaluate":
            ladder_files.write_result(Path(command[-1]).parent, 1.0, fusion="scores")
        return 0

    monkeypatch.setattr(ladder, "run_command", run)
    return ran


def test_finished_runs_are_skipped(three, commands, tmp_path, capsys):
    arguments = [str(three), "--workdir", str(tmp_path / "W")]
    assert ladder.main([*arguments, "--only", "narrow"]) == 0
    assert [command[0] for command in commands] == ["vidjax.train", "vidjax.bench"]
    assert "| The narrow one" in (table := capsys.readouterr().out) and "| not run |" in table
    commands.clear()
    assert ladder.main(arguments) == 0
    assert [command[0] for command in commands] == ["vidjax.train", "vidjax.evaluate", "vidjax.bench", "vidjax.bench"]
    out = capsys.readouterr().out
    assert re.search(r"narrow +The narrow one +1 +1 +\d", out) and re.search(r"wide +The wide one +1 +0 ", out)
    commands.clear()
    assert ladder.main(arguments) == 0
    assert [command[0] for command in commands] == ["vidjax.bench"] * 2  # it has not written a speed.json
    rows = json.loads((tmp_path / "W/ladder.json").read_text())["rungs"]
    assert [row["figures"][""]["top1"]["mean"] for row in rows] == [0.5, 0.5, 1.0]
    assert rows[2]["parameters"] == rows[0]["parameters"] + rows[1]["parameters"]


def test_the_plan(three, commands, tmp_path, capsys):
    assert ladder.main([str(three), "--workdir", str(tmp_path / "W"), "--plan", "--seeds", "2"]) == 0
    out = capsys.readouterr().out
    assert not commands and re.search(r"Training: ([\d.]+) T multiply-adds in all, \1 T to do", out)
    assert re.search(r"narrow +The narrow one +2 +0 +45,036 +[\d.]+ M +[\d.]+ T", out), out
    assert "dial" not in out and "minutes" not in out


def test_the_plan_says_how_long_the_selected_rungs_take(tiny_motion, commands, tmp_path, capsys):
    timed = [{**THREE[0], "minutes": 30.0, "seeds": 2}, {**THREE[1], "minutes": 45, "seeds": 2}, THREE[2]]
    path = ladder_files.write(tmp_path, tiny_motion, timed)
    assert ladder.main([str(path), "--workdir", str(tmp_path / "W"), "--plan", "--only", "n*,both"]) == 0
    out = capsys.readouterr().out
    assert "Time: 1.0 hours of one core in all, 1.0 to do, by the estimates of the file." in out  # two seeds
    assert re.search(r"narrow .* T +60.0\n", out) and "The wide one" not in out


def test_a_failed_rung_does_not_stop_the_others(three, commands, tmp_path, monkeypatch, capsys):
    run = ladder.run_command

    def fails(command, log, stop, locks=()):
        if "wide" in command[2]:
            log.write("step 3 of 9\rTraceback\njaxlib.XlaRuntimeError: RESOURCE_EXHAUSTED\n-----\nFor simplicity,\n")
            log.flush()
            return 1
        return run(command, log, stop)

    monkeypatch.setattr(ladder, "run_command", fails)
    assert ladder.main([str(three), "--workdir", str(tmp_path / "W")]) == 1
    with open(tmp_path / "W/ladder.csv") as file:
        notes = {row["name"]: row["note"] for row in csv.DictReader(file)}
    assert notes["narrow"] == "" and notes["wide"] == "jaxlib.XlaRuntimeError: RESOURCE_EXHAUSTED"
    assert notes["both"] == f"needs {tmp_path}/W/wide/seed_0, which has no result"
    assert ladder.main([str(three), "--workdir", str(tmp_path / "W"), "--only", "narrow"]) == 0
    assert json.loads((tmp_path / "W/ladder.json").read_text())["rungs"][1]["note"] == notes["wide"]
    monkeypatch.setattr(ladder, "run_command", run)
    assert ladder.main([str(three), "--workdir", str(tmp_path / "W")]) == 0
    assert [row["note"] for row in json.loads((tmp_path / "W/ladder.json").read_text())["rungs"]] == [""] * 3


def test_a_run_of_another_process(three, commands, tmp_path, capsys):
    with ladder_process.locked(tmp_path / "W/narrow/seed_0.log") as log:
        assert log is not None
        assert ladder.main([str(three), "--workdir", str(tmp_path / "W"), "--only", "narrow"]) == 1
    assert not commands and "narrow, seed_0: another process is running it" in capsys.readouterr().out
    assert ladder.main([str(three), "--workdir", str(tmp_path / "W"), "--only", "narrow"]) == 0


def test_speed_is_measured_when_nothing_runs(three, commands, tmp_path, monkeypatch):
    busy, run, free = tmp_path / "W/busy.lock", ladder.run_command, {}

    def noting(command, log, stop, locks=()):
        with ladder_process.locked(busy, ladder_process.NO_WAIT) as mine:
            free[command[0]] = mine is not None
        return run(command, log, stop)

    monkeypatch.setattr(ladder, "run_command", noting)
    assert ladder.main([str(three), "--workdir", str(tmp_path / "W"), "--only", "narrow"]) == 0
    assert free == {"vidjax.train": False, "vidjax.bench": False}
    commands.clear()
    of_file, stop = rungs.read(three), ladder_process.Stop()
    (narrow,) = runs.runs_of(of_file, of_file.rungs["narrow"], tmp_path / "W")
    with open(busy) as other:
        fcntl.flock(other, fcntl.LOCK_SH)  # a run of another command
        before = signal.signal(signal.SIGALRM, stop)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(KeyboardInterrupt):  # it waits for the lock
                ladder.measure_speed(narrow, stop)
        finally:
            signal.signal(signal.SIGALRM, before)
    assert not commands


def test_invalid_arguments(three, commands, tmp_path):
    for only in ("tall", ""):
        with pytest.raises(
            SystemExit, match=f"vidjax.ladder: --only: .*ladder.py has no rung '{only}'; choose from narrow, wide, both"
        ):
            ladder.main([str(three), "--workdir", str(tmp_path / "W"), "--only", only])
    with pytest.raises(SystemExit, match="vidjax.ladder: --workdir .*ladder.py cannot be written to"):
        ladder.main([str(three), "--workdir", str(three)])  # a file
    with pytest.raises(SystemExit, match="vidjax.ladder: .*none.py is not a ladder file"):
        ladder.main([str(tmp_path / "none.py"), "--workdir", str(tmp_path / "W")])
    with pytest.raises(SystemExit):
        ladder.main([str(three), "--workdir", str(tmp_path / "W"), "--seeds", "0"])


def test_missing_records_are_made(tiny_motion, tmp_path, commands, monkeypatch, capsys):
    records = {str(tiny_motion): "vidjax.data.make_records a", str(tmp_path / "none"): "vidjax.data.make_records x"}
    of_rungs = [THREE[0], {**THREE[1], "overrides": {"dataset": str(tmp_path / "none")}}]
    path = ladder_files.write(tmp_path, tiny_motion, of_rungs, records=records)
    assert ladder.main([str(path), "--workdir", str(tmp_path / "W"), "--plan"]) == 0
    assert not commands and f"wide: No dataset at {tmp_path}/none" in capsys.readouterr().out
    assert ladder.main([str(path), "--workdir", str(tmp_path / "V"), "--only", "narrow"]) == 0
    assert ["vidjax.data.make_records", "x"] not in commands  # only what the selected rungs need
    commands.clear()
    assert ladder.main([str(path), "--workdir", str(tmp_path / "W")]) == 1  # the command has made none
    assert commands[0] == ["vidjax.data.make_records", "x"] and "vidjax.train" in {command[0] for command in commands}
    rows = {row["name"]: row for row in json.loads((tmp_path / "W/ladder.json").read_text())["rungs"]}
    assert rows["narrow"]["note"] == "" and rows["wide"]["note"].startswith("No dataset at")


def test_finished_runs_count_without_their_records(tiny_motion, tmp_path, commands):
    records = tmp_path / "records"
    shutil.copytree(tiny_motion, records)
    path = ladder_files.write(tmp_path, records, THREE)
    arguments = [str(path), "--workdir", str(tmp_path / "W")]
    assert ladder.main(arguments) == 0
    shutil.rmtree(records)
    assert ladder.main(arguments) == 0
    narrow, _, both = json.loads((tmp_path / "W/ladder.json").read_text())["rungs"]
    assert narrow["figures"][""]["top1"]["mean"] == 0.5 and "No dataset at" in narrow["note"]
    assert narrow["parameters"] is None and both["parameters"] is None and both["figures"][""]["top1"]["mean"] == 1


def test_a_result_without_accuracy_is_a_failure(three, tmp_path, monkeypatch):
    def run(command, log, stop, locks=()):
        place = Path(command[command.index("--workdir") + 1])
        place.mkdir(parents=True, exist_ok=True)
        (place / "result.json").write_text('{"mAP": 0.5, "num_videos": 16}')
        return 0

    monkeypatch.setattr(ladder, "run_command", run)
    for _ in range(2):
        assert ladder.main([str(three), "--workdir", str(tmp_path / "W"), "--only", "narrow"]) == 1
        rows = json.loads((tmp_path / "W/ladder.json").read_text())["rungs"]
        assert rows[0]["note"].startswith("it ended without the expected top1: see")


def test_an_unknown_network_and_a_run_of_another_config(tiny_motion, tmp_path, commands):
    of_rungs = [THREE[0], {**THREE[1], "overrides": {"model.name": "i4d"}}]
    path = ladder_files.write(tmp_path, tiny_motion, of_rungs)
    assert ladder.main([str(path), "--workdir", str(tmp_path / "W"), "--only", "wide"]) == 1
    place = tmp_path / "W/narrow/seed_0"
    config = rungs.config_of(rungs.read(path).rungs["narrow"])
    config.batch_size = 4
    configs.write(place, config, [], {})
    ladder_files.write_result(place, 1.0, **ladder_files.TRAINED)
    commands.clear()
    assert ladder.main([str(path), "--workdir", str(tmp_path / "W")]) == 1
    narrow, wide = json.loads((tmp_path / "W/ladder.json").read_text())["rungs"]
    assert not commands and narrow["figures"] == {} and "batch_size: 4 there, 8 now" in narrow["note"]
    assert "unknown network 'i4d'" in wide["note"]


def test_a_fusion_of_a_stale_run_does_not_count(three, commands, tmp_path):
    arguments = [str(three), "--workdir", str(tmp_path / "W")]
    assert ladder.main(arguments) == 0
    configs.write(tmp_path / "W/wide/seed_0", rungs.config_of(rungs.read(three).rungs["narrow"]), [], {})
    commands.clear()
    assert ladder.main(arguments) == 1
    narrow, wide, both = json.loads((tmp_path / "W/ladder.json").read_text())["rungs"]
    assert narrow["figures"] and wide["figures"] == {} == both["figures"] and wide["runs"] == [] == both["members"]
    assert both["note"].startswith("wide does not count: ") and "evaluate" not in str(commands)
    assert narrow["runs"] == ["narrow/seed_0"]


def test_rungs_run_in_the_order_of_the_file(three, commands, tmp_path):
    assert ladder.main([str(three), "--workdir", str(tmp_path / "W"), "--only", "both,wide,narrow"]) == 0
    assert [command[0] for command in commands][:3] == ["vidjax.train", "vidjax.train", "vidjax.evaluate"]


def start(path: Path, workdir: Path) -> subprocess.Popen:
    arguments = [sys.executable, "-m", "vidjax.ladder", str(path), "--workdir", str(workdir)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
def test_a_ladder_interrupted_three_times_ends_in_the_same_table(three, tmp_path):
    undisturbed = start(three, tmp_path / "A")
    assert undisturbed.wait(600) == 0, undisturbed.communicate()[0]
    interrupted = tmp_path / "B"
    for number, run, steps in [(signal.SIGINT, "narrow", 3), (signal.SIGTERM, "wide", 5), (signal.SIGKILL, "wide", 9)]:
        process = start(three, interrupted)
        metrics, deadline = interrupted / run / "seed_0/metrics.jsonl", time.monotonic() + 300
        while not metrics.exists() or len(metrics.read_text().splitlines()) < steps:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        if number == signal.SIGKILL:  # its run continues, and locks others out until it ends
            process.wait()
            continue
        out, _ = process.communicate(timeout=300)
        assert process.returncode == interrupts.INTERRUPTED, out
        assert "Interrupted. Run the same command to continue." in out
    for _ in range(20):
        process = start(three, interrupted)
        out, _ = process.communicate(timeout=600)
        if process.returncode == 0:
            break
        assert "another process is running it" in out
    tables = []
    for workdir in (tmp_path / "A", interrupted):
        with open(workdir / "ladder.csv") as file:
            tables.append([{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)])
    assert tables[0] == tables[1]
    assert [row["note"] for row in tables[0]] == ["", "", ""] and all(row["step MiB"] for row in tables[0][:2])
