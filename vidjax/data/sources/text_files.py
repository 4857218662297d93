"""Read text files in the encodings of other programs."""

import codecs
import re
from collections.abc import Callable
from pathlib import Path

BOMS = {  # longer ones first: the mark of UTF-32 starts like that of UTF-16
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


def read_text(path: Path, say: Callable[[str], None] = print) -> str:
    """Reads UTF-8, UTF-16 or UTF-32 with a byte order mark, or Windows-1252; line ends stay as they are.

    Args:
        say: receives a line if the encoding was guessed.

    Raises:
        ValueError: if the file is missing, is not text, or is in another encoding.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a directory, not a text file.")
    if not path.is_file():
        raise ValueError(f"{path} does not exist.")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}. Change its permissions.") from None
    bom = next((bom for bom in BOMS if data.startswith(bom)), b"")
    try:
        text = data[len(bom) :].decode(BOMS.get(bom, "utf-8"))
    except UnicodeDecodeError as error:
        if bom:
            raise ValueError(
                f"{path} is damaged {BOMS[bom].upper()} text at byte {error.start}: save it again."
            ) from None
        text = _windows_1252(path, data, say)
    if "\0" in text:
        raise ValueError(f"{path} holds zero bytes: it is not text, or UTF-16 without a mark. Save it as UTF-8.")
    return text


def _windows_1252(path: Path, data: bytes, say: Callable[[str], None]) -> str:
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is neither UTF-8 nor Windows-1252 (see byte {error.start}): save it as UTF-8."
        ) from None
    line = next(line for line in text.splitlines() if not line.isascii())
    say(f"note: {path} is not UTF-8; read as Windows-1252, like {line[:60]!r}. If that is wrong, save it as UTF-8.")
    return text


def clean(cell: str) -> str:
    """Strips spaces, also non-breaking and invisible ones."""
    return re.sub(r"^[\s\u200b\u2060\ufeff]+|[\s\u200b\u2060\ufeff]+$", "", cell)


def split_lines(text: str) -> list[str]:
    """Splits at the line ends of all systems only: `str.splitlines` also splits at form feeds and others in labels."""
    return re.split(r"\r\n|\r|\n", text)


def numbered_lines(path: Path, say: Callable[[str], None] = print) -> list[tuple[str, str]]:
    """Returns (place, line) of the lines of a file that are not blank."""
    lines = enumerate(map(clean, split_lines(read_text(Path(path), say))), 1)
    return [(f"{path}, line {number}", line) for number, line in lines if line]
