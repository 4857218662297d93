"""Reads strange and damaged video files, drawn from a seed, and judges what vidjax.data.video makes of them.

    python tests/peers/video_fuzz.py --count 500 --seed 0 [--workers 2]         about 6 minutes
    python tests/peers/video_fuzz.py --seed 0 --only 17 --keep DIR              file 17 again, kept

A file that is right must be read right, without a warning (but for two sizes). A damaged one may be refused with a
ValueError, or read with a warning. What fails: a wrong or missing frame, a wrong time or orientation without a warning,
any other exception, a crash, and more than 20 s. Where a damaged file is read wrong, and FFmpeg alone reads the same
and complains of nothing there, the verdict is "unseen": nothing tells that a byte, e.g. of a time, has changed.

Exits with 1 if a file fails.
"""

import argparse
import collections
import concurrent.futures
import math
import multiprocessing
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import NamedTuple

import fuzzed_videos
import numbered_videos
from fuzzed_videos import Case

from vidjax.data import video
from vidjax.progress_bar import progress_bar

TIME_LIMIT = 20  # seconds, for one file
MEMORY_LIMIT = 6 << 30  # bytes: a changed header may promise frames of any size
SAME_TIME = 2e-4  # seconds, between two readings of one timestamp
GOOD = ("right", "warned", "refused", "unseen")
FAULTS = (
    "false alarm",
    "wrong frames",
    "missing frames",
    "wrong time",
    "wrong turn",
    "hang",
    "crash",
    "exception",
    "script",
)


class Part(NamedTuple):
    start: float
    end: float | None
    fps: float | None


class Reading(NamedTuple):
    """What was read: (number or None, turn or None, seconds) per frame, the warning, and the ValueError."""

    frames: list[tuple[int | None, str | None, float]]
    warning: str = ""
    refusal: str = ""


WHOLE = Part(0.0, None, None)


def read(path: Path, part: Part) -> Reading:
    """Reads a part with vidjax."""
    frames, damage = [], ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            for frame, seconds in video.iterate_frames(path, start=part.start, end=part.end, fps=part.fps):
                frames.append((*numbered_videos.read_frame(frame), seconds))
        except video.DamagedVideo as error:
            damage = str(error)
        except ValueError as error:
            return Reading(frames, refusal=str(error))
    return Reading(frames, "; ".join([damage] * bool(damage) + [str(warning.message) for warning in caught]))


def in_child(function, *arguments):
    """What a function returns, run in a process of its own; a str that starts with a verdict if it does not return."""
    receiver, sender = multiprocessing.get_context("fork").Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_child, args=(sender, function, *arguments))
    child.start()
    sender.close()
    try:
        if not receiver.poll(TIME_LIMIT):
            return f"hang: more than {TIME_LIMIT} s"
        return receiver.recv()
    except EOFError:
        child.join()
        return f"crash: exit code {child.exitcode}"
    finally:
        child.kill()
        child.join()


def _child(sender, function, *arguments):
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    try:
        result = function(*arguments)
    except BaseException:  # whatever it is, it is the finding
        result = f"exception: {traceback.format_exc()}"
    sender.send(result)


# ------------------------------------------------------------------------------------------------ judging


def judge(case: Case, part: Part, reading, plain) -> tuple[str, str]:
    """The verdict on a reading, and why."""
    if isinstance(reading, str):
        return reading.split(":")[0], reading
    if case.is_damaged and (reading.warning or reading.refusal):
        return ("warned", reading.warning) if reading.warning else ("refused", reading.refusal)
    if reading.refusal or (reading.warning and not case.has_sizes):
        return "false alarm", reading.refusal or reading.warning
    if case.has_sizes and not reading.warning and part == WHOLE and not case.is_damaged:
        return "wrong frames", "the size changes, but there is no warning"
    if not case.is_damaged:
        tolerance = case.tolerance if case.path.suffix in (".mpg", ".vob") else SAME_TIME
        fault = _fault(part, reading.frames, plain[0], case.turn, tolerance)
        return fault or ("warned" if reading.warning else "right", "")
    fault = _damaged_fault(case, part, reading.frames)
    if fault and not isinstance(plain, str) and not _complaints(case, part, plain[1]):
        return ("unseen", fault[1]) if _agrees(part, reading.frames, plain[0]) else fault
    return fault or ("right", "")


