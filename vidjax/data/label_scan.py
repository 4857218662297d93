"""Read the labels of records without their frames, to find invalid labels before a long run starts."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tensorflow_datasets.proto import tf_example_generated_pb2 as tf_example

from vidjax.data import pipeline, records, targets, tfrecords

SECONDS = 10.0  # time limit of a scan; loading checks the records that the scan does not reach
CONTEXT, FEATURE_LISTS = 1, 2  # field numbers of a SequenceExample
KEY = 1  # field number of the key in an entry of its context or feature lists


def check(source: pipeline.Records, *, multi_label: bool, per_frame: bool, seconds: float = SECONDS):
    """Checks the labels of records in a fixed random order, for at most `seconds`.

    Args:
        multi_label: a video may have any number of labels (loss sigmoid); otherwise it needs exactly one.
        per_frame: each frame needs a label; labels of the video are not counted.

    Raises:
        ValueError: if labels.txt has no name for a class index, or the loss does not allow the number of labels; names
            shard and record.
    """
    is_single = not (multi_label or per_frame or {"target", "caption_length", "true_flow"} & set(source.info.inputs))
    end = time.monotonic() + seconds
    for number in np.random.default_rng(0).permutation(len(source)).tolist():
        if time.monotonic() > end:
            return
        example = of_record(*source.places[number])
        with source.naming(number):
            targets.check_indices(example, source.info)
            if is_single:
                targets.check_single(example.labels)
            if per_frame and not (example.frame_labels or multi_label and example.segments):
                raise ValueError(
                    f"{example.media_id!r} has no frame labels ({targets.FRAME_LABELS}), but config.target = 'frame' "
                    "needs one per frame."
                )


def of_record(shard: Path, offset: int) -> records.Example:
    """Reads a record without frames, flow and features: only its context and its frame labels.

    The checksum is not verified: that would need the whole record.

    Raises:
        ValueError: if the record is damaged, with the shard and the offset.
    """
    proto = tf_example.SequenceExample()
    try:
        with open(shard, "rb") as file:
            file.seek(offset)
            end = offset + tfrecords.HEADER_BYTES + int.from_bytes(file.read(8), "little")
            file.seek(offset + tfrecords.HEADER_BYTES)
            for number, start, length in fields(file, end):
                if number == CONTEXT:
                    found = entries_in(file, start + length, lambda key: key != records.ENCODED_VIDEO)
                    proto.context.MergeFromString(found)
                elif number == FEATURE_LISTS:
                    found = entries_in(file, start + length, lambda key: key == targets.FRAME_LABELS)
                    proto.feature_lists.MergeFromString(found)
        return records.decode(proto.SerializeToString())
    except Exception:  # protobuf's DecodeError differs between implementations
        return records.decode(tfrecords.read_record(shard, offset))  # raises an error with the reason


def entries_in(file: BinaryIO, end: int, is_wanted: Callable[[str], bool]) -> bytes:
    """Reads the entries with wanted keys, with their tags, of a Features or FeatureLists message from here to `end`."""
    before, found = file.tell(), []
    for _, start, length in fields(file, end):
        after = start + length
        for number, key_start, key_length in fields(file, after):
            if number == KEY and is_wanted(read_at(file, key_start, key_length).decode()):
                found.append(read_at(file, before, after - before))
            break  # skip the value, which may be large and follows the key
        before = after
    return b"".join(found)


def fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int, int]]:
    """Yields number, start and length of each field of the message between here and `end`, without its content.

    Raises:
        ValueError: if a field has no length: in a SequenceExample all fields down to its lists have one.
    """
    at = file.tell()
    while at < end:
        tag, length = varint(file), varint(file)
        start = file.tell()
        if tag & 7 != 2 or start + length > end:
            raise ValueError("not a SequenceExample")
        yield tag >> 3, start, length
        at = start + length
        file.seek(at)


def varint(file: BinaryIO) -> int:
    """Reads a variable-length integer: 7 bits per byte, lowest first; the top bit marks that more bytes follow."""
    value = shift = 0
    while True:
        byte = file.read(1)
        if not byte or shift > 63:
            raise ValueError("not a SequenceExample")
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
        shift += 7


def read_at(file: BinaryIO, start: int, length: int) -> bytes:
    """Reads `length` bytes at `start`."""
    file.seek(start)
    return file.read(length)
