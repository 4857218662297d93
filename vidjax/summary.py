"""Summarises a network: parameters, multiply-adds and receptive field per layer, and memory of a training step.

    python -m vidjax.summary r3d_18 --input 16x112x112
    python -m vidjax.summary resnet50 --input 224x224 --num_classes 1000 --no_step
    python -m vidjax.summary configs/c3d.py --plan --config.batch_size=64

Nothing is allocated: the network is traced on shapes, and the compiled training step reports its memory.
"""

import argparse
import sys

import jax
from absl import flags
from absl import logging as absl_logging
from ml_collections import ConfigDict, config_flags

from vidjax.analysis import peak_flops
from vidjax.analysis.layer_table import table
from vidjax.analysis.networks import BATCH_SIZE, NUM_CLASSES, described, find_config, find_inputs
from vidjax.analysis.step_report import describe_step
from vidjax.models import MODELS
from vidjax.training import command_line, distributed


def override(config: ConfigDict, arguments: list[str]) -> ConfigDict:
    """Returns the config with arguments of the form --config.key=value applied, like `vidjax.train` does.

    Raises:
        ValueError: for other arguments, unknown keys and wrong types.
    """
    values = flags.FlagValues()
    argv = ["vidjax.summary", *arguments]
    try:
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=argv)
        if rest := values(argv)[1:]:
            raise ValueError(f"Unknown arguments {' '.join(rest)}.")
    except AttributeError as error:
        raise ValueError(f"The config has no key {command_line.unknown_key(error)!r}; see vidjax/config.py.") from None
    except (flags.Error, TypeError) as error:
        raise ValueError(str(error)) from None
    return values.config


def parse_args(argv=None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="vidjax summary",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="--config.key=value changes a setting of the config, like in vidjax.train.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("network", metavar="MODEL|CONFIG",
        help=f"one of {', '.join(MODELS)}; or a file of configs/, with its argument after a colon")  # fmt: skip
    add("--input", metavar="SIZE",
        help="16x112x112 (frames, height, width), 224x224 (an image) or 32x1024 (steps and width of features); "
        "by default the config's")  # fmt: skip
    add("--num_classes", type=int, help=f"by default those of the config's records, or {NUM_CLASSES}")
    add("--batch_size", type=int, help=f"clips in a global batch; by default the config's, or {BATCH_SIZE}")
    add("--depth", type=int, default=2, help="levels of nested modules to list (default: 2)")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--no_step", action="store_true", help="only the layers: compiling the step can take a minute")
    only.add_argument("--plan", action="store_true", help="only the training step, to see whether it fits")
    args, overrides = parser.parse_known_args(argv)
    for name in ("num_classes", "batch_size", "depth"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f"--{name} must be 1 or more")
    return args, overrides


def main(argv=None) -> int:
    """Prints the summary; returns the exit status: 1 if the step does not fit in memory."""
    args, overrides = parse_args(argv)
    absl_logging.set_verbosity(absl_logging.WARNING)
    with distributed.started("vidjax.summary"):
        config = override(find_config(args.network), overrides)
        batch_size = args.batch_size or config.batch_size
        inputs, num_classes, known_from = find_inputs(config, args.input, batch_size, args.num_classes)
        show = print if jax.process_index() == 0 else lambda text: None
        show(described(config, inputs, num_classes, known_from))
        if not args.plan:
            show("\n" + table(config, inputs, num_classes, args.depth))
        if args.no_step:
            return 0
        text, fits = describe_step(config, inputs, num_classes)
        show("\n" + text)
        if seconds := peak_flops.seconds_at_peak(config, inputs, num_classes):
            show(f"at the bfloat16 peak of these devices a step takes {1e3 * seconds:.3g} ms: divide by `step_ms` of "
                 "metrics.jsonl for the share of the peak")  # fmt: skip
    return 0 if fits else 1


if __name__ == "__main__":
    sys.exit(main())
