import dataclasses
import os
import shutil

import numpy as np
import pytest
from tensorflow_datasets.proto import tf_example_generated_pb2 as tf_example

from vidjax.data import records


def example(name="clip", num_frames=3, **changes):
    images = [f"{name} frame {i}".encode() for i in range(num_frames)]
    content = {"labels": [1], "label_names": ["run"], "media_id": name, "fps": 25.0, "height": 48, "width": 64}
    return records.Example(images=images, **{**content, **changes})


@pytest.fixture
def shard(tmp_path):
    path = records.shard_path(tmp_path, "train", 0, 1)
    records.write_shard(path, [records.encode(example(f"clip {i}")) for i in range(4)])
    return path


def test_an_example_survives_encoding():
    original = example(start=2.0, end=2.12, frame_labels=[0, 1, 1])
    parsed = records.decode(records.encode(original))
    assert dataclasses.replace(parsed, images=list(parsed.images)) == original


def test_segments_are_stored_under_mediasequences_keys():
    segments = records.IndexedSegment(0.5, 1.25, 2, "walk"), records.IndexedSegment(1.0, 3.0, 0, "sit")
    original = example(segments=segments)
    data = records.encode(original)
    context = tf_example.SequenceExample.FromString(data).context.feature
    assert context["segment/start/timestamp"].int64_list.value[:] == [500_000, 1_000_000]
    assert context["segment/end/timestamp"].int64_list.value[:] == [1_250_000, 3_000_000]
    assert context["segment/label/index"].int64_list.value[:] == [2, 0]
    assert context["segment/label/string"].bytes_list.value[:] == [b"walk", b"sit"]
    assert records.decode(data).segments == original.segments and not records.decode(records.encode(example())).segments


def test_features_survive_encoding():
    features = {"RGB": np.arange(6, dtype=np.float32).reshape(3, 2), "FLOW": np.ones((1, 4), np.float32)}
    parsed = records.decode(records.encode(records.Example(images=[], labels=[1], features=features)))
    assert parsed.features.keys() == features.keys()
    for prefix, expected in features.items():
        np.testing.assert_array_equal(parsed.features[prefix], expected)
        assert parsed.features[prefix].dtype == np.float32


def test_the_key_of_features_is_that_of_mediasequence():
    from tensorflow_datasets.proto import tf_example_generated_pb2 as tf_example

    example_of_one = records.Example(images=[], labels=[1], features={"RGB": np.array([[1.5, 2.5]])})
    proto = tf_example.SequenceExample.FromString(records.encode(example_of_one))
    assert proto.feature_lists.feature_list["RGB/feature/floats"].feature[0].float_list.value[:] == [1.5, 2.5]


def test_times_of_features_are_stored_as_mediasequence_does():
    steps = {"features": {"RGB": np.ones((2, 1), np.float32)}, "feature_times": {"RGB": [0.02, 1.5]}}
    data = records.encode(example(start=2.0, **steps))
    stored = tf_example.SequenceExample.FromString(data).feature_lists.feature_list["RGB/feature/timestamp"].feature
    assert [step.int64_list.value[0] for step in stored] == [2_020_000, 3_500_000]  # in the original video
    assert records.decode(data).feature_times == {"RGB": [0.02, 1.5]}


def test_flow_comes_back_with_its_saturation():
    original = records.Example(images=[b"1", b"2"], labels=[0], fps=10.0, flow=[b"flow"], saturation=32.0)
    data = records.encode(original)
    parsed = records.decode(data)
    assert (list(parsed.flow), parsed.saturation) == ([b"flow"], 32.0)
    proto = tf_example.SequenceExample.FromString(data)
    assert proto.context.feature["FORWARD_FLOW/image/saturation"].float_list.value == [32.0]
    timestamps = proto.feature_lists.feature_list["FORWARD_FLOW/image/timestamp"].feature
    assert [step.int64_list.value[0] for step in timestamps] == [0]
    assert (
        "FORWARD_FLOW/image/encoded"
        not in tf_example.SequenceExample.FromString(
            records.encode(records.Example(images=[b"1"], labels=[0]))
        ).feature_lists.feature_list
    )


def test_keys_are_those_of_dmvr_and_mediasequence():
    from tensorflow_datasets.proto import tf_example_generated_pb2 as tf_example

    proto = tf_example.SequenceExample.FromString(records.encode(example(start=1.0)))
    timestamps = [step.int64_list.value[0] for step in proto.feature_lists.feature_list["image/timestamp"].feature]
    assert timestamps == [1_000_000, 1_040_000, 1_080_000]  # microseconds, 25 frames per second from second 1
    assert proto.context.feature["clip/label/text"].bytes_list.value[0] == b"run"
    assert proto.context.feature["clip/label/string"].bytes_list.value[0] == b"run"
    assert proto.context.feature["clip/label/index"].int64_list.value[0] == 1


def test_names_that_are_not_utf8_keep_their_bytes_and_come_back_printable():
    name = os.fsdecode(b"caf\xe9.mp4")
    data = records.encode(example(media_id=name, label_names=[name]))
    assert b"caf\xe9.mp4" in data
    parsed = records.decode(data)
    assert parsed.media_id == parsed.label_names[0] == "caf\\xe9.mp4"


def test_details_are_those_of_the_shard_that_is_there(tmp_path):
    path, found = tmp_path / "a-00000-of-00001.tfrecord", {"skipped": []}

    def examples():
        yield b"abc"
        found["skipped"].append("x.mp4")

    records.write_shard(path, examples(), problems=found, digest="12")
    details = records.read_details(path)
    assert (details["problems"], details["digest"]) == ({"skipped": ["x.mp4"]}, "12")
    path.write_bytes(path.read_bytes() * 2)  # the file has changed
    assert records.read_details(path) == {} and len(records.read_index(path)) == 2
    assert records.read_details(path).get("digest") is None
    assert records.read_details(tmp_path / "none.tfrecord") == {}


