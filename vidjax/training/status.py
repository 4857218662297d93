"""Prints a status line to stderr on SIGUSR2; the run continues.

    kill -USR2 PID
    scancel --signal=USR2 JOB        # all processes of a SLURM job

A thread writes the line. Python's C-level signal handler wakes it at once, so that it also answers while the main
thread is blocked in a device wait, a collective or a compilation; a Python handler would not run then, and faulthandler
knows neither step nor memory. The thread never interrupts the main thread, so it cannot deadlock on its locks. If code
hangs while it holds the GIL, there is no line: use a debugger (`py-spy dump --pid PID`). During the first seconds of a
command, while Python imports, SIGUSR2 ends the process.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import psutil

PACKAGE = str(Path(__file__).parent.parent)


def ignore():
    """Ignores SIGUSR2, which would end the process, until `answering`. Call it at the start of a command."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


@contextlib.contextmanager
def answering(status: Callable[[], str]) -> Iterator[None]:
    """A context in which SIGUSR2 prints a line with the result of `status`. Use it in the main thread.

    Another thread calls `status`. The previous signal handler returns when the context ends.
    """
    process = f"process {jax.process_index()} of {jax.process_count()} on {socket.gethostname()}"
    reads, writes = os.pipe()
    os.set_blocking(writes, False)

    def answer():
        while number := os.read(reads, 1):  # the number of any signal; empty at the end
            if number[0] == signal.SIGUSR2:
                line = f"\nvidjax: {process}: {status()}, at {_place()}, {_memory()}\n"
                with contextlib.suppress(OSError):  # stderr is closed
                    os.write(2, line.encode())

    thread = threading.Thread(target=answer, name="status", daemon=True)
    thread.start()
    handler = signal.signal(signal.SIGUSR2, lambda *_: None)
    wakes = signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakes)
        signal.signal(signal.SIGUSR2, handler or signal.SIG_DFL)
        os.close(writes)
        thread.join(timeout=5)  # a hanging device may block it
        os.close(reads)


def _place() -> str:
    """Returns the innermost line of vidjax that the main thread executes, outside this file."""
    frame = sys._current_frames()[threading.main_thread().ident]
    places = ((outer.f_code.co_filename, outer.f_lineno) for outer, _ in traceback.walk_stack(frame))
    ours = (place for place in places if place[0].startswith(PACKAGE) and place[0] != __file__)
    path, line = next(ours, (frame.f_code.co_filename, frame.f_lineno))
    return f"{Path(path).name}:{line}"


def _memory() -> str:
    """Returns the memory use of the process, and of its devices if they report it."""
    text = f"{psutil.Process().memory_info().rss / 2**30:.2f} GiB of memory"
    in_use = [(device.memory_stats() or {}).get("bytes_in_use") for device in jax.local_devices()]
    if None not in in_use:
        text += f", on its devices {', '.join(f'{x / 2**30:.2f}' for x in in_use)} GiB"
    return text
