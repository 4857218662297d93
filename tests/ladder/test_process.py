import signal
import subprocess
import sys

import pytest

from vidjax.ladder import process


def test_why_a_run_ended(tmp_path):
    log = tmp_path / "log"
    log.write_text("")
    assert process.reason(log, -9) == "ended by SIGKILL: out of memory, perhaps"
    assert process.reason(log, 3) == "exit status 3, without a word"
    log.write_text("ValueError: of the attempt before\nvidjax.train: W holds another config:\n  seed: 0 there\n")
    assert process.reason(log, 1) == "vidjax.train: W holds another config:; seed: 0 there"
    assert process.reason(log, 1, start=log.stat().st_size) == "exit status 1, without a word"


def test_signals_without_a_run_and_before_it_has_begun(tmp_path, monkeypatch):
    stop = process.Stop()
    with pytest.raises(KeyboardInterrupt):
        stop(signal.SIGINT, None)
    assert stop.asked
    popen = subprocess.Popen

    def slow(*arguments, **more):
        stop(signal.SIGTERM, None)  # between the start of the process and its being known
        return popen([sys.executable, "-c", "import time; time.sleep(60)"])

    stop = process.Stop()
    monkeypatch.setattr(process.subprocess, "Popen", slow)
    with open(tmp_path / "log", "a") as log:
        assert process.run_command(["x"], log, stop, look=lambda: None) == -signal.SIGTERM
    assert stop.child is None and not stop.at_work


def test_locks_keep_others_away(tmp_path):
    path = tmp_path / "W" / "log"
    with process.locked(path) as log:
        with process.locked(path) as other:
            assert log is not None and other is None
        stop = process.Stop()
        stop.asked = signal.SIGINT
        with process.waiting(path, stop):  # who is asked to stop does not wait for ever
            pass
    with process.locked(path) as log:
        assert log is not None
