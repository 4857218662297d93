"""Files of records: TFRecord framing, the index of a shard, and the names of shards.

The framing is `length (uint64), crc32c(length), data, crc32c(data)`, little endian, checksums masked
(https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details). TensorFlow is not needed.
"""

import json
import os
import re
import struct
import uuid
from collections.abc import Iterable
from pathlib import Path

import google_crc32c

HEADER_BYTES = 12  # the length and its checksum
FOOTER_BYTES = 4  # checksum of the data


def masked_crc32c(data: bytes) -> int:
    """The masked checksum of TFRecord: CRC-32C, rotated right by 15 bits, plus a constant."""
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def write_shard(path: Path, records: Iterable[bytes], **details) -> int:
    """Writes a TFRecord file and its index, atomically even if other processes write the same file.

    Args:
        records: serialised examples; may be a generator that fills the values of `details` as it goes.
        **details: JSON values to store in the index, see `read_details`.

    Returns:
        The number of records.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    offsets, offset = [], 0
    try:
        with open(partial, "wb") as file:
            for data in records:
                length = struct.pack("<Q", len(data))
                file.write(length + struct.pack("<I", masked_crc32c(length)))
                file.write(data + struct.pack("<I", masked_crc32c(data)))
                offsets.append(offset)
                offset += HEADER_BYTES + len(data) + FOOTER_BYTES
            file.flush()
            os.fsync(file.fileno())
        _write_index(path, offset, offsets, details)
        os.replace(partial, path)
    finally:  # also after Ctrl-C
        partial.unlink(missing_ok=True)
    return len(offsets)


def _partial(path: Path) -> Path:
    """A path beside `path` that no other process on any machine uses."""
    return path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")


def remove_partial(directory: Path):
    """Removes the partial files of writers that were killed."""
    for path in Path(directory).glob("*.partial"):
        path.unlink(missing_ok=True)


def remove_other_shards(directory: Path, kept: Iterable[Path]):
    """Removes shards of an earlier build, and their indices: all in the directory except `kept`."""
    kept = {path for shard in kept for path in (shard, index_path(shard))}
    for path in Path(directory).glob("*-of-?????.tfrecord*"):
        if path not in kept:
            path.unlink(missing_ok=True)


def index_path(shard: Path) -> Path:
    return shard.with_name(shard.name + ".index.json")


def _write_index(shard: Path, size: int, offsets: list[int], details: dict):
    partial = _partial(index_path(shard))  # several processes may rebuild the index at once
    partial.write_text(json.dumps({**details, "bytes": size, "offsets": offsets}))
    os.replace(partial, index_path(shard))


def read_index(shard: Path) -> list[int]:
    """Returns the byte offset of each record of a shard; rebuilds the index if it is missing or stale.

    Raises:
        ValueError: if the shard is truncated or damaged, with the offset of the first bad record.
    """
    size = shard.stat().st_size
    try:
        index = json.loads(index_path(shard).read_text())
        if index["bytes"] == size:
            return index["offsets"]
    except (OSError, ValueError, KeyError):
        pass
    offsets, offset = [], 0
    with open(shard, "rb") as file:
        while offset < size:
            offsets.append(offset)
            file.seek(offset)
            offset += HEADER_BYTES + _length(shard, offset, file.read(HEADER_BYTES)) + FOOTER_BYTES
            if offset > size:
                raise ValueError(f"{shard}: the record at byte {offsets[-1]} is cut short: the file ends at {size}.")
    try:
        _write_index(shard, size, offsets, {})
    except OSError:
        pass  # a read-only dataset: each run rebuilds the index
    return offsets


def read_details(shard: Path) -> dict:
    """Returns the index with the `details` of `write_shard`; {} if the index is missing or stale."""
    try:
        index = json.loads(index_path(shard).read_text())
        return index if index["bytes"] == shard.stat().st_size else {}
    except (OSError, ValueError, KeyError):
        return {}


def _length(shard: Path, offset: int, header: bytes) -> int:
    if len(header) < HEADER_BYTES:
        raise ValueError(f"{shard}: the record at byte {offset} is cut short within its header.")
    length, crc = struct.unpack("<QI", header)
    if masked_crc32c(header[:8]) != crc:
        raise ValueError(f"{shard}: the record at byte {offset} has a wrong length checksum; is this a TFRecord file?")
    return length


def read_record(shard: Path, offset: int) -> bytes:
    """Reads one record and verifies its checksums.

    Raises:
        ValueError: if it is missing, truncated or damaged, with the shard and the offset.
    """
    try:
        with open(shard, "rb") as file:
            file.seek(offset)
            length = _length(shard, offset, file.read(HEADER_BYTES))
            data, footer = file.read(length), file.read(FOOTER_BYTES)
    except OSError as error:
        raise ValueError(f"{shard}: the record at byte {offset} cannot be read: {error.strerror}.") from error
    if len(footer) < FOOTER_BYTES:
        raise ValueError(f"{shard}: the record at byte {offset} is cut short: the file ends within it.")
    if masked_crc32c(data) != struct.unpack("<I", footer)[0]:
        raise ValueError(f"{shard}: the record at byte {offset} is damaged: its checksum does not match.")
    return data


def shard_path(directory: Path, split: str, shard: int, num_shards: int) -> Path:
    return Path(directory) / f"{split}-{shard:05d}-of-{num_shards:05d}.tfrecord"


def split_of(shard: Path) -> str:
    """The split in the name of a shard."""
    return shard.name.rsplit("-", 3)[0]


def find_splits(directory: Path) -> list[str]:
    """Returns the sorted names of the splits that have shards in a directory."""
    return sorted({match[1] for match, _ in _all_shards(directory)})


def find_shards(directory: Path, split: str) -> list[Path]:
    """Returns the shards of a split in order, with or without `.tfrecord` after `-00000-of-00010`.

    Raises:
        ValueError: if the split has no shards (lists the splits that exist), or if shards are missing.
    """
    shards = [(match, path) for match, path in _all_shards(directory) if match[1] == split]
    if not shards:
        splits = find_splits(directory) or "no TFRecord shards at all"
        raise ValueError(f"No split {split!r} in {directory}; it has {splits}.")
    num_shards = int(shards[0][0][3])
    if [int(match[2]) for match, _ in shards] != list(range(num_shards)):
        raise ValueError(
            f"Split {split!r} in {directory} has {len(shards)} of {num_shards} shards: copy or make the missing ones."
        )
    return [path for _, path in shards]


def _all_shards(directory: Path) -> list[tuple[re.Match, Path]]:
    pattern = re.compile(r"(.+)-(\d{5})-of-(\d{5})(\.tfrecords?)?")
    paths = sorted(Path(directory).glob("*-of-*"))
    return [(match, path) for path in paths if (match := pattern.fullmatch(path.name))]
