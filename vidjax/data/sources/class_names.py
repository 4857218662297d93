"""Class names for numeric labels, from a class file with one name per line, or lines like "1 ApplyEyeMakeup"."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from vidjax.data.sources.text_files import read_text


class Labelled(NamedTuple):
    """A video of a list: its place ("list.txt, line 3"), its path, and its label or None."""

    where: str
    path: str
    label: str | None


def read_class_file(path: Path, say: Callable[[str], None] = print) -> tuple[dict[int, str], bool]:
    """Reads a class file.

    Returns:
        The names by number, and whether the file gives the numbers; if not, they count from 0.

    Raises:
        ValueError: if it is missing or empty, or repeats a name or number.
    """
    text = read_text(path, say)
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise ValueError(f"{path} is empty: write one class name per line.")
    numbered = [re.fullmatch(r"(\d+)\s*[\s,;:]\s*(\S.*)", line) for _, line in lines]
    explicit, names = all(numbered), {}
    for i, ((line_number, line), match) in enumerate(zip(lines, numbered, strict=True)):
        index, name = (int(match[1]), match[2]) if explicit else (i, line)
        name = name.strip("\"'")
        if index in names or name in names.values():
            raise ValueError(f"{path}, line {line_number}: {line!r} repeats a number or a name; give each once.")
        names[index] = name
    return names, explicit


def name_labels(rows: Sequence[Labelled], class_file: Path, say: Callable[[str], None] = print) -> list[str]:
    """Returns the class name of each video, from its number, its name, or the class folder in its path.

    The smallest and largest number, and class folders in paths, decide whether numbers count from 0 or from 1.

    Raises:
        ValueError: for a number or name that is not in the class file, for a video without either, or if numbers may
            count from 0 or from 1.
    """
    names, explicit = read_class_file(class_file, say)
    known = set(names.values())
    numbers = [row for row in rows if row.label is not None and re.fullmatch(r"-?\d+", row.label)]
    shift = (
        _find_shift(numbers, names, explicit, class_file, say)
        if numbers and not known & {r.label for r in numbers}
        else 0
    )
    result = []
    for row in rows:
        if row.label is None:
            name = _class_folder(row.path, known)
            if name is None:
                raise ValueError(f"{row.where}: no label, and no folder of {row.path} is a class of {class_file}.")
        elif row.label in known:
            name = row.label
        elif re.fullmatch(r"-?\d+", row.label):
            name = names[int(row.label) + shift]
        else:
            raise ValueError(f"{row.where}: {row.label!r} is not one of the {len(names)} classes of {class_file}.")
        result.append(name)
    return result


def _class_folder(path: str, known: set[str]) -> str | None:
    return next((part for part in reversed(PurePath(path).parts[:-1]) if part in known), None)


def _find_shift(rows, names: dict[int, str], explicit: bool, class_file: Path, say) -> int:
    """Returns the offset from the numbers of a list to those of the class file."""
    known, first, last = set(names.values()), min(names), max(names)
    possible = [
        shift
        for shift in (0, -1 if first == 0 else 1)  # the list may count from 1 where names count from 0, or the reverse
        if all(int(row.label) + shift in names for row in rows)
    ]
    if not possible:
        numbers = sorted({int(row.label) for row in rows})
        row = next(row for row in rows if int(row.label) in (numbers[0], numbers[-1]))
        raise ValueError(
            f"{row.where}: the numbers of the list are {numbers[0]} to {numbers[-1]}; {class_file} has "
            f"{len(names)} classes, {first} to {last}."
        )
    in_folders = [(row, folder) for row in rows if (folder := _class_folder(row.path, known))]

    def contradictions(shift: int) -> list:
        return [(row, folder) for row, folder in in_folders if names[int(row.label) + shift] != folder]

    shift = min(possible, key=lambda shift: len(contradictions(shift)))
    if wrong := contradictions(shift):
        row, folder = wrong[0]
        say(
            f"warning: {len(wrong)} videos are in the folder of a class that is not that of their number, like "
            f"{row.where}: {row.path} is {names[int(row.label) + shift]}."
        )
    if len(possible) > 1 and not explicit and not (in_folders and len(wrong) < len(in_folders)):
        raise ValueError(
            f"The numbers of the list may count from 0 or from 1: neither 0 nor {len(names)} occurs. Write the number "
            f"before each name in {class_file}, like `1 {names[first]}`."
        )
    say(f"note: the number {first - shift} of the list is the class {names[first]}.")
    return shift
