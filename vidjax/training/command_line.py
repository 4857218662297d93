"""Shared parts of the training commands: flags with clear error messages, --workdir, and printing."""

import logging
import re
import sys
from pathlib import Path

import jax
from absl import app
from absl import logging as absl_logging

from vidjax import config as configs
from vidjax import config_files
from vidjax.training import status


def quieten():
    """Silences libraries and ignores SIGUSR2. Call it at the start of a command."""
    status.ignore()
    absl_logging.set_verbosity(absl_logging.WARNING)  # Orbax logs every file that it opens
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # repeats our message if the disk is full


def say(text: str):
    """Prints a line, on the first process only."""
    if jax.process_index() == 0:
        print(text, flush=True)


def parse_flags(arguments):
    """Parses flags like absl; an unknown --config.key, or a value of the wrong type, exits with a plain message.

    The file of --config may be one that is installed with vidjax, see `config_files`.
    """
    try:
        return app.parse_flags_with_usage(config_files.in_arguments(arguments))
    except AttributeError as error:
        keys = configs.describe_keys()
        sys.exit(f"vidjax.train: the config has no key {unknown_key(error)!r}; valid keys are\n{keys}")
    except (TypeError, ValueError) as error:
        sys.exit(f"vidjax.train: {error}")


def unknown_key(error: AttributeError) -> str:
    """Returns the key that ml_collections did not find, from its message, which repeats the key."""
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
    if "://" in workdir:  # pathlib would read it as a local directory gs:
        sys.exit(f"vidjax.train: --workdir {workdir} is not a local directory; mount the bucket first.")
    return Path(workdir)
