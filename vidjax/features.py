"""Runs a frozen network over the videos of a dataset and stores one of its layers as records.

    python -m vidjax.features (--weights NAME|FILE | --workdir W) --records DIR --layer NAME --out DIR
        [--pool mean|max|min|max_min --classifier svm|linear --folds NAME]

Models train on the records of `--out` like on records of videos. With `--pool` the features of each video are pooled
over time into one descriptor, and with `--classifier` a classifier is trained on the descriptors and reported: the
classic baseline. Run the same command again to continue with the missing shards.
"""

import argparse
import concurrent.futures
import dataclasses
import functools
import itertools
import json
import math
import os
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging as absl_logging

from vidjax import compile_options, output_paths, sharding, step
from vidjax.data import augment, clips, dataset_info, pipeline, records, sampling, tfrecords
from vidjax.evaluation import classify
from vidjax.inference import embedding, restore
from vidjax.models.frame_pool import POOLS
from vidjax.models.layers import pool_space
from vidjax.progress_bar import progress_bar

PREFIX = "RGB"  # prefix of the keys in records: MediaSequence's name for features of frames
SAMPLE = 50  # number of records to estimate the total size from


class Task(NamedTuple):
    """One clip of one record of one shard."""

    shard: Path
    offset: int
    example: records.Example
    indices: np.ndarray  # (T,) frames of the video


# ---------------------------------------------------------------------------------------------------------- the network


def layer_shape(run: restore.Trained, clip: dict, layer: str) -> tuple[int, int]:
    """Returns the number of temporal steps that a layer has for a clip, and its number of channels.

    Raises:
        ValueError: if the network has no such layer, or the layer has other axes than time, space and channels.
    """
    blank = clips.blank_batch({}, clip, 1)
    apply = functools.partial(step.apply_model, model=run.model, spec=run.preprocess)
    _, ends = jax.eval_shape(apply, run.params, run.model_state, blank)
    usable = [name for name, x in ends.items() if getattr(x, "ndim", 0) in (2, 3, 5)]
    if layer not in usable:
        raise ValueError(f"{run.name} has no layer {layer!r}; choose from {', '.join(usable)}.")
    shape = ends[layer].shape
    return shape[1] if len(shape) > 2 else 1, shape[-1]


def make_features_fn(run: restore.Trained, layer: str) -> Callable[[np.ndarray], jax.Array]:
    """Returns the compiled function from clips, uint8 (B, T, H, W, C), to a layer, float32 (B, T', D).

    Maps (B, T', H, W, D) are averaged over space; layers without time, (B, D), get T' = 1.
    """

    def of_batch(params, model_state, video):
        _, ends = step.apply_model(params, model_state, {"video": video}, model=run.model, spec=run.preprocess)
        x = ends[layer].astype(jnp.float32)
        x = pool_space(x) if x.ndim == 5 else x
        return x[:, None] if x.ndim == 2 else x

    options = compile_options.of_inference(run.model)
    compiled = jax.jit(of_batch, out_shardings=sharding.replicated(run.mesh), compiler_options=options)
    place = sharding.batch_sharding(run.mesh)
    return lambda video: compiled(run.params, run.model_state, jax.device_put(video, place))


def join(features: list[np.ndarray], indices: list[np.ndarray]) -> np.ndarray:
    """Joins the features of a video's clips, (T', D) each, into one sequence (L, D).

    The last clip may overlap the one before it, so that it ends with the video. If a layer has one step per frame, each
    frame is kept once. Flow computed on the device lacks the field between consecutive clips.
    """
    sequence, frames = np.concatenate(features), np.concatenate(indices)
    if len(sequence) != len(frames):
        return sequence
    return sequence[np.unique(frames, return_index=True)[1]]


# ---------------------------------------------------------------------------------------------- records -> records


def tasks_of(shards: Iterable[Path], clip: dict) -> Iterator[Task]:
    """Yields all clips of all records of some shards, in order."""
    for shard in shards:
        for offset in tfrecords.read_index(shard):
            example = records.decode(tfrecords.read_record(shard, offset))
            length = clips.number_of_frames(example, clip.get("streams", ("video",)))
            yield from (Task(shard, offset, example, indices) for indices in clip_indices(length, clip))


def clip_indices(length: int, clip: dict) -> np.ndarray:
    """Returns the frame indices of each clip of a video, int (V, T)."""
    if clip["sampling"] == "segments":
        return sampling.segments(length, clip["num_frames"])[None]
    return sampling.covering_clips(length, clip["num_frames"], clip["frame_stride"])


def load_clip(task: Task, size: int, resize, stream: str) -> np.ndarray:
    """Decodes a clip, or its stored flow, and takes the centre crop: uint8 (T, size, size, 3 or 2)."""
    video = np.empty((1, 1, len(task.indices), size, size, clips.CHANNELS[stream]), np.uint8)
    boxes = lambda height, width: [augment.centre_box(height, width, size)]  # noqa: E731
    clips.cut(clips.decoder(task.example, stream), task.indices[None], boxes, resize, video)
    return video[0, 0]


