"""The command that makes records: videos -> TFRecord shards, in parallel, resumable.

    python -m vidjax.data.make_records SOURCE --out DIR

SOURCE is a folder of class folders, a CSV (`path,label` or `path,caption`, optionally `split,start,end` in seconds),
`tfds:NAME`, `motion`, `coloured`, or `captions`. Run it again to go on with the shards that are missing.
"""

import argparse
import concurrent.futures
import dataclasses
import hashlib
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import jax
import numpy as np
from tqdm import tqdm

from vidjax.data import augment, captions, coloured, flow_images, motion, records, sources, video

VIDEOS_PER_SHARD = 100
END = "<end>"  # the first word of the vocabulary of captions: what a caption starts after, and ends with


@dataclasses.dataclass(frozen=True)
class Encoding:
    """How frames are stored."""

    fps: float  # 0 keeps the source's frames
    short_side: int  # pixels; 0 keeps the source's size
    format: str  # "jpeg" or "png"
    quality: int  # of JPEG, 1..100
    flow: str = ""  # method of the optical flow that is stored too, "" for none

    def image(self, frame: np.ndarray) -> bytes:
        """Compresses a frame, uint8 (H, W, 3) RGB."""
        options = [cv2.IMWRITE_JPEG_QUALITY, self.quality] if self.format == "jpeg" else []
        ok, data = cv2.imencode("." + self.format, frame[:, :, ::-1], options)
        if not ok:
            raise ValueError(f"a frame of shape {frame.shape} could not be compressed")
        return data.tobytes()


def read_example(item: sources.Item, encoding: Encoding, labels: list[str]) -> tuple[records.Example, str | None]:
    """Reads, resamples, resizes and compresses one video, a frame at a time.

    Returns:
        The example and a warning: None, or what is damaged in the file (the frames before are kept).

    Raises:
        ValueError: where the video cannot be read at all.
    """
    images, flow, before, warning, fps, shape = [], [], None, None, encoding.fps, (0, 0)
    if item.path.startswith("tfds:"):
        frames = sources.read_tfds(item.path)
    else:
        fps = encoding.fps or video.frame_rate(item.path)
        span = {"start": item.start, "end": item.end}
        frames = (frame for frame, _ in video.iterate_frames(item.path, fps=encoding.fps or None, **span))
    try:
        for frame in frames:
            shape = frame.shape[:2]
            if encoding.short_side:
                shape = augment.resized_shape(*shape, encoding.short_side)
            images.append(encoding.image(augment.resize(frame, *shape)))
            if encoding.flow:
                grey = flow_images.to_grey(frame, encoding.short_side)
                if before is not None:
                    flow.append(flow_images.to_png(flow_images.between(before, grey, encoding.flow)))
                before = grey
    except video.DamagedVideo as damage:
        warning = str(damage)
    if not images:
        raise ValueError(f"{item.path}: no frame between {item.start} s and {item.end} s")
    if encoding.flow and len(images) < 2:
        raise ValueError(f"{item.path}: optical flow needs two frames at least, it has one")
    if item.frame_labels and len(item.frame_labels) != len(images):
        raise ValueError(f"{item.path}: {len(item.frame_labels)} frame labels for {len(images)} frames")
    example = records.Example(
        images=images,
        labels=[labels.index(name) for name in item.labels],
        label_names=item.labels,
        media_id=item.path,
        fps=fps,
        height=shape[0],
        width=shape[1],
        start=item.start,
        end=item.start + (len(images) / fps if fps else 0.0),
        frame_labels=[labels.index(name) for name in item.frame_labels],
        flow=flow,
    )
    return example, warning


# ---------------------------------------------------------------------------------------------- one shard a task

_done = None  # in a worker: the shared count of videos read, for the progress bar


def _start_worker(done):
    global _done
    _done = done
    cv2.setNumThreads(1)
    jax.config.update("jax_platforms", "cpu")  # of the optical flow: processes cannot share an accelerator


def _write_shard(path: Path, items: list[sources.Item], encoding: Encoding, labels: list[str]):
    problems = {"skipped": [], "damaged": []}

    def examples() -> Iterator[bytes]:
        for item in items:
            try:
                example, warning = read_example(item, encoding, labels)
            except ValueError as error:
                problems["skipped"].append([item.path, str(error)])
            else:
                if warning:
                    problems["damaged"].append([item.path, warning])
                yield records.encode(example)
            with _done.get_lock():
                _done.value += 1

    records.write_shard(path, examples(), problems)


def write_shards(tasks: dict[Path, list[sources.Item]], encoding: Encoding, labels: list[str], num_workers: int):
    """Writes the shards that do not exist yet, one process a core, with a progress bar over the videos."""
    missing = {path: items for path, items in tasks.items() if not path.exists()}
    num_videos, num_missing = sum(map(len, tasks.values())), sum(map(len, missing.values()))
    context = multiprocessing.get_context("spawn")
    done = context.Value("q", num_videos - num_missing)
    pause = 0.5 if sys.stderr.isatty() else 30  # a log file wants few lines
    with (
        tqdm(total=num_videos, initial=done.value, desc="videos to records", unit="video", mininterval=pause) as bar,
        concurrent.futures.ProcessPoolExecutor(num_workers, context, _start_worker, (done,)) as pool,
    ):
        waiting = [pool.submit(_write_shard, path, items, encoding, labels) for path, items in missing.items()]
        while waiting:
            finished, waiting = concurrent.futures.wait(waiting, timeout=0.5)
            bar.update(done.value - bar.n)
            for future in finished:
                future.result()


def plan(items: list[sources.Item], out: Path, num_shards: int | None) -> dict[Path, list[sources.Item]]:
    """Which videos go into which shard: contiguous, equally many; `num_shards` for each split."""
    tasks = {}
    for split in sorted({item.split for item in items}):
        of_split = [item for item in items if item.split == split]
        count = min(num_shards or -(-len(of_split) // VIDEOS_PER_SHARD), len(of_split))
        bounds = [len(of_split) * i // count for i in range(count + 1)]
        for i in range(count):
            tasks[records.shard_path(out, split, i, count)] = of_split[bounds[i] : bounds[i + 1]]
    return tasks


# ---------------------------------------------------------------------------------------------- the command


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
    encoding = Encoding(args.fps, args.short_side, args.format, args.quality, args.flow)
    tasks = plan(items, out, args.num_shards)
    arguments = {"source": args.source, **dataclasses.asdict(encoding), "seed": args.seed}
    if not args.flow:
        del arguments["flow"]  # such builds are described as they were before there was flow
    described = json.dumps([arguments, labels, [_described(item) for item in items], len(tasks)])
    digest = hashlib.sha256(described.encode()).hexdigest()
    out.mkdir(parents=True, exist_ok=True)
    _check_same_build(out, digest)
    info = records.DatasetInfo(labels, flip, reversal, inputs=inputs)
    records.write_info(out, info, complete=False, arguments=arguments, digest=digest)
    write_shards(tasks, encoding, labels, args.workers)

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
    add("--num_shards", type=int, help=f"for each split; by default one for {VIDEOS_PER_SHARD} videos")
    add("--workers", type=int, default=os.cpu_count(), help="processes")
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
    return parser.parse_args(argv)


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
