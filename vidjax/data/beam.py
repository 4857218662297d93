"""The shards of `make_records`, written by Apache Beam: on this machine, or on a cluster by Beam's own options.

One element is one shard, its path and its videos, and a worker writes it with the function that the local processes
call: the files are the same, byte by byte. So the dataset's directory and the videos have to lie on a file system that
this machine and all workers share, under the same paths, and vidjax has to be installed on the workers.
https://beam.apache.org/documentation/runners/capability-matrix/ lists the runners.
"""

import argparse
import importlib
import socket

from vidjax import extras
from vidjax.data import shards

LOCAL = "FnApiRunner"  # Beam's own in Python; DirectRunner would first download another program, Prism, and run that
JOB_SERVERS = ("portable", "flink", "spark")  # runners whose server has options that Beam for Python does not know


def make_pipeline(arguments: list[str], num_workers: int):
    """An empty `apache_beam.Pipeline` with options from a command line; by default `num_workers` processes of here.

    Raises:
        ValueError: where Beam is not installed, there is no such runner or option, or the runner misses an option.
    """
    beam = extras.needs("apache_beam", "beam")
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

    here = [f"--runner={LOCAL}", "--direct_running_mode=multi_processing", f"--direct_num_workers={num_workers}"]
    parsers = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)  # hands out the parser of all options
    parsers[0].exit_on_error = False
    try:
        _, unknown = parsers[0].parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise ValueError(f"Beam's options, after --: {error}.") from None
    options = PipelineOptions([*here, *arguments])  # of two that are the same, the last one counts
    runner = options.view_as(StandardOptions).runner
    known = [name for name in StandardOptions.KNOWN_RUNNER_NAMES if not name.startswith(("Test", "Interactive"))]
    if _short(runner) not in map(_short, known):
        raise ValueError(f"Beam has no runner {runner!r}; choose one of {', '.join(known)}.")
    if unknown and _short(runner) not in JOB_SERVERS:
        raise ValueError(f"Beam has no option {' '.join(unknown)}; `-- --help` lists those that it has.")
    if _short(runner) == "dataflow":  # of which Beam itself would say so only when the job starts
        try:
            importlib.import_module("apache_beam.runners.dataflow.internal.apiclient")
        except ImportError:
            raise ValueError(f"{runner} needs more of Beam: pip install 'apache-beam[gcp]'.") from None
    return beam.Pipeline(options=options)


def _short(runner: str) -> str:
    return runner.lower().removesuffix("runner")  # Beam takes either, in any case


def write_shards(tasks: list[shards.Task], encoding: shards.Encoding, labels: list[str], pipeline):
    """Writes the shards that are not up to date; `pipeline` is one of `make_pipeline`.

    Raises:
        ValueError: if shards are missing after Beam has ended.
    """
    import apache_beam as beam

    if not (missing := shards.missing_of(tasks)):
        return
    with pipeline:  # runs at the end of the block, and waits
        # Create also spreads its elements over the workers.
        _ = pipeline | "shards" >> beam.Create(missing) | "write" >> beam.Map(write_shard, encoding, labels)
    if missing := shards.missing_of(tasks):
        raise ValueError(
            f"{len(missing)} of {len(tasks)} shards are not here yet, {missing[0].path} first; Beam says "
            f"{pipeline.result.state}. When it has ended, run the same command again to go on."
        )


def write_shard(task: shards.Task, encoding: shards.Encoding, labels: list[str]):
    """What a worker does with one element. Beam may ask for it again, here or elsewhere, after a worker has failed.

    Raises:
        ValueError: if the worker does not see the directory of the dataset.
    """
    from apache_beam.metrics import Metrics

    place = task.path.parent / "dataset.json"
    if not place.exists():
        raise ValueError(
            f"{socket.gethostname()} does not see {place}: --out must be a directory that all workers share, given as "
            "an absolute path."
        )
    if not task.is_done():
        shards.prepare_process()
        shards.write_shard(task, encoding, labels, Metrics.counter("make_records", "videos").inc)
