"""Checks before long work that its results can be written."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path


def check_writable(directory: Path, option: str, remedy: str = "name another one, or change its permissions"):
    """Raises a ValueError where files cannot be written to a directory, or to the first one above it that exists.

    Args:
        option: what named it, "--workdir", say.
        remedy: what to do, for the message.
    """
    place = Path(directory).absolute()
    try:
        place = next(path for path in (place, *place.parents) if path.exists())
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise ValueError(f"{option} {directory} cannot be written to ({place}: {error.strerror}): {remedy}.") from None


def check_out(path: Path, option: str = "--out"):
    """Raises a ValueError where a file cannot be written; its directory has to exist."""
    if path.is_dir():
        raise ValueError(f"{option} {path} is a directory: name a file in it.")
    if not path.parent.is_dir():
        raise ValueError(f"{option} {path}: {path.parent} is not a directory; make it first.")
    check_writable(path.parent, option, "name a file in another directory")
    check_replaceable([path], "name another file")


def check_replaceable(paths: Sequence[Path], remedy: str):
    """Raises a ValueError for the first of these files that exists and cannot be written."""
    for path in paths:
        if path.exists() and not (path.is_file() and os.access(path, os.W_OK)):
            raise ValueError(f"{path} cannot be written: {remedy}.")
