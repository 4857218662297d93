"""Split labelled videos: one split per value of a column, or random splits that keep groups together."""

import dataclasses
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path

from sklearn.model_selection import StratifiedGroupKFold

from vidjax.data.sources import split_names
from vidjax.data.sources.items import Item

TRIES = 50  # random orders of groups to try until each split has each class


def column_of(items: Sequence[Item], column: str, option: str) -> list[str]:
    """Returns the values of a column of a CSV.

    Args:
        option: command-line option that names the column, for error messages.

    Raises:
        ValueError: if the column does not exist, or if a value is empty.
    """
    if missing := [item for item in items if column not in item.columns]:
        raise ValueError(f"{option} {column}: no such column; there are {sorted(missing[0].columns) or 'none'}.")
    if empty := [item for item in items if not item.columns[column].strip()]:
        raise ValueError(
            f"{option} {column}: {len(empty)} videos have no value, like {empty[0].path}; fill in the column."
        )
    return [item.columns[column] for item in items]


def split_by(items: Iterable[Item], column: str, say: Callable[[str], None] = print) -> list[Item]:
    """Makes one split per value of a CSV column, named `COLUMN_VALUE`, see `split_names.safe_names`.

    Raises:
        ValueError: if the column does not exist, or if a value is empty.
    """
    items = list(items)
    values = column_of(items, column, "--split_by")
    names = split_names.safe_names(set(values), f"{column}_")
    for value, name in sorted(names.items()):
        if re.sub(r"\W", "_", f"{column}_{value}") != re.sub(r"\W", "_", name):
            say(f"note: the split of {column} {value!r} is named {name}.")
    return [dataclasses.replace(item, split=names[value]) for item, value in zip(items, values, strict=True)]


def split_randomly(
    items: Iterable[Item],
    test_fraction: float,
    val_fraction: float,
    seed: int,
    groups: Sequence[Hashable] | None = None,
) -> list[Item]:
    """Draws the splits train, val and test within each class, so that each has every class.

    Args:
        test_fraction, val_fraction: shares of the videos of each class; with groups, as close as they allow.
        groups: group of each item; a group stays in one split. None, or all different, draws videos one by one.

    Raises:
        ValueError: if a class has fewer videos or groups than there are splits, or if the fractions leave none to
            train on.
    """
    items = list(items)
    check_fractions(test_fraction, val_fraction)
    fractions = {name: part for name, part in (("test", test_fraction), ("val", val_fraction)) if part}
    by_class = defaultdict(list)
    for item in items:
        by_class[_class_of(item)].append(item)
    names = ", ".join(["train", *fractions])
    if few := [
        f"{label or 'no label'} ({len(group)})" for label, group in by_class.items() if len(group) <= len(fractions)
    ]:
        raise ValueError(f"Too few videos to split into {names}: {', '.join(few)}. Add videos, or give a split column.")
    if groups is not None and len(set(groups)) < len(items):
        return _sorted(_split_groups(items, fractions, seed, groups))
    result = []
    for label in sorted(by_class):
        group = list(by_class[label])
        random.Random(f"{seed} {label}").shuffle(group)
        for number, (name, part) in enumerate(fractions.items(), 1):
            left = len(group) - (len(fractions) - number) - 1  # each later split, and train, get a video
            count = min(left, max(1, round(part * len(by_class[label]))))
            result += [dataclasses.replace(item, split=name) for item in group[:count]]
            group = group[count:]
        result += [dataclasses.replace(item, split="train") for item in group]
    return _sorted(result)


def split_into_folds(items: Iterable[Item], num_folds: int, seed: int, groups: Sequence[Hashable]) -> list[Item]:
    """Draws the splits fold_1 to fold_K for a cross-validation, each with about the same share of every class.

    Args:
        num_folds: K, 2 or more.
        groups: group of each item; a group stays in one split.

    Raises:
        ValueError: if a class has fewer groups than there are folds, or if groups are too large to give each fold every
            class.
    """
    items = list(items)
    classes = list(map(_class_of, items))
    groups_of = defaultdict(set)
    for label, group in zip(classes, groups, strict=True):
        groups_of[label].add(group)
    if few := [f"{label or 'no label'} ({len(found)})" for label, found in groups_of.items() if len(found) < num_folds]:
        raise ValueError(
            f"Too few groups for --num_folds {num_folds}: {', '.join(sorted(few))}. Copies, parts of one file and "
            "groups stay together. Give fewer folds, or add videos."
        )
    drawn = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed).split(items, classes, list(groups))
    result = []
    for number, (_, tested) in enumerate(drawn, 1):
        if lacking := sorted({*classes} - {classes[i] for i in tested}):
            raise ValueError(f"--num_folds {num_folds}: fold {number} has no video of {lacking[0]}; give fewer folds.")
        result += [dataclasses.replace(items[i], split=f"fold_{number}") for i in tested]
    return _sorted(result)


