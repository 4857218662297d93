"""The command `vidjax`: each subcommand is a module, imported when it is called.

vidjax train --config configs/quickstart.py --workdir runs/quickstart
python -m vidjax.train --config configs/quickstart.py --workdir runs/quickstart      # the same
"""

import os
import runpy
import select
import sys

import vidjax

COMMANDS = {
    "make-records": ("vidjax.data.make_records", "converts videos to TFRecord shards"),
    "data": ("vidjax.describe", "describes records: classes, lengths, sizes, frame rates, splits, copies"),
    "train": ("vidjax.train", "trains a config, or continues a run"),
    "evaluate": ("vidjax.evaluate", "evaluates a run, or fuses several"),
    "predict": ("vidjax.predict", "classifies videos, windows of videos, or a stream"),
    "detect": ("vidjax.detect", "finds activities in untrimmed videos"),
    "gallery": ("vidjax.gallery", "adds classes from a few examples, without training"),
    "search": ("vidjax.search", "finds videos by a text, in stored features"),
    "features": ("vidjax.features", "stores a layer of a frozen network as records"),
    "classify": ("vidjax.evaluation.classify", "trains and tests a classifier on stored features"),
    "crossval": ("vidjax.crossval", "trains a config on every fold, with several seeds"),
    "crossval-fusion": ("vidjax.evaluation.crossval_fusion", "fuses cross-validations fold by fold"),
    "audit": ("vidjax.evaluation.audit", "evaluates runs under every metric convention"),
    "export": ("vidjax.export", "writes StableHLO, SavedModel, ONNX or safetensors"),
    "results": ("vidjax.ladder.results", "shows the results of runs as a table"),
    "ladder": ("vidjax.ladder", "trains and compares many architectures"),
    "report": ("vidjax.report", "writes an HTML page about a ladder or runs"),
    "summary": ("vidjax.summary", "shows parameters, multiply-adds and receptive fields per layer"),
    "weights": ("vidjax.weights", "lists, describes and downloads published weights"),
    "flow": ("vidjax.flow", "draws the optical flow of a video"),
    "series": ("vidjax.data.synthetic.series", "makes records of windows of a time series"),
    "bench": ("vidjax.bench", "measures speed and memory on this machine"),
}


def usage() -> str:
    """Returns the text of `vidjax --help`."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(["usage: vidjax COMMAND ...", "", *lines, "", "vidjax COMMAND --help shows its options."])


def main():
    """Runs a command. It ends quietly if the reader of its output has gone, such as `head`."""
    try:
        run()
    except (BrokenPipeError, SystemExit) as error:
        if BrokenPipeError in (type(error), type(error.__context__)) and reader_has_gone():
            sys.exit(1)
        raise
    finally:
        try:
            sys.stdout.flush()
        except BrokenPipeError:  # the interpreter would try again, and complain
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def reader_has_gone() -> bool:
    """Returns whether standard output is a pipe that nobody reads."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in output.poll(0))


def run():
    """Runs the module of a command like `python -m`, with the same arguments and exit status."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        sys.exit(0 if arguments else 2)
    if arguments[0] == "--version":
        print(vidjax.__version__)
        return
    name = arguments[0].replace("_", "-")
    if name not in COMMANDS:
        print(f"vidjax: unknown command {arguments[0]!r}; choose one of {', '.join(COMMANDS)}.", file=sys.stderr)
        sys.exit(2)
    module, _ = COMMANDS[name]
    sys.argv = [f"vidjax {name}", *arguments[1:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
