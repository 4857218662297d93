"""Runs the commands of a ladder one at a time, passes signals on to them, and locks files against other ladders."""

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

# glibc asks for large pages: a training step of I3D on a CPU takes 0.7 to 0.9 of the time (docs/speed.md)
LARGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
NO_WAIT = fcntl.LOCK_EX | fcntl.LOCK_NB


class Stop:
    """A handler of SIGINT, SIGTERM and SIGUSR1.

    It passes the signal on to the running command, which saves and stops. Without one it raises KeyboardInterrupt.
    """

    def __init__(self):
        self.asked, self.child, self.is_running = 0, None, False

    def __call__(self, number, frame):
        self.asked = number
        if self.child:
            self.child.send_signal(number)
        elif not self.is_running:
            raise KeyboardInterrupt


def run_command(command: list[str], log, stop: Stop, locks: Sequence = ()) -> int:
    """Runs `python -m COMMAND`, appends its output to a log, and returns its exit status.

    The command inherits the locks on the log and on the files in `locks`. It holds them even if the ladder is killed.
    It inherits the environment, with `LARGE_PAGES` if that leaves GLIBC_TUNABLES unset.
    """
    stop.is_running = True
    child = subprocess.Popen(
        [sys.executable, "-m", *command],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=LARGE_PAGES | os.environ,
        start_new_session=True,  # Ctrl-C reaches only the ladder, which passes it on once
        pass_fds=[file.fileno() for file in (log, *locks)],
    )
    stop.child = child
    if stop.asked:  # a signal came before the child was known
        child.send_signal(stop.asked)
    child.wait()
    stop.child, stop.is_running = None, False
    return child.returncode


@contextlib.contextmanager
def locked(path: Path, kind: int = fcntl.LOCK_EX) -> Iterator:
    """Opens a file for appending and locks it.

    Args:
        kind: of `fcntl.flock`. Waits for the lock, but yields None with `NO_WAIT` if another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        try:
            fcntl.flock(file, kind)
        except BlockingIOError:
            yield None
        else:
            yield file


def reason(log: Path, status: int, start: int = 0) -> str:
    """Returns why a command failed, in at most 300 characters.

    This is the signal that ended it, or the last error in its log.

    Args:
        status: exit status.
        start: ignores the first `start` bytes of the log.
    """
    if status < 0:
        return f"ended by {signal.Signals(-status).name}" + (" (out of memory?)" if status == -signal.SIGKILL else "")
    text = log.read_bytes()[start:].decode(errors="replace")
    lines = [line.strip() for line in re.split(r"[\r\n]", text) if line.strip()]
    is_error = re.compile(r"(vidjax\.\w+|[\w.]*(Error|Exception|Interrupt)): .")
    for i in reversed(range(len(lines))):
        if is_error.match(lines[i]):
            rule = next((k for k in range(i, len(lines)) if lines[k].startswith("-----")), len(lines))  # a note of JAX
            return "; ".join(lines[i:rule])[:300]
    return lines[-1][:300] if lines else f"exit status {status} without any output"
