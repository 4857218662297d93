"""Find the files of the videos that published annotations name."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

SHOWN = 5  # names that a message lists

Paths = dict[str, list[Path]]


def by_name(paths: Iterable[Path], name_of: Callable[[Path], str] = lambda path: path.stem) -> Paths:
    """Returns paths by the name of their video."""
    found = defaultdict(list)
    for path in paths:
        found[name_of(path)].append(path)
    return dict(found)


def match(names: Iterable[str], paths: Paths, say: Callable[[str], None]) -> tuple[dict[str, Path], list[str]]:
    """Returns the path of each named video that is there, and the names of those that are not. Reports both.

    Raises:
        ValueError: if none is there.
    """
    names = list(names)
    missing = [name for name in names if name not in paths]
    several = [name for name in names if len(paths.get(name, ())) > 1]
    if len(missing) == len(names):
        raise ValueError(
            f"None of the {len(names)} annotated videos is there, like {names[0]}; there are {shown(paths)}. Give the "
            "folder that holds them."
        )
    if missing:
        say(f"warning: {len(missing)} of {len(names)} annotated videos are missing: {shown(missing)}.")
    if several:
        first = shown(map(str, paths[several[0]]))
        say(f"note: {len(several)} videos have several files, of which the first is read, like {first}.")
    return {name: paths[name][0] for name in names if name in paths}, missing


def shown(names: Iterable[str] | Mapping[str, object]) -> str:
    """Returns the first names, separated by commas."""
    names = list(names)
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
