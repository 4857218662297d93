"""List the labelled videos of a source of `make_records`, with splits: one function per source, in `SOURCES`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vidjax.data import record_checks
from vidjax.data.sources import (
    class_counts,
    duplicates,
    flow_datasets,
    folders,
    omniglot,
    protocols,
    splits,
    tables,
    tfds,
    untrimmed,
)
from vidjax.data.sources.items import Dataset, FlowFiles, Item, words
from vidjax.data.synthetic import captions, coloured, flow_pairs, flow_textures, motion
from vidjax.data.synthetic.sight import render as sight

DRAWINGS = ("omniglot", "strokes", "trajectories")  # each is followed by the folder of Omniglot
END = "<end>"  # word 0 of a vocabulary: comes before and after each caption


def say(text: str):
    """Prints a line, with names that are not UTF-8 escaped."""
    print(text.encode(errors="backslashreplace").decode(), flush=True)


def kind_of(names: Sequence[str]) -> str:
    """Returns the kind of the sources on a command line, a key of `SOURCES`.

    Raises:
        ValueError: if there are several sources and one is not a CSV or list.
    """
    if names[0] in DRAWINGS:
        if len(names) != 2:
            raise ValueError(f"Give {names[0]} and the folder of Omniglot; a folder of that name is ./{names[0]}.")
        return "drawings"
    if names[0] in flow_datasets.DATASETS:
        if len(names) != 2:
            raise ValueError(f"Give {names[0]} and its folder; a folder of that name is ./{names[0]}.")
        return "flow_dataset"
    are_tables = [Path(name).suffix.lower() in tables.ENDINGS and not Path(name).is_dir() for name in names]
    if all(are_tables):
        return "table"
    if len(names) > 1:
        name = names[are_tables.index(False)]
        raise ValueError(f"Several sources must be CSVs or lists ({', '.join(tables.ENDINGS)}); {name} is not.")
    if names[0] in RENDERED:
        return names[0]
    if names[0] in protocols.PROTOCOLS:
        return "protocol"
    return "tfds" if names[0].startswith("tfds:") else "folder"


def find(args: argparse.Namespace) -> Dataset:
    """Lists the labelled videos of the source, or renders them; prints guesses, ignored files and warnings.

    Raises:
        ValueError: for an invalid source or argument.
    """
    return SOURCES[kind_of(args.sources)](args)


def from_motion(args: argparse.Namespace) -> Dataset:
    """Renders clips of motion, or rows of `--concatenate` clips with one label per frame."""
    if args.concatenate == 1:
        items = [Item(str(path), (label,), split) for path, label, split in motion.render(**_rendering(args))]
        return Dataset(items, list(motion.CLASSES), "forbidden", list(motion.REVERSED))
    files = motion.render_concatenations(count=args.concatenate, background=args.background, **_rendering(args))
    items = [
        Item(str(path), tuple(sorted({name for *_, name in segments})), split, segments=tuple(segments))
        for path, segments, split in files
    ]
    labels, reversal = list(motion.CLASSES), list(motion.REVERSED)
    if args.background:
        labels, reversal = [untrimmed.BACKGROUND, *labels], [0, *(1 + label for label in reversal)]
    return Dataset(items, labels, "forbidden", reversal)


def from_coloured(args: argparse.Namespace) -> Dataset:
    """Renders coloured shapes that move left or right."""
    items = [Item(str(path), (label,), split) for path, label, split in coloured.render(**_rendering(args))]
    return Dataset(items, coloured.CLASSES, coloured.REVERSED, coloured.REVERSED)


def from_sight(args: argparse.Namespace) -> Dataset:
    """Renders videos of one of `sight.DIALS`, such as `sight_gap`; their paths name the level."""
    name = args.sources[0].removeprefix("sight_")
    items = [Item(str(path), (label,), split) for path, label, split in sight.render(name=name, **_rendering(args))]
    dial = sight.DIALS[name]
    reversal = None if dial.time_reversal is None else list(dial.time_reversal)
    return Dataset(items, list(dial.classes), "forbidden", reversal)


def from_captions(args: argparse.Namespace) -> Dataset:
    """Renders captioned videos; the split test_unseen has phrases that are in no training video."""
    vocabulary = sorted({word for phrase in captions.PHRASES for word in words(phrase)} | {","})
    parse_flip(args.horizontal_flip or "forbidden", vocabulary)  # before rendering
    rendering = _rendering(args)
    rendering["num_videos"]["test_unseen"] = rendering["num_videos"]["test"]
    return _captioned(args, [Item(str(path), words(text), split) for path, text, split in captions.render(**rendering)])


def from_flow(args: argparse.Namespace) -> Dataset:
    """Renders pairs of frames with exact optical flow, see `flow_pairs`."""
    photographs = flow_textures.list_photographs(args.photographs)
    options = {"size": tuple(args.pair_size), "speed": args.pair_speed, "photographs": photographs}
    pairs = flow_pairs.render(**options, **_rendering(args))
    files = [(*(str(folder / name) for name in flow_pairs.FILES), split) for folder, split in pairs]
    return flow_datasets.of_pairs(
        Item(first, (), split, pair=FlowFiles(second, flow)) for first, second, flow, split in files
    )


def from_flow_dataset(args: argparse.Namespace) -> Dataset:
    """Lists the pairs of a published dataset of optical flow, see `flow_datasets`."""
    name, directory = args.sources[0], Path(args.sources[1])
    if not directory.is_dir():
        raise ValueError(f"{directory} is not a directory; give the folder of {name}.")
    return flow_datasets.find(name, directory, say)


def from_tfds(args: argparse.Namespace) -> Dataset:
    """Lists the videos of a dataset of tensorflow-datasets."""
    return _labelled(args, tfds.list_videos(args.source.removeprefix("tfds:")))


def from_tables(args: argparse.Namespace) -> Dataset:
    """Lists the videos of CSVs or lists."""
    paths = [Path(source) for source in args.sources]
    may_be_empty = args.multi_label or args.untrimmed
    items = tables.from_tables(paths, class_file=args.class_file, multi_label=may_be_empty, say=say)
    if args.untrimmed:
        items = untrimmed.join_segments(items, say)
    record_checks.check_files(items, args.max_bad)
    return _labelled(args, items)


def from_folder(args: argparse.Namespace) -> Dataset:
    """Lists the videos in class folders."""
    return _labelled(args, folders.from_folder(Path(args.source), frame_folders=args.frame_folders, say=say))


def from_protocol(args: argparse.Namespace) -> Dataset:
    """Lists the videos of a published dataset, see `protocols`."""
    if args.annotations is None or not args.annotations.exists():
        problem = f"--annotations {args.annotations} does not exist" if args.annotations else "no --annotations"
        raise ValueError(
            f"{args.source}: {problem}; give the published annotations. A folder of that name is ./{args.source}."
        )
    if args.annotations.is_file() and args.source not in protocols.AS_A_FILE:
        raise ValueError(f"--annotations {args.annotations} is a file; give the folder of the annotations.")
    if args.videos and not args.videos.is_dir():
        raise ValueError(f"--videos {args.videos} is not a directory.")
    dataset = protocols.PROTOCOLS[args.source](args.videos, args.annotations, say)
    if dataset.inputs and (args.fps or args.flow):
        raise ValueError("--fps and --flow are for videos; published features stay as they are: remove them.")
    record_checks.check_labels(dataset.labels)
    if args.horizontal_flip:
        return dataset._replace(horizontal_flip=parse_flip(args.horizontal_flip, dataset.labels))
    return dataset


def from_drawings(args: argparse.Namespace) -> Dataset:
    """Lists or renders the drawings of Omniglot, see `omniglot`."""
    kind, directory = args.sources[0], Path(args.sources[1])
    if kind == "omniglot":
        dataset = omniglot.images(directory, args.out, say)
    elif kind == "strokes":
        rendering = {"pen_only": args.pen_only, "real_time": args.real_time, "num_workers": args.workers}
        dataset = omniglot.pen_videos(directory, args.out, say, **rendering)
    elif args.fps or args.flow:
        raise ValueError("--fps and --flow are for videos; trajectories stay as they are: remove them.")
    else:
        dataset = omniglot.trajectories(directory, args.out, say, args.real_time)
    if args.horizontal_flip:
        return dataset._replace(horizontal_flip=parse_flip(args.horizontal_flip, dataset.labels))
    return dataset


RENDERED = {"motion": from_motion, "coloured": from_coloured, "captions": from_captions, "flow": from_flow}
RENDERED |= {f"sight_{dial}": from_sight for dial in sight.DIALS}
SOURCES = {**RENDERED, "protocol": from_protocol, "drawings": from_drawings, "tfds": from_tfds}
SOURCES |= {"flow_dataset": from_flow_dataset, "table": from_tables, "folder": from_folder}


def _rendering(args: argparse.Namespace) -> dict:
    """Returns the arguments that all `render` functions take."""
    counts = dict(zip(("train", "val", "test"), args.motion_videos, strict=True))
    return {"directory": args.out / "videos", "num_videos": counts, "seed": args.seed, "num_workers": args.workers}


def _labelled(args: argparse.Namespace, items: list[Item]) -> Dataset:
    """Makes a dataset of videos that exist: classes or vocabulary, checks and splits."""
    if "caption" in items[0].columns:
        dataset = _captioned(args, items)
    else:
        background = {untrimmed.BACKGROUND} if args.untrimmed else set()
        labels = sorted({name for item in items for name in item.labels} | background)
        dataset = Dataset(items, labels, parse_flip(args.horizontal_flip or "unchanged", labels))
        class_counts.warn(items, say)
    record_checks.check_labels(dataset.labels)
    return dataset._replace(items=split(args, items))


def split(args: argparse.Namespace, items: list[Item]) -> list[Item]:
    """Assigns each video a split: by a column, as given, or at random with copies kept together."""
    if args.split_by:
        items = splits.split_by(items, args.split_by, say)
    is_given = all(item.split for item in items)
    for option in ("group", "num_folds"):
        if is_given and (value := getattr(args, option)):
            raise ValueError(
                f"--{option} {value} is for a random split, but {args.source} gives the splits: remove one."
            )
    groups = splits.column_of(items, args.group, "--group") if args.group else [None] * len(items)
    videos = duplicates.same_video(items, say)
    if not is_given:
        together = splits.join([videos[item.path] for item in items], groups)
        if args.num_folds:
            items = splits.split_into_folds(items, args.num_folds, args.seed, together)
        else:
            items = splits.split_randomly(items, args.test_fraction, args.val_fraction, args.seed, together)
    elif len({item.split for item in items}) == 1:
        say(f"warning: the only split is {items[0].split}; training needs train and test.")
    duplicates.warn_across_splits(items, videos, say)
    splits.hint_at_sources(items, say)
    return items


def _captioned(args: argparse.Namespace, items: list[Item]) -> Dataset:
    labels = [END, *sorted({word for item in items for word in item.labels})]
    flip = parse_flip(args.horizontal_flip or "forbidden", labels)
    return Dataset(items, labels, flip, caption_length=max(len(item.labels) for item in items) + 1)


def parse_flip(value: str, labels: list[str]) -> str | list[int]:
    """Parses the effect of a horizontal flip: "unchanged", "forbidden", or pairs of classes to swap, `left:right,a:b`.

    Raises:
        ValueError: for an unknown class, or a class in two pairs.
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
