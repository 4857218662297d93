import signal
import subprocess
import sys

import pytest

from vidjax.ladder import process


def test_the_reason_of_a_failure(tmp_path):
    log = tmp_path / "log"
    log.write_text("")
    assert process.reason(log, -9) == "ended by SIGKILL (out of memory?)"
    assert process.reason(log, 3) == "exit status 3 without any output"
    log.write_text("ValueError: of an earlier attempt\nvidjax.train: W holds another config:\n  seed: 0 there\n")
    assert process.reason(log, 1) == "vidjax.train: W holds another config:; seed: 0 there"
    assert process.reason(log, 1, start=log.stat().st_size) == "exit status 1 without any output"


def test_signals_without_a_command_and_while_it_starts(tmp_path, monkeypatch):
    stop = process.Stop()
    with pytest.raises(KeyboardInterrupt):
        stop(signal.SIGINT, None)
    assert stop.asked
    popen = subprocess.Popen

    def slow(*arguments, **more):
        stop(signal.SIGTERM, None)  # before the process is known
        return popen([sys.executable, "-c", "import time; time.sleep(60)"])

    stop = process.Stop()
    monkeypatch.setattr(process.subprocess, "Popen", slow)
    with open(tmp_path / "log", "a") as log:
        assert process.run_command(["x"], log, stop) == -signal.SIGTERM
    assert stop.child is None and not stop.is_running


@pytest.mark.parametrize("own", [None, "glibc.malloc.check=1"])
def test_commands_ask_for_large_pages(tmp_path, monkeypatch, own):
    (tmp_path / "show.py").write_text("import os; print(os.environ['GLIBC_TUNABLES'])")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    if own:
        monkeypatch.setenv("GLIBC_TUNABLES", own)
    with open(tmp_path / "log", "a") as log:
        assert process.run_command(["show"], log, process.Stop()) == 0
    assert (tmp_path / "log").read_text().strip() == (own or "glibc.malloc.hugetlb=1")


def test_locks_keep_others_away(tmp_path):
    path = tmp_path / "W" / "log"
    with process.locked(path) as log:
        with process.locked(path, process.NO_WAIT) as other:
            assert log is not None and other is None
    with process.locked(path, process.NO_WAIT) as log:
        assert log is not None


def test_a_signal_ends_the_wait_for_a_lock(tmp_path):
    before = signal.signal(signal.SIGALRM, process.Stop())
    try:
        with process.locked(tmp_path / "log"):
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(KeyboardInterrupt), process.locked(tmp_path / "log"):
                pass
    finally:
        signal.signal(signal.SIGALRM, before)