def _fault(part: Part, frames, truth, turn: str, tolerance: float) -> tuple[str, str] | None:
    """What is wrong with the frames of a part, given the frames of the whole file."""
    wrong = [(seconds, name) for _, name, seconds in frames if name not in (turn, None)]
    if wrong:
        return "wrong turn", f"{wrong[0][1]} at {wrong[0][0]:.3f} s instead of {turn}"
    if part.fps is None:
        return _fault_of_all(part, frames, truth, tolerance)
    period, last = 1 / part.fps, truth[-1].seconds
    for k, (number, _, seconds) in enumerate(frames):
        wanted = part.start + k * period
        if abs(seconds - wanted) > 1e-6:
            return "wrong time", f"output {k} is at {seconds:.4f} s instead of {wanted:.4f} s"
        right = numbered_videos.nearest(truth, wanted, 2 * tolerance)
        if number not in right:
            return "wrong frames", f"{number} at {wanted:.4f} s instead of {sorted(right)}"
    end = last - 0.25 * period  # an output may be left out near the end
    end = end if part.end is None else min(end, part.end - 1e-6)
    fewest = sum(part.start + k * period < end for k in range(math.ceil((end - part.start) * part.fps) + 1))
    longest = max((b.seconds - a.seconds for a, b in zip(truth, truth[1:], strict=False)), default=1)
    most = fewest + (longest + 0.1) * part.fps + 1 if part.end is None or part.end > last else fewest + 1
    if not fewest <= len(frames) <= most:
        return "missing frames", f"{len(frames)} frames instead of {fewest}"
    return None


def _fault_of_all(part: Part, frames, truth, tolerance: float) -> tuple[str, str] | None:
    end = math.inf if part.end is None else part.end
    possible = [frame for frame in truth if part.start - tolerance <= frame.seconds < end + tolerance]
    certain = [frame.number for frame in truth if part.start + tolerance <= frame.seconds < end - tolerance]
    numbers = [number for number, _, _ in frames]
    strange = [number for number in numbers if number not in {frame.number for frame in possible}]
    if strange:
        return "wrong frames", f"{len(strange)} frames, the first is {strange[0]}"
    times = {frame.number: frame.seconds for frame in possible}
    for number, _, seconds in frames:
        if abs(seconds - times[number]) > tolerance:
            return "wrong time", f"frame {number} at {seconds:.4f} s instead of {times[number]:.4f} s"
    if [number for number in numbers if number in set(certain)] != certain:
        lost = sorted(set(certain) - set(numbers))
        return "missing frames", f"{len(numbers)} of {len(certain)} frames; lost are {lost[:5]}"
    return None


def _damaged_fault(case: Case, part: Part, frames) -> tuple[str, str] | None:
    """What is wrong with frames of a damaged file: the end may be missing, and with it nothing is wrong."""
    if not frames:
        return None
    tolerance = 2 * case.tolerance + SAME_TIME
    numbers = {number for number, _, _ in frames}
    last = max((k for k, frame in enumerate(case.shown) if frame.number in numbers), default=-1)
    cut = case.shown[: last + 1] if part.end is None or last + 1 < len(case.shown) else case.shown
    if not cut:
        return "wrong frames", f"none of {len(frames)} frames is one of the file"
    fault = _fault(part, frames, cut, case.turn, tolerance)
    return None if fault and fault[0] == "missing frames" and frames[-1][0] == cut[-1].number and part.fps else fault


def _complaints(case: Case, part: Part, complaints) -> list[str]:
    """What FFmpeg complains of that concerns a part, or the start of the file, from which times count."""
    end = math.inf if part.end is None else part.end + 0.2
    return [message for seconds, message in complaints if seconds == 0 or part.start - case.memory <= seconds <= end]


def _agrees(part: Part, frames, plain) -> bool:
    """Whether plain PyAV reads the same, unreadable frames included."""
    numbers = [-1 if number is None else number for number, _, _ in frames]
    if part.fps is not None:
        return (
            _fault(
                part,
                [(n, None, seconds) for n, (_, _, seconds) in zip(numbers, frames, strict=True)],
                plain,
                "",
                SAME_TIME,
            )
            is None
        )
    end = math.inf if part.end is None else part.end
    same = [frame for frame in plain if part.start - 1e-6 <= frame.seconds < end - 1e-6]
    return numbers == [frame.number for frame in same] and all(
        abs(seconds - frame.seconds) < SAME_TIME for (_, _, seconds), frame in zip(frames, same, strict=True)
    )


