"""The labels of records, read without their frames: finds wrong ones before long work begins."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tensorflow_datasets.proto import tf_example_generated_pb2 as tf_example

from vidjax.data import pipeline, records, targets

SECONDS = 10.0  # at most for a scan; the records that it does not reach are checked when they are loaded
CONTEXT, FEATURE_LISTS = 1, 2  # numbers of the fields of a SequenceExample
KEY = 1  # of an entry of its feature lists


def check(source: pipeline.Records, *, multi_label: bool, per_frame: bool, seconds: float = SECONDS):
    """Checks the labels of records, in an order that is random but always the same, for `seconds` at most.

    Args:
        multi_label: a video may have several labels or none (loss sigmoid); else it needs one.
        per_frame: each frame has a label, and that of the video does not count.

    Raises:
        ValueError: for a class index that labels.txt has no name for, or a number of labels that the loss does not
            allow; names shard and record.
    """
    is_single = not (multi_label or per_frame or {"target", "caption_length"} & set(source.info.inputs))
    end = time.monotonic() + seconds
    for number in np.random.default_rng(0).permutation(len(source)).tolist():
        if time.monotonic() > end:
            return
        example = of_record(*source.places[number])
        with source.naming(number):
            targets.check_indices(example, source.info)
            if is_single:
                targets.check_single(example.labels)
            if per_frame and not example.frame_labels:
                raise ValueError(
                    f"{example.media_id!r} has no frame labels ({targets.FRAME_LABELS}), which config.target = 'frame' "
                    "needs."
                )


def of_record(shard: Path, offset: int) -> records.Example:
    """A record without frames, flow and features: only its context and frame labels are read from the file.

    The checksum is not verified, which would need the whole record.

    Raises:
        ValueError: where the record is damaged; the message names shard and offset.
    """
    proto = tf_example.SequenceExample()
    try:
        with open(shard, "rb") as file:
            file.seek(offset)
            end = offset + records.HEADER_BYTES + int.from_bytes(file.read(8), "little")
            file.seek(offset + records.HEADER_BYTES)
            for number, start, length in fields(file, end):
                if number == CONTEXT:
                    proto.context.MergeFromString(read_at(file, start, length))
                elif number == FEATURE_LISTS:
                    proto.feature_lists.MergeFromString(frame_labels_in(file, start + length))
        return records.decode(proto.SerializeToString())
    except Exception:  # protobuf's DecodeError is another class in each implementation
        return records.decode(records.read_record(shard, offset))  # which says what is wrong


def frame_labels_in(file: BinaryIO, end: int) -> bytes:
    """The entry of the frame labels of a FeatureLists message that begins here, with its tag; b"" without one."""
    before = file.tell()
    for _, start, length in fields(file, end):
        after = start + length
        for number, key_start, key_length in fields(file, after):
            if number == KEY and read_at(file, key_start, key_length) == targets.FRAME_LABELS.encode():
                return read_at(file, before, after - before)
            break  # the value is large, and comes second
        before = after
    return b""


def fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, start and length of each field of the message between here and `end`; the content is not read.

    Raises:
        ValueError: for what is not such a message: all fields of a SequenceExample down to its lists have a length.
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
    """The number at this place: 7 bits per byte, the lowest first, and a bit that says whether more follow."""
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
    """Bytes of a file."""
    file.seek(start)
    return file.read(length)
