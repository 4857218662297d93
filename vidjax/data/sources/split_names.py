"""Name splits: recognise usual spellings of train, val and test, and make names that are safe in file names."""

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

SPELLINGS = {
    "train": "train training trn",
    "val": "val valid validate validating validation dev devel development",
    "test": "test testing tst eval evaluate evaluating evaluation",
}
_SPLIT_OF = {word: split for split, words in SPELLINGS.items() for word in words.split()}
_FILLERS = frozenset(
    "annotations clips data dataset file files folder frames images list lists part set split splits videos "
    "video".split()
)
_GLUED = re.compile(r"(.+?)(data|list|set|split|video)s?")  # trainset, testlist
LONGEST = 120  # bytes: file names have 255, and endings are added


def usual_name(name: str) -> str | None:
    """Returns train, val or test for its usual spellings ("Training", "valid_set", "TEST"), or None.

    Numbers do not count: "trainlist01" is train. Other words do: "train_station" is None.
    """
    words = {_SPLIT_OF.get(word, word) for word in _words(name) if word not in _FILLERS}
    return words.pop() if len(words) == 1 and words <= SPELLINGS.keys() else None


def name_within(name: str) -> str | None:
    """Returns the only split named in a file name, or None: "kinetics_val_list" is val."""
    found = {_SPLIT_OF[word] for word in _words(name) if word in _SPLIT_OF}
    return found.pop() if len(found) == 1 else None


def _words(name: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)  # trainSet
    words = re.findall(r"[^\W\d_]+", spaced.casefold())
    return [glued[1] if (glued := _GLUED.fullmatch(word)) and glued[1] in _SPLIT_OF else word for word in words]


def safe_names(values: Iterable[str], prefix: str = "") -> dict[str, str]:
    """Returns a unique name for each value, safe in file names: letters of any script, digits, "_" and ".".

    Other characters become "_". Values whose names would be equal, also on file systems that ignore case, get a hash
    of the value at the end: "a-b" and "a b" become "a_b_d44362d6" and "a_b_c8687a08".

    Raises:
        ValueError: for an empty value.
    """
    by_name = defaultdict(set)
    for value in values:
        if not value.strip():
            raise ValueError("The name of a split is empty: fill in each value.")
        by_name[_folded(_escaped(prefix + value))].add(value)
    names = {}
    for shared in by_name.values():
        for value in shared:
            name = _escaped(prefix + value)
            too_long = len(name.encode()) > LONGEST
            if too_long:
                name = name.encode()[:LONGEST].decode(errors="ignore")
            if too_long or len(shared) > 1:
                name += "_" + hashlib.sha256(value.encode(errors="surrogateescape")).hexdigest()[:8]
            names[value] = name
    if len({_folded(name) for name in names.values()}) < len(names):  # a value that looks like another one's hash
        raise ValueError(f"These values make equal file names; rename one: {', '.join(map(repr, sorted(names)))}.")
    return names


def _escaped(value: str) -> str:
    # Marks join the letter before them: Devanagari and Thai vowels are not \w
    kept = [c if c in "_." or unicodedata.category(c)[0] in "LNM" else "_" for c in value]
    return re.sub(r"^\.", "_", "".join(kept))


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
