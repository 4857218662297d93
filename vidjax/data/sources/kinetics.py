"""Find the files of Kinetics' CSVs (label,youtube_id,time_start,time_end,split) by the names that downloaders give."""

import os
from collections import defaultdict
from pathlib import Path

from vidjax.data import frame_folder
from vidjax.data.sources import folder_tree


def list_files(folder: Path) -> dict[str, list[Path]]:
    """Maps names without ending to the files below a folder that may be videos, in sorted order."""
    files = defaultdict(list)
    for directory, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if Path(name).suffix.lower() not in folder_tree.NOT_VIDEOS | frame_folder.IMAGES:
                files[Path(name).stem].append(Path(directory, name))
    return files


def find_file(
    files: dict[str, list[Path]], youtube_id: str, start: float, end: float | None, hints: set[str]
) -> tuple[Path | None, bool]:
    """Finds `ID_000010_000020.*` or `ID_10_20.*`, a trimmed clip, or `ID.*`, the whole video.

    Args:
        files: result of `list_files`.
        start, end: seconds.
        hints: label and split; if several files match, one in a folder of such a name is preferred.

    Returns:
        The file or None, and whether it is already trimmed.
    """
    stems = [youtube_id]
    if end is not None:
        stems = [f"{youtube_id}_{int(start):06d}_{int(end):06d}", f"{youtube_id}_{int(start)}_{int(end)}", youtube_id]
    for stem in stems:
        if found := files.get(stem):
            wanted = {hint.casefold().replace(" ", "_") for hint in hints}
            parts = [{part.casefold().replace(" ", "_") for part in path.parts[:-1]} for path in found]
            best = max(range(len(found)), key=lambda i: len(wanted & parts[i]))
            return found[best], stem != youtube_id
    return None, True
