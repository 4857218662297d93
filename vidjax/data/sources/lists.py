"""Lists of videos without a header: "path label" like UCF-101's, or "path num_frames label" of frame folders (TSN)."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from vidjax.data import frame_folder
from vidjax.data.sources import folder_tree
from vidjax.data.sources.text_files import clean

KNOWN_ENDINGS = folder_tree.VIDEOS | frame_folder.IMAGES


class Entry(NamedTuple):
    """One line of a list.

    Attributes:
        line: its number, from 1.
        path: as written.
        label: as written; None if the line has only a path.
        num_frames: of a frame folder, as written; None if the line has none.
    """

    line: int
    path: str
    label: str | None
    num_frames: str | None = None


def read_list(path: Path, text: str) -> list[Entry]:
    """Parses a list. The separator is a tab, comma, semicolon or space, whichever yields the most paths like videos'.

    The label is the last word of a line, so that paths may have spaces: "my video.mp4 3".

    Args:
        path: path of the list; its folder may hold the videos.
        text: content of the list.

    Raises:
        ValueError: for a line without a label among lines with one.
    """
    lines = [(number, clean(line)) for number, line in enumerate(text.splitlines(), 1) if clean(line)]

    def plausible(entry: Entry | None) -> bool:
        if entry is None or not entry.path:
            return False
        return Path(entry.path).suffix.lower() in KNOWN_ENDINGS or (path.parent / entry.path).exists()

    entries, most = [], -1
    for parse in (_split_at("\t"), _split_at(","), _split_at(";"), _with_num_frames, _with_label, Entry):
        found = [
            parse(number, line) if parse is not Entry else Entry(number, _unquoted(line), None)
            for number, line in lines
        ]
        if 2 * sum(entry is not None for entry in found) < len(found):
            continue
        if (score := sum(map(plausible, found))) > most:
            entries, most = found, score
    for (number, line), entry in zip(lines, entries, strict=True):
        if entry is None or entry.label == "" or not entry.path:
            raise ValueError(f"{path}, line {number}: {line!r} is not `path label` like the other lines; give both.")
    return entries


def _split_at(separator: str) -> Callable[[int, str], Entry | None]:
    def parse(number: int, line: str) -> Entry | None:
        cells = [_unquoted(cell) for cell in line.split(separator)]
        if len(cells) == 2:
            return Entry(number, cells[0], cells[1])
        if len(cells) == 3 and cells[1].isdecimal():
            return Entry(number, cells[0], cells[2], cells[1])
        return None

    return parse


def _with_num_frames(number: int, line: str) -> Entry | None:
    cells = line.rsplit(None, 2)
    if len(cells) < 3 or not (cells[1].isdecimal() and cells[2].isdecimal()):
        return None
    return Entry(number, _unquoted(cells[0]), cells[2], cells[1])


def _with_label(number: int, line: str) -> Entry | None:
    cells = line.rsplit(None, 1)
    return Entry(number, _unquoted(cells[0]), cells[1]) if len(cells) == 2 else None


def _unquoted(cell: str) -> str:
    cell = clean(cell)
    return clean(cell[1:-1]) if len(cell) > 1 and cell[0] == cell[-1] and cell[0] in "\"'" else cell


def find_root(path: Path, names: list[str]) -> Path:
    """Finds the folder that the paths of a list are relative to: the folder of the list, or one inside or beside it.

    Args:
        path: path of the list.
        names: some of its paths; only paths with a folder are looked for beside the folder of the list.

    Returns:
        The folder of the list if any of the paths exists in it, or if no other folder has most of them.

    Raises:
        ValueError: if several other folders have most of them.
    """
    folder = path.parent
    if any((folder / name).exists() for name in names):
        return folder
    around = _folders(folder)
    if all(len(Path(name).parts) > 1 for name in names):  # a bare file name may match by chance
        around += [folder.resolve().parent, *_folders(folder.resolve().parent)]
    around = {root.resolve(): root for root in reversed(around)}.values()
    roots = [root for root in around if 2 * sum((root / name).exists() for name in names) > len(names)]
    if len(roots) > 1:
        listed = ", ".join(map(str, roots))
        raise ValueError(f"The paths in {path} exist in {listed}: move the list to the folder that you mean.")
    return roots[0] if roots else folder


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []
