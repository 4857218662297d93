"""Checks of `make_records` before long work: arguments, output directory, labels and files."""

import argparse
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

from vidjax.data import flow_images, frame_folder
from vidjax.data.sources import splits
from vidjax.data.sources.items import Item

LARGEST = 16384  # pixels: FFmpeg and JPEG allow 65535, memory does not


def check_arguments(args: argparse.Namespace, kind: str):
    """Checks the ranges of arguments and their combinations.

    Args:
        args: parsed arguments of the command.
        kind: kind of the source, see `datasets.kind_of`.

    Raises:
        ValueError: for the first invalid argument.
    """
    if args.pen_only and args.sources[0] != "strokes":
        raise ValueError(f"--pen_only is for strokes; the source is {args.source}.")
    if args.real_time and args.sources[0] not in ("strokes", "trajectories"):
        raise ValueError(f"--real_time is for strokes and trajectories; the source is {args.source}.")
    if args.concatenate < 1 or args.concatenate > 1 and (args.source != "motion" or args.fps):
        raise ValueError(
            f"--concatenate {args.concatenate}: give 1 or more; more than 1 needs the source motion, without --fps."
        )
    if args.background < 0 or args.background and args.concatenate == 1:
        raise ValueError(f"--background {args.background}: give 0 or more frames, with --concatenate of 2 or more.")
    ranges = {
        "fps": (0, 1000, "frames per second; 0 keeps those of the source"),
        "short_side": (0, LARGEST, "pixels; 0 keeps the size of the source"),
        "quality": (0, 51, "of mp4; 0 is best") if args.format == "mp4" else (1, 100, "of JPEG"),
        "workers": (1, 4096, "processes"),
        "folder_fps": (0.001, 1000, "frames per second of folders of images"),
        "max_bad": (0, 1, "the share of videos that may be unreadable"),
        "num_shards": (1, 99999, "shards per split"),
        "num_folds": (2, 1000, "folds of a cross-validation"),
    }
    for name, (low, high, meaning) in ranges.items():
        value = getattr(args, name)
        if value is not None and not (math.isfinite(value) and low <= value <= high):
            raise ValueError(f"--{name} {value:g}: give {low} to {high} ({meaning}).")
    splits.check_fractions(args.test_fraction, args.val_fraction)
    if min(args.motion_videos) < 0 or not sum(args.motion_videos):
        raise ValueError(
            f"--motion_videos {' '.join(map(str, args.motion_videos))}: give numbers of videos, not all 0."
        )
    if args.flow and not args.flow_weights:
        flow_images.find_method(args.flow)
    if args.frame_folders and kind != "folder":
        raise ValueError(f"--frame_folders is for a folder of class folders; the source is {args.source}.")
    for name in ("class_file", "multi_label", "group", "split_by", "untrimmed"):
        if getattr(args, name) and kind != "table":
            raise ValueError(f"--{name} is for a CSV or list of videos; the source is {args.source}.")
    if args.num_folds and kind not in ("table", "folder"):
        raise ValueError(f"--num_folds is for a CSV or a folder of class folders; the source is {args.source}.")
    if args.num_folds and (args.split_by or args.label_fraction):
        raise ValueError("--num_folds draws the splits: remove --split_by, and give --config.label_fraction to runs.")
    if (args.videos or args.annotations) and kind != "protocol":
        raise ValueError(f"--videos and --annotations are for published datasets; the source is {args.source}.")
    if args.untrimmed and (args.class_file or args.multi_label):
        raise ValueError("--untrimmed needs class names in the CSV: remove --class_file and --multi_label.")
    if args.group and args.split_by:
        raise ValueError("--group needs a random split, but --split_by makes one split per value: remove one of them.")
    if args.photographs and args.source != "flow":
        raise ValueError(f"--photographs is for the source flow, not {args.source}.")
    if args.source == "flow" and not all(32 <= side <= LARGEST for side in args.pair_size):
        raise ValueError(f"--pair_size {' '.join(map(str, args.pair_size))}: give 32 to {LARGEST} pixels.")
    if args.pair_speed != 1 and args.source != "flow":
        raise ValueError(f"--pair_speed is for the source flow, not {args.source}.")
    if not 0 < args.pair_speed <= 1:
        raise ValueError(f"--pair_speed is {args.pair_speed:g}; give a factor above 0 and up to 1.")
    if kind in ("flow", "flow_dataset") and (args.fps or args.flow or args.flow_weights or args.label_fraction):
        raise ValueError(f"--fps, --flow and --label_fraction are for videos; the source is {args.source}.")
    if kind in ("flow", "flow_dataset") and args.format == "mp4":
        raise ValueError(f"--format mp4 is for videos; the source is {args.source}: give --format png or jpeg.")
    if kind == "tfds" and args.fps:
        raise ValueError(f"--fps {args.fps:g}: {args.source} does not tell its frame rate; remove --fps.")
    is_fixed = kind in ("motion", "coloured", "flow", "flow_dataset") or kind.startswith("sight_")
    if is_fixed and args.horizontal_flip:
        raise ValueError(f"--horizontal_flip is fixed for the source {args.source}: remove it.")


def check_out(out: Path):
    """Checks that the output directory is local, exists or can be created, and is writable.

    Raises:
        ValueError: if it is not.
    """
    if re.match(r"\w+:/", str(out)):
        raise ValueError(f"--out {out} is not a local directory: write records to one, then copy them to the bucket.")
    existing = Path(os.path.abspath(out))
    while not existing.exists() and not existing.is_symlink():
        existing = existing.parent
    if not existing.is_dir():
        raise ValueError(f"--out {out}: {existing} is not a directory; give another path.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ValueError(
            f"--out {out}: {existing} cannot be written; give another directory, or change its permissions."
        )


def check_labels(labels: Sequence[str]):
    """Checks that each label fits on a line of `labels.txt`, in UTF-8.

    Raises:
        ValueError: if a label does not, or if there are none.
    """
    if not labels:
        raise ValueError("No video has a label: give labels, separated by | if there are several.")
    for label in labels:
        if not label.strip() or len(f"{label}.".splitlines()) > 1:
            raise ValueError(f"The class {label!r} is empty or has a line break: rename it.")
        try:
            label.encode()
        except UnicodeEncodeError:
            raise ValueError(f"The name of the class {label!r} is not valid UTF-8: rename its folder.") from None


def check_no_images(items: Sequence[Item]):
    """Checks that no item is an image, which would gain nothing from an encoded video.

    Raises:
        ValueError: if one is.
    """
    for item in items:
        if Path(item.path).suffix.lower() in frame_folder.IMAGES:
            raise ValueError(f"--format mp4 is for videos, but {item.path} is an image: give --format jpeg or png.")


def check_files(items: Sequence[Item], max_bad: float):
    """Checks that the files of the items exist.

    Raises:
        ValueError: if the share of missing files is above `max_bad`.
    """
    exists = {path: os.path.exists(path) for path in {item.path for item in items}}
    missing = [item.path for item in items if not exists[item.path]]
    if len(missing) > max_bad * len(items):
        raise ValueError(
            f"{len(missing)} of {len(items)} videos do not exist, more than --max_bad {max_bad:g} allows, like "
            f"{missing[0]}. Correct the paths, relative to the folder of the list, or give a larger --max_bad."
        )
