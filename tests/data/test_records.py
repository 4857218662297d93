import dataclasses
import os

import numpy as np
import pytest
from tensorflow_datasets.proto import tf_example_generated_pb2 as tf_example

from vidjax.data import records


def example(name="clip", num_frames=3, **changes):
    images = [f"{name} frame {i}".encode() for i in range(num_frames)]
    content = {"labels": [1], "label_names": ["run"], "media_id": name, "fps": 25.0, "height": 48, "width": 64}
    return records.Example(images=images, **{**content, **changes})


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


def test_decode_rejects_other_bytes():
    with pytest.raises(ValueError, match="not a tf.train.SequenceExample"):
        records.decode(b"\xff\xff\xff not a proto")
