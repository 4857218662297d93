"""Labelled videos from files: CSV and TSV with a header, Kinetics' CSVs, and lists of "path label" without one."""

import csv
import dataclasses
import io
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from vidjax.data.sources import class_names, kinetics, lists, split_names
from vidjax.data.sources.items import Item, words
from vidjax.data.sources.text_files import clean, read_text

ENDINGS = (".csv", ".tsv", ".txt", ".list", ".lst")
KNOWN = ("path", "label", "caption", "split", "start", "end", "youtube_id", "time_start", "time_end")

ALIASES = {"time_start": "start", "start_time": "start", "time_end": "end", "end_time": "end"}

Say = Callable[[str], None]


@dataclasses.dataclass
class Row:
    """A video of a table: its place ("list.csv, line 3"), and its cells by column, spaces stripped."""

    where: str
    path: str
    cells: dict[str, str]
    split: str = ""
    start: float = 0.0
    end: float | None = None
    has_header: bool = True


def from_tables(
    paths: Sequence[Path], *, class_file: Path | None = None, multi_label: bool = False, say: Say = print
) -> list[Item]:
    """Reads one or several files of labelled videos; paths in them are relative to their folder.

    A header names the columns `path` and `label` (several are separated by `|`) or `caption`, and optionally `split`,
    `start`, `end` (seconds) and any others; cells are separated by commas, semicolons, tabs or spaces. Without a header
    a line is `path label` or, for a frame folder, `path num_frames label`. A missing video is reported when it is
    read, like any other unreadable file.

    Args:
        paths: of the files; if there are several, each names its split, in a column or in its name (trainlist01.txt).
        class_file: class names for numbers, see `class_names`.
        multi_label: an empty label is a video without any label; implied if some label has a `|`.
        say: receives one line per guess.

    Raises:
        ValueError: for a missing file, column or value, or a wrong number; names the line.
    """
    rows, columns = [], set()
    for path in paths:
        found = _read_file(path, say)
        if len(paths) > 1 and not any(row.split for row in found):
            split = split_names.name_within(path.stem)
            if split is None:
                raise ValueError(f"{path} names no split: add a column split, or name the file like train.csv.")
            for row in found:
                row.split = split
        elif len(paths) == 1 and "split" not in found[0].cells and (split := split_names.name_within(path.stem)):
            say(f"note: {path.name} is split at random. If it is the split {split}, give the other lists after it.")
        columns.add("caption" if "caption" in found[0].cells else "label")
        rows += found
    if len(columns) > 1:
        raise ValueError("Some files have labels and others captions: make records of them separately.")
    _name_splits(rows, say)
    if columns == {"caption"}:
        return [_item(row, _caption(row)) for row in rows]
    if class_file is not None:
        names = class_names.name_labels(_labelled(rows, multi_label), class_file, say)
        return [_item(row, (name,)) for row, name in zip(rows, names, strict=True)]
    _order_numbers(rows, say)
    implied = any("|" in row.cells.get("label", "") for row in rows)
    labels = [_labels(row, multi_label or implied) for row in rows]
    if empty := labels.count(()):
        say(f"note: {empty} videos have no label.")
    return [_item(row, names) for row, names in zip(rows, labels, strict=True)]


def _item(row: Row, labels: tuple[str, ...]) -> Item:
    return Item(row.path, labels, row.split, row.start, row.end, row.cells)


def _labelled(rows: list[Row], multi_label: bool) -> list[class_names.Labelled]:
    if multi_label or any("|" in row.cells.get("label", "") for row in rows):
        raise ValueError("--class_file goes with one label per video; write several labels as names in a CSV.")
    paths = [row.cells.get("path") or row.path for row in rows]
    return [
        class_names.Labelled(row.where, path, row.cells.get("label") or None)
        for row, path in zip(rows, paths, strict=True)
    ]


def _order_numbers(rows: list[Row], say: Say):
    """Pads the numbers of lists with zeros: classes are sorted as text, and 10 comes before 2."""
    labels = {row.cells.get("label", "") for row in rows}
    numbers = [row for row in rows if re.fullmatch(r"-?\d+", row.cells.get("label", ""))]
    if len(numbers) == len(rows) and (negative := [row for row in numbers if row.cells["label"][0] == "-"]):
        raise ValueError(
            f"{negative[0].where}: the label {negative[0].cells['label']} is negative; remove the row, or write names."
        )
    if not all(label.isdecimal() for label in labels) or len({len(label) for label in labels}) < 2:
        return
    if any(row.has_header for row in rows):
        say("note: the labels are numbers; classes are sorted as text, so 10 comes before 2.")
        return
    width = max(map(len, labels))
    for row in rows:
        row.cells["label"] = row.cells["label"].zfill(width)
    say(f"note: the labels are numbers; zeros keep their order ({'0'.zfill(width)}); --class_file gives names.")


