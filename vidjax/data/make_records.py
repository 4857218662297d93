"""The command that makes records: videos -> TFRecord shards, in parallel, resumable.

    python -m vidjax.data.make_records SOURCE --out DIR
    python -m vidjax.data.make_records SOURCE --out DIR --runner beam -- --runner=FlinkRunner --flink_master=HOST:8081

SOURCE is a folder of class folders, a CSV (`path,label` or `path,caption`, optionally `split,start,end` in seconds),
`tfds:NAME`, `motion`, `coloured`, or `captions`. Run it again to go on with the shards that are missing.
"""

import argparse
import dataclasses
import hashlib
import json
import os
import re
import sys
import time
from pathlib import Path

from vidjax.data import beam, captions, coloured, flow_images, motion, records, shards, sources

END = "<end>"  # the first word of the vocabulary of captions: what a caption starts after, and ends with


def make_records(args: argparse.Namespace) -> str | None:
    """Runs the command; returns why it failed, None where all is well.

    Raises:
        ValueError: for a source or arguments that cannot work.
    """
    started = time.perf_counter()
    if args.concatenate < 1 or args.concatenate > 1 and (args.source != "motion" or args.fps):
        raise ValueError("--concatenate is at least 1, for the source motion, and goes without --fps.")
    if args.flow:
        flow_images.find_method(args.flow)
    if re.match(r"\w+:/", str(args.out)):
        raise ValueError(f"--out {args.out}: records are written to a directory; copy them to a bucket after.")
    if args.runner == "beam":
        pipeline = beam.make_pipeline(args.beam_options, args.workers)
    elif args.beam_options:
        raise ValueError(f"What follows -- is for Beam, which --runner beam asks for: {' '.join(args.beam_options)}.")
    out, flip, reversal = args.out, args.horizontal_flip, None
    if args.source == "motion":
        counts = dict(zip(("train", "val", "test"), args.motion_videos, strict=True))
        rendered = {"num_videos": counts, "seed": args.seed, "num_workers": args.workers}
        if args.concatenate > 1:
            files = motion.render_concatenations(out / "videos", args.concatenate, **rendered)
            items = [
                sources.Item(str(path), tuple(sorted(set(names))), split, frame_labels=tuple(names))
                for path, names, split in files
            ]
        else:
            files = motion.render(out / "videos", **rendered)
            items = [sources.Item(str(path), (label,), split) for path, label, split in files]
        labels, flip, reversal = list(motion.CLASSES), "forbidden", list(motion.REVERSED)
    elif args.source == "coloured":
        counts = dict(zip(("train", "val", "test"), args.motion_videos, strict=True))
        files = coloured.render(out / "videos", num_videos=counts, seed=args.seed, num_workers=args.workers)
        items = [sources.Item(str(path), (label,), split) for path, label, split in files]
        labels, flip, reversal = coloured.CLASSES, coloured.REVERSED, coloured.REVERSED
    elif args.source == "captions":
        counts = dict(zip(("train", "val", "test"), args.motion_videos, strict=True))
        counts["test_unseen"] = counts["test"]
        files = captions.render(out / "videos", num_videos=counts, seed=args.seed, num_workers=args.workers)
        items = [sources.Item(str(path), sources.words(caption), split) for path, caption, split in files]
    elif args.source.startswith("tfds:"):
        items = sources.from_tfds(args.source.removeprefix("tfds:"))
    elif args.source.endswith(".csv"):
        items = sources.from_csv(Path(args.source))
    else:
        items = sources.from_folder(Path(args.source))
    if args.split_by:
        items = sources.split_by(items, args.split_by)
    elif not all(item.split for item in items):
        items = sources.split_randomly(items, args.test_fraction, args.val_fraction, args.seed)
    inputs = {"fps": args.fps, "short_side": args.short_side}
    if args.source not in ("motion", "coloured"):
        labels = sorted({name for item in items for name in item.labels})
        if is_captioned := args.source == "captions" or "caption" in items[0].columns:
            labels = [END, *labels]
            inputs["caption_length"] = max(len(item.labels) for item in items) + 1
        flip = "forbidden" if is_captioned and flip is None else parse_flip(flip or "unchanged", labels)

    if args.flow:
        inputs["flow"] = args.flow
    encoding = shards.Encoding(args.fps, args.short_side, args.format, args.quality, args.flow)
    tasks = shards.plan(items, out, args.num_shards)
    arguments = {"source": args.source, **dataclasses.asdict(encoding), "seed": args.seed}
    if not args.flow:
        del arguments["flow"]  # such builds are described as they were before there was flow
    described = json.dumps([arguments, labels, [_described(item) for item in items], len(tasks)])
    digest = hashlib.sha256(described.encode()).hexdigest()
    out.mkdir(parents=True, exist_ok=True)
    _check_same_build(out, digest)
    info = records.DatasetInfo(labels, flip, reversal, inputs=inputs)
    records.write_info(out, info, complete=False, arguments=arguments, digest=digest)
    if args.runner == "beam":
        beam.write_shards(tasks, encoding, labels, pipeline)
    else:
        shards.write_shards(tasks, encoding, labels, args.workers)
    records.remove_partial(out)

    found = [records.read_problems(path) or {} for path in tasks]
    problems = {kind: [entry for shard in found for entry in shard.get(kind, [])] for kind in ("skipped", "damaged")}
    splits = {split: 0 for split in sorted({item.split for item in items})}
    for path in tasks:
        splits[records.split_of(path)] += len(records.read_index(path))
    for path, reason in problems["damaged"]:
        print(f"damaged: {reason if path in reason else f'{path}: {reason}'}")
    for path, reason in problems["skipped"]:
        print(f"skipped: {reason if path in reason else f'{path}: {reason}'}")
    num_skipped, num_written = len(problems["skipped"]), sum(splits.values())
    if not num_written:
        return f"None of the {len(items)} videos could be read."
    if num_skipped > args.max_bad * len(items):
        return (
            f"{num_skipped} of {len(items)} videos could not be read, more than --max_bad {args.max_bad:g} allows. "
            "Mend or remove them, or run again with a larger --max_bad (what was written is kept)."
        )
    details = {"splits": splits, **problems, "arguments": arguments, "digest": digest}
    records.write_info(out, info, complete=True, **details)
    counts = ", ".join(f"{count} {split}" for split, count in splits.items())
    print(f"{out}: {counts}; {len(labels)} classes; {num_skipped} skipped; {time.perf_counter() - started:.1f} s")
    return None


