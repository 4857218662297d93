"""What a network costs: parameters, multiply-adds, receptive field by layer, and the memory of a training step.

    python -m vidjax.summary r3d_18 --input 16x112x112
    python -m vidjax.summary resnet50 --input 224x224 --num_classes 1000 --no_step
    python -m vidjax.summary configs/c3d.py --batch_size 64

Nothing is allocated: the network is traced on shapes, and the memory is read from the compiled training step.
"""

import argparse
import sys

from absl import logging as absl_logging
from ml_collections import ConfigDict

from vidjax import config as configs
from vidjax.analysis.layer_table import table
from vidjax.analysis.networks import BATCH_SIZE, NUM_CLASSES, described, find_config, find_inputs
from vidjax.analysis.step_report import describe_step
from vidjax.models import MODELS

# ------------------------------------------------------------------------------------------------------------ the table


def plan(config: ConfigDict) -> tuple[str, bool]:
    """`describe_step` of the batches of a config; where its records are not there yet, with a guess of the classes."""
    configs.check(config)
    inputs, num_classes, known_from = find_inputs(config, None, config.batch_size, None)
    text, fits = describe_step(config, inputs, num_classes)
    return f"{described(config, inputs, num_classes, known_from)}\n\n{text}", fits


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("network", metavar="MODEL|CONFIG",
        help=f"one of {', '.join(MODELS)}; or a file of configs/, with its argument after a colon")  # fmt: skip
    add("--input", metavar="SIZE",
        help="16x112x112 (frames, height, width), 224x224 (an image) or 32x1024 (steps and width of features); "
        "by default the config's")  # fmt: skip
    add("--num_classes", type=int, help=f"by default those of the config's records, or {NUM_CLASSES}")
    add("--batch_size", type=int, help=f"clips in a global batch; by default the config's, or {BATCH_SIZE}")
    add("--depth", type=int, default=2, help="how far to go into modules within modules (default: 2)")
    add("--no_step", action="store_true", help="only the table: compiling the step can take a minute")
    args = parser.parse_args(argv)
    for name in ("num_classes", "batch_size", "depth"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f"--{name} must be 1 or more")
    return args


def main(argv=None) -> int:
    """Prints the summary; returns the exit status: 1 where the step does not fit."""
    args = parse_args(argv)
    absl_logging.set_verbosity(absl_logging.WARNING)
    try:
        config = find_config(args.network)
        batch_size = args.batch_size or config.batch_size
        inputs, num_classes, known_from = find_inputs(config, args.input, batch_size, args.num_classes)
        print(f"{described(config, inputs, num_classes, known_from)}\n")
        print(table(config, inputs, num_classes, args.depth))
        if args.no_step:
            return 0
        print()
        text, fits = describe_step(config, inputs, num_classes)
        print(text)
        return 0 if fits else 1
    except ValueError as error:
        sys.exit(f"vidjax.summary: {error}")


if __name__ == "__main__":
    sys.exit(main())
