"""Reads the notebooks' sources: scripts in Jupytext's percent format.

A line `# %%` begins a cell, `# %% [markdown]` one of text, in comments.
"""

import re
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent


class Cell(NamedTuple):
    """A cell of a notebook: its kind, "code" or "markdown", its text, and its tags."""

    kind: str
    source: str
    tags: tuple[str, ...]


def all_sources() -> list[Path]:
    """Returns the sources of the notebooks, in order."""
    return sorted(HERE.glob("[0-9][0-9]_*.py"))


def cells_of(path: Path) -> list[Cell]:
    """Reads the cells of a source.

    Raises:
        ValueError: if the file does not begin with a cell.
    """
    parts = re.split(r"^# %%(.*)\n", path.read_text(), flags=re.MULTILINE)
    if parts[0].strip():
        raise ValueError(f"{path} must begin with a cell, `# %% [markdown]`.")
    cells = []
    for head, body in zip(parts[1::2], parts[2::2], strict=True):
        tags = tuple(re.findall(r'"(\w+)"', head))
        if "[markdown]" in head:
            body = "\n".join(line.removeprefix("#").removeprefix(" ") for line in body.splitlines())
        cells.append(Cell("markdown" if "[markdown]" in head else "code", body.strip(), tags))
    return cells
