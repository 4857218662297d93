"""Time of `vidjax.predict` with a checkpoint and with its exports: to start, and per further clip."""

import subprocess
import sys
import time
from pathlib import Path

from vidjax.bench import alternate, compare, summary
from vidjax.export import exported
from vidjax.inference import restore
from vidjax.inference.clip_logits import make_logits_fn
from vidjax.inference.views import views_of

CLIPS = 10  # in a row, so that lingering threads of one runtime do not slow the next


def bench_predict(video: str, workdir: Path, exports: list[Path], rounds: int) -> dict:
    """Times the checkpoint of a run and its exports on the middle clip of a video.

    Returns:
        For `checkpoint` and each format: `FORMAT, start`, milliseconds of the whole command for one clip in a fresh
        process without compiled programs; `FORMAT, a clip`, milliseconds per clip in memory, one at a time. Ratios to
        the checkpoint, and `FORMAT MiB`, the size of the directory.

    Raises:
        ValueError: for two exports of one format; see also `restore.from_run`, `exported.load` and `views.read_views`.
    """
    run = restore.from_run(workdir)
    views = views_of(run, video, num_views=1)
    sources = {"checkpoint": ["--workdir", str(workdir)]}
    forward = {"checkpoint": make_logits_fn(run)}
    sizes = {}
    for directory in exports:
        network = exported.load(directory)
        if network.format in sources:
            raise ValueError(f"{directory} is a second {network.format} export: give one directory per format.")
        sources[network.format] = ["--exported", str(directory)]
        forward[network.format] = exported.make_logits_fn(network)
        size = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
        sizes[f"{network.format} MiB"] = round(size / 2**20, 1)
    starts = {name: [] for name in sources}
    for _ in range(rounds):
        for name, source in sources.items():
            starts[name].append(start_of([video, *source]))
    times = alternate({name: lambda f=f: [f(views) for _ in range(CLIPS)] for name, f in forward.items()}, rounds)
    times = {name: [x / CLIPS for x in values] for name, values in times.items()}
    result = {f"{name}, start": summary(starts[name]) for name in sources}
    result |= {f"{name}, a clip": summary(times[name]) for name in sources}
    for name in list(sources)[1:]:
        result[f"checkpoint / {name}, start"] = compare(starts["checkpoint"], starts[name])
        result[f"checkpoint / {name}, a clip"] = compare(times["checkpoint"], times[name])
    return result | sizes


def start_of(arguments: list[str]) -> float:
    """Returns the milliseconds of `python -m vidjax.predict` on one clip in a new process."""
    command = [sys.executable, "-m", "vidjax.predict", *arguments, "--num_views", "1", "--json"]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise ValueError(f"{' '.join(command[1:])} failed: {done.stderr.strip().splitlines()[-1]}")
    return 1e3 * (time.perf_counter() - started)
