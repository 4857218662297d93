import os
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import free_port
from vidjax.training import status


def wait_for(text: str, capfd, seconds: float = 10) -> str:
    printed, deadline = "", time.monotonic() + seconds
    while text not in printed:
        assert time.monotonic() < deadline, printed
        time.sleep(0.01)
        printed += capfd.readouterr().err
    return printed


def test_a_line_for_each_signal_and_none_for_others(capfd):
    with status.answering(lambda: "step 3 of 10"):
        os.kill(os.getpid(), signal.SIGUSR2)
        printed = wait_for("memory\n", capfd)
        before = signal.signal(signal.SIGUSR1, lambda *_: None)
        os.kill(os.getpid(), signal.SIGUSR1)
        signal.signal(signal.SIGUSR1, before)
        time.sleep(0.1)
    printed += capfd.readouterr().err
    line = r"\nvidjax: process 0 of 1 on \S+: step 3 of 10, at \S+:\d+, \d+\.\d\d GiB of memory\n"
    assert re.fullmatch(line, printed)


def test_signals_go_back(capfd):
    def noted(*_):
        raise KeyError("the one before")

    before = signal.signal(signal.SIGUSR2, noted)
    try:
        with status.answering(lambda: ""):
            os.kill(os.getpid(), signal.SIGUSR2)
        with pytest.raises(KeyError, match="the one before"):
            os.kill(os.getpid(), signal.SIGUSR2)
            time.sleep(1)
        assert signal.set_wakeup_fd(-1) == -1
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_outside_the_context_the_signal_is_ignored():
    before = signal.getsignal(signal.SIGUSR2)
    status.ignore()
    os.kill(os.getpid(), signal.SIGUSR2)
    with status.answering(lambda: ""):
        pass
    os.kill(os.getpid(), signal.SIGUSR2)
    signal.signal(signal.SIGUSR2, before)


# Two processes: the first computes in one call for long, the second waits for it in a collective
COMPUTING = """
import os, sys, jax, jax.numpy as jnp
from jax.experimental import multihost_utils
from vidjax.training import distributed, status
from vidjax.training.timing import Clock
distributed.start()
shown = Clock()
with status.answering(shown.status):
    x = jnp.ones((1000, 1000)) / 1000
    compute = jax.jit(lambda x: jax.lax.fori_loop(0, 10**9, lambda i, x: x @ x, x)).lower(x).compile()
    multihost_utils.sync_global_devices("both are there")
    with shown.during("computing"):
        print("ready", flush=True)
        if jax.process_index() == 0:
            jax.block_until_ready(compute(x))
        multihost_utils.sync_global_devices("never")
"""


def test_each_of_two_processes_answers_while_it_is_blocked_in_a_call():
    environment = {**os.environ, "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{free_port()}", "JAX_NUM_PROCESSES": "2"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", COMPUTING]
    both = [subprocess.Popen(command, env=environment | {"JAX_PROCESS_ID": rank}, **pipes) for rank in "01"]
    try:
        for process in both:
            assert "ready\n" in iter(process.stdout.readline, "")  # after messages of the collectives
        time.sleep(0.5)  # both are blocked now
        for rank, process in enumerate(both):
            process.send_signal(signal.SIGUSR2)
            printed = next(line for line in process.stderr if line.startswith("vidjax: "))
            assert re.match(rf"vidjax: process {rank} of 2 on \S+: computing for \d+\.\d s, at ", printed)
            assert process.poll() is None
    finally:
        for process in both:
            process.kill()
            process.communicate()
