"""Folds of a cross-validation by name, stored in the `dataset.json` of the records.

A JSON file (`make_records --folds FILE`) lists them: {"set1": [{"train": ["a", "b"], "test": ["c"]}, ...], ...}.
"""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

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
        content = json.loads(Path(path).read_text("utf-8"))
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


def find_folds(directory: Path, name: str) -> list[Fold]:
    """Returns the folds of a dataset under a name.

    Raises:
        ValueError: if there are none; lists those that exist.
    """
    folds = dataset_info.read(directory).folds
    if name not in folds:
        there = f"it has {', '.join(folds)}" if folds else "it has none; give make_records --folds FILE"
        raise ValueError(f"{directory} has no folds {name!r}: {there}.")
    return [Fold(fold["train"], fold["test"]) for fold in folds[name]]


def find_fold(directory: Path, fold: str) -> Fold:
    """Returns the fold NAME/NUMBER of a dataset, such as "set1/0".

    Raises:
        ValueError: if it does not exist; lists those that do.
    """
    name, _, number = fold.partition("/")
    folds = find_folds(directory, name)
    if number not in map(str, range(len(folds))):
        raise ValueError(f"{directory} has no fold {fold!r}: choose {name}/0 to {name}/{len(folds) - 1}.")
    return folds[int(number)]
