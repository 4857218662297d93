"""The description of a dataset that lies beside its records: `labels.txt` and `dataset.json`."""

import dataclasses
import json
from pathlib import Path

from vidjax import output_paths


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """Description of a dataset, stored beside its records.

    Attributes:
        labels: class names in the order of their indices.
        horizontal_flip: what mirroring does to a label: "unchanged", "forbidden", or a permutation of the classes.
        time_reversal: permutation of the classes under time reversal, or None if there is none.
        inputs: contents of the records; empty if unknown. For videos `fps` (0: that of each video) and `short_side`
            (pixels; 0: the size of each video), and with optical flow `flow`, its method. For features `prefix`,
            `width`, `layer`, `source` (the network) and `clip` (the frames they come from), see `vidjax.features`. For
            pairs of frames with true optical flow `true_flow`, see `flow_pairs`.
        folds: folds of a cross-validation by name, see `folds`.
    """

    labels: list[str]
    horizontal_flip: str | list[int]
    time_reversal: list[int] | None = None
    inputs: dict = dataclasses.field(default_factory=dict)
    folds: dict[str, list[dict]] = dataclasses.field(default_factory=dict)


def write(directory: Path, info: DatasetInfo, **details):
    """Writes `labels.txt` and `dataset.json`; `details` are `complete`, counts and the arguments of the build.

    Each file is written whole or not at all: a full disk leaves the one before.

    Raises:
        ValueError: if a label does not fit on one line of `labels.txt`.
    """
    for label in info.labels:
        if label != label.strip() or not label or len(label.splitlines()) > 1:
            raise ValueError(f"The label {label!r} must be one line, neither empty nor with spaces around it.")
    text = "".join(f"{label}\n" for label in info.labels)
    output_paths.write_whole(Path(directory) / "labels.txt", text)
    content = {name: value for name, value in dataclasses.asdict(info).items() if name != "labels"} | details
    output_paths.write_whole(Path(directory) / "dataset.json", json.dumps(content, indent=2) + "\n")


def read(directory: Path) -> DatasetInfo:
    """Reads `labels.txt` and `dataset.json`.

    Records made by other tools have no `dataset.json`: flipping is then forbidden, since it may change labels.

    Raises:
        ValueError: if the directory or a file in it is missing, invalid or unfinished; says how to make it.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise ValueError(f"No dataset at {directory}: make one with `python -m vidjax.data.make_records`.")
    if not (directory / "labels.txt").exists():
        raise ValueError(f"{directory} has no labels.txt: write one class name per line, in the order of indices.")
    labels = _read_labels(directory / "labels.txt")
    content = read_description(directory)
    if not content.get("complete", True):
        raise ValueError(f"{directory} is not finished: run the same make_records command again.")
    return DatasetInfo(
        labels,
        horizontal_flip=content.get("horizontal_flip", "forbidden"),
        time_reversal=content.get("time_reversal"),
        inputs=content.get("inputs", {}),
        folds=content.get("folds", {}),
    )


def read_description(directory: Path) -> dict:
    """The content of `dataset.json`, {} if there is none. Raises a ValueError if it is not a JSON object."""
    path = Path(directory) / "dataset.json"
    try:
        content = json.loads(path.read_text()) if path.exists() else {}
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON ({error}): remove it, and make the records again.") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not a JSON object: remove it, and make the records again.")
    return content


def _read_labels(path: Path) -> list[str]:
    try:
        text = path.read_text("utf-8-sig").rstrip()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}): save it as UTF-8.") from None
    labels = [line.strip() for line in text.split("\n")] if text else []
    if "" in labels:
        where = f"{path}, line {labels.index('') + 1}"
        raise ValueError(f"{where} is empty: write one class name per line, in the order of indices.")
    return labels
