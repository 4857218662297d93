"""Read annotation files of published datasets. Errors are ValueErrors that name the file and say what is wrong."""

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from vidjax.data.sources.named_videos import shown
from vidjax.data.sources.text_files import read_text

Say = Callable[[str], None]


def find_file(folder: Path, pattern: str) -> Path:
    """Returns the only file of a name or pattern, at any depth; raises a ValueError if there are none or several."""
    if len(files := sorted(folder.rglob(pattern))) != 1:
        there = f"several files {pattern}: {shown(map(str, files))}" if files else f"no file {pattern}"
        raise ValueError(f"{folder} has {there}; give the folder of the annotations of one release.")
    return files[0]


def read_csv(path: Path, columns: Sequence[str], say: Say) -> list[dict[str, str]]:
    """Returns the rows of a CSV; raises a ValueError if it lacks a column or a row has another number of cells."""
    reader = csv.DictReader(io.StringIO(read_text(path, say), newline=""))
    if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
        raise ValueError(f"{path} has no column {', '.join(missing)}; download it again.")
    rows = []
    for row in reader:
        if None in row or None in row.values():
            raise ValueError(f"{path}, line {reader.line_num} has another number of cells than the header.")
        rows.append({name: cell.strip() for name, cell in row.items()})
    return rows


def read_json(path: Path, keys: Sequence[str] = ()):
    """Returns the content of a JSON file.

    Raises:
        ValueError: if it is not valid, or with keys if it is not a list of objects that have them.
    """
    try:
        content = json.loads(read_text(path))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON ({error}): download it again.") from None
    if keys and not (isinstance(content, list) and all(isinstance(x, dict) and {*keys} <= x.keys() for x in content)):
        raise ValueError(f"{path} must be a list of objects with {', '.join(keys)}.")
    return content


def seconds(timestamp: str) -> float:
    """Returns the seconds of HH:MM:SS.ss; raises a ValueError for another form."""
    if not (found := re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", timestamp)):
        raise ValueError(f"{timestamp!r} is not a time like 00:01:02.34.")
    hours, minutes, rest = found.groups()
    return round(3600 * int(hours) + 60 * int(minutes) + float(rest), 6)