def test_decode_rejects_other_bytes():
    with pytest.raises(ValueError, match="not a tf.train.SequenceExample"):
        records.decode(b"\xff\xff\xff not a proto")


def test_checksum_is_the_published_one():
    # CRC-32C of 32 zero bytes is 0x8a9136aa (RFC 3720, appendix B.4); the mask is TFRecord's
    crc = 0x8A9136AA
    assert records.masked_crc32c(bytes(32)) == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32


def test_records_read_back_in_any_order(shard):
    offsets = records.read_index(shard)
    names = [records.decode(records.read_record(shard, offset)).media_id for offset in reversed(offsets)]
    assert names == ["clip 3", "clip 2", "clip 1", "clip 0"]


def test_a_missing_or_stale_index_is_made_again(shard):
    offsets = records.read_index(shard)
    records.index_path(shard).unlink()
    assert records.read_index(shard) == offsets
    assert records.index_path(shard).exists()
    records.index_path(shard).write_text('{"bytes": 1, "offsets": [0]}')
    assert records.read_index(shard) == offsets


def test_a_flipped_bit_is_found_and_named(shard):
    offset = records.read_index(shard)[2]
    data = bytearray(shard.read_bytes())
    data[offset + 40] ^= 4
    shard.write_bytes(data)
    records.read_record(shard, records.read_index(shard)[1])  # its neighbours are intact
    with pytest.raises(ValueError, match=rf"{shard.name}.* byte {offset} is damaged"):
        records.read_record(shard, offset)


def test_a_flipped_bit_in_a_length_is_found(shard):
    data = bytearray(shard.read_bytes())
    data[0] ^= 1
    shard.write_bytes(data)
    records.index_path(shard).unlink()
    with pytest.raises(ValueError, match=f"{shard.name}.* byte 0 has a wrong length checksum"):
        records.read_index(shard)


def test_a_truncated_shard_names_the_record(shard):
    offsets = records.read_index(shard)
    shard.write_bytes(shard.read_bytes()[:-7])
    with pytest.raises(ValueError, match=f"{shard.name}: the record at byte {offsets[-1]} is cut short"):
        records.read_index(shard)
    with pytest.raises(ValueError, match="cut short"):
        records.read_record(shard, offsets[-1])


def test_a_shard_appears_whole_or_not_at_all(tmp_path):
    def interrupted():
        yield records.encode(example())
        raise KeyboardInterrupt

    path = records.shard_path(tmp_path, "train", 0, 1)
    with pytest.raises(KeyboardInterrupt):
        records.write_shard(path, interrupted())
    assert not list(tmp_path.iterdir())


def test_two_writers_of_one_shard_do_not_meet(tmp_path):
    path = records.shard_path(tmp_path, "train", 0, 1)

    def first():
        yield b"abc"
        records.write_shard(path, [b"abc", b"def"])  # another writer starts and ends meanwhile
        yield b"def"

    assert records.write_shard(path, first()) == 2
    assert [records.read_record(path, offset) for offset in records.read_index(path)] == [b"abc", b"def"]
    assert sorted(tmp_path.iterdir()) == [path, records.index_path(path)]


def test_what_killed_writers_left_is_removed(tmp_path):
    (tmp_path / "train-00000-of-00001.tfrecord").touch()
    (tmp_path / "train-00000-of-00001.tfrecord.0123.partial").touch()
    records.remove_partial(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["train-00000-of-00001.tfrecord"]


def test_shards_that_an_earlier_build_left_are_removed(tmp_path):
    names = ["train-00000-of-00002", "train-00001-of-00002", "val-00000-of-00001"]
    paths = [tmp_path / f"{name}.tfrecord" for name in names]
    for path in paths:
        records.write_shard(path, [])
    (tmp_path / "train-notes.txt").touch()
    records.remove_other_shards(tmp_path, paths[:2])
    kept = [path for shard in paths[:2] for path in (shard, records.index_path(shard))]
    assert sorted(tmp_path.iterdir()) == [*kept, tmp_path / "train-notes.txt"]


def test_find_shards(shard, tmp_path):
    assert records.find_shards(tmp_path, "train") == [shard]
    with pytest.raises(ValueError, match=r"No split 'test'.*\['train'\]"):
        records.find_shards(tmp_path, "test")
    shutil.copy(shard, records.shard_path(tmp_path, "val", 1, 2))
    with pytest.raises(ValueError, match="1 of 2 shards"):
        records.find_shards(tmp_path, "val")


def test_find_shards_of_others_without_an_ending(shard, tmp_path):
    shutil.copy(shard, tmp_path / "dmvr-00000-of-00001")
    assert records.find_shards(tmp_path, "dmvr") == [tmp_path / "dmvr-00000-of-00001"]


def test_a_record_written_by_numpy_bytes_is_framed_as_tfrecord(tmp_path):
    """The framing, byte by byte: length, masked checksum, data, masked checksum."""
    path = tmp_path / "a-00000-of-00001.tfrecord"
    records.write_shard(path, [b"abc"])
    data = path.read_bytes()
    assert len(data) == 12 + 3 + 4
    assert np.frombuffer(data[:8], "<u8")[0] == 3
    assert data[12:15] == b"abc"
    assert np.frombuffer(data[15:], "<u4")[0] == records.masked_crc32c(b"abc")
