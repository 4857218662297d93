"""Write the shards of `make_records` with Apache Beam, on this machine or, with Beam's own options, on a cluster.

One element is one shard: its path and its videos. Workers call the same function as local processes, so the files are
equal byte for byte. The dataset's directory and the videos must have the same paths on this machine and on all workers
(use a shared file system), and vidjax must be installed on the workers.
https://beam.apache.org/documentation/runners/capability-matrix/ lists the runners.
"""

import argparse
import importlib
import socket

from vidjax import extras
from vidjax.data import shards

LOCAL = "FnApiRunner"  # Beam's Python runner; DirectRunner would first download another program, Prism, and run it
JOB_SERVERS = ("portable", "flink", "spark")  # runners whose job server has options unknown to Beam for Python


def make_pipeline(arguments: list[str], num_workers: int):
    """Returns an empty `apache_beam.Pipeline` with options from a command line.

    The default options run `num_workers` processes on this machine.

    Raises:
        ValueError: if Beam, or its extra for the runner, is not installed; or the runner or an option is unknown or
            incomplete.
    """
    beam = extras.needs("apache_beam", "beam")
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

    defaults = [f"--runner={LOCAL}", "--direct_running_mode=multi_processing", f"--direct_num_workers={num_workers}"]
    parsers = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)  # passes us the parser of all options
    parsers[0].exit_on_error = False
    try:
        _, unknown = parsers[0].parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise ValueError(f"Beam's options, after --: {error}.") from None
    options = PipelineOptions([*defaults, *arguments])  # the last of two equal options wins
    runner = options.view_as(StandardOptions).runner
    known = [name for name in StandardOptions.KNOWN_RUNNER_NAMES if not name.startswith(("Test", "Interactive"))]
    if _short(runner) not in map(_short, known):
        raise ValueError(f"Beam has no runner {runner!r}; choose one of {', '.join(known)}.")
    if unknown and _short(runner) not in JOB_SERVERS:
        raise ValueError(f"Beam has no option {' '.join(unknown)}; `-- --help` lists its options.")
    if _short(runner) == "dataflow":  # Beam itself would report this only when the job starts
        try:
            importlib.import_module("apache_beam.runners.dataflow.internal.apiclient")
        except ImportError:
            raise ValueError(f"{runner} needs Beam's extra gcp: pip install 'apache-beam[gcp]'.") from None
    return beam.Pipeline(options=options)


def _short(runner: str) -> str:
    return runner.lower().removesuffix("runner")  # Beam accepts both forms, in any case


def write_shards(tasks: list[shards.Task], encoding: shards.Encoding, labels: list[str], pipeline):
    """Writes the shards that are not up to date; `pipeline` comes from `make_pipeline`.

    Raises:
        ValueError: if shards are missing after the pipeline has returned.
    """
    import apache_beam as beam

    if not (missing := shards.missing_of(tasks)):
        return
    with pipeline:  # runs, and waits for the result, at the end of the block
        # Create also distributes its elements over the workers.
        _ = pipeline | "shards" >> beam.Create(missing) | "write" >> beam.Map(write_shard, encoding, labels)
    if missing := shards.missing_of(tasks):
        raise ValueError(
            f"{len(missing)} of {len(tasks)} shards are not written yet, like {missing[0].path}; Beam's state is "
            f"{pipeline.result.state}. When its job has ended, run the same command again to continue."
        )


def write_shard(task: shards.Task, encoding: shards.Encoding, labels: list[str]):
    """Writes one shard in a worker. Beam may repeat the call, on any worker, after a failure.

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