def _caption(row: Row) -> tuple[str, ...]:
    if not (caption := words(row.cells["caption"])):
        raise ValueError(f"{row.where}: path and caption must both be given.")
    return caption


def _labels(row: Row, may_be_empty: bool) -> tuple[str, ...]:
    label = row.cells.get("label")
    if label is None:
        raise ValueError(
            f"{row.where}: no label; give `path label`, or --class_file if folders in the paths are classes. More "
            "columns need a header like path,label,split."
        )
    if not label and may_be_empty:
        return ()
    if not label:
        raise ValueError(
            f"{row.where}: path and label must both be given. If videos may have no label, give --multi_label."
        )
    names = tuple(clean(name) for name in label.split("|"))
    if not all(names):
        raise ValueError(f"{row.where}: {label!r} has an empty label before or after a |; remove the |.")
    return tuple(dict.fromkeys(names))


def _name_splits(rows: list[Row], say: Say):
    """Gives the splits safe names; "Training" becomes train."""
    given = [row for row in rows if row.split]
    if given and len(given) < len(rows):
        row = next(row for row in rows if not row.split)
        raise ValueError(f"{row.where}: no split, but other rows have one; give each row a split, or none.")
    values = {row.split for row in given}
    usual = {value: name for value in sorted(values) if (name := split_names.usual_name(value))}
    names = usual | split_names.safe_names(values - usual.keys())
    for value, name in sorted(names.items()):
        if value != name:
            say(f"note: the split {value!r} is named {name}.")
    for row in given:
        row.split = names[row.split]


# ------------------------------------------------------------------------------------------------ one file


def _read_file(path: Path, say: Say) -> list[Row]:
    text = read_text(path, say)
    first_line, separator = 1, None
    lines = text.splitlines(keepends=True)
    if lines and (match := re.fullmatch(r'"?sep=(.)"?\s*', lines[0])):  # written by Excel
        separator, first_line = match[1], 2
    while first_line <= len(lines) and not clean(lines[first_line - 1]):
        first_line += 1
    header = lines[first_line - 1] if first_line <= len(lines) else ""
    separator = separator or max(",;\t ", key=lambda s: sum(name in KNOWN for name in _header(header, s)))
    names = _header(header, separator)
    is_table = path.suffix.lower() in (".csv", ".tsv")
    keys = ("path", "youtube_id", "label", "caption") if is_table else ("path", "youtube_id")
    if any(name in names for name in keys):
        rest = "".join(lines[first_line:])
        return _read_table(path, names, _cells(path, rest, separator, first_line), say)
    first_cells = [Path(clean(header.split(s)[0]).strip("\"'")) for s in ",;\t "]
    if is_table and not any(cell.suffix.lower() in lists.KNOWN_ENDINGS for cell in first_cells):
        raise ValueError(f"{path} has no column path or label; it has {', '.join(filter(None, names)) or 'none'}.")
    return _read_list(path, text, say)


def _header(line: str, separator: str) -> list[str]:
    cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    return [clean(cell).lower() if clean(cell).lower() in KNOWN else clean(cell) for cell in cells]


