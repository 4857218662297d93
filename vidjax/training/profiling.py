"""A profiler trace of some steps of a run, for XProf, TensorBoard and Perfetto."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import jax


def parse_steps(text: str) -> tuple[int, int]:
    """`--profile_steps 20:25` -> (20, 25), both included.

    Raises:
        ValueError: for another form, steps in the wrong order, or the first step, which compiles.
    """
    first, colon, last = text.partition(":")
    if not (colon and first.isdecimal() and last.isdecimal()):
        raise ValueError(f"--profile_steps {text}: give the first and the last step to trace, as in 20:25.")
    if int(first) > int(last):
        raise ValueError(f"--profile_steps {text}: the first step comes after the last; say {last}:{first}.")
    if int(first) < 2:
        raise ValueError(f"--profile_steps {text}: the first step of a run compiles; begin with step 2 or later.")
    return int(first), int(last)


def check_steps(traced: tuple[int, int] | None, total_steps: int):
    """Raises a ValueError where the steps to trace, as of `parse_steps`, are not all in the run."""
    if traced and traced[1] > total_steps:
        raise ValueError(f"--profile_steps {traced[0]}:{traced[1]}: the run ends with step {total_steps}.")


def steps(start_step: int, total_steps: int, traced: tuple[int, int] | None, directory: Path) -> Iterator[int]:
    """The numbers of the steps after `start_step`, of which some are traced while the caller works on them.

    Each step is named in the trace ("train", with its number). What the devices were asked before is done when the
    trace begins, and it ends when they are done with its last step; nothing else is waited for. The first process
    alone traces: all run the same program, and of processes that share a host one would overwrite the other's file.

    Args:
        traced: first and last step, or None. Of a run that goes on, steps that are over are left out, and the step that
            it goes on with, which compiles.
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