def _described(item: sources.Item) -> tuple:
    """What tells an item from others; items without frame labels are described as they were before there were any."""
    return dataclasses.astuple(item)[: None if item.frame_labels else -1]


def _check_same_build(out: Path, digest: str):
    path = out / "dataset.json"
    if path.exists() and json.loads(path.read_text()).get("digest") != digest:
        raise ValueError(f"{out} holds records of other videos or other arguments; give another --out, or remove it.")


def parse_flip(value: str, labels: list[str]) -> str | list[int]:
    """What a horizontal flip does: "unchanged", "forbidden", or `left:right,a:b`, pairs of classes that swap.

    Raises:
        ValueError: where a class is unknown.
    """
    if value in ("unchanged", "forbidden"):
        return value
    permutation = list(range(len(labels)))
    for pair in value.split(","):
        names = pair.split(":")
        if len(names) != 2 or not set(names) <= set(labels):
            raise ValueError(
                f"--horizontal_flip {value}: give unchanged, forbidden or CLASS:CLASS,... of {', '.join(labels)}."
            )
        a, b = map(labels.index, names)
        permutation[a], permutation[b] = b, a
    return permutation


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Videos -> TFRecord shards, in parallel; run it again to go on with what is missing.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("source", help="folder of class folders, CSV (path,label[,split,start,end,...]), tfds:NAME, "
        "or what is rendered: motion, coloured, captions")  # fmt: skip
    add("--out", type=Path, required=True, help="directory of the dataset")
    add("--fps", type=float, default=0.0, help="frames a second to resample to; 0 keeps the source's frames")
    add("--short_side", type=int, default=256, help="pixels to resize the short side to; 0 keeps the source's size")
    add("--format", choices=("jpeg", "png"), default="jpeg", help="of the stored frames")
    add("--quality", type=int, default=90, help="of JPEG, 1 to 100")
    methods = ", ".join(flow_images.METHODS)
    add(
        "--flow",
        metavar="METHOD",
        default="",
        help=f"optical flow to store too, as PNG: {methods}; "
        "opencv_* suits videos of many sizes, for each of which the others compile anew",
    )
    add("--num_shards", type=int, help=f"for each split; by default one for {shards.VIDEOS_PER_SHARD} videos")
    add("--workers", type=int, default=os.cpu_count(), help="processes of this machine")
    add(
        "--runner",
        choices=("local", "beam"),
        default="local",
        help="beam: Apache Beam, whose own options follow -- at the end; "
        "without any, it too runs on this machine in --workers processes",
    )
    add("--split_by", metavar="COLUMN", help="one split for each value of this column of the CSV")
    add("--test_fraction", type=float, default=0.2, help="share of each class drawn for test, where no split is given")
    add("--val_fraction", type=float, default=0.1, help="share of each class drawn for val, where no split is given")
    add("--seed", type=int, default=0, help="of the random split, and of the videos that are rendered")
    add("--max_bad", type=float, default=0.01, help="share of unreadable videos beyond which the command fails")
    add(
        "--horizontal_flip",
        help="labels when mirrored: unchanged, forbidden (as captions are by themselves), or CLASS:CLASS,... that swap",
    )
    add(
        "--motion_videos",
        type=int,
        nargs=3,
        default=(1600, 160, 480),
        metavar=("TRAIN", "VAL", "TEST"),
        help="videos of motion, coloured or captions to render",
    )
    add("--concatenate", type=int, default=1, help="clips in a row in each video of motion; more: one label a frame")
    argv = sys.argv[1:] if argv is None else list(argv)
    end = argv.index("--") if "--" in argv else len(argv)
    args = parser.parse_args(argv[:end])
    args.beam_options = argv[end + 1 :]
    return args


def main():
    args = parse_args()
    try:
        failure = make_records(args)
    except ValueError as error:
        failure = str(error)
    if failure:
        sys.exit(f"make_records: {failure}")


if __name__ == "__main__":
    main()