def run_over(
    tasks: Iterator[Task], clip: dict, features_fn: Callable, batch_size: int
) -> Iterator[tuple[Task, np.ndarray]]:
    """Yields each task with its features (T', D). Threads decode ahead; the device runs one batch ahead."""
    (stream,) = clip.get("streams", ("video",))
    load = functools.partial(load_clip, size=clip["size"], resize=clip["resize"], stream=stream)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:

        def loaded():
            ahead = deque()
            for task in tasks:
                ahead.append((task, pool.submit(load, task)))
                if len(ahead) > 2 * batch_size + os.cpu_count():
                    yield ahead.popleft()
            yield from ahead

        running = None
        clips_ahead = loaded()
        while group := list(itertools.islice(clips_ahead, batch_size)):
            videos = [future.result() for _, future in group]
            videos += videos[-1:] * (batch_size - len(group))  # pads the last batch: one shape to compile
            before, running = running, ([task for task, _ in group], features_fn(np.stack(videos)))
            if before:
                yield from zip(before[0], np.asarray(before[1]), strict=False)
        if running:
            yield from zip(running[0], np.asarray(running[1]), strict=False)


def extract(
    run: restore.Trained, directory: Path, layer: str, out: Path, clip: dict, batch_size: int, splits: list[str]
) -> pipeline.Records:
    """Writes the features of all records of a dataset to `out`, in shards of the same names, and opens them.

    Args:
        clip: `num_frames`, `frame_stride`, `size`, `resize`, `sampling`: "cover" (consecutive clips that cover the
            video) or "segments" (one clip with frames spread over the whole video).
        batch_size: clips per batch; a multiple of the number of devices.
        splits: splits to process.

    Raises:
        ValueError: if the network has no such layer, the records do not hold videos, `out` holds other features, cannot
            be written or has too little space, or the batch size does not divide over the devices.
    """
    info = dataset_info.read(directory)
    if len(clip.get("streams", ("video",))) > 1:
        raise ValueError(f"{run.name} sees frames and stored flow: store the features of each stream by itself.")
    if "prefix" in info.inputs or "prefix" in run.inputs:
        raise ValueError(f"{directory} and {run.name} must both be of videos, but one of them is of features.")
    if batch_size % run.mesh.size:
        raise ValueError(f"--batch_size {batch_size} does not divide over {run.mesh.size} devices: give a multiple.")
    steps, width = layer_shape(run, clip, layer)
    inputs = {"prefix": PREFIX, "width": width, "layer": layer, "source": run.name}
    inputs = json.loads(json.dumps(inputs | {"clip": clip, "videos": info.inputs}))
    if (out / "dataset.json").exists():
        there = dataset_info.read_description(out).get("inputs")
        if there != inputs:
            raise ValueError(f"{out} holds other features: {there}, not {inputs}. Give another --out, or remove it.")
    output_paths.check_writable(out, "--out")
    out.mkdir(parents=True, exist_ok=True)
    of_features = dataclasses.replace(info, inputs=inputs, horizontal_flip="forbidden")
    shards = [shard for split in splits for shard in tfrecords.find_shards(directory, split)]
    missing = [shard for shard in shards if tfrecords.read_details(out / shard.name).get("source") != version_of(shard)]
    if missing:
        check_space(out, missing, clip, steps, width)
        dataset_info.write(out, of_features, complete=False)
        features_fn = make_features_fn(run, layer)
        count = sum(len(tfrecords.read_index(shard)) for shard in missing)
        with progress_bar(description=f"{layer} of {run.name}", total=count, unit="video") as bar:
            stream = run_over(tasks_of(missing, clip), clip, features_fn, batch_size)
            for shard, of_shard in itertools.groupby(stream, key=lambda pair: pair[0].shard):
                tfrecords.write_shard(out / shard.name, _encoded(of_shard, bar), source=version_of(shard))
        for shard in missing:
            if not tfrecords.read_index(shard):  # none of its videos could be read
                tfrecords.write_shard(out / shard.name, [], source=version_of(shard))
        tfrecords.remove_other_shards(out, [out / shard.name for shard in shards])
    dataset_info.write(out, of_features, complete=True)
    return pipeline.open_records(out, splits)


def version_of(shard: Path) -> str | int:
    """Returns what identifies the content of a shard: the digest of its sources, or its size."""
    return tfrecords.read_details(shard).get("digest") or shard.stat().st_size


def check_space(out: Path, shards: list[Path], clip: dict, steps: int, width: int):
    """Raises a ValueError if the features of some shards need more space than `out` has.

    Args:
        steps, width: shape of the layer for a clip, see `layer_shape`. A sample of records gives the number of clips.
    """
    places = [(shard, offset) for shard in shards for offset in tfrecords.read_index(shard)]
    sample = places[:: math.ceil(len(places) / SAMPLE)] if places else []
    total = 0
    for place in sample:
        example = records.decode(tfrecords.read_record(*place))
        indices = clip_indices(clips.number_of_frames(example, clip.get("streams", ("video",))), clip)
        total += len(np.unique(indices)) if steps == clip["num_frames"] else len(indices) * steps
    needed, free = 4 * width * total * len(places) / max(len(sample), 1), shutil.disk_usage(out).free
    if needed > free:
        raise ValueError(
            f"The features need about {needed / 2**30:.2f} GiB in {out}, where {free / 2**30:.2f} GiB are free: free "
            "some space, or give an --out on another disk."
        )


