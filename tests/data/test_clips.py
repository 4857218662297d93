import cv2
import numpy as np
import pytest

from vidjax import flow
from vidjax.data import clips, dataset_info, flow_images, pipeline, records

CLIP = {"num_frames": 4, "frame_stride": 2, "size": 8}


@pytest.fixture(scope="module")
def source(numbered_records):
    return pipeline.open_records(numbered_records, ["train"])


def test_multi_label_targets(source):
    example = records.Example(images=source[0].images, labels=[0, 1])
    clip = clips.eval_clips(example, source.info, **CLIP, multi_label=True)
    assert clip["target"].tolist() == [1, 1]
    with pytest.raises(ValueError, match="multi_label"):
        clips.eval_clips(example, source.info, **CLIP)


def test_only_the_frames_of_the_clip_are_decoded(source):
    images = [b"never decoded"] * 9
    images[1:8:2] = list(source[0].images)[1:8:2]  # the centre clip of 9 frames
    clip = clips.eval_clips(records.Example(images=images, labels=[0]), source.info, **CLIP)
    assert clip["video"][0, :, 0, 0, 1].tolist() == [1, 3, 5, 7]


def test_bad_frames_are_named(source):
    broken = records.Example(images=[b"no picture"] * 9, labels=[0], media_id="a.mp4")
    with pytest.raises(ValueError, match="of 'a.mp4' is not a JPEG or PNG"):
        clips.eval_clips(broken, source.info, **CLIP)
    with pytest.raises(ValueError, match="'a.mp4' holds no frames"):
        clips.eval_clips(records.Example(images=[], labels=[0], media_id="a.mp4"), source.info, **CLIP)


@pytest.fixture(scope="module")
def with_flow():
    """Nine frames and the flow of eight: u is 2 t pixels in the left half and 0 elsewhere; v is -4."""
    fields = np.zeros((8, 16, 16, 2))
    fields[:, :, :8, 0] = 2 * np.arange(8)[:, None, None]
    fields[..., 1] = -4
    frames = np.broadcast_to(20 * np.arange(9, dtype=np.uint8)[:, None, None, None], (9, 16, 16, 3))
    pictures = [flow_images.to_png(np.rint(flow.to_levels(field)).astype(np.uint8)) for field in fields]
    images = [cv2.imencode(".png", frame)[1].tobytes() for frame in frames]
    return records.Example(images=images, labels=[0], media_id="a.mp4", flow=pictures)


FORBIDDEN = dataset_info.DatasetInfo(["a"], "forbidden")
UNCHANGED = dataset_info.DatasetInfo(["a"], "unchanged")
WHOLE = {"num_frames": 4, "frame_stride": 2, "size": 16}


def test_stored_flow_is_cut_like_the_frames_it_belongs_to(with_flow):
    clip = clips.eval_clips(with_flow, FORBIDDEN, **WHOLE, streams=("video", "flow"))
    assert clip["video"][0, :, 0, 0, 0].tolist() == [
        0,
        40,
        80,
        120,
    ]  # frames 0, 2, 4, 6 of the 8 that have a next frame
    np.testing.assert_allclose(
        flow.from_levels(clip["flow"][0, :, 0, 0]), [[0, -4], [4, -4], [8, -4], [12, -4]], atol=0.1
    )
    alone = clips.eval_clips(with_flow, FORBIDDEN, **WHOLE, streams=("flow",))
    assert alone.keys() == {"flow", "target", "weight"}
    np.testing.assert_array_equal(alone["flow"], clip["flow"])
    drawn = clips.train_clip(with_flow, np.random.default_rng(0), FORBIDDEN, **WHOLE, streams=("flow",))
    assert {name: x.shape for name, x in drawn.items()} == {"flow": (4, 16, 16, 2), "target": (), "weight": ()}


def test_mirroring_negates_horizontal_flow(with_flow):
    arguments = {**WHOLE, "streams": ("video", "flow")}
    seeds = range(8)
    plain = [clips.train_clip(with_flow, np.random.default_rng(s), UNCHANGED, **arguments) for s in seeds]
    drawn = [clips.train_clip(with_flow, np.random.default_rng(s), UNCHANGED, **arguments, flip=True) for s in seeds]
    mirrored = [(a, b) for a, b in zip(plain, drawn, strict=True) if (a["flow"] != b["flow"]).any()]
    assert 1 < len(mirrored) < 8
    for before, after in mirrored:
        turned = clips.negate_flow(before["flow"][..., ::-1, 0])
        np.testing.assert_array_equal(after["flow"][..., 0], turned)
        np.testing.assert_allclose(flow.from_levels(turned), -flow.from_levels(before["flow"][..., ::-1, 0]), atol=1e-5)
        np.testing.assert_array_equal(after["flow"][..., 1], before["flow"][..., ::-1, 1])


