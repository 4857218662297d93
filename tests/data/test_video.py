from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from vidjax.data import video

LEVELS = [8 * i + 20 for i in range(24)]  # grey level of frame i of the test videos


def grey(levels, height=32, width=48):
    return np.stack([np.full((height, width, 3), level, np.uint8) for level in levels])


def levels_of(frames):
    return [int(np.rint(frame.mean())) for frame in frames]


def assert_levels(frames, expected):
    assert len(frames) == len(expected), levels_of(frames)
    np.testing.assert_allclose(levels_of(frames), expected, atol=3)  # the coding is lossy


@pytest.fixture(scope="module")
def mp4(tmp_path_factory):
    """24 frames at 12 frames per second."""
    path = tmp_path_factory.mktemp("video") / "grey.mp4"
    video.write_video(path, grey(LEVELS), 12)
    return path


def write(
    path, frames, seconds, codec="libx264", pixels="yuv420p", options=None, container_options=None, rotation=None
):
    """Writes frames with the given timestamps."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=Fraction(1000), options=options or {"g": "4"})
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pixels
        stream.codec_context.time_base = Fraction(1, 1000)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for frame, time in zip(frames, seconds, strict=True):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = round(time * 1000), Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def test_what_is_written_is_read_back(mp4):
    frames, fps, warning = video.read_video(mp4)
    assert frames.shape == (24, 32, 48, 3)
    assert frames.dtype == np.uint8
    assert fps == 12
    assert warning is None
    assert_levels(frames, LEVELS)


def test_all_intra_makes_every_frame_a_key_frame(tmp_path):
    for all_intra in (True, False):
        video.write_video(tmp_path / "a.mp4", grey(LEVELS), 12, all_intra=all_intra)
        with av.open(str(tmp_path / "a.mp4")) as container:
            assert all(frame.key_frame for frame in container.decode(video=0)) == all_intra


def test_colours_are_rgb(tmp_path):
    frames = np.zeros((4, 32, 32, 3), np.uint8)
    frames[..., 0] = 200
    video.write_video(tmp_path / "red.mp4", frames, 10)
    np.testing.assert_allclose(video.read_video(tmp_path / "red.mp4").frames.mean((0, 1, 2)), [200, 0, 0], atol=6)


def test_an_error_leaves_no_file_behind(tmp_path):
    def frames():
        yield from np.random.default_rng(0).integers(0, 256, (60, 64, 64, 3), np.uint8)
        raise ValueError("no more frames")

    with pytest.raises(ValueError, match="no more frames"):
        video.write_video(tmp_path / "a.mp4", frames(), 10.0)
    assert not list(tmp_path.iterdir())


def test_odd_sizes_are_made_even(tmp_path):
    video.write_video(tmp_path / "odd.mp4", grey(LEVELS, 33, 47), 10)
    assert video.read_video(tmp_path / "odd.mp4").frames.shape[1:3] == (34, 48)


def test_resampling_to_the_own_rate_changes_nothing(mp4):
    assert_levels(video.read_video(mp4, fps=12).frames, LEVELS)


def test_resampling_drops_and_repeats(mp4):
    assert_levels(video.read_video(mp4, fps=6).frames, LEVELS[::2])
    assert_levels(video.read_video(mp4, fps=24).frames, [level for level in LEVELS for _ in range(2)])


def test_a_short_video_keeps_a_frame_at_a_low_rate(tmp_path):
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1])  # lasts 1/25 s
    for fps in (0.1, 1, 6.25, 100):
        assert video.count_frames(tmp_path / "a.png", fps=fps) == (max(1, round(fps / 25)), None)
    with pytest.raises(ValueError, match="no frame between 1.0 s and"):
        video.read_video(tmp_path / "a.png", fps=1, start=1.0)


def test_part_of_a_video(mp4):
    assert_levels(video.read_video(mp4, start=0.5, end=1.0).frames, LEVELS[6:12])
    assert_levels(video.read_video(mp4, fps=6, start=0.5, end=1.5).frames, LEVELS[6:18:2])
    with pytest.raises(ValueError, match="no frame between 5.0 s and 6.0 s"):
        video.read_video(mp4, start=5.0, end=6.0)


def test_seeking_into_a_long_video_gives_the_frames_that_reading_through_it_gives(tmp_path):
    levels = [20 + i % 200 for i in range(120)]
    write(tmp_path / "long.mp4", grey(levels), np.arange(120) / 12)
    assert_levels(video.read_video(tmp_path / "long.mp4", start=6.0, end=7.0).frames, levels[72:84])


def test_variable_frame_rate_is_resampled_by_timestamp(tmp_path):
    # frames 0 to 3 last 0.1 s each, frame 4 lasts 0.6 s
    write(tmp_path / "variable.mkv", grey(LEVELS[:6]), [0, 0.1, 0.2, 0.3, 0.4, 1.0])
    frames = video.read_video(tmp_path / "variable.mkv", fps=10, end=1.0).frames
    assert_levels(frames, [LEVELS[i] for i in (0, 1, 2, 3, 4, 4, 4, 4, 5, 5)])  # the nearest: 4 up to 0.7 s, halfway


def test_timestamps_rounded_to_milliseconds_still_are_the_own_rate(tmp_path):
    write(tmp_path / "rounded.mkv", grey(LEVELS), np.arange(24) / 30)
    assert_levels(video.read_video(tmp_path / "rounded.mkv", fps=30).frames, LEVELS)


def test_gif(tmp_path):
    write(tmp_path / "a.gif", grey(LEVELS), np.arange(24) / 10, codec="gif", pixels="rgb8", options={})
    frames, fps, warning = video.read_video(tmp_path / "a.gif", fps=10)
    assert len(frames) == 24
    assert (np.diff(levels_of(frames)) >= 0).all()
    assert warning is None


def test_short_side(mp4):
    assert video.read_video(mp4, short_side=16).frames.shape == (24, 16, 24, 3)


def test_rotation_metadata_turns_the_frames(tmp_path):
    frames = grey(LEVELS[:4])
    frames[:, :16] = 0  # dark at the top
    for angle in (90, -90, 180):
        write(tmp_path / "turned.mp4", frames, np.arange(4) / 10, rotation=angle)
        ours = video.read_video(tmp_path / "turned.mp4").frames[-1]
        capture = cv2.VideoCapture(str(tmp_path / "turned.mp4"))  # OpenCV turns the frames itself
        theirs = [capture.read()[1] for _ in range(4)][-1][:, :, ::-1]
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours.astype(int), theirs, atol=6)


def test_counting_and_picking_frames(mp4):
    for fps in (None, 5.0, 30.0):
        frames = [frame for frame, _ in video.iterate_frames(mp4, fps=fps)]
        assert video.count_frames(mp4, fps=fps) == (len(frames), None)
        picked = [frame for frame, _ in video.iterate_frames(mp4, fps=fps, only={1, 3})]
        np.testing.assert_array_equal(picked, [frames[1], frames[3]])


def test_reading_is_lazy(mp4):
    frames = video.iterate_frames(mp4)
    frame, seconds = next(frames)
    assert seconds == 0
    assert_levels([frame], LEVELS[:1])
    frames.close()  # the rest is never decoded


def test_a_file_cut_short_gives_the_frames_before(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (40, 64, 64, 3), np.uint8)  # fills the file evenly
    write(tmp_path / "fast.mp4", noise, np.arange(40) / 10, container_options={"movflags": "faststart"})
    data = (tmp_path / "fast.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    frames, _, warning = video.read_video(tmp_path / "cut.mp4")
    assert 10 < len(frames) < 30
    assert "cut.mp4" in warning
    assert f"after {len(frames)}" in warning
    assert video.count_frames(tmp_path / "cut.mp4") == (len(frames), warning)
    whole = video.read_video(tmp_path / "fast.mp4").frames
    np.testing.assert_array_equal(frames[:10], whole[:10])


def test_a_file_whose_index_is_cut_off_is_no_video(mp4, tmp_path):
    (tmp_path / "cut.mp4").write_bytes(mp4.read_bytes()[:-200])
    with pytest.raises(ValueError, match="cut.mp4 is not a video"):
        video.read_video(tmp_path / "cut.mp4")


def test_flipped_bits_do_not_crash(mp4, tmp_path):
    data = bytearray(mp4.read_bytes())
    rng = np.random.default_rng(0)
    for place in rng.integers(len(data) // 3, len(data) // 2, 30):
        data[place] ^= 0x55
    (tmp_path / "flipped.mp4").write_bytes(data)
    try:
        frames, _, warning = video.read_video(tmp_path / "flipped.mp4")
        assert len(frames) == 24 or warning
    except ValueError as error:
        assert "flipped.mp4" in str(error)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"just a text\n" * 100, "is not a video"), (None, "does not exist")],
)
def test_files_that_are_no_videos(content, message, tmp_path):
    if content is not None:
        (tmp_path / "text.mp4").write_bytes(content)
    with pytest.raises(ValueError, match=f"text.mp4 {message}"):
        video.read_video(tmp_path / "text.mp4")


def test_sound_alone_is_no_video(tmp_path):
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(ValueError, match="sound.mp4 has no video stream"):
        video.read_video(tmp_path / "sound.mp4")


def test_broken_metadata_is_tolerated(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        container.metadata["title"] = "REPLACE ME NOW"
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        for frame in grey(LEVELS, 32, 32):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(
        data.replace(b"REPLACE ME NOW", b"\xff\xfe\xff\xc3\x28\xa0\xa1\xe2\x28\xa1\xff\xff\xff\xff")
    )
    assert len(video.read_video(tmp_path / "a.mp4").frames) == 24


def test_real_videos(shared_data):
    expected = {"v_ApplyEyeMakeup_g01_c01.avi": (164, 25.0), "cleaning_pool.mp4": (300, 30.0)}
    expected |= {"v_CricketShot_g04_c01_rgb.gif": (79, 25.0), "v_BaseballPitch_g01_c01.avi": (107, 30000 / 1001)}
    for name, (num_frames, fps) in expected.items():
        frames, rate, warning = video.read_video(shared_data / "clips" / name, short_side=64)
        assert (len(frames), rate, warning) == (num_frames, fps, None)


class Camera:
    """Replaces OpenCV's camera: frame i comes after (i + 1) / 10 seconds, blue in OpenCV's order; the fourth fails."""

    def __init__(self, number):
        self.number, self.count = number, -1

    def isOpened(self):  # noqa: N802
        return self.number == 0

    def read(self):
        self.count += 1
        return self.count < 3, np.full((4, 6, 3), (200, 0, self.count), np.uint8)

    def release(self):
        self.number = None


def test_a_camera(monkeypatch):
    camera = Camera(0)
    monkeypatch.setattr(video.cv2, "VideoCapture", lambda number: camera if number == 0 else Camera(number))
    monkeypatch.setattr(video.time, "monotonic", lambda: camera.count / 10)
    frames = []
    with pytest.raises(ValueError, match="Camera 0 stopped after 0.4 s"):
        for frame, seconds in video.iterate_camera("0", fps=5.0, short_side=2):
            frames.append((frame.shape, frame[0, 0].tolist(), round(seconds, 6)))
    assert frames == [((2, 3, 3), [0, 0, 200], 0.1), ((2, 3, 3), [1, 0, 200], 0.2)] and camera.number is None
    for number in ("1", "door"):
        with pytest.raises(ValueError, match=f"There is no camera '{number}' that OpenCV can open"):
            next(video.iterate_camera(number))
