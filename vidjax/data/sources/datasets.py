"""From the source that `make_records` is given to labelled videos with splits: one function per source."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vidjax.data import record_checks
from vidjax.data.sources import class_counts, duplicates, folders, splits, tables, tfds
from vidjax.data.sources.items import Item, words
from vidjax.data.synthetic import captions, coloured, motion

END = "<end>"  # the first word of the vocabulary of captions: what a caption starts after, and ends with


class Dataset(NamedTuple):
    """Labelled videos, and what mirroring and reversing time do to their labels, see `records.DatasetInfo`."""

    items: list[Item]
    labels: list[str]
    horizontal_flip: str | list[int]
    time_reversal: list[int] | None = None
    caption_length: int | None = None


def say(text: str):
    """Prints a line; names that are not UTF-8 are escaped."""
    print(text.encode(errors="backslashreplace").decode(), flush=True)


def kind_of(names: Sequence[str]) -> str:
    """What the sources on a command line are: "motion", "coloured", "captions", "tfds", "table" or "folder".

    Raises:
        ValueError: for several sources that are not all CSVs or lists.
    """
    are_tables = [Path(name).suffix.lower() in tables.ENDINGS and not Path(name).is_dir() for name in names]
    if all(are_tables):
        return "table"
    if len(names) > 1:
        name = names[are_tables.index(False)]
        raise ValueError(f"Several sources must be CSVs or lists ({', '.join(tables.ENDINGS)}); {name} is not.")
    if names[0] in RENDERED:
        return names[0]
    return "tfds" if names[0].startswith("tfds:") else "folder"


def find(args: argparse.Namespace) -> Dataset:
    """Lists the labelled videos of the source, or renders them; prints what was guessed, ignored or looks wrong.

    Raises:
        ValueError: for a source or arguments that cannot work.
    """
    return RENDERED.get(kind_of(args.sources), from_files)(args)


def from_motion(args: argparse.Namespace) -> Dataset:
    """Renders clips of motion, or `--concatenate` of them in a row with one label per frame."""
    rendered = {"num_videos": _rendered_counts(args), "seed": args.seed, "num_workers": args.workers}
    if args.concatenate > 1:
        files = motion.render_concatenations(args.out / "videos", args.concatenate, **rendered)
        items = [
            Item(str(path), tuple(sorted(set(names))), split, frame_labels=tuple(names)) for path, names, split in files
        ]
    else:
        files = motion.render(args.out / "videos", **rendered)
        items = [Item(str(path), (label,), split) for path, label, split in files]
    return Dataset(items, list(motion.CLASSES), "forbidden", list(motion.REVERSED))


def from_coloured(args: argparse.Namespace) -> Dataset:
    """Renders coloured shapes that move left or right."""
    files = coloured.render(
        args.out / "videos", num_videos=_rendered_counts(args), seed=args.seed, num_workers=args.workers
    )
    items = [Item(str(path), (label,), split) for path, label, split in files]
    return Dataset(items, coloured.CLASSES, coloured.REVERSED, coloured.REVERSED)


def from_captions(args: argparse.Namespace) -> Dataset:
    """Renders captioned videos; the split test_unseen has phrases that no training video has."""
    vocabulary = sorted({word for phrase in captions.PHRASES for word in words(phrase)} | {","})
    parse_flip(args.horizontal_flip or "forbidden", vocabulary)  # before rendering
    counts = _rendered_counts(args)
    counts["test_unseen"] = counts["test"]
    files = captions.render(args.out / "videos", num_videos=counts, seed=args.seed, num_workers=args.workers)
    return _captioned(args, [Item(str(path), words(text), split) for path, text, split in files])


def from_files(args: argparse.Namespace) -> Dataset:
    """Lists videos that exist, and splits them."""
    kind = kind_of(args.sources)
    if kind == "tfds":
        items = tfds.list_videos(args.source.removeprefix("tfds:"))
    elif kind == "table":
        paths = [Path(source) for source in args.sources]
        items = tables.from_tables(paths, class_file=args.class_file, multi_label=args.multi_label, say=say)
        record_checks.check_files(items, args.max_bad)
    else:
        items = folders.from_folder(Path(args.source), frame_folders=args.frame_folders, say=say)
    if "caption" in items[0].columns:
        dataset = _captioned(args, items)
    else:
        labels = sorted({name for item in items for name in item.labels})
        dataset = Dataset(items, labels, parse_flip(args.horizontal_flip or "unchanged", labels))
        class_counts.warn(items, say)
    record_checks.check_labels(dataset.labels)
    return dataset._replace(items=split(args, items))


def split(args: argparse.Namespace, items: list[Item]) -> list[Item]:
    """Gives each video a split: that of a column, that which it has, or a random one that keeps copies together."""
    if args.split_by:
        items = splits.split_by(items, args.split_by, say)
    is_given = all(item.split for item in items)
    if is_given and args.group:
        raise ValueError(f"--group {args.group} is for a random split, but {args.source} gives the splits: remove one.")
    groups = splits.column_of(items, args.group, "--group") if args.group else [None] * len(items)
    videos = duplicates.same_video(items, say)
    if not is_given:
        together = splits.join([videos[item.path] for item in items], groups)
        items = splits.split_randomly(items, args.test_fraction, args.val_fraction, args.seed, together)
    elif len({item.split for item in items}) == 1:
        say(f"warning: the only split is {items[0].split}; training needs train and test.")
    duplicates.warn_across_splits(items, videos, say)
    splits.hint_at_sources(items, say)
    return items


def _rendered_counts(args: argparse.Namespace) -> dict[str, int]:
    return dict(zip(("train", "val", "test"), args.motion_videos, strict=True))


def _captioned(args: argparse.Namespace, items: list[Item]) -> Dataset:
    labels = [END, *sorted({word for item in items for word in item.labels})]
    flip = parse_flip(args.horizontal_flip or "forbidden", labels)
    return Dataset(items, labels, flip, caption_length=max(len(item.labels) for item in items) + 1)


def parse_flip(value: str, labels: list[str]) -> str | list[int]:
    """What a horizontal flip does: "unchanged", "forbidden", or `left:right,a:b`, pairs of classes that swap.

    Raises:
        ValueError: for a class that is unknown, or in two pairs.
    """
    if value in ("unchanged", "forbidden"):
        return value
    permutation, seen = list(range(len(labels))), set()
    for pair in value.split(","):
        names = [name.strip() for name in pair.split(":")]
        if len(names) != 2 or not set(names) <= set(labels):
            raise ValueError(
                f"--horizontal_flip {value}: give unchanged, forbidden or CLASS:CLASS,... of {', '.join(labels)}."
            )
        if seen & set(names):
            raise ValueError(
                f"--horizontal_flip {value}: {' and '.join(names)}: each class swaps with one other class."
            )
        seen.update(names)
        a, b = map(labels.index, names)
        permutation[a], permutation[b] = b, a
    return permutation


RENDERED = {"motion": from_motion, "coloured": from_coloured, "captions": from_captions}
