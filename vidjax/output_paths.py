"""Checks that results can be written, before the work starts; and writes them whole or not at all."""

import os
import re
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path


def check_writable(directory: Path, option: str, remedy: str = "name another one, or change its permissions"):
    """Raises a ValueError if files cannot be written to a directory, or to its nearest existing parent; or for gs://...

    Args:
        option: option that named the directory, such as "--workdir", for the message.
        remedy: what the user should do, for the message.
    """
    if re.match(r"[a-z]\w+:/", str(directory)):  # a path has lost one slash of gs://
        raise ValueError(f"{option} {directory} is not a local directory; mount the bucket first.")
    place = Path(directory).absolute()
    try:
        place = next(path for path in (place, *place.parents) if path.exists())
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise ValueError(f"{option} {directory} cannot be written to ({place}: {error.strerror}): {remedy}.") from None


def check_out(path: Path, option: str = "--out"):
    """Raises a ValueError if a file cannot be written; its directory must exist."""
    if path.is_dir():
        raise ValueError(f"{option} {path} is a directory: name a file in it.")
    if not path.parent.is_dir():
        raise ValueError(f"{option} {path}: {path.parent} is not a directory; create it first.")
    check_writable(path.parent, option, "name a file in another directory")
    check_replaceable([path], "name another file")


def check_replaceable(paths: Sequence[Path], remedy: str):
    """Raises a ValueError for the first existing file that cannot be written."""
    for path in paths:
        if path.exists() and not (path.is_file() and os.access(path, os.W_OK)):
            raise ValueError(f"{path} cannot be written: {remedy}.")


def write_whole(path: Path, text: str):
    """Writes a text file. A full disk or a kill leaves the file before, and other processes never see half of one."""
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
