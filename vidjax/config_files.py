"""Finds the files of configs/: those of the working directory, else the copies installed with vidjax."""

import sys
from collections.abc import Sequence
from pathlib import Path

INSTALLED = Path(__file__).parent / "installed"  # a wheel has a copy of configs/ in it; the repository does not


def find(path: str | Path) -> Path:
    """Returns the path of a file of configs/, and makes `configs.common` importable.

    A relative path that does not exist here, such as configs/quickstart.py outside of the repository, is that of the
    installed copy. A path that exists nowhere is returned as it is.
    """
    for root in (".", str(INSTALLED)):
        if root not in sys.path:
            sys.path.append(root)
    path = Path(path)
    return INSTALLED / path if not path.exists() and (INSTALLED / path).exists() else path


def known(folder: str = "configs") -> list[str]:
    """Returns the files of configs/, or of configs/ladder, that can be given to a command, sorted."""
    return sorted({
        path.relative_to(root).as_posix()
        for root in (Path("."), INSTALLED)
        for path in (root / folder).glob("[!_]*.py")
    })  # fmt: skip


def in_arguments(arguments: Sequence[str]) -> list[str]:
    """Returns a command line with the file of --config FILE[:ARGUMENT] found.

    Raises:
        ValueError: if it does not exist; lists the files that do.
    """
    found = list(arguments)
    for i, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if flag.lstrip("-") != "config" or not flag.startswith("-"):
            continue
        if equals:
            found[i] = f"{flag}={_found(value)}"
        elif i + 1 < len(found):
            found[i + 1] = _found(found[i + 1])
    return found


def _found(config: str) -> str:
    name, colon, argument = config.partition(":")
    path = find(name)
    if not path.is_file():
        raise ValueError(f"--config {name} is not a file; choose one of {', '.join(known())}.")
    return f"{path}{colon}{argument}"
