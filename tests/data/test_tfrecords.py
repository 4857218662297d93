import shutil

import numpy as np
import pytest

from vidjax.data import records, tfrecords


def example(name="clip"):
    return records.encode(records.Example([b"first", b"second"], [1], media_id=name))


@pytest.fixture
def shard(tmp_path):
    path = tfrecords.shard_path(tmp_path, "train", 0, 1)
    tfrecords.write_shard(path, [example(f"clip {i}") for i in range(4)])
    return path


def test_details_are_those_of_the_shard_that_is_there(tmp_path):
    path, found = tmp_path / "a-00000-of-00001.tfrecord", {"skipped": []}

    def examples():
        yield b"abc"
        found["skipped"].append("x.mp4")

    tfrecords.write_shard(path, examples(), problems=found, digest="12")
    details = tfrecords.read_details(path)
    assert (details["problems"], details["digest"]) == ({"skipped": ["x.mp4"]}, "12")
    path.write_bytes(path.read_bytes() * 2)  # the file has changed
    assert tfrecords.read_details(path) == {} and len(tfrecords.read_index(path)) == 2
    assert tfrecords.read_details(path).get("digest") is None
    assert tfrecords.read_details(tmp_path / "none.tfrecord") == {}


def test_checksum_is_the_published_one():
    # CRC-32C of 32 zero bytes is 0x8a9136aa (RFC 3720, appendix B.4); the mask is TFRecord's
    crc = 0x8A9136AA
    assert tfrecords.masked_crc32c(bytes(32)) == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32


def test_records_read_back_in_any_order(shard):
    offsets = tfrecords.read_index(shard)
    names = [records.decode(tfrecords.read_record(shard, offset)).media_id for offset in reversed(offsets)]
    assert names == ["clip 3", "clip 2", "clip 1", "clip 0"]


def test_a_missing_or_stale_index_is_made_again(shard):
    offsets = tfrecords.read_index(shard)
    tfrecords.index_path(shard).unlink()
    assert tfrecords.read_index(shard) == offsets
    assert tfrecords.index_path(shard).exists()
    tfrecords.index_path(shard).write_text('{"bytes": 1, "offsets": [0]}')
    assert tfrecords.read_index(shard) == offsets


def test_a_flipped_bit_is_found_and_named(shard):
    offset = tfrecords.read_index(shard)[2]
    data = bytearray(shard.read_bytes())
    data[offset + 40] ^= 4
    shard.write_bytes(data)
    tfrecords.read_record(shard, tfrecords.read_index(shard)[1])  # its neighbours are intact
    with pytest.raises(ValueError, match=rf"{shard.name}.* byte {offset} is damaged"):
        tfrecords.read_record(shard, offset)


def test_a_flipped_bit_in_a_length_is_found(shard):
    data = bytearray(shard.read_bytes())
    data[0] ^= 1
    shard.write_bytes(data)
    tfrecords.index_path(shard).unlink()
    with pytest.raises(ValueError, match=f"{shard.name}.* byte 0 has a wrong length checksum"):
        tfrecords.read_index(shard)


def test_a_truncated_shard_names_the_record(shard):
    offsets = tfrecords.read_index(shard)
    shard.write_bytes(shard.read_bytes()[:-7])
    with pytest.raises(ValueError, match=f"{shard.name}: the record at byte {offsets[-1]} is cut short"):
        tfrecords.read_index(shard)
    with pytest.raises(ValueError, match="cut short"):
        tfrecords.read_record(shard, offsets[-1])


def test_a_shard_appears_whole_or_not_at_all(tmp_path):
    def interrupted():
        yield example()
        raise KeyboardInterrupt

    path = tfrecords.shard_path(tmp_path, "train", 0, 1)
    with pytest.raises(KeyboardInterrupt):
        tfrecords.write_shard(path, interrupted())
    assert not list(tmp_path.iterdir())


def test_two_writers_of_one_shard_do_not_meet(tmp_path):
    path = tfrecords.shard_path(tmp_path, "train", 0, 1)

    def first():
        yield b"abc"
        tfrecords.write_shard(path, [b"abc", b"def"])  # another writer starts and ends meanwhile
        yield b"def"

    assert tfrecords.write_shard(path, first()) == 2
    assert [tfrecords.read_record(path, offset) for offset in tfrecords.read_index(path)] == [b"abc", b"def"]
    assert sorted(tmp_path.iterdir()) == [path, tfrecords.index_path(path)]


def test_what_killed_writers_left_is_removed(tmp_path):
    (tmp_path / "train-00000-of-00001.tfrecord").touch()
    (tmp_path / "train-00000-of-00001.tfrecord.0123.partial").touch()
    tfrecords.remove_partial(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["train-00000-of-00001.tfrecord"]


def test_shards_that_an_earlier_build_left_are_removed(tmp_path):
    names = ["train-00000-of-00002", "train-00001-of-00002", "val-00000-of-00001"]
    paths = [tmp_path / f"{name}.tfrecord" for name in names]
    for path in paths:
        tfrecords.write_shard(path, [])
    (tmp_path / "train-notes.txt").touch()
    tfrecords.remove_other_shards(tmp_path, paths[:2])
    kept = [path for shard in paths[:2] for path in (shard, tfrecords.index_path(shard))]
    assert sorted(tmp_path.iterdir()) == [*kept, tmp_path / "train-notes.txt"]


def test_find_shards(shard, tmp_path):
    assert tfrecords.find_shards(tmp_path, "train") == [shard]
    with pytest.raises(ValueError, match=r"No split 'test'.*\['train'\]"):
        tfrecords.find_shards(tmp_path, "test")
    shutil.copy(shard, tfrecords.shard_path(tmp_path, "val", 1, 2))
    with pytest.raises(ValueError, match="1 of 2 shards"):
        tfrecords.find_shards(tmp_path, "val")


def test_find_shards_of_others_without_an_ending(shard, tmp_path):
    shutil.copy(shard, tmp_path / "dmvr-00000-of-00001")
    assert tfrecords.find_shards(tmp_path, "dmvr") == [tmp_path / "dmvr-00000-of-00001"]


def test_a_record_written_by_numpy_bytes_is_framed_as_tfrecord(tmp_path):
    """The framing, byte by byte: length, masked checksum, data, masked checksum."""
    path = tmp_path / "a-00000-of-00001.tfrecord"
    tfrecords.write_shard(path, [b"abc"])
    data = path.read_bytes()
    assert len(data) == 12 + 3 + 4
    assert np.frombuffer(data[:8], "<u8")[0] == 3
    assert data[12:15] == b"abc"
    assert np.frombuffer(data[15:], "<u4")[0] == tfrecords.masked_crc32c(b"abc")
