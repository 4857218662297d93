"""The command `vidjax`: each of its commands is a module, imported when it is called.

vidjax train --config configs/quickstart.py --workdir runs/quickstart
python -m vidjax.train --config configs/quickstart.py --workdir runs/quickstart      # the same
"""

import runpy
import sys

import vidjax

COMMANDS = {
    "make-records": ("vidjax.data.make_records", "videos -> TFRecord shards"),
    "train": ("vidjax.train", "trains a config; started again, it goes on"),
    "evaluate": ("vidjax.evaluate", "evaluates a run exactly, or fuses several"),
    "predict": ("vidjax.predict", "names the classes of videos, of windows of them, or of a stream"),
    "features": ("vidjax.features", "stores a layer of a frozen network as records"),
    "classify": ("vidjax.evaluation.classify", "a classifier of stored features"),
    "crossval": ("vidjax.crossval", "trains a config on every fold, with several seeds"),
    "crossval-fusion": ("vidjax.evaluation.crossval_fusion", "fuses cross-validations fold by fold"),
    "export": ("vidjax.export", "writes StableHLO, SavedModel, ONNX or safetensors"),
    "results": ("vidjax.ladder.results", "the results of runs as one table"),
    "ladder": ("vidjax.ladder", "trains and compares many architectures"),
    "report": ("vidjax.report", "a ladder or runs as one page"),
    "summary": ("vidjax.summary", "parameters, multiply-adds and receptive fields, layer by layer"),
    "weights": ("vidjax.weights", "the table of published weights"),
    "flow": ("vidjax.flow", "optical flow of a video, to look at"),
    "series": ("vidjax.data.synthetic.series", "records of windows of a time series"),
    "bench": ("vidjax.bench", "measures speed and memory on this machine"),
}


def usage() -> str:
    """The text of `vidjax --help`."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(["usage: vidjax COMMAND ...", "", *lines, "", "vidjax COMMAND --help has the rest."])


def main():
    """Runs the module of the command in its own name: arguments and exit status are those of `python -m`."""
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
