"""Folds of a cross-validation by name, stored in the `dataset.json` of the records.

A JSON file (`make_records --folds FILE`) lists them: {"set1": [{"train": ["a", "b"], "test": ["c"]}, ...], ...}.
"""

import json
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from vidjax import config_files
from vidjax.data import dataset_info


class Fold(NamedTuple):
    """One fold. Attributes: names of the splits to train on and to test on."""

    train_splits: list[str]
    test_splits: list[str]


def leave_one_out(splits: Sequence[str]) -> list[dict]:
    """One fold per split, which tests that split and trains on the others, as in `dataset.json`."""
    return [{"train": [other for other in splits if other != split], "test": [split]} for split in splits]


def read_folds(path: Path, splits: Collection[str]) -> dict[str, list[dict]]:
    """Reads the folds in a JSON file.

    Args:
        splits: names of the splits of the dataset.

    Raises:
        ValueError: if the file cannot be read, has another form, or names a split that does not exist.
    """
    try:
        content = json.loads(config_files.find(path).read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"--folds {path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise ValueError(f"--folds {path} is not valid JSON: {error}.") from None
    if not isinstance(content, dict):
        raise ValueError(f'--folds {path} must be an object such as {{"a": [{{"train": ["x"], "test": ["y"]}}]}}.')
    for name, folds in content.items():
        if not folds or not isinstance(folds, list) or not all(map(_is_fold, folds)) or "/" in name:
            raise ValueError(
                f"--folds {path}: {name!r} must be a list of folds "
                '{"train": [SPLIT, ...], "test": [SPLIT, ...]}, and its name must not contain a slash.'
            )
        for number, fold in enumerate(folds):
            if unknown := sorted({*fold["train"], *fold["test"]} - {*splits}):
                raise ValueError(
                    f"--folds {path}: fold {number} of {name} names {', '.join(unknown)}; the dataset has the splits "
                    f"{', '.join(sorted(splits))}."
                )
            if common := sorted({*fold["train"]} & {*fold["test"]}):
                raise ValueError(f"--folds {path}: fold {number} of {name} trains and tests on {', '.join(common)}.")
    return content


def _is_fold(fold) -> bool:
    is_list = lambda x: isinstance(x, list) and x and all(isinstance(name, str) for name in x)  # noqa: E731
    return isinstance(fold, dict) and set(fold) == {"train", "test"} and all(map(is_list, fold.values()))


def find_folds(directory: Path, names: str) -> list[Fold]:
    """Returns folds of a dataset.

    Args:
        names: the folds under a name such as "published"; one of them, "published/0"; or several names in a row,
            "split1..3".

    Raises:
        ValueError: if there are none; lists those that exist.
    """
    folds = dataset_info.read(directory).folds
    found = []
    for name in names_in(names):
        name, _, number = name.partition("/") if name not in folds else (name, "", "")
        if name not in folds:
            there = f"it has {', '.join(folds)}" if folds else "it has none; give make_records --folds FILE"
            raise ValueError(f"{directory} has no folds {name!r}: {there}.")
        of_name = [Fold(fold["train"], fold["test"]) for fold in folds[name]]
        if number and number not in map(str, range(len(of_name))):
            raise _no_fold(directory, names, name, len(of_name))
        found += [of_name[int(number)]] if number else of_name
    return found


def names_in(names: str) -> list[str]:
    """Returns the names of a range: "split1..3" is split1, split2, split3. Anything else is one name.

    Raises:
        ValueError: for a range that ends before it starts.
    """
    if not (found := re.fullmatch(r"(.*?)(\d+)\.\.(\d+)", names)):
        return [names]
    first, last = int(found[2]), int(found[3])
    if last < first:
        raise ValueError(f"The folds {names!r} end before they start; give {found[1]}{last}..{first}.")
    return [f"{found[1]}{number}" for number in range(first, last + 1)]


def find_fold(directory: Path, fold: str) -> Fold:
    """Returns one fold of a dataset: NAME/NUMBER such as "set1/0", or NAME if that is one fold, such as "split1".

    Raises:
        ValueError: if it does not exist; lists those that do.
    """
    found = find_folds(directory, fold)
    if len(found) > 1 or fold.endswith("/"):
        raise _no_fold(directory, fold, fold.partition("/")[0], len(found))
    return found[0]


def _no_fold(directory: Path, fold: str, name: str, count: int) -> ValueError:
    return ValueError(f"{directory} has no fold {fold!r}: choose {name}/0 to {name}/{count - 1}.")
