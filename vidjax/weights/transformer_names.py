"""Names of transformers in other libraries, as tables that are read in both directions.

A table maps their modules and arrays to ours. `{}` stands for a number, the same on both sides in order. The kind of an
array follows its module: `norm1.weight` is `norm1/scale`, `fc1.weight` is `fc1/kernel`. Arrays that belong to no layer,
such as tables of positions, stand in a table with their full name. If several of their names mean one of ours, the
first is written.
"""

import re
from collections.abc import Mapping

Table = Mapping[str, str]


def ours(name: str, table: Table) -> str:
    """blocks.3.norm1.weight -> block3/norm1/scale; a name that the table lacks is returned as it is."""
    if (found := _renamed(name, table)) is not None:
        return found
    module, _, kind = name.rpartition(".")
    if kind not in ("weight", "bias") or (found := _renamed(module, table)) is None:
        return name
    is_norm = "norm" in found.rpartition("/")[2]
    return f"{found}/{'bias' if kind == 'bias' else 'scale' if is_norm else 'kernel'}"


def theirs(path: str, table: Table) -> str:
    """block3/norm1/scale -> blocks.3.norm1.weight; the inverse of `ours`."""
    backwards = {mine: name for name, mine in reversed(table.items())}
    if (found := _renamed(path, backwards)) is not None:
        return found
    module, _, kind = path.rpartition("/")
    return f"{_renamed(module, backwards)}.{'bias' if kind == 'bias' else 'weight'}"


def _renamed(name: str, table: Table) -> str | None:
    for old, new in table.items():
        if match := re.fullmatch(re.escape(old).replace(r"\{\}", r"(\d+)"), name):
            return new.format(*match.groups())
    return None
