"""launch/slurm.sbatch on a real SLURM of two nodes on this machine: preempted, cancelled, and with a dead rank."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.runs import assert_same_run, lines_of

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow
SETTINGS = [
    "--config.batch_size=8",
    "--config.num_epochs=40.0",  # 160 steps of a network that compiles in seconds
    "--config.clip.num_frames=8",
    "--config.clip.size=32",
    "--config.clip.resize=0",
    "--config.clip.frame_stride=1",
    "--config.log_every=1",
    "--config.checkpoint_every=60",
    "--config.eval.batch_size=8",
]


def ask(*command) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def wait_until(happened, seconds=900):  # SLURM alone waits for two minutes before it starts a job again
    ends = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < ends, f"waited {seconds} s"
        time.sleep(0.2)


def state_of(job) -> str:
    return ask("scontrol", "show", "job", job).partition("JobState=")[2].split()[0]


@pytest.fixture(scope="module")
def cluster(shared_data):
    """Partitions `low` and `high` of two nodes; jobs in `high` preempt those in `low`."""
    script = shared_data.parent / "slurm/cluster.sh"
    if not script.exists():
        pytest.skip(f"no SLURM: there is no {script}")
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)  # munge wants every directory above its socket to be open; pytest's are not
    environment = {**os.environ, "SLURM_TEST_DIR": str(directory)}
    for command in ("install", "up"):
        with open(directory / f"{command}.txt", "w") as log:  # its servers keep the file open
            done = subprocess.run(["bash", script, command], env=environment, stdout=log, stderr=log, timeout=300)
        if done.returncode:
            pytest.skip(f"no SLURM: cluster.sh {command} says {(directory / f'{command}.txt').read_text()[-300:]}")
    os.environ["SLURM_CONF"] = str(directory / "slurm.conf")
    yield
    subprocess.run(["bash", script, "down"], env=environment, timeout=120)
    del os.environ["SLURM_CONF"]
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def place(cluster, tmp_path_factory):
    """A directory like the repository's root, with slurm.sbatch as a user edits it."""
    place = tmp_path_factory.mktemp("place")
    (place / ".venv/bin").mkdir(parents=True)
    (place / ".venv/bin/python").write_text(f'#!/bin/bash\nexec {sys.executable} "$@"\n')
    (place / ".venv/bin/python").chmod(0o755)
    (place / "configs").symlink_to(ROOT / "configs")
    lines = (ROOT / "launch/slurm.sbatch").read_text().splitlines(keepends=True)
    marked = [i for i, line in enumerate(lines) if line.rstrip().endswith("# edit")]
    assert len(marked) == 3
    lines[marked[0]] = "#SBATCH --partition=low\n"
    lines[marked[1]] = "#SBATCH --nodes=2\n"
    lines[marked[2]] = "CONFIG=configs/frame_pool.py:dataset=motion\n"
    (place / "my.sbatch").write_text("".join(lines))
    return place


def submit(place, dataset) -> tuple[str, Path]:
    """The job and its work directory."""
    command = ["sbatch", "--parsable", "--time=20", "my.sbatch", f"--config.dataset={dataset}", *SETTINGS]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "JAX_COMPILATION_CACHE_DIR": str(place / "compiled"),  # half a dozen starts, one compilation
    }
    job = subprocess.run(command, cwd=place, env=environment, check=True, capture_output=True, text=True).stdout.strip()
    return job, place / f"runs/slurm_{job}"


def log_of(place, job) -> str:
    path = place / f"slurm-{job}.out"
    return path.read_text() if path.exists() else ""


@pytest.fixture(scope="module")
def undisturbed(place, tiny_motion):
    job, workdir = submit(place, tiny_motion)
    wait_until(lambda: state_of(job) not in ("PENDING", "RUNNING", "COMPLETING"))
    assert state_of(job) == "COMPLETED", log_of(place, job)
    return workdir


def test_a_preempted_run_queues_again_and_ends_as_if_nothing_had_happened(place, undisturbed, tiny_motion):
    job, workdir = submit(place, tiny_motion)
    wait_until(lambda: len(lines_of(workdir)) >= 6)
    ask("sbatch", "--partition=high", "--nodes=2", "--exclusive", "--time=1", "--output=/dev/null", "--wrap=sleep 2")
    wait_until(lambda: "queues again" in log_of(place, job) or "DUE TO PREEMPTION" in log_of(place, job))  # or too late
    assert len(lines_of(workdir)) < 160
    wait_until(lambda: state_of(job) in ("COMPLETED", "FAILED", "CANCELLED"))
    assert state_of(job) == "COMPLETED" and "Restarts=1" in ask("scontrol", "show", "job", job)
    assert "Continuing from the checkpoint of step" in log_of(place, job)
    assert_same_run(workdir, undisturbed, num_steps=160)


def test_the_signal_ahead_of_the_time_limit_queues_the_job_again(place, undisturbed, tiny_motion):
    job, workdir = submit(place, tiny_motion)
    wait_until(lambda: len(lines_of(workdir)) >= 3)
    ask("scancel", "--signal=USR1", job)  # to the tasks, as --signal=USR1@180 does
    wait_until(lambda: "queues again" in log_of(place, job))
    ask("scancel", job)
    wait_until(lambda: not ask("squeue", "-h", "-j", job))


def test_a_cancelled_run_stays_cancelled(place, undisturbed, tiny_motion):
    job, workdir = submit(place, tiny_motion)
    wait_until(lambda: len(lines_of(workdir)) >= 3)
    ask("scancel", job)
    wait_until(lambda: not ask("squeue", "-h", "-j", job))
    time.sleep(5)  # it would be queued again by now
    assert state_of(job) == "CANCELLED" and not (workdir / "result.json").exists()
    shutil.rmtree(workdir)


def test_a_dead_rank_ends_the_job_and_is_named(place, undisturbed, tiny_motion):
    job, workdir = submit(place, tiny_motion)
    wait_until(lambda: len(lines_of(workdir)) >= 3)
    killed = time.monotonic()
    os.kill(pid_of(workdir.name, rank=1), signal.SIGKILL)
    wait_until(lambda: state_of(job) == "FAILED", 15)
    assert time.monotonic() - killed < 15
    assert "task 1: Killed" in log_of(place, job)


def pid_of(workdir: str, rank: int) -> int:
    """The process of a rank that trains in a work directory of that name."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command, environment = ((entry / name).read_bytes().split(b"\0") for name in ("cmdline", "environ"))
            except OSError:
                continue
            trains = b"vidjax.train" in command and any(part.endswith(workdir.encode()) for part in command)
            if trains and f"SLURM_PROCID={rank}".encode() in environment and b"srun" not in command[0]:
                return int(entry.name)
    raise LookupError(f"no rank {rank} trains in {workdir}")
