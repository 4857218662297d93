"""Handles signals that stop a run: it saves a checkpoint first."""

import os
import signal
import sys
import time

import jax
import numpy as np
from jax.sharding import Mesh

from vidjax import sharding

SIGNALS = signal.SIGINT, signal.SIGTERM, signal.SIGUSR1
GRACE = 1.0  # seconds in which a second signal counts as a repetition of the first
INTERRUPTED = 75  # exit status of a run that saved and stopped on a signal: EX_TEMPFAIL of sysexits.h, try again


class Interrupt:
    """A context that records SIGINT, SIGTERM and SIGUSR1, so that the loop can save and stop.

    A second signal has its usual effect, unless it comes within a second of the first: schedulers and ladders may send
    the same signal twice.

    With several processes, all stop after the same step, whichever of them got the signal. A second signal then has no
    effect, because a scheduler sends one when the first process ends. (JAX's `reached_preemption_sync_point` also makes
    processes agree, but not if the signal arrives while a continued run starts: it counts steps from 0.)

    The previous signal handlers return when the context ends.
    """

    def __init__(self):
        self._noted, self._noted_at, self._saved, self._before, self._votes = False, 0.0, False, {}, None

    def __enter__(self):
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def asked(self, mesh: Mesh) -> bool:
        """Returns whether to stop after this step. Every process must call it after every step.

        With several processes the answer is one step late, so that no device waits for it.

        Args:
            mesh: mesh over the devices of all processes.
        """
        if jax.process_count() == 1:
            return self._noted
        before = self._votes
        own = np.full(jax.local_device_count(), self._noted, np.int32)
        self._votes = _total(jax.make_array_from_process_local_data(sharding.batch_sharding(mesh), own))
        return before is not None and int(before) > 0

    def all_is_saved(self):
        """Makes signals end the process at once from now on: the same command repeats the remaining work."""
        self._saved = True
        if self._noted:
            self._note(0, None)

    def __exit__(self, *error):
        self._restore()
        if self._noted and jax.process_count() > 1:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # from a scheduler that saw another process end

    def _restore(self):
        for number, handler in self._before.items():
            signal.signal(number, handler or signal.SIG_DFL)  # None: a handler of JAX, not of Python

    def _note(self, number, frame):
        if self._saved:
            os.write(2, b"\nInterrupted after the last step, which is saved. Run the same command to evaluate it.\n")
            if jax.process_count() == 1:
                sys.exit(INTERRUPTED)
            os._exit(INTERRUPTED)  # sys.exit would wait for the other processes
        if self._noted and jax.process_count() == 1 and time.monotonic() > self._noted_at + GRACE:
            self._restore()
            os.kill(os.getpid(), number)
            return
        if not self._noted:
            self._noted, self._noted_at = True, time.monotonic()


@jax.jit
def _total(votes: jax.Array) -> jax.Array:
    return votes.sum()
