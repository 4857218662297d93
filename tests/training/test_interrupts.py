import os
import signal
import time

import pytest

from vidjax import sharding
from vidjax.training import interrupts


def test_the_first_interrupt_is_recorded_and_the_second_acts():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores SIGINT
    interrupt = interrupts.Interrupt().__enter__()
    os.kill(os.getpid(), signal.SIGINT)
    assert interrupt.asked(sharding.make_mesh())
    os.kill(os.getpid(), signal.SIGINT)  # within a second: a repetition, as by a scheduler and a ladder
    time.sleep(interrupts.GRACE)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
    signal.signal(signal.SIGINT, before)
