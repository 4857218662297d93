import numpy as np
import pytest
from tensorflow_datasets.proto import tf_example_generated_pb2 as tf_example

from tests.conftest import write_numbered
from vidjax.data import dataset_info, label_scan, pipeline, records, tfrecords

KINDS = {"multi_label": False, "per_frame": False}


def dataset(directory, examples, labels=("a", "b"), **info):
    """Opens a dataset of one shard; `examples` may be bytes."""
    examples = [x if isinstance(x, bytes) else records.encode(x) for x in examples]
    tfrecords.write_shard(tfrecords.shard_path(directory, "train", 0, 1), examples)
    dataset_info.write(directory, dataset_info.DatasetInfo(list(labels), "forbidden", **info), complete=True)
    return pipeline.open_records(directory, ["train"])


def example(**content):
    return records.Example(**{"images": [b"frame"] * 3, "labels": [1], "media_id": "v.mp4", **content})


def test_a_record_without_its_frames(tmp_path):
    whole = example(
        frame_labels=[0, 1, 300], height=7, flow=[b"flow"] * 2, features={"RGB": np.ones((2, 3), np.float32)}
    )
    found = label_scan.of_record(*dataset(tmp_path, [whole]).places[0])
    assert (found.labels, found.frame_labels, found.media_id, found.height) == ([1], [0, 1, 300], "v.mp4", 7)
    assert not len(found.images) and not found.features and not len(found.flow)


def test_the_fields_of_a_record_may_come_in_any_order(tmp_path):
    proto = tf_example.SequenceExample.FromString(records.encode(example(frame_labels=[1, 0, 1])))
    context = tf_example.SequenceExample(context=proto.context).SerializeToString()
    lists = tf_example.SequenceExample(feature_lists=proto.feature_lists).SerializeToString()
    found = label_scan.of_record(*dataset(tmp_path, [lists + context]).places[0])
    assert (found.labels, found.frame_labels) == ([1], [1, 0, 1])
    found = label_scan.of_record(*dataset(tmp_path, [context]).places[0])
    assert (found.labels, found.frame_labels) == ([1], [])


@pytest.mark.parametrize("index", [-1, 2, 2**40])
@pytest.mark.parametrize("multi_label", [False, True])
def test_an_invalid_class_index_is_named(index, multi_label, tmp_path):
    write_numbered(tmp_path, "train", 5, 2, labels=lambda v: [index if v == 3 else 1])
    dataset_info.write(tmp_path, dataset_info.DatasetInfo(["a", "b"], "forbidden"), complete=True)
    source = pipeline.open_records(tmp_path, ["train"])
    message = (
        rf"train-00000-of-00001.tfrecord, record 3 \(at byte {source.places[3][1]}\): clip/label/index of 'video 3' "
        rf"holds the class index {index}, but labels.txt names 2 classes: valid are 0 to 1"
    )
    with pytest.raises(ValueError, match=message):
        label_scan.check(source, multi_label=multi_label, per_frame=False)
    with pytest.raises(ValueError, match=message):  # if the scan did not reach it
        source[3]
    with pytest.raises(ValueError, match=message):  # in the loading threads
        clip = {"num_frames": 2, "size": 8, "multi_label": multi_label}
        list(pipeline.train_batches(source, clip, batch_size=2, num_steps=5, num_threads=2))
    label_scan.check(source, multi_label=multi_label, per_frame=False, seconds=0)  # no time for any record


@pytest.mark.parametrize("index", [-1, 2])
def test_an_invalid_frame_label(index, tmp_path):
    source = dataset(tmp_path, [example(frame_labels=[0, 1, index])])
    for look in (lambda: label_scan.check(source, multi_label=False, per_frame=True), lambda: source[0]):
        with pytest.raises(
            ValueError, match=rf"image/label/index of 'v.mp4' holds the class index {index} at position 2"
        ):
            look()


def test_words_of_captions(tmp_path):
    inputs = {"caption_length": 4}
    source = dataset(tmp_path, [example(labels=[2, 1])], ["<end>", "a", "b"], inputs=inputs)
    label_scan.check(source, **KINDS)
    for word in (0, 3):  # 0 marks the end and is not a word
        source = dataset(tmp_path, [example(labels=[1, word])], ["<end>", "a", "b"], inputs=inputs)
        with pytest.raises(ValueError, match=f"index {word} at position 1, but .* valid are 1 to 2"):
            label_scan.check(source, **KINDS)


def test_labels_that_do_not_fit_the_loss(tmp_path):
    source = dataset(tmp_path, [example(labels=[])])
    with pytest.raises(ValueError, match="record 0 .*A record has no label, but the loss softmax needs one"):
        label_scan.check(source, **KINDS)
    label_scan.check(source, multi_label=True, per_frame=False)
    with pytest.raises(ValueError, match="'v.mp4' has no frame labels"):
        label_scan.check(source, multi_label=False, per_frame=True)
    with pytest.raises(ValueError, match=r"has the labels \[0, 1\]: train .* loss sigmoid"):
        label_scan.check(dataset(tmp_path, [example(labels=[0, 1])]), **KINDS)


def test_a_record_that_is_damaged(tmp_path):
    source = dataset(tmp_path, [b"\x08\x01 no record"])
    with pytest.raises(ValueError, match="not a tf.train.SequenceExample"):
        label_scan.of_record(*source.places[0])
    shard, offset = source.places[0]
    data = bytearray(shard.read_bytes())
    data[offset + 13] ^= 1
    shard.write_bytes(data)
    with pytest.raises(ValueError, match=f"{shard.name}: the record at byte {offset} is damaged"):
        label_scan.of_record(shard, offset)
