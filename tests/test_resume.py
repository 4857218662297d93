"""The whole command, killed again and again: the run must end as if nothing had happened."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import free_port
from tests.runs import assert_same_run, assert_same_scalars, lines_of

ROOT = Path(__file__).parent.parent
COMMAND = [
    *(sys.executable, "-m", "vidjax.train", "--config", "configs/frame_pool.py:dataset=motion"),
    *("--config.model.dropout=0.1", "--config.schedule.warmup_steps=2", "--config.eval.batch_size=8"),
    *("--config.batch_size=8", "--config.num_epochs=12.0", "--config.clip.num_frames=8", "--config.clip.size=32"),
    *("--config.clip.resize=0", "--config.clip.frame_stride=1", "--config.log_every=1"),
    *("--config.checkpoint_every=7", "--config.eval_every=20"),
]  # 48 steps of a ResNet-18 on each frame, which compiles in seconds


def start(workdir, dataset):
    workdir.mkdir(exist_ok=True)
    log = open(workdir / "log.txt", "a")
    command = [*COMMAND, f"--config.dataset={dataset}", "--workdir", str(workdir)]
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(dataset / "compiled")}  # many starts, one compilation
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)


def wait_for_lines(process, workdir, count):
    while len(lines_of(workdir)) < count:
        assert process.poll() is None, (workdir / "log.txt").read_text()
        time.sleep(0.01)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, tiny_motion):
    workdir = tmp_path_factory.mktemp("undisturbed")
    assert start(workdir, tiny_motion).wait() == 0
    return workdir


@pytest.mark.slow
def test_kills_at_bad_moments_change_nothing(undisturbed, tiny_motion, tmp_path):
    """Killed after its first step, in the midst of three checkpoints, and when validation begins."""
    partial = 0
    for moment in (1, "checkpoint", "checkpoint", 20, "checkpoint"):
        process, started = start(tmp_path, tiny_motion), time.time()
        while not (is_half_written(tmp_path, started) if moment == "checkpoint" else len(lines_of(tmp_path)) >= moment):
            assert process.poll() is None, (tmp_path / "log.txt").read_text()
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
        partial += is_half_written(tmp_path, started)
    assert start(tmp_path, tiny_motion).wait() == 0
    assert_same_run(tmp_path, undisturbed, num_steps=48)
    assert partial and (tmp_path / "log.txt").read_text().count("Skipping incomplete checkpoints: ") >= partial


def is_half_written(workdir, since) -> bool:
    try:
        return any(path.stat().st_mtime > since for path in (workdir / "checkpoints").glob("*.orbax-checkpoint-tmp*"))
    except FileNotFoundError:  # it became whole in between
        return False


@pytest.mark.slow
def test_ctrl_c_and_sigterm_save_and_exit_with_their_own_status(undisturbed, tiny_motion, tmp_path):
    for number, lines in ((signal.SIGINT, 5), (signal.SIGTERM, 30)):
        process = start(tmp_path, tiny_motion)
        wait_for_lines(process, tmp_path, lines)
        process.send_signal(number)
        assert process.wait() == 75
        assert "Run the same command again" in (tmp_path / "log.txt").read_text()
    assert start(tmp_path, tiny_motion).wait() == 0
    assert_same_run(tmp_path, undisturbed, num_steps=48)


@pytest.mark.slow
def test_a_run_goes_on_on_another_number_of_devices(undisturbed, tiny_motion, tmp_path):
    process = start(tmp_path, tiny_motion)
    while not (tmp_path / "checkpoints/7").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    environment = {**os.environ, "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"}
    command = [*COMMAND, f"--config.dataset={tiny_motion}", "--workdir", str(tmp_path), "--config.mesh.fsdp=4"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    losses = [[line["loss"] for line in lines_of(w)] for w in (tmp_path, undisturbed)]
    assert losses[0][:7] == losses[1][:7]  # before the kill
    np.testing.assert_allclose(losses[0][7], losses[1][7], rtol=1e-5)  # the first step after it


def start_two(workdir, dataset, *settings, devices):
    """Two processes with so many devices each."""
    environment = {**os.environ, "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{free_port()}", "JAX_NUM_PROCESSES": "2"}
    environment["XLA_FLAGS"] += f" --xla_force_host_platform_device_count={devices}"
    command = [*COMMAND, f"--config.dataset={dataset}", "--workdir", str(workdir), *settings]
    with open(workdir / "log.txt", "a") as log:
        return [
            subprocess.Popen(command, cwd=ROOT, env=environment | {"JAX_PROCESS_ID": rank}, stdout=log, stderr=log)
            for rank in "01"
        ]


@pytest.mark.slow
def test_a_run_of_two_processes_goes_on_in_one(undisturbed, tiny_motion, tmp_path):
    """A checkpoint of 2 processes with 4 devices each, parameters split over all 8, on one device."""
    processes = start_two(tmp_path, tiny_motion, "--config.mesh.fsdp=8", devices=4)
    try:
        while not (tmp_path / "checkpoints/7").exists():
            assert processes[0].poll() is None, (tmp_path / "log.txt").read_text()
            time.sleep(0.01)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert start(tmp_path, tiny_motion).wait() == 0
    losses = [[line["loss"] for line in lines_of(w)] for w in (tmp_path, undisturbed)]
    assert len(losses[0]) == len(losses[1])
    np.testing.assert_allclose(losses[0][0], losses[1][0], rtol=1e-5)
    # Steps differ by what float32 makes of BatchNorm; after the checkpoint the batches are those that were to come
    assert abs(losses[0][7] - losses[1][7]) < 0.5 * min(abs(losses[0][7] - x) for x in (losses[1][6], losses[1][8]))


@pytest.mark.slow
def test_two_processes_stop_after_the_same_step_when_one_is_asked(tiny_motion, tmp_path):
    for number, rank in ((signal.SIGUSR1, 1), (signal.SIGTERM, 0)):  # at first, and of a run that goes on
        lines = len(lines_of(tmp_path))
        processes = start_two(tmp_path, tiny_motion, devices=1)
        try:
            wait_for_lines(processes[0], tmp_path, lines + 3)
            for process in processes:
                process.send_signal(signal.SIGUSR2)
            wait_for_lines(processes[0], tmp_path, lines + 6)  # a status stops nobody
            processes[rank].send_signal(number)
            assert [process.wait(timeout=600) for process in processes] == [75, 75], (tmp_path / "log.txt").read_text()
        finally:
            for process in processes:
                process.kill()
    assert (tmp_path / "log.txt").read_text().count("Run the same command again") == 2
    for rank in "01":
        said = rf"\nvidjax: process {rank} of 2 on \S+: step \d+ of 48, epoch \S+, .*last step \S+ s ago, "
        assert len(re.findall(said, (tmp_path / "log.txt").read_text())) == 2
    assert len(lines_of(tmp_path)) < 48
    assert_same_scalars(tmp_path)
