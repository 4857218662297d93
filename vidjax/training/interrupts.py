"""Signals that ask a run to stop: it saves first, then ends."""

import os
import signal
import sys
import time

import jax
import numpy as np
from jax.sharding import Mesh

from vidjax import sharding

SIGNALS = signal.SIGINT, signal.SIGTERM, signal.SIGUSR1
GRACE = 1.0  # seconds in which a second signal is the first one again
INTERRUPTED = 75  # the exit status of a run that saved and stopped when asked to: EX_TEMPFAIL of sysexits.h, try again


class Interrupt:
    """Notes SIGINT, SIGTERM and SIGUSR1, so that the loop can save and stop. A second one acts as usual.

    Within a second of the first it does not: a scheduler tells all processes at once, and a ladder its run again.

    Of several processes all stop after the same step, whichever of them was asked, and a second signal changes nothing:
    a scheduler sends one when the first of them has ended. (JAX's `reached_preemption_sync_point` would bring them to
    agree as well, but not where the signal comes while a run that goes on is still starting: it counts steps from 0.)

    It is a context, within which signals are noted; they go back to who had them before when it ends.
    """

    def __init__(self):
        self._noted, self._noted_at, self._saved, self._before, self._votes = False, 0.0, False, {}, None

    def __enter__(self):
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def asked(self, mesh: Mesh) -> bool:
        """Whether to stop after this step; every process has to ask after every step.

        Args:
            mesh: over all devices of all processes.

        What several processes were asked is known to all one step later, so that no device waits for it.
        """
        if jax.process_count() == 1:
            return self._noted
        before = self._votes
        own = np.full(jax.local_device_count(), self._noted, np.int32)
        self._votes = _total(jax.make_array_from_process_local_data(sharding.batch_sharding(mesh), own))
        return before is not None and int(before) > 0

    def all_is_saved(self):
        """From now on a signal ends the process at once: what is left to do, the same command does again."""
        self._saved = True
        if self._noted:
            self._note(0, None)

    def __exit__(self, *error):
        self._restore()
        if self._noted and jax.process_count() > 1:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # of a scheduler that sees another process end before this

    def _restore(self):
        for number, handler in self._before.items():
            signal.signal(number, handler or signal.SIG_DFL)  # None is a handler that is not Python's: JAX's own

    def _note(self, number, frame):
        if self._saved:
            os.write(2, b"\nInterrupted after the last step, which is saved: the same command evaluates it.\n")
            if jax.process_count() == 1:
                sys.exit(INTERRUPTED)
            os._exit(INTERRUPTED)  # not sys.exit, which would wait for the others
        if self._noted and jax.process_count() == 1 and time.monotonic() > self._noted_at + GRACE:
            self._restore()
            os.kill(os.getpid(), number)
            return
        if not self._noted:
            self._noted, self._noted_at = True, time.monotonic()


@jax.jit
def _total(votes: jax.Array) -> jax.Array:
    return votes.sum()
