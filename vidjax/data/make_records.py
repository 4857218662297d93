"""The command that makes records: videos -> TFRecord shards, in parallel, resumable.

    python -m vidjax.data.make_records SOURCE --out DIR
    python -m vidjax.data.make_records SOURCE --out DIR --runner beam -- --runner=FlinkRunner --flink_master=HOST:8081

SOURCE is a folder of class folders, a CSV (`path,label` or `path,caption`, optionally `split,start,end` in seconds),
one or several lists (`path label`), `tfds:NAME`, `motion`, `coloured`, `captions`, `flow` (pairs of frames with exact
optical flow) or `sight_DIAL`, whose videos have levels of difficulty (docs/sight.md); or a published dataset:

    python -m vidjax.data.make_records ucf101 --videos DIR --annotations DIR --out DIR
    python -m vidjax.data.make_records 50salads --annotations DIR --out DIR      (published features)
    python -m vidjax.data.make_records omniglot DIR --out DIR      (or strokes DIR, trajectories DIR)
    python -m vidjax.data.make_records sintel DIR --format png --out DIR      (true flow: see --help)

Run the command again to write the missing shards.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

from vidjax.data import (
    beam,
    dataset_info,
    few_labels,
    flow_images,
    frame_folder,
    mp4,
    record_checks,
    shards,
    tfrecords,
)
from vidjax.data.folds import leave_one_out, read_folds
from vidjax.data.sources import class_counts, datasets, flow_datasets, protocols
from vidjax.data.sources.datasets import say
from vidjax.data.sources.items import Dataset
from vidjax.data.synthetic import flow_pairs
from vidjax.data.synthetic.sight.render import DIALS

# arguments that may differ between runs; `sources` may not
MAY_CHANGE = ("out", "source", "workers", "runner", "beam_options", "max_bad", "folds")
QUALITIES = {"jpeg": 90, "png": 90, "mp4": mp4.QUALITY}  # by format; PNG has no quality


def make_records(args: argparse.Namespace):
    """Writes the shards of a dataset, `labels.txt` and `dataset.json`.

    Raises:
        ValueError: if an argument is invalid, or too many videos cannot be read (finished shards are kept).
    """
    started = time.perf_counter()
    out, source_kind = args.out, datasets.kind_of(args.sources)
    record_checks.check_arguments(args, source_kind)
    record_checks.check_out(out)
    if args.runner == "beam":
        pipeline = beam.make_pipeline(args.beam_options, args.workers)
    elif args.beam_options:
        raise ValueError(f"Options after -- need --runner beam: {' '.join(args.beam_options)}.")
    dataset = datasets.find(args)
    items, labels = dataset.items, dataset.labels
    if args.format == "mp4":
        record_checks.check_no_images(items)
    if args.label_fraction is not None:
        items = few_labels.of_items(items, args.label_fraction, args.seed)
    if dataset.caption_length is None and labels:
        say(class_counts.table(items))
    inputs = dataset.inputs or {"fps": args.fps, "short_side": args.short_side}
    if dataset.caption_length is not None:
        inputs["caption_length"] = dataset.caption_length
    if args.flow:
        inputs["flow"] = args.flow
    flow = _flow_of(args)
    if args.flow_weights:
        inputs["flow_weights"] = args.flow_weights
    encoding = shards.Encoding(args.fps, args.short_side, args.format, args.quality, flow, args.folder_fps)
    are_made = source_kind not in ("table", "folder", "protocol", "flow_dataset")
    tasks = shards.plan(items, out, args.num_shards, encoding, labels, are_made=are_made)
    arguments = {name: value for name, value in vars(args).items() if name not in MAY_CHANGE}
    if source_kind in ("table", "folder"):
        arguments["sources"] = [str(Path(source).resolve()) for source in args.sources]
    if source_kind in ("drawings", "flow_dataset"):
        arguments["sources"] = [args.sources[0], str(Path(args.sources[1]).resolve())]
    for name in ("videos", "annotations", "photographs"):
        arguments[name] = getattr(args, name) and getattr(args, name).resolve()
    arguments = json.loads(json.dumps(arguments, default=str))  # as read from dataset.json
    is_update = (out / "dataset.json").exists()
    _check_same_arguments(out, arguments)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"--out {out} cannot be created: {error.strerror}; give another directory.") from None
    effects = dataset.horizontal_flip, dataset.time_reversal
    info = dataset_info.DatasetInfo(labels, *effects, inputs=inputs, folds=_folds_of(args, dataset))
    dataset_info.write(out, info, complete=False, arguments=arguments)
    _say_what_is_rewritten(tasks)
    if args.runner == "beam":
        beam.write_shards(tasks, encoding, labels, pipeline)
    else:
        shards.write_shards(tasks, encoding, labels, args.workers)
    tfrecords.remove_partial(out)
    if is_update:
        tfrecords.remove_other_shards(out, [task.path for task in tasks])

    written = {name: 0 for name in sorted({item.split for item in items})}
    problems = {"skipped": [], "damaged": []}
    for task in tasks:
        written[tfrecords.split_of(task.path)] += len(tfrecords.read_index(task.path))
        for kind, entries in tfrecords.read_details(task.path)["problems"].items():
            problems[kind] += entries
    for kind in ("damaged", "skipped"):
        for path, reason in problems[kind]:
            say(f"{kind}: {reason if path in reason else f'{path}: {reason}'}")
    num_skipped, num_written = len(problems["skipped"]), sum(written.values())
    if not num_written:
        raise ValueError(f"None of the {len(items)} videos could be read; see the reasons above.")
    if num_skipped > args.max_bad * len(items):
        raise ValueError(
            f"{num_skipped} of {len(items)} videos could not be read, more than --max_bad {args.max_bad:g} allows. "
            "Repair or remove them, or give a larger --max_bad. Then run the same command again: it keeps finished "
            "shards and reads only what changed."
        )
    of_annotations = {kind: dataset.problems.get(kind, []) for kind in ("missing", "doubled", "misspelt")}
    details = {"splits": written, **problems, **of_annotations, "arguments": arguments}
    dataset_info.write(out, info, complete=True, **details)
    counts = ", ".join(f"{count} {name}" for name, count in written.items())
    say(f"{out}: {counts}; {len(labels)} classes; {num_skipped} skipped; {time.perf_counter() - started:.1f} s")


def _folds_of(args: argparse.Namespace, dataset: Dataset) -> dict[str, list[dict]]:
    """Returns the folds of the dataset, of --folds and, with --split_by or --num_folds, those that leave one out."""
    splits = sorted({item.split for item in dataset.items})
    left_out = {"leave_one_out": leave_one_out(splits)} if (args.split_by or args.num_folds) and len(splits) > 1 else {}
    return dataset.folds | left_out | (read_folds(args.folds, splits) if args.folds else {})


def _flow_of(args: argparse.Namespace) -> flow_images.Method:
    """Returns the method of --flow; loads it if it is a network, and makes a path of weights absolute.

    Errors: see `restore.find_flow`.
    """
    if not args.flow_weights:
        return args.flow
    if os.path.exists(args.flow_weights):
        args.flow_weights = os.path.abspath(args.flow_weights)
    from vidjax.inference import restore  # only here: other records need no networks

    return restore.find_flow(args.flow, args.flow_weights, ("--flow", "--flow_weights"))


def _check_same_arguments(out: Path, arguments: dict):
    """Raises a ValueError if the directory holds a dataset made with other arguments."""
    path = out / "dataset.json"
    if not path.exists():
        return
    before = dataset_info.read_description(out).get("arguments", {})
    differing = sorted(name for name in {*before, *arguments} if before.get(name) != arguments.get(name))
    if differing:
        changes = "; ".join(f"{name}: {before.get(name)!r} there, {arguments.get(name)!r} now" for name in differing)
        raise ValueError(
            f"{out} holds records made with other arguments ({changes}). Give another --out, or remove it."
        )


def _say_what_is_rewritten(tasks: list[shards.Task]):
    missing = shards.missing_of(tasks)
    if again := sum(task.path.exists() for task in missing):
        say(f"note: the videos or their splits have changed; rewriting {again} of {len(tasks)} shards.")


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="vidjax make-records",
        description="Videos -> TFRecord shards, in parallel. Run the command again to write the missing shards.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add(
        "source",
        nargs="+",
        help="folder of class folders; CSV (path,label[,split,start,end,...]); one or several lists (path label) with "
        "the split in the file name, like trainlist01.txt testlist01.txt; tfds:NAME; "
        "a synthetic dataset: motion, coloured, captions, flow, "
        f"{', '.join(f'sight_{dial}' for dial in DIALS)}; "
        f"a published dataset, with --annotations and --videos: {', '.join(protocols.PROTOCOLS)}; "
        "the drawings of Omniglot: omniglot DIR, strokes DIR (videos of the pen), trajectories DIR; "
        f"or pairs of frames with true optical flow, which keep their size: {', '.join(flow_datasets.DATASETS)}, each "
        "followed by its folder",
    )
    add("--out", type=Path, required=True, help="directory of the dataset")
    add(
        "--annotations",
        type=Path,
        metavar="PATH",
        help="annotations of a published dataset, as its authors publish them: a folder, or the file of activitynet "
        "and kinetics; docs/datasets.md lists the files",
    )
    add(
        "--videos",
        "--features",
        type=Path,
        metavar="DIR",
        help="videos of a published dataset, at any depth; for 50salads, gtea and breakfast also published features "
        "VIDEO.npy, which make feature records; by default those in the folder features of the annotations",
    )
    add("--fps", type=float, default=0.0, help="frames per second to resample to; 0 keeps the source's frames")
    add("--short_side", type=int, default=256, help="pixels to resize the short side to; 0 keeps the source's size")
    add(
        "--format",
        choices=tuple(QUALITIES),
        default="jpeg",
        help="format of the stored frames; mp4 (H.264) takes about a tenth of the bytes, but clips with a stride of "
        "several frames take longer to decode; docs/datasets.md compares them",
    )
    add(
        "--quality",
        type=int,
        default=argparse.SUPPRESS,
        help="of JPEG, 1 (worst) to 100 (default: 90); of mp4, x264's rate factor, 0 (best) to 51 (default: 23)",
    )
    methods = ", ".join(flow_images.METHODS)
    add(
        "--flow",
        metavar="METHOD",
        default="",
        help=f"also store optical flow, as PNG: {methods}, or a network with --flow_weights "
        f"({', '.join(flow_images.NETWORKS)}); for videos of many sizes use opencv_*: the others compile once per size",
    )
    add(
        "--flow_weights",
        metavar="WEIGHTS",
        help="weights of the network of --flow: a name of vidjax.weights, a file, or the work directory of a run",
    )
    add("--num_shards", type=int, help=f"shards per split; by default one per {shards.VIDEOS_PER_SHARD} videos")
    add("--workers", type=int, default=os.cpu_count(), help="processes on this machine")
    add(
        "--runner",
        choices=("local", "beam"),
        default="local",
        help="beam: Apache Beam; put its own options last, after --. "
        "Without any, it runs on this machine in --workers processes",
    )
    add("--split_by", metavar="COLUMN", help="make one split per value of this CSV column")
    add(
        "--folds",
        type=Path,
        metavar="FILE",
        help='JSON file of folds for cross-validation, {"NAME": [{"train": [SPLIT, ...], "test": [SPLIT, ...]}, ...]}; '
        "--split_by and --num_folds add leave_one_out",
    )
    add(
        "--untrimmed",
        action="store_true",
        help="the rows of the CSV are segments (path,start,end,label); makes one record per video, with one label per "
        "frame: that of its segment, or background",
    )
    add("--group", metavar="COLUMN", help="when splitting at random, keep equal values of this CSV column together")
    add("--multi_label", action="store_true", help="allow videos without a label in the CSV")
    add(
        "--class_file",
        type=Path,
        metavar="FILE",
        help="class names for the numbers in a list: one per line, or `1 NAME`",
    )
    add("--frame_folders", action="store_true", help="require folders of numbered images (default: detect them)")
    add("--folder_fps", type=float, default=frame_folder.FPS, help="frame rate of folders of numbered images")
    add("--test_fraction", type=float, default=0.2, help="share of each class drawn for test if no split is given")
    add("--val_fraction", type=float, default=0.1, help="share of each class drawn for val if no split is given")
    add(
        "--num_folds",
        type=int,
        metavar="K",
        help="draw the splits fold_1 to fold_K for a cross-validation instead of train, val and test; with --group, "
        "groups stay together",
    )
    add(
        "--label_fraction",
        type=float,
        metavar="SHARE",
        help="keep this share of the training videos of each class, to study few labels; a run can do so too, with "
        "--config.label_fraction",
    )
    add("--seed", type=int, default=0, help="seed of the random split and of rendered videos")
    add("--max_bad", type=float, default=0.01, help="largest share of unreadable videos; above it the command fails")
    add(
        "--horizontal_flip",
        help="what mirroring does to labels: unchanged, forbidden (default for captions), or CLASS:CLASS,... to swap",
    )
    add(
        "--motion_videos",
        type=int,
        nargs=3,
        default=(1600, 160, 480),
        metavar=("TRAIN", "VAL", "TEST"),
        help="numbers of videos to render for motion, coloured, captions or sight_DIAL, or of pairs for flow",
    )
    add("--photographs", type=Path, metavar="DIR", help="for flow: five or more images, for half of the textures")
    size = flow_pairs.SIZE
    add("--pair_size", type=int, nargs=2, default=size, metavar=("HEIGHT", "WIDTH"), help="for flow: frame size")
    add("--pair_speed", type=float, default=1.0, metavar="FACTOR", help="for flow: factor on the speed, up to 1")
    add("--pen_only", action="store_true", help="for strokes: show the pen without ink, and nothing while it is lifted")
    real_time = "for strokes: 12 frames per second, not 24 per drawing; for trajectories: seconds, not 0 to 1"
    add("--real_time", action="store_true", help=real_time)
    add("--concatenate", type=int, default=1, help="motion clips per video; above 1: one label per frame")
    add("--background", type=int, default=0, help="with --concatenate: mean number of still frames between clips")
    argv = sys.argv[1:] if argv is None else list(argv)
    end = argv.index("--") if "--" in argv else len(argv)
    args = parser.parse_args(argv[:end])
    args.beam_options = argv[end + 1 :]
    args.quality = getattr(args, "quality", QUALITIES[args.format])
    args.sources, args.source = args.source, " ".join(args.source)
    return args


def main():
    args = parse_args()
    try:
        return make_records(args)
    except ValueError as error:
        reason = str(error)
    except OSError as error:  # a full disk, for example
        reason = f"{error.filename or args.out}: {error.strerror}."
    sys.exit(f"make_records: {reason}".encode(errors="backslashreplace").decode())


if __name__ == "__main__":
    main()