def _encoded(of_shard: Iterator[tuple[Task, np.ndarray]], bar) -> Iterator[bytes]:
    for _, of_record in itertools.groupby(of_shard, key=lambda pair: pair[0].offset):
        tasks, features = zip(*of_record, strict=True)
        example = tasks[0].example
        sequence = join(list(features), [task.indices for task in tasks])
        bar.update()
        frames = np.concatenate([step_middles(task.indices, len(features[0])) for task in tasks])
        frames = frames if len(frames) == len(sequence) else np.unique(frames)  # see `join`
        labels = [example.frame_labels[i] for i in frames] if example.frame_labels else ()
        times = {PREFIX: [(i + 0.5) / example.fps for i in frames]} if example.fps else {}
        kept = {"images": (), "flow": (), "frame_labels": labels, "features": {PREFIX: sequence}}
        kept["feature_times"] = times  # the segments stay in seconds
        yield records.encode(dataclasses.replace(example, **kept))


def step_middles(indices: np.ndarray, num_steps: int) -> np.ndarray:
    """Returns the frame in the middle of each of the steps into which a layer divides a clip, int (num_steps,)."""
    return indices[(np.arange(num_steps) * 2 + 1) * len(indices) // (2 * num_steps)]


# ---------------------------------------------------------------------------------------------------------- the command


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="vidjax features",
        description="Stores a layer of a frozen network as records, and trains the classic baseline on it.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    network = parser.add_mutually_exclusive_group(required=True)
    network.add_argument("--weights", metavar="NAME|FILE", help="a name listed by `vidjax weights`, or a weights file")
    network.add_argument("--workdir", type=Path, help="directory of a trained run")
    add = parser.add_argument
    add("--records", type=Path, required=True, help="directory of video records")
    add("--layer", default="features", help="an endpoint of the network; maps are averaged over space")
    add("--out", type=Path, required=True, help="directory for the feature records")
    add("--num_frames", type=positive, help="frames per clip; by default the network's")
    add("--frame_stride", type=positive, help="step between the frames of a clip; by default the network's")
    add("--size", type=positive, help="side of the square crop; by default the network's")
    add(
        "--resize",
        type=positive,
        nargs="+",
        help="resize the short side to one number, or to height and width, before the crop",
    )
    add("--sampling", choices=("cover", "segments"), default="cover",
        help="consecutive clips that cover the whole video, or one clip with frames spread over it")  # fmt: skip
    add("--batch_size", type=positive, help="clips per batch; by default 8 per device, 1 on a CPU")
    add("--pool", choices=POOLS, help="pooling over time: one descriptor per video, written as .npy")
    add("--classifier", choices=sorted(classify.CLASSIFIERS), help="classifier to train on the descriptors")
    classify.add_split_arguments(parser)
    args = parser.parse_args(argv)
    if args.classifier and not args.pool:
        parser.error("--classifier needs --pool, which reduces the features of a video to one descriptor")
    for name in ("folds", "train_splits", "test_splits"):
        if getattr(args, name) and not args.classifier:
            parser.error(f"--{name} needs --classifier")
    if args.resize and len(args.resize) > 2:
        parser.error(f"--resize takes one or two numbers, not {len(args.resize)}")
    return args


def positive(text: str) -> int:
    """Parses an argument that must be 1 or more."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} must be 1 or more")
    return int(text)


def main():
    args = parse_args()
    absl_logging.set_verbosity(absl_logging.ERROR)  # Orbax warns about read-only use, which is intended
    started = time.perf_counter()
    try:
        output_paths.check_writable(args.out, "--out")
        dataset_info.read(args.records)
        splits = tfrecords.find_splits(args.records)
        folds = classify.folds_of(args) if args.classifier else []
        if args.classifier:
            classify.check_folds(args.records, folds)
        if args.pool:
            classify.labels_of(args.records, splits)
        run = restore.from_run(args.workdir) if args.workdir else restore.from_weights(args.weights)
        run = embedding.encoder_of(run)
        chosen = {name: getattr(args, name) for name in ("num_frames", "frame_stride", "size")}
        clip = {**run.clip, **{name: value for name, value in chosen.items() if value}, "sampling": args.sampling}
        if args.resize:
            clip["resize"] = args.resize[0] if len(args.resize) == 1 else args.resize
        batch_size = args.batch_size or run.mesh.size * (1 if jax.default_backend() == "cpu" else 8)
        source = extract(run, args.records, args.layer, args.out, clip, batch_size, splits)
        seconds = time.perf_counter() - started
        print(f"{args.out}: {args.layer} of {run.name}, {len(source)} videos, {seconds:.1f} s")
        if args.pool:
            classify.report(source, args.out, args.pool, args.classifier, folds)
    except ValueError as error:
        sys.exit(f"vidjax.features: {error}")


if __name__ == "__main__":
    main()