def check_fractions(test_fraction: float, val_fraction: float):
    """Raises a ValueError if the fractions are negative or leave nothing to train on."""
    if not 0 <= val_fraction + test_fraction < 1 or min(val_fraction, test_fraction) < 0:
        raise ValueError(f"Fractions of {val_fraction} for val and {test_fraction} for test leave nothing to train on.")


def _class_of(item: Item) -> str:
    has_one = "caption" not in item.columns and item.segments is None and item.labels
    return item.labels[0] if has_one else ""


def _sorted(items: list[Item]) -> list[Item]:
    return sorted(items, key=lambda item: (item.split, item.path, item.start))


def _split_groups(items: list[Item], fractions: dict[str, float], seed: int, groups: Sequence[Hashable]) -> list[Item]:
    members = defaultdict(list)
    for item, group in zip(items, groups, strict=True):
        members[group].append(item)
    counts = [Counter(map(_class_of, group)) for group in members.values()]  # of each group: videos by class
    totals = Counter(map(_class_of, items))
    num_groups = Counter(label for count in counts for label in count)
    names = ["train", *fractions]
    if few := sorted(label for label, number in num_groups.items() if number < len(names)):
        listed = ", ".join(
            f"{label or 'no label'} ({totals[label]} videos in {num_groups[label]})" for label in few[:5]
        )
        raise ValueError(
            f"Too few groups to split into {', '.join(names)}: {listed}{', ...' if len(few) > 5 else ''}. Copies, "
            "parts of one file and groups stay together. Add videos, give a split column, or draw fewer splits "
            "(--val_fraction 0)."
        )
    wanted = {name: {label: max(1, part * n) for label, n in totals.items()} for name, part in fractions.items()}
    wanted["train"] = {label: n - sum(wanted[name][label] for name in fractions) for label, n in totals.items()}
    for attempt in range(TRIES):
        assigned = _assign(counts, wanted, random.Random(f"{seed} groups {attempt}"))
        found = {(name, label) for name, count in zip(assigned, counts, strict=True) for label in count}
        if len(found) == len(names) * len(totals):
            break
    else:
        label = next(label for label in totals for name in names if (name, label) not in found)
        raise ValueError(
            f"No split into {', '.join(names)} was found that keeps groups together and has the class "
            f"{label or '(no label)'} in each. Use smaller groups, give a split column, or draw fewer splits."
        )
    return [
        dataclasses.replace(item, split=name)
        for name, group in zip(assigned, members.values(), strict=True)
        for item in group
    ]


def _assign(counts: list[Counter], wanted: dict[str, dict[str, float]], draws: random.Random) -> list[str]:
    """Assigns each group, large ones first, to the split that lacks most of its classes.

    A class that has no more groups left than there are splits without it goes to one of these.
    """
    order = list(range(len(counts)))
    draws.shuffle(order)
    order.sort(key=lambda i: -counts[i].total())  # stable: equally large groups stay shuffled
    have, assigned = {name: Counter() for name in wanted}, [""] * len(counts)
    left = Counter(label for count in counts for label in count)

    def excess(name: str, count: Counter) -> float:  # how much the squared relative error grows
        return sum(n * (2 * (have[name][c] - wanted[name][c]) + n) / max(wanted[name][c], 1) for c, n in count.items())

    for i in order:
        urgent = [c for c in counts[i] if left[c] <= sum(not have[name][c] for name in wanted)]
        assigned[i] = min(wanted, key=lambda name: (-sum(not have[name][c] for c in urgent), excess(name, counts[i])))
        have[assigned[i]].update(counts[i])
        left.subtract(counts[i].keys())
    return assigned


def join(*keys: Sequence[Hashable]) -> list[int]:
    """Merges groupings: items with equal values of any key are in one group, transitively.

    Args:
        *keys: of equal length, one value per item; None matches nothing.

    Returns:
        A number per item, equal within a group.
    """
    parent = list(range(len(keys[0])))

    def find(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for key in keys:
        first = {}
        for i, value in enumerate(key):
            if value is not None:
                parent[find(i)] = find(first.setdefault(value, i))
    return [find(i) for i in range(len(parent))]


def hint_at_sources(items: Sequence[Item], say: Callable[[str], None] = print):
    """Warns if clips of one source, by UCF-101's names (`v_CLASS_g01_c02.avi`), are in several splits."""
    by_source = defaultdict(set)
    for item in items:
        if match := re.match(r"(v_.+_g\d+)_c\d+$", Path(item.path).stem):
            by_source[match[1]].add(item.split)
    if shared := sorted(source for source, names in by_source.items() if len(names) > 1):
        say(
            f"warning: clips of one source are in several splits ({len(shared)} of {len(by_source)} sources, like "
            f"{shared[0]}), so that accuracy is too high. List the videos in a CSV with a column like group "
            f"({shared[0]}) and give --group group, or use the dataset's own splits."
        )
