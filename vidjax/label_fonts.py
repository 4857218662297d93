"""Shows class names in pictures, in fonts that have their characters, or else as numbers with a legend."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib import font_manager, ft2font
from matplotlib.text import Text


class Shown(NamedTuple):
    """How class names appear in a picture.

    Attributes:
        texts: the names, or their numbers.
        family: font families.
        is_numbered: whether the texts are numbers, because no installed fonts have all characters.
    """

    texts: list[str]
    family: list[str]
    is_numbered: bool

    @property
    def style(self) -> dict:
        """Keyword arguments for matplotlib texts: the fonts, and no mathtext, which interprets `$`, `^` and `_`."""
        return {"family": self.family, "parse_math": False}

    def set_on(self, texts: Sequence[Text]):
        """Writes the names into existing texts of a picture, such as those of a legend."""
        for text, name in zip(texts, self.texts, strict=True):
            text.set(text=name, **self.style)


def shown(labels: Sequence[str]) -> Shown:
    """Returns how to show these names with the installed fonts."""
    labels = [" ".join(label.split()) for label in labels]  # fonts have no tab
    wanted, fonts = set("".join(labels)), [font_manager.findfont(font_manager.FontProperties())]
    family = list(font_manager.FontProperties().get_family())
    missing = wanted - characters(fonts[0], frozenset(wanted))
    for name, path in regular_faces().items() if missing else ():
        if found := characters(path, frozenset(missing)):
            family.append(name)
            missing -= found
    if missing:
        return Shown([str(number) for number in range(len(labels))], family[:1], True)
    return Shown(labels, family, False)


def regular_faces() -> dict[str, str]:
    """Returns the upright font file of each installed family whose weight is nearest to regular."""
    upright = [face for face in font_manager.fontManager.ttflist if face.style == "normal"]
    weights = font_manager.weight_dict
    nearest = sorted(upright, key=lambda face: (face.name, abs(weights.get(face.weight, face.weight) - 400)))
    return {face.name: face.fname for face in reversed(nearest)}


@functools.cache
def characters(path: str, wanted: frozenset[str]) -> frozenset[str]:
    """Returns the characters that a font file has; none if it cannot be read, or is a bitmap font."""
    try:
        font = ft2font.FT2Font(path)
        if not font.scalable or font.family_name.startswith("Last Resort"):  # draws a box for every character
            return frozenset()
        return frozenset(character for character in wanted if font.get_char_index(ord(character)))
    except (OSError, RuntimeError, ValueError):
        return frozenset()


def legend(labels: Sequence[str]) -> str:
    """Returns the meaning of the numbers in a picture, one line each."""
    return "".join(f"{number}: {label}\n" for number, label in enumerate(labels))


def write_legend(picture: Path, labels: Sequence[str]):
    """Writes the `legend` of a picture with numbers beside it: confusion_labels.txt for confusion.png."""
    path = picture.with_name(f"{picture.stem}_labels.txt")
    path.write_text(legend(labels), encoding="utf-8", errors="surrogateescape")