def random_part(seed: int, case: Case) -> Part:
    """A part within the video, often in its last frames."""
    draw = random.Random(-seed - 1)
    seconds = case.shown[-1].seconds
    start = draw.choice([draw.uniform(0, 0.95 * seconds), draw.choice(case.shown).seconds, round(seconds / 2, 1)])
    end = draw.choice([None, start + draw.uniform(0.2, 3)])
    return Part(start, end, draw.choice([None, 5.0, 8.0, 12.5, 25.0, 30.0]))


def try_file(seed: int, folder: Path, keep: bool = False) -> tuple[Case, list[tuple[str, str]]]:
    """Makes the file of a seed and judges the whole and a part of it."""
    case = in_child(fuzzed_videos.make, seed, folder)
    if isinstance(case, str):
        nothing = Case(folder, ("script",), [], "", 0, 0, 0, False, False, f"seed {seed}")
        return nothing, [("script", case)]
    plain = in_child(numbered_videos.plain_decode, case.path, case.index)
    verdicts = []
    if not case.is_damaged:
        told = (
            ""
            if isinstance(plain, str)
            else _fault_of_all(
                WHOLE, [(number, None, seconds) for number, seconds in plain[0]], case.shown, case.tolerance + SAME_TIME
            )
        )
        if isinstance(plain, str) or told:
            verdicts.append(("script", f"plain PyAV does not read what was written: {told or plain}"))
    for part in () if verdicts else (WHOLE, random_part(seed, case)):
        verdict, why = judge(case, part, in_child(read, case.path, part), plain)
        verdicts.append((verdict, f"{tuple(part)}: {why}"))
    if case.is_damaged and any(verdict in FAULTS for verdict, _ in verdicts):
        complaints = plain if isinstance(plain, str) else plain[1]
        verdicts.append(("unseen", f"{len(complaints)} complaints of FFmpeg: {complaints[:2]}"))
    if not keep:
        case.path.unlink()
    return case, verdicts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500, help="number of files (default: 500)")
    parser.add_argument("--seed", type=int, default=0, help="file k is drawn from SEED + k (default: 0)")
    parser.add_argument("--only", type=int, help="this file alone")
    parser.add_argument("--keep", type=Path, help="directory in which the files stay")
    parser.add_argument("--workers", type=int, default=1, help="number of processes (default: 1)")
    parser.add_argument("--list", action="store_true", help="print a line per file")
    arguments = parser.parse_args()
    started = time.monotonic()
    places = range(arguments.count) if arguments.only is None else [arguments.only]
    table, failed = collections.defaultdict(collections.Counter), 0
    context = multiprocessing.get_context("fork")
    with (
        tempfile.TemporaryDirectory() as scratch,
        concurrent.futures.ProcessPoolExecutor(arguments.workers, context) as pool,
    ):
        folder = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        jobs = [pool.submit(try_file, arguments.seed + k, folder, bool(arguments.keep)) for k in places]
        for k, job in zip(places, progress_bar(jobs, "fuzz", unit="file"), strict=True):
            case, verdicts = job.result()
            worst = max(verdicts, key=lambda item: (GOOD + FAULTS).index(item[0]))[0]
            for feature in (*case.features, case.path.suffix or "script", "ALL"):
                table[feature][worst] += 1
            is_bad = worst in FAULTS
            failed += is_bad
            if is_bad or arguments.list or arguments.only is not None:
                print(f"{k}: {worst}: {case.words}", flush=True)
                print("\n".join(f"    {verdict}: {why}" for verdict, why in verdicts), flush=True)
    columns = [verdict for verdict in GOOD + FAULTS if table["ALL"][verdict]]
    print("\n| kind | files | " + " | ".join(columns) + " |\n" + "|---" * (2 + len(columns)) + "|")
    for kind in sorted(table, key=lambda name: (name == "ALL", name.startswith("."), name)):
        cells = [str(table[kind][verdict]) for verdict in columns]
        print(f"| {kind} | {table[kind].total()} | " + " | ".join(cells) + " |")
    print(f"\n{failed} of {len(places)} files fail; {time.monotonic() - started:.0f} s.")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
