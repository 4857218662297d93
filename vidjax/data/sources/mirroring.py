"""What mirroring does to class names that mention a side."""

import re
from collections.abc import Sequence

SIDES = {"left": "right", "clockwise": "counterclockwise"}
SIDES |= {b: a for a, b in SIDES.items()}
# "right" is no side in "upright" and "right out"
WORDS = re.compile(rf"\b({'|'.join(SIDES)})\b(?! out\b)", re.IGNORECASE)


def swapped(classes: Sequence[str]) -> str | list[int]:
    """Returns the permutation of the classes that mirroring makes; "unchanged" if no class names a side.

    Raises:
        ValueError: if the mirrored class of a class is not there.
    """
    permutation = []
    for name in classes:
        other = WORDS.sub(lambda found: like(found[0], SIDES[found[0].lower()]), name)
        if other not in classes:
            raise ValueError(f"The class {name!r} becomes {other!r} when mirrored, which is not a class; check it.")
        permutation.append(classes.index(other))
    return "unchanged" if permutation == [*range(len(classes))] else permutation


def like(model: str, word: str) -> str:
    """Returns a word with a capital letter if the model has one."""
    return word.capitalize() if model[0].isupper() else word