def test_ten_crops_are_corners_and_centre_and_their_mirror_images(with_flow):
    arguments = {"num_frames": 2, "size": 8, "num_views": 2, "streams": ("video", "flow")}
    views = clips.eval_clips(with_flow, UNCHANGED, num_crops=10, **arguments)
    video, stored = views["video"], views["flow"]
    assert video.shape == (20, 2, 8, 8, 3)
    np.testing.assert_array_equal(video[10:], video[:10, :, :, ::-1])
    np.testing.assert_array_equal(stored[10:, ..., 0], 255 - stored[:10, :, :, ::-1, 0])
    np.testing.assert_array_equal(stored[10:, ..., 1], stored[:10, :, :, ::-1, 1])
    np.testing.assert_array_equal(video[8:10], clips.eval_clips(with_flow, UNCHANGED, **arguments)["video"])
    frame = clips.decoder(with_flow)(0)
    for crop, corner in enumerate((frame[:8, :8], frame[:8, -8:], frame[-8:, :8], frame[-8:, -8:])):
        np.testing.assert_array_equal(video[2 * crop, 0], corner)
    with pytest.raises(ValueError, match="num_crops = 10 mirrors clips, which changes the classes of these records"):
        clips.eval_clips(with_flow, FORBIDDEN, num_frames=2, size=8, num_crops=10)


def test_mirroring_changes_the_classes_of_segments():
    png = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    left = records.IndexedSegment(0.0, 0.2, 0, "left")
    example = records.Example([png] * 2, [0], fps=10.0, segments=[left])
    info = dataset_info.DatasetInfo(["left", "right"], [1, 0])
    arguments = {"num_frames": 2, "size": 8, "multi_label": True, "per_frame": True, "flip": True}
    found = [clips.train_clip(example, np.random.default_rng(s), info, **arguments)["target"] for s in range(8)]
    assert {str(x.tolist()) for x in found} == {"[[1.0, 0.0], [1.0, 0.0]]", "[[0.0, 1.0], [0.0, 1.0]]"}


def test_negated_flow_equals_the_stored_flow_of_the_reverse_motion():
    """Also for the small motions of a still background, where an error of one level would be a drift of all of it."""
    motion = np.random.default_rng(0).normal(size=1000).astype(np.float32) * [[0.05], [5]]
    stored, back = (np.rint(flow.to_levels(x)).astype(np.uint8) for x in (motion, -motion))
    np.testing.assert_array_equal(clips.negate_flow(stored), back)
    assert clips.negate_flow(np.array([0, 127, 128, 255], np.uint8)).tolist() == [255, 128, 127, 0]


def test_flow_scales_with_its_frames(with_flow):
    half = clips.eval_clips(with_flow, FORBIDDEN, num_frames=8, size=8, resize=8, streams=("flow",))["flow"]
    np.testing.assert_allclose(flow.from_levels(half[0, :, 0, 0, 0]), np.arange(8), atol=0.1)
    np.testing.assert_allclose(flow.from_levels(half[..., 1]), -2, atol=0.1)
    wide = clips.eval_clips(with_flow, FORBIDDEN, num_frames=8, size=16, resize=(16, 32), streams=("flow",))["flow"]
    np.testing.assert_allclose(flow.from_levels(wide[..., 1]), -4, atol=0.1)  # only the width grows
    np.testing.assert_allclose(flow.from_levels(wide[0, 2, 0, 0, 0]), 8, atol=0.1)
    boxes = lambda height, width: [(0, 0, 8, 8)]  # noqa: E731
    out = np.empty((1, 1, 1, 16, 16, 2), np.uint8)  # an enlarged box, as for "resized" crops
    clips.cut(clips.decoder(with_flow, "flow"), np.array([[3]]), boxes, 0, out)
    np.testing.assert_allclose(flow.from_levels(out[0, 0, 0, 0, 0]), [12, -8], atol=0.1)
    tens = records.Example(images=[], labels=[0], flow=with_flow.flow, saturation=10.0)
    levels = clips.decoder(tens, "flow")(0)
    np.testing.assert_allclose(flow.from_levels(levels[..., 1]), -2, atol=0.1)


def test_missing_or_broken_flow_is_an_error(with_flow):
    with pytest.raises(ValueError, match="'a.mp4' holds no optical flow .*--flow METHOD"):
        clips.eval_clips(
            records.Example(images=with_flow.images, labels=[0], media_id="a.mp4"),
            FORBIDDEN,
            **WHOLE,
            streams=("flow",),
        )
    broken = records.Example(images=[], labels=[0], media_id="a.mp4", flow=[b"no picture"] * 9)
    with pytest.raises(ValueError, match="Flow 1 of 'a.mp4' is not a JPEG or PNG"):
        clips.eval_clips(broken, FORBIDDEN, **WHOLE, streams=("flow",))


def test_a_blank_batch_has_the_shapes_of_a_real_one():
    assert clips.blank_batch({"fps": 25.0}, CLIP, 2)["video"].shape == (2, 4, 8, 8, 3)
    streams = clips.blank_batch({}, {**CLIP, "streams": ("video", "flow")}, 2)
    assert {name: x.shape for name, x in streams.items()} == {"video": (2, 4, 8, 8, 3), "flow": (2, 4, 8, 8, 2)}
    blank = clips.blank_batch({"prefix": "RGB", "width": 5}, {"num_frames": 4}, 2)
    assert {name: array.shape for name, array in blank.items()} == {"features": (2, 4, 5), "frame_mask": (2, 4)}
    with pytest.raises(ValueError, match="The records hold videos, but config.clip has no size"):
        clips.blank_batch({"fps": 25.0}, {"num_frames": 4}, 2)
