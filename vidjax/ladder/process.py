"""The processes of a ladder: one at a time, interrupted together, kept apart from those of other ladders by locks."""

import contextlib
import fcntl
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

LOOK_EVERY = 0.5  # seconds between looks at a run


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


def reason(log: Path, status: int, start: int = 0) -> str:
    """Why a command ended, in 300 characters at most.

    The signal, or the last error in what it wrote after the first `start` bytes of the log.
    """
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
