"""A line on stderr about where the process is, whenever it gets SIGUSR2; the run goes on.

    kill -USR2 PID
    scancel --signal=USR2 JOB        # all processes of a job of SLURM

The line is written by a thread, which Python's own handler of signals wakes: it runs in C, at once. So it comes while
the main thread waits for a device or compiles, for good or not, as long as other threads may run Python; and as it
interrupts nobody, it cannot come to wait for a lock that the main thread holds. Where something keeps Python's lock and
hangs, nothing is written, and only a debugger looks in (`py-spy dump --pid PID`). In the first seconds of a command,
while Python imports, SIGUSR2 ends it.
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
    """For the start of a command: until there is a status to give, SIGUSR2 does nothing. It would end the process."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


@contextlib.contextmanager
def answering(status: Callable[[], str]) -> Iterator[None]:
    """Within this context SIGUSR2 gets a line with what `status` returns. To be used in the main thread.

    `status` is called in another thread. Signals go back to who had them before when the context ends.
    """
    process = f"process {jax.process_index()} of {jax.process_count()} on {socket.gethostname()}"
    reads, writes = os.pipe()
    os.set_blocking(writes, False)

    def answer():
        while number := os.read(reads, 1):  # of any signal that Python handles; at the end, nothing
            if number[0] == signal.SIGUSR2:
                line = f"\nvidjax: {process}: {status()}, at {_place()}, {_memory()}\n"
                with contextlib.suppress(OSError):  # nobody reads stderr any more
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
        thread.join(timeout=5)  # a device that hangs may keep it
        os.close(reads)


def _place() -> str:
    """The innermost line of vidjax that the main thread is in, but for the handler of the signal here."""
    frame = sys._current_frames()[threading.main_thread().ident]
    places = ((outer.f_code.co_filename, outer.f_lineno) for outer, _ in traceback.walk_stack(frame))
    ours = (place for place in places if place[0].startswith(PACKAGE) and place[0] != __file__)
    path, line = next(ours, (frame.f_code.co_filename, frame.f_lineno))
    return f"{Path(path).name}:{line}"


def _memory() -> str:
    """What the process has in memory, and its devices where they tell."""
    text = f"{psutil.Process().memory_info().rss / 2**30:.2f} GiB of memory"
    in_use = [(device.memory_stats() or {}).get("bytes_in_use") for device in jax.local_devices()]
    if None not in in_use:
        text += f", on its devices {', '.join(f'{x / 2**30:.2f}' for x in in_use)} GiB"
    return text
