"""Count the videos of a dataset per class and split; warn about doubtful classes."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from vidjax.data.sources.items import Item

MOST = 20  # rows of the table
LONGEST = 40  # characters of a class name


def table(items: Sequence[Item]) -> str:
    """Returns a table: one line per class, its videos per split. Lists the first classes and counts the others."""
    splits = sorted(
        {item.split for item in items}, key=lambda name: (name not in ("train", "val"), name != "train", name)
    )
    shown = splits if len(splits) <= 8 else []
    counts = Counter((label, item.split) for item in items for label in item.labels or ("(no label)",))
    totals = Counter(item.split for item in items)
    labels = sorted({label for label, _ in counts})
    rows = [("class", *shown, "all")]
    for label in labels[:MOST]:
        numbers = [counts[label, split] for split in splits]
        name = label if len(label) <= LONGEST else label[: LONGEST - 3] + "..."
        rows.append((name, *(str(n) for n in numbers if shown), str(sum(numbers))))
    rows.append(("videos", *(str(totals[split]) for split in shown), str(len(items))))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    if len(labels) > MOST:
        lines.insert(-1, f"... and {len(labels) - MOST} more classes")
    if not shown:
        lines.append(f"{len(splits)} splits, from {splits[0]} to {splits[-1]}")
    return "\n".join(lines)


def warn(items: Sequence[Item], say: Callable[[str], None] = print):
    """Warns if there is one class only, or if class names differ in case, spaces or punctuation only."""
    labels = sorted({label for item in items for label in item.labels})
    if len(labels) == 1:
        say(f"warning: there is only one class, {labels[0]}.")
    alike = defaultdict(list)
    for label in labels:
        alike[re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFKC", label).casefold())].append(label)
    for same in alike.values():
        if len(same) > 1:
            say(f"warning: the classes {', '.join(map(repr, same))} look the same; if they are, rename one.")
