"""Records -> batches of NumPy arrays for this process, loaded by the threads of Grain.

The order of the clips is a pure function of integers. Global batch i holds positions [i * B, (i + 1) * B) of an endless
sequence, in which each epoch is one permutation of the records, drawn from (seed, epoch). Process p of P loads rows
[p * B / P, (p + 1) * B / P) of each batch. The random draws of a clip come from (seed, epoch, position); positions
continue across epochs. The state of the pipeline is therefore one integer, the number of batches consumed, and is
valid on any number of processes.

With `sampling="chunks"` each video gives `num_chunks` consecutive clips. Each row of batch i + 1 holds the clip that
follows the clip in the same row of batch i: batch i holds clip i mod num_chunks of the videos at positions
[jB, (j + 1)B) of the sequence, j = floor(i / num_chunks). The random draws come from the position of the video.
"""

import contextlib
import dataclasses
import functools
import inspect
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import grain
import numpy as np

from vidjax.data import clips, dataset_info, feature_clips, flow_pairs, records, targets, tfrecords
from vidjax.data.sources.untrimmed import BACKGROUND

cv2.setNumThreads(1)  # Grain's threads use all cores; OpenCV's threads would compete with them


Batch = dict[str, np.ndarray]

TRAIN, EVAL = 0, 1
CUTTERS = {  # by the content of the records
    "videos": (clips.train_clip, clips.eval_clips),
    "features": (feature_clips.train_features, feature_clips.eval_features),
    "true_flow": (flow_pairs.train_pair, flow_pairs.eval_pair),
}


@dataclasses.dataclass(frozen=True)
class Records:
    """The records of some splits of a dataset, with random access.

    Attributes:
        info: description of the dataset.
        places: shard and byte offset of each record.
        classes: maps class indices in the records to indices in `info.labels`; others are dropped, and are background
            in the labels of frames. None keeps all.
    """

    info: dataset_info.DatasetInfo
    places: Sequence[tuple[Path, int]]
    classes: Mapping[int, int] | None = None

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> records.Example:
        """Raises a ValueError, naming shard and record, if the record is damaged or has an invalid class index."""
        shard, offset = self.places[index]
        example = records.decode(tfrecords.read_record(shard, offset))
        if self.classes is not None:
            labels = [self.classes[x] for x in example.labels if x in self.classes]
            # Frames keep their places: those of other classes are background, if the dataset has it
            rest = self.info.labels.index(BACKGROUND) if BACKGROUND in self.info.labels else None
            frame_labels = [self.classes.get(x, rest) for x in example.frame_labels]
            frame_labels = [x for x in frame_labels if x is not None]
            kept = [x for x in example.segments if x.label in self.classes]
            segments = [x._replace(label=self.classes[x.label]) for x in kept]
            return dataclasses.replace(example, labels=labels, frame_labels=frame_labels, segments=segments)
        with self.naming(index):
            targets.check_indices(example, self.info)
        return example

    @contextlib.contextmanager
    def naming(self, index: int):
        """Prefixes ValueErrors raised in the block with the shard and the record."""
        try:
            yield
        except ValueError as error:
            shard, offset = self.places[index]
            number = sum(other == shard and at < offset for other, at in self.places)
            raise ValueError(f"{shard}, record {number} (at byte {offset}): {error}") from None


def open_records(directory: str | Path, splits: Sequence[str]) -> Records:
    """Opens the records of `splits`, in the order given.

    Raises:
        ValueError: if the dataset, a split or a shard is missing, a shard is damaged, or labels.txt or a permutation in
            dataset.json is invalid.
    """
    info = dataset_info.read(Path(directory))
    targets.check_info(info, directory)
    shards = [shard for split in splits for shard in tfrecords.find_shards(Path(directory), split)]
    places = [(shard, offset) for shard in shards for offset in tfrecords.read_index(shard)]
    if not places:
        raise ValueError(f"The splits {list(splits)} of {directory} hold no records: choose other splits.")
    return Records(info, places)


# -------------------------------------------------------------------------------------------------- order -> batches


