"""What commands that train share: flags with error messages for users, --workdir, and what is printed."""

import logging
import re
import sys
from pathlib import Path

import jax
from absl import app
from absl import logging as absl_logging

from vidjax import config as configs
from vidjax.training import status


def quieten():
    """Called at the start of a command: silences libraries, and signals that have no meaning yet."""
    status.ignore()
    absl_logging.set_verbosity(absl_logging.WARNING)  # Orbax logs each file that it opens
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # and each that found the disk full, after our own message


def say(text: str):
    """Prints a line, on the first process only."""
    if jax.process_index() == 0:
        print(text, flush=True)


def parse_flags(arguments):
    """Parses flags like absl; an unknown --config.key, or a value of the wrong type, exits with a plain message."""
    try:
        return app.parse_flags_with_usage(arguments)
    except AttributeError as error:
        keys = configs.describe_keys()
        sys.exit(f"vidjax.train: the config has no key {unknown_key(error)!r}; valid keys are\n{keys}")
    except TypeError as error:
        sys.exit(f"vidjax.train: {error}")


def unknown_key(error: AttributeError) -> str:
    """The key that ml_collections did not find; it quotes the text several times."""
    return re.findall(r"\w+", str(error))[0]


def check_workdir(argv: list[str], workdir: str | None) -> Path:
    """Returns --workdir as a path.

    Raises:
        app.UsageError: for arguments that are not flags.
        SystemExit: if --workdir is missing, or not on a local file system.
    """
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments {argv[1:]}; give settings as --config.key=value.")
    if workdir is None:
        sys.exit("vidjax.train: --workdir is missing; name the directory of the run, such as --workdir runs/NAME.")
    if "://" in workdir:  # pathlib would take it for a directory gs: on this machine's disk
        sys.exit(f"vidjax.train: --workdir {workdir} is not a local directory; mount the bucket first.")
    return Path(workdir)
