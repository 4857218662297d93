"""Reads the names and shapes of a TensorFlow checkpoint from its `.index` file, without TensorFlow.

The file is a table of LevelDB (github.com/google/leveldb, doc/table_format.md) whose values are `BundleEntryProto`s of
tensorflow/core/protobuf/tensor_bundle.proto: field 2 is the shape, whose field 2 is a dimension, whose field 1 is its
size.
"""

from collections.abc import Iterator
from pathlib import Path


def read(path: str | Path) -> dict[str, tuple[int, ...]]:
    """Returns the shape of each variable by its name."""
    data = Path(path).read_bytes()
    footer = data[-48:]  # the places of the metaindex block and of the index block, then padding and a magic number
    _, at = _varint(footer, 0)
    _, at = _varint(footer, at)
    offset, at = _varint(footer, at)
    size, _ = _varint(footer, at)
    shapes = {}
    for _, handle in _block(data, offset, size):
        offset, at = _varint(handle, 0)
        size, _ = _varint(handle, at)
        shapes.update((name.decode(), _shape(value)) for name, value in _block(data, offset, size) if name)
    return shapes


def _shape(entry: bytes) -> tuple[int, ...]:
    shapes = [value for field, value in _fields(entry) if field == 2]
    dims = [value for field, value in _fields(shapes[0] if shapes else b"") if field == 2]
    return tuple(dict(_fields(dim)).get(1, 0) for dim in dims)


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """The entries of a block; a key is stored as what differs from the key before it."""
    if data[offset + size] != 0:
        raise ValueError("The block is compressed; checkpoints are written without compression.")
    block = data[offset : offset + size]
    restarts = int.from_bytes(block[-4:], "little")
    end, at, key = len(block) - 4 - 4 * restarts, 0, b""
    while at < end:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + length]
        at += own + length


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of each field of a protocol buffer."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == 0:
            value, at = _varint(message, at)
        else:
            length, at = {1: (8, at), 5: (4, at)}.get(tag & 7) or _varint(message, at)
            value, at = message[at : at + length], at + length
        yield tag >> 3, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return value, at
