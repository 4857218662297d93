import cv2
import numpy as np
import pytest
from tensorflow_datasets.proto import tf_example_generated_pb2 as tf_example

from vidjax.data import clips, label_scan, mp4, pipeline, records, tfrecords, video


def moving(num_frames=30, height=48, width=64) -> np.ndarray:
    """A smooth grey texture that moves to the left, and another after half of the frames: (T, H, W, 3)."""
    noise = np.random.default_rng(0).integers(0, 255, (2, 4, 8, 1), dtype=np.uint8).repeat(3, -1)
    first, second = (cv2.resize(x, (width + 2 * num_frames, height)) for x in noise)
    return np.stack([(first, second)[i >= num_frames // 2][:, 2 * i :][:, :width] for i in range(num_frames)])


def encode(frames) -> records.EncodedVideo:
    writer = mp4.Writer(10)
    for frame in frames:
        writer.add(frame)
    return writer.finish()


def example_of(encoded: records.EncodedVideo, frames, **changes) -> records.Example:
    height, width = frames.shape[1:3]
    content = {"labels": [0], "media_id": "a.mp4", "fps": 10.0, "height": height, "width": width}
    return records.Example(encoded, **{**content, **changes})


@pytest.fixture(scope="module")
def frames():
    return moving()


@pytest.fixture(scope="module")
def example(frames):
    return example_of(encode(frames), frames)


@pytest.fixture(scope="module")
def decoded(example):
    read = clips.decoder(example)
    return np.stack([read(i) for i in range(len(example.images))])


def test_frames_are_those_that_the_encoder_reconstructs(frames, decoded, example, tmp_path, monkeypatch):
    dumped = tmp_path / "reconstruction.yuv"
    monkeypatch.setitem(mp4.OPTIONS, "x264-params", f"{mp4.OPTIONS['x264-params']}:dump-yuv={dumped}")
    assert encode(frames).data == example.images.data  # the same bytes each time
    expected = np.fromfile(dumped, np.uint8).reshape(30, 72, 64)
    np.testing.assert_array_equal(decoded, [cv2.cvtColor(x, cv2.COLOR_YUV2RGB_I420) for x in expected])
    assert np.abs(decoded.astype(int) - frames).mean() < 4  # and close to what was encoded


def test_frames_do_not_depend_on_the_order_of_reading(decoded, example):
    read = clips.decoder(example)
    for i in (29, 0, 0, 12, 11, 13, 25, 24, 23):
        np.testing.assert_array_equal(read(i), decoded[i])


def packets_of(data: bytes, tmp_path) -> list[tuple[int, int, bool]]:
    (tmp_path / "a.mp4").write_bytes(data)
    with video.containers.open_video(tmp_path / "a.mp4") as container:
        return [(x.pos, x.size, x.is_keyframe) for x in container.streams.video[0].index_entries]


def test_only_the_groups_that_are_needed_are_decoded(decoded, example, frames, tmp_path):
    packets, data = packets_of(example.images.data, tmp_path), bytearray(example.images.data)
    assert [i for i, (_, _, is_key) in enumerate(packets) if is_key] == [0, 12, 24]
    for start, size, _ in packets[12:24]:
        data[start : start + size] = bytes(size)
    read = clips.decoder(example_of(records.EncodedVideo(bytes(data), 30), frames))
    for i in (3, 25, 29):
        np.testing.assert_array_equal(read(i), decoded[i])
    with pytest.raises(ValueError, match=r"The video in the record of 'a.mp4' is damaged at frame 12: Invalid data"):
        read(14)


@pytest.mark.parametrize("shape", [(1, 47, 31), (2, 30, 33), (13, 17, 16), (1, 1, 1)])
def test_odd_sizes_and_single_frames(shape):
    frames = moving(*shape)
    read = clips.decoder(example_of(encode(frames), frames))
    assert np.abs(np.stack([read(i) for i in range(shape[0])]).astype(int) - frames).mean() < 4


def test_the_record_has_mediasequences_key_and_a_time_per_frame(example, decoded):
    data = records.encode(example)
    proto = tf_example.SequenceExample.FromString(data)
    assert proto.context.feature["clip/encoded_media_bytes"].bytes_list.value[:] == [example.images.data]
    times = proto.feature_lists.feature_list["image/timestamp"].feature
    assert [x.int64_list.value[0] for x in times[:3]] == [0, 100_000, 200_000]
    assert records.decode(data).images == example.images


def test_labels_are_scanned_without_the_video(example, tmp_path):
    shard = tmp_path / "train-00000-of-00001.tfrecord"
    tfrecords.write_shard(shard, [records.encode(example)])
    found = label_scan.of_record(shard, 0)
    assert (found.labels, found.media_id, len(found.images)) == ([0], "a.mp4", 0)


def test_batches_are_those_of_the_same_frames_as_png(decoded, example, tmp_path):
    png = [cv2.imencode(".png", x[..., ::-1])[1].tobytes() for x in decoded]
    clip = {"num_frames": 5, "frame_stride": 3, "size": 24, "resize": 32}
    batches = {}
    for name, images in (("mp4", example.images), ("png", png)):
        encoded = records.encode(records.Example(images, [0], fps=10, height=48, width=64))
        tfrecords.write_shard(tfrecords.shard_path(tmp_path / name, "train", 0, 1), [encoded] * 3)
        clips.dataset_info.write(tmp_path / name, clips.dataset_info.DatasetInfo(["a"], "unchanged"), complete=True)
        source = pipeline.open_records(tmp_path / name, ["train"])
        train = pipeline.train_batches(source, clip | {"flip": True}, batch_size=2, num_steps=3, start_step=1)
        views = pipeline.eval_batches(source, clip | {"num_views": 2, "num_crops": 3}, batch_size=2)
        batches[name] = [*train, *views]
    for ours, theirs in zip(batches["mp4"], batches["png"], strict=True):
        for name in theirs:
            np.testing.assert_array_equal(ours[name], theirs[name])


def test_what_is_not_such_a_video_names_the_record(example, frames, tmp_path):
    data = example.images.data
    for encoded, why in (
        (records.EncodedVideo(data[:-300], 30), "is damaged, or is not H.264"),
        (records.EncodedVideo(data[:-3000], 30), "cannot be read as MP4: Invalid data"),
        (records.EncodedVideo(data, 29), "has 30 frames, but the record has 29 timestamps"),
    ):
        with pytest.raises(ValueError, match=f"The video in the record of 'a.mp4' {why}.*; remake the record"):
            clips.decoder(example_of(encoded, frames))
    video.write_video(tmp_path / "b.mp4", frames, 10, all_intra=False)
    encoded = records.EncodedVideo((tmp_path / "b.mp4").read_bytes(), 30)
    with pytest.raises(ValueError, match="is damaged, or is not H.264, yuv420p, without B-frames, but .*True"):
        clips.decoder(example_of(encoded, frames))


def test_frames_that_are_too_large_for_x264_are_an_error_of_their_video():
    with pytest.raises(ValueError, match="frames of 16500x2 pixels cannot be encoded as mp4"):
        encode(np.zeros((1, 2, 16500, 3), np.uint8))


def test_a_video_without_frames_is_empty():
    assert len(mp4.Writer(0).finish()) == 0
