"""The official splits of a published dataset as folds: disjoint splits of its videos, which each fold combines.

A video is stored once, though UCF101's three splits each train or test it. Videos with the same role in all of them are
one split of the records: split2 holds those that only the second tests.
"""

from collections.abc import Mapping, Sequence

Roles = Mapping[str, Mapping[int, str]]  # video -> number of the fold -> "train" or "test"
Folds = list[dict[str, list[str]]]


def from_roles(roles: Roles, numbers: Sequence[int]) -> tuple[dict[str, str], Folds]:
    """Returns the split of each video, see `name_split`, and the folds in the order of `numbers`, as in `folds`."""
    split_of = {name: name_split(roles[name], numbers) for name in sorted(roles)}
    folds = [
        {
            role: sorted({split_of[name] for name in roles if roles[name].get(number) == role})
            for role in ("train", "test")
        }
        for number in numbers
    ]
    return split_of, folds


def name_split(roles: Mapping[int, str], numbers: Sequence[int]) -> str:
    """Returns a name for the videos with given roles in the folds: split3 if they are tested in the fold 3 only.

    A video that is not tested is in the split untested; folds that neither train nor test it are named, too.
    """
    tested = [number for number in numbers if roles.get(number) == "test"]
    unused = [number for number in numbers if number not in roles]
    name = "split" + "_".join(map(str, tested)) if tested else "untested"
    return name + ("_not_in_" + "_".join(map(str, unused)) if unused else "")


def by_name(folds: Folds, splits: set[str]) -> dict[str, Folds]:
    """Returns the folds of `dataset.json`: `published` holds all; several also are split1, split2, ... alone.

    Args:
        splits: those that hold videos. Others are removed from what folds train on. A fold without test videos stays:
            its number counts.
    """
    kept = [{**fold, "train": [name for name in fold["train"] if name in splits]} for fold in folds]
    alone = {f"split{number}": [fold] for number, fold in enumerate(kept, 1)} if len(kept) > 1 else {}
    return {"published": kept} | alone


def train_and_test(splits: set[str], test: str) -> dict[str, Folds]:
    """Returns the fold `published` that tests one split and trains on train, or on all others without a split train."""
    train = ["train"] if "train" in splits - {test} else sorted(splits - {test})
    return {"published": [{"train": train, "test": [test]}]} if train and test in splits else {}