@functools.lru_cache(maxsize=4)
def epoch_order(num_records: int, seed: int, epoch: int) -> np.ndarray:
    """The permutation of the records in one epoch: (num_records,)."""
    return np.random.default_rng((seed, epoch)).permutation(num_records)


@functools.lru_cache(maxsize=4)
def repeated_order(num_records: int, seed: int, times: int, epoch: int) -> np.ndarray:
    """`epoch_order` with each record `times` in a row, each time with its own draws: (num_records * times,).

    Hoffer et al., "Augment Your Batch: Improving Generalization through Instance Repetition" (CVPR 2020).
    """
    return np.repeat(epoch_order(num_records, seed, epoch), times)


def train_batches(
    source: Records,
    clip_arguments: dict,
    *,
    batch_size: int,
    num_steps: int,
    seed: int = 0,
    order: Callable[[int], np.ndarray] | None = None,
    start_step: int = 0,
    process: tuple[int, int] = (0, 1),
    num_threads: int = 0,
) -> Iterator[Batch]:
    """Yields this process's rows of the global batches start_step, ..., num_steps - 1.

    Args:
        source: from `open_records`.
        clip_arguments: keyword arguments of `clips.train_clip`. Records of features and of pairs take those that
            `feature_clips.train_features` and `flow_pairs.train_pair` have, and ignore the others.
        batch_size: number of clips in the global batch.
        order: epoch -> indices of the records, as many in every epoch, see `class_batches`; None for `epoch_order`.
        process: index of this process, and number of processes.
        num_threads: threads that read, decode and crop; 0 starts one per core.

    Raises:
        ValueError: if the batch does not divide over the processes, the dataset forbids flips, or flip or colour is on
            for features.
    """
    blank = clips.blank_batch(source.info.inputs, clip_arguments, 1)
    if "features" in blank and (clip_arguments.get("flip") or clip_arguments.get("colour")):
        raise ValueError("Features cannot be flipped or recoloured: turn config.augment.flip and colour off.")
    if clip_arguments.get("flip") and source.info.horizontal_flip == "forbidden":
        raise ValueError(
            "config.augment.flip is on, but dataset.json forbids horizontal flips, since mirroring changes the label: "
            "turn it off."
        )

    def load(position: int, out: np.ndarray) -> Batch:
        step, row = divmod(position, batch_size)
        group, chunk = divmod(step, num_chunks)
        place = group * batch_size + row  # position of the video; equals `position` without chunks
        epoch, index = divmod(place, len(order(0)))
        rng = np.random.default_rng((seed, epoch, place))
        example = source[order(epoch)[index]]
        of_chunk = {"chunk": chunk} if is_chunked else {}
        clip = cut(example, rng, source.info, **clip_arguments, **of_chunk, out=out)
        return {**clip, "sequence_start": np.float32(chunk == 0)} if is_chunked else clip

    is_chunked, num_chunks = chunking(clip_arguments)
    order = order or functools.partial(epoch_order, len(source), seed)
    cut, clip_arguments = _cutter(source.info, clip_arguments, TRAIN)
    return _batches(load, blank, batch_size, range(start_step, num_steps), process, num_threads)


