import numpy as np
import pytest

from vidjax.data import flow_images, video
from vidjax.inference import views

CLIP = {"num_frames": 4, "frame_stride": 2, "size": 32, "resize": 0}


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """A video of 30 frames; frame i has the brightness 8 i."""
    path = tmp_path_factory.mktemp("numbered") / "numbered.mp4"
    frames = np.broadcast_to(8 * np.arange(30, dtype=np.uint8)[:, None, None, None], (30, 32, 32, 3))
    video.write_video(path, frames, 10.0)
    return path


def numbers(clips):
    return np.round(clips["video"][..., 0, 0, 0] / 8).astype(int).tolist()


def test_views_cover_the_video(numbered):
    found = views.read_views(numbered, CLIP, {})
    assert found["video"].shape == (5, 4, 32, 32, 3)  # 30 frames, each clip spans 7
    assert numbers(found)[0] == [0, 2, 4, 6]
    assert numbers(found)[-1] == [23, 25, 27, 29]
    assert numbers(views.read_views(numbered, CLIP, {}, num_views=1)) == [[11, 13, 15, 17]]
    assert len(views.read_views(numbered, {**CLIP, "num_frames": 1}, {})["video"]) == views.MOST_VIEWS


def test_videos_are_read_like_the_training_videos(numbered):
    slow = views.read_views(numbered, {**CLIP, "frame_stride": 1}, {"fps": 5.0, "short_side": 48})
    assert numbers(slow)[0] == [0, 2, 4, 6]
    short = views.read_views(numbered, {**CLIP, "num_frames": 32, "frame_stride": 1}, {})
    assert numbers(short) == [[*range(30), 0, 1]]  # a video shorter than a clip wraps around


def test_flow_is_computed_like_that_of_the_training_videos(numbered):
    clip, inputs = {**CLIP, "streams": ("flow",)}, {"flow": "opencv_farneback", "short_side": 16}
    found = views.read_views(numbered, {**clip, "size": 16}, inputs, num_views=1)["flow"]
    assert found.shape == (1, 4, 16, 16, 2)
    grey = [flow_images.to_grey(frame, 16) for frame, _ in video.iterate_frames(numbered)]
    expected = [flow_images.between(grey[i], grey[i + 1], "opencv_farneback") for i in (11, 13, 15, 17)]
    np.testing.assert_array_equal(found[0], expected)
    single = numbered.with_name("single.mp4")
    video.write_video(single, np.zeros((1, 32, 32, 3), np.uint8), 10.0)
    with pytest.raises(ValueError, match="single.mp4: the video has one frame: optical flow needs two or more"):
        views.read_views(single, clip, inputs)
    with pytest.raises(ValueError, match="numbered.mp4: the training records do not name the method of their optical"):
        views.read_views(numbered, clip, {})


def test_damage_after_the_last_frame_is_a_warning(capsys):
    def frames():
        yield from range(3)
        raise video.DamagedVideo("a.mp4 is damaged after 3 frames")

    assert list(views.until_damage(frames())) == [0, 1, 2]
    assert capsys.readouterr().err == "warning: a.mp4 is damaged after 3 frames\n"