def _cells(path: Path, text: str, separator: str, lines_before: int) -> list[tuple[str, list[str]]]:
    """Returns (where, cells) of each row; `where` names the line at which the row ends."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    rows = []
    while True:
        start = lines_before + reader.line_num + 1
        try:
            cells = [clean(cell) for cell in next(reader)]
        except StopIteration:
            return rows
        except csv.Error as error:
            raise ValueError(
                f'{path}, line {start}: {error}. Close each quote, and write a quote inside quotes twice: "a ""b"" c".'
            ) from None
        if any(cells):
            rows.append((f"{path}, line {lines_before + reader.line_num}", cells))


def _read_table(path: Path, names: list[str], rows: list[tuple[str, list[str]]], say: Say) -> list[Row]:
    given = [name for name in names if name]
    if "path" in names:
        names = [name if ALIASES.get(name, name) in names else ALIASES.get(name, name) for name in names]
        given = [name for name in names if name]
        if unused := [name for name in given if re.search("start|begin|end|stop", name) and name not in KNOWN]:
            say(f"warning: {path}: {', '.join(unused)} not used; the part of a video is start and end, in seconds.")
    if repeated := sorted({name for name in given if given.count(name) > 1}):
        raise ValueError(f"{path} has two columns {', '.join(map(repr, repeated))}: rename or remove one.")
    if "caption" in names and "label" in names:
        raise ValueError(f"{path} has both a label and a caption: keep one of the two columns.")
    key = "caption" if "caption" in names else "label"
    is_kinetics = "path" not in names and "youtube_id" in names
    if missing := [name for name in ("youtube_id" if is_kinetics else "path", key) if name not in names]:
        raise ValueError(f"{path} has no column {' or '.join(missing)}; it has {', '.join(given) or 'none'}.")
    if not rows:
        raise ValueError(f"{path} has a header but no rows.")
    files = kinetics.list_files(path.parent) if is_kinetics else {}
    result = []
    for where, cells in rows:
        if len(cells) != len(names):
            many = len(cells) > len(names)
            raise ValueError(
                f"{where}: {len(cells)} cells for {len(names)} columns ({', '.join(names)}). "
                + ('Put quotes around a cell that contains the separator: "run, fast".' if many else "")
                + ("" if many else "Keep the separators of empty cells.")
            )
        row = Row(where, "", {name: cell for name, cell in zip(names, cells, strict=True) if name})
        row.split = row.cells.get("split", "")
        if is_kinetics:
            _find_kinetics(path, row, files)
        else:
            if not row.cells["path"]:
                raise ValueError(f"{where}: path and {key} must both be given.")
            row.path = str(_existing(path.parent, row.cells["path"]))
            row.start, row.end = _span(where, row.cells.get("start", ""), row.cells.get("end", ""))
        result.append(row)
    return result


def _existing(folder: Path, name: str) -> Path:
    windows = folder / name.replace("\\", "/")
    return windows if "\\" in name and not (folder / name).exists() and windows.exists() else folder / name


def _find_kinetics(path: Path, row: Row, files: dict[str, list[Path]]):
    name = row.cells["youtube_id"]
    if not name:
        raise ValueError(f"{row.where}: youtube_id and label must both be given.")
    start, end = _span(row.where, row.cells.get("time_start", ""), row.cells.get("time_end", ""))
    found, is_trimmed = kinetics.find_file(files, name, start, end, {row.cells["label"], row.split})
    if found is None:
        stem = name if end is None else f"{name}_{int(start):06d}_{int(end):06d}"
        found = path.parent / f"{stem}.mp4"  # missing: reported when it is read
    row.path = str(found)
    if not is_trimmed:
        row.start, row.end = start, end


def _span(where: str, start: str, end: str) -> tuple[float, float | None]:
    try:
        first, last = float(start or 0), float(end) if end else None
    except ValueError:
        raise ValueError(f"{where}: start and end are seconds, not {start!r}, {end!r}.") from None
    if end and not start:
        raise ValueError(f"{where}: the end {end} has no start; write 0 for the beginning of the video.")
    if not math.isfinite(first) or first < 0 or last is not None and not first < last < math.inf:
        raise ValueError(
            f"{where}: start {start or '0'} and end {end or 'empty'} must be seconds with 0 <= start < end."
        )
    return first, last


def _read_list(path: Path, text: str, say: Say) -> list[Row]:
    if not (entries := lists.read_list(path, text)):
        raise ValueError(f"{path} is empty: write one `path label` per line.")
    root = lists.find_root(path, [entry.path for entry in entries[:: 1 + len(entries) // 50]])
    if root != path.parent:
        say(f"note: the paths in {path.name} are relative to {root}.")
    numbers = [entry.label is not None and re.fullmatch(r"-?\d+", entry.label) is not None for entry in entries]
    if 2 * sum(numbers) > len(entries) and not all(numbers):
        entry = entries[numbers.index(False)]
        raise ValueError(f"{path}, line {entry.line}: the label {entry.label!r} is not a number like the others.")
    if negative := [entry for entry in entries if re.fullmatch(r"-\d+", entry.label or "")]:
        raise ValueError(
            f"{path}, line {negative[0].line}: the label {negative[0].label} is negative; remove the line."
        )
    rows = []
    for entry in entries:
        cells = {"path": entry.path, "label": entry.label, "num_frames": entry.num_frames}
        where = f"{path}, line {entry.line}"
        cells = {name: cell for name, cell in cells.items() if cell is not None}
        video = _existing(root, entry.path)
        if entry.num_frames is not None and video.suffix.lower() in lists.KNOWN_ENDINGS and not video.is_dir():
            raise ValueError(
                f"{where}: {entry.path} has two numbers after it but is not a folder of frames; give `path label` or a "
                "CSV with a header (path,label; several labels are separated by |)."
            )
        rows.append(Row(where, str(video), cells, has_header=False))
    return rows