def eval_batches(
    source: Records,
    clip_arguments: dict,
    *,
    batch_size: int,
    process: tuple[int, int] = (0, 1),
    num_threads: int = 0,
) -> Iterator[Batch]:
    """Yields this process's rows of one pass over the records, each record once and in order.

    The last batch is padded with clips of weight 0, so that all processes get equally many batches of one shape. Only
    pairs of the size () have their own shapes, and batches of one.

    Args: see `train_batches`, but `clip_arguments` are those of `clips.eval_clips`, `feature_clips.eval_features` or
        `flow_pairs.eval_pair`.

    Raises:
        ValueError: if the batch does not divide over the processes, there are chunks and several views or crops, or
            the size is () in batches of more than one.
    """

    def load(position: int, out: np.ndarray) -> Batch:
        if position < len(source):
            return cut(source[position], source.info, **clip_arguments, out=out)
        clip = load(0, out)
        return {**clip, "weight": np.zeros_like(clip["weight"])}

    if not clip_arguments.get("size", 1):
        if batch_size > 1:
            raise ValueError(f"Frames of any size are evaluated one pair at a time, not {batch_size}: use one device.")
        cut, clip_arguments = _cutter(source.info, clip_arguments, EVAL)
        pairs = grain.MapDataset.range(len(source)).map(lambda i: {name: x[None] for name, x in load(i, None).items()})
        return iter(pairs.to_iter_dataset(grain.ReadOptions(num_threads=num_threads or os.cpu_count())))
    blank = clips.blank_batch(source.info.inputs, clip_arguments, 1)
    num_clips = clip_arguments.get("num_views", 1) * clip_arguments.get("num_crops", 1)
    is_chunked, num_chunks = chunking(clip_arguments)
    if is_chunked and num_clips > 1:
        raise ValueError("Chunks cover a video once: set eval.num_views and eval.num_crops to 1.")
    num_clips *= num_chunks
    blank = {name: np.repeat(array[:, None], num_clips, axis=1) for name, array in blank.items()}
    cut, clip_arguments = _cutter(source.info, clip_arguments, EVAL)
    return _batches(load, blank, batch_size, range(-(-len(source) // batch_size)), process, num_threads)


def chunking(clip_arguments: dict) -> tuple[bool, int]:
    """Whether videos are cut into chunks, and the number of chunks per video (1 without chunks).

    Raises:
        ValueError: if the number is below 1, or above 1 with another sampling than "chunks".
    """
    is_chunked, num_chunks = clip_arguments.get("sampling") == "chunks", clip_arguments.get("num_chunks", 1)
    if num_chunks < 1 or num_chunks > 1 and not is_chunked:
        raise ValueError(
            f"clip.num_chunks = {num_chunks}: at least 1 is needed, and more than 1 needs clip.sampling = 'chunks'."
        )
    return is_chunked, num_chunks


def _cutter(info: dataset_info.DatasetInfo, clip_arguments: dict, purpose: int) -> tuple[Callable, dict]:
    """Returns the function that cuts clips out of these records, for `TRAIN` or `EVAL`, and its arguments."""
    kind = "features" if "prefix" in info.inputs else "true_flow" if info.inputs.get("true_flow") else "videos"
    cut = CUTTERS[kind][purpose]
    if kind == "videos":
        return cut, clip_arguments
    taken = inspect.signature(cut).parameters
    return cut, {name: value for name, value in clip_arguments.items() if name in taken}


def _batches(
    load: Callable[[int, np.ndarray], Batch],
    blank: Batch,
    batch_size: int,
    steps: range,
    process: tuple[int, int],
    num_threads: int,
) -> Iterator[Batch]:
    process_index, process_count = process
    if batch_size % process_count:
        raise ValueError(f"batch_size = {batch_size} does not divide over {process_count} processes: use a multiple.")
    rows = batch_size // process_count
    num_threads = num_threads or os.cpu_count()
    # Each thread writes its row straight into the video (or features) array of its batch: stacking rows afterwards
    # costs a tenth of the speed. The dict keeps an array only while one of its rows is in use.
    large, row_of = next(iter(blank.items()))
    arrays, lock = weakref.WeakValueDictionary(), threading.Lock()

    def load_row(i: int) -> Batch:
        step, row = divmod(i, rows)
        with lock:
            array = arrays.get(step)
            if array is None:
                array = arrays[step] = np.empty((rows, *row_of.shape[1:]), row_of.dtype)
        position = (steps.start + step) * batch_size + process_index * rows + row
        return {**load(position, array[row]), large: array}

    def assemble(loaded: Sequence[Batch]) -> Batch:
        batch = {name: np.stack([row[name] for row in loaded]) for name in loaded[0] if name != large}
        return {**batch, large: loaded[0][large]}

    # Enough rows to keep every thread busy while a batch is consumed, and few enough to keep memory small.
    options = grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=max(num_threads, 2 * rows))
    dataset = grain.MapDataset.range(len(steps) * rows).map(load_row)
    return iter(dataset.to_iter_dataset(options).batch(rows, drop_remainder=True, batch_fn=assemble))
