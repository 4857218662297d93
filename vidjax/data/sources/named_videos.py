"""Find the files of the videos that published annotations name."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from vidjax.data import video_paths

SHOWN = 5  # names that a message lists

Paths = dict[str, list[Path]]


class Found(NamedTuple):
    """Files of annotated videos.

    Attributes:
        paths: the file of each video that is there, in the order of the annotations.
        missing: names of the videos that are not.
        misspelt: names of the videos whose file is spelt differently.
    """

    paths: dict[str, Path]
    missing: list[str]
    misspelt: list[str]


def by_name(paths: Iterable[Path], name_of: Callable[[Path], str] = lambda path: path.stem) -> Paths:
    """Returns paths by the name of their video."""
    found = defaultdict(list)
    for path in paths:
        found[name_of(path)].append(path)
    return dict(found)


def match(names: Iterable[str], paths: Paths, say: Callable[[str], None], *, loosely: bool = False) -> Found:
    """Returns the file of each named video that is there, and reports the others.

    Args:
        loosely: a name without a file takes the only file that differs in case, spaces and punctuation alone. Not for
            names of YouTube, in which these count.

    Raises:
        ValueError: if none is there.
    """
    names = list(dict.fromkeys(names))
    found = {name: paths[name] for name in names if name in paths}
    spelt = {}
    if loosely and len(found) < len(names):
        alike = defaultdict(list)
        for name in paths.keys() - found.keys():
            alike[plain(name)].append(name)
        spelt = {name: alike[plain(name)][0] for name in names if name not in found and len(alike[plain(name)]) == 1}
        found |= {name: paths[file] for name, file in spelt.items()}
    missing = [name for name in names if name not in found]
    several = [name for name in names if len(found.get(name, ())) > 1]
    if not found:
        raise ValueError(
            f"None of the {len(names)} annotated videos is there, like {names[0]}; there are {shown(paths)}. Give the "
            "folder that holds them."
        )
    if missing:
        say(f"warning: {len(missing)} of {len(names)} annotated videos are missing: {shown(missing)}.")
    if spelt:
        pairs = shown(f"{name} is {file}" for name, file in spelt.items())
        say(f"note: {len(spelt)} videos are spelt differently in the annotations: {pairs}.")
    if several:
        first = shown(map(str, found[several[0]]))
        say(f"note: {len(several)} videos have several files, of which the first is read, like {first}.")
    return Found({name: found[name][0] for name in names if name in found}, missing, list(spelt))


def plain(name: str) -> str:
    """Returns a name in lower case, without spaces and punctuation."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).casefold())


def shown(names: Iterable[str] | Mapping[str, object]) -> str:
    """Returns the first names, separated by commas."""
    names = list(names)
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def videos_in(folder: Path | None) -> list[Path]:
    """Returns the videos in a folder, at any depth; raises a ValueError if it is not given or holds none."""
    if folder is None:
        raise ValueError("Give --videos, the folder of the videos.")
    return video_paths.find_videos(folder)[0]
