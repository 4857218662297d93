"""A profiler trace of some steps of a run, for XProf, TensorBoard and Perfetto."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import jax


def parse_steps(text: str) -> tuple[int, int]:
    """Parses `--profile_steps 20:25` -> (20, 25), both included.

    Raises:
        ValueError: for a wrong format, steps in the wrong order, or the first step, which compiles.
    """
    first, colon, last = text.partition(":")
    if not (colon and first.isdecimal() and last.isdecimal()):
        raise ValueError(f"--profile_steps {text}: give the first and the last step to trace, such as 20:25.")
    if int(first) > int(last):
        raise ValueError(f"--profile_steps {text}: the first step comes after the last; use {last}:{first}.")
    if int(first) < 2:
        raise ValueError(f"--profile_steps {text}: the first step of a run compiles; start at step 2 or later.")
    return int(first), int(last)


def check_steps(traced: tuple[int, int] | None, total_steps: int):
    """Raises a ValueError if the steps to trace, see `parse_steps`, are not all in the run."""
    if traced and traced[1] > total_steps:
        raise ValueError(f"--profile_steps {traced[0]}:{traced[1]}: the run ends with step {total_steps}.")


def steps(start_step: int, total_steps: int, traced: tuple[int, int] | None, directory: Path) -> Iterator[int]:
    """Yields the numbers of the steps after `start_step`, and traces some of these steps while the caller runs them.

    The trace names each step ("train", with its number). It starts when the devices have finished earlier work and
    ends when they have finished its last step; the caller waits for nothing else. Only the first process traces: all
    processes run the same program, and those that share a host would overwrite each other's file.

    Args:
        traced: first and last step, or None. A continued run skips steps that are over, and its own first step, which
            compiles.
        directory: gets plugins/profile/DATE/ with HOST.xplane.pb (XProf) and HOST.trace.json.gz (Perfetto).
    """
    numbers = range(start_step + 1, total_steps + 1)
    first = max(traced[0], start_step + 2) if traced else 0
    if not traced or first > traced[1] or jax.process_index() > 0:
        yield from numbers
        return
    yield from range(start_step + 1, first)
    _wait_for_devices()
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    with jax.profiler.trace(directory, profiler_options=options):
        yield from _named(range(first, traced[1] + 1))
        _wait_for_devices()
    yield from range(traced[1] + 1, total_steps + 1)


def _named(numbers: Iterable[int]) -> Iterator[int]:
    for number in numbers:
        with jax.profiler.StepTraceAnnotation("train", step_num=number):
            yield number


def _wait_for_devices():
    jax.block_until_ready(jax.live_arrays())
