import sys

import numpy as np
import pytest

from vidjax import flow
from vidjax.data import flow_files, flow_images, video
from vidjax.data.synthetic import motion
from vidjax.flow import __main__ as command
from vidjax.flow import flowviz

NUM_FRAMES, SIZE = 12, 32  # more frames than one call computes


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("flow") / "clip.mp4"
    video.write_video(path, motion.clip(0, 0, num_frames=NUM_FRAMES, size=SIZE), 8.0)
    return path


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["flow", *map(str, arguments)])
        command.main()
        return capsys.readouterr().out

    return run


def test_flow_of_file(clip):
    frames = video.read_video(clip).frames
    grey = np.stack([np.asarray(flow.to_grey(frame)) for frame in frames])
    for method in ("lucas_kanade", "opencv_farneback"):
        found, fps = command.flow_of_file(clip, method)
        assert (found.shape, found.dtype, fps) == ((NUM_FRAMES - 1, SIZE, SIZE, 2), np.float32, 8.0)
        of_pairs = flow_images.find_method(method)
        np.testing.assert_array_equal(found[:8], of_pairs(grey[:8], grey[1:9]))
        np.testing.assert_array_equal(found[-8:], of_pairs(grey[-9:-1], grey[-8:]))
    found, fps = command.flow_of_file(clip, "opencv_dis", fps=4.0, short_side=48)
    assert (found.shape, fps) == ((NUM_FRAMES // 2 - 1, 48, 48, 2), 4.0)


def test_a_video_of_colours(clip, run, tmp_path):
    printed = run(clip, "--method", "opencv_farneback", "--largest", 10)
    assert printed.startswith(f"flow.mp4: 11 fields of {SIZE}x{SIZE}, opencv_farneback; pixels per frame: mean ")
    shown = video.read_video(tmp_path / "flow.mp4")
    assert (shown.frames.shape, shown.fps) == ((11, SIZE, SIZE, 3), 8.0)
    expected = flowviz.to_colours(command.flow_of_file(clip, "opencv_farneback")[0], 10)
    assert np.abs(shown.frames.astype(float) - expected).mean() < 8  # the codec halves the resolution of colours


def test_a_directory_of_flo_files(clip, run, tmp_path):
    run(clip, "--method", "opencv_farneback", "--out", tmp_path / "fields")
    files = sorted((tmp_path / "fields").iterdir())
    assert [file.name for file in files] == [f"{i:06d}.flo" for i in range(NUM_FRAMES - 1)]
    expected, _ = command.flow_of_file(clip, "opencv_farneback")
    np.testing.assert_array_equal([flow_files.read_flo(file) for file in files], expected)


def test_errors(clip, run, tmp_path):
    with pytest.raises(SystemExit, match="vidjax.flow: Unknown optical flow 'raft'; choose one of farneback, horn"):
        run(clip, "--method", "raft")
    with pytest.raises(SystemExit, match="out.gif is neither an .mp4 nor a directory"):
        run(clip, "--method", "opencv_dis", "--out", tmp_path / "out.gif")
    with pytest.raises(SystemExit, match="vidjax.flow: .*nowhere.mp4"):
        run(tmp_path / "nowhere.mp4")
    video.write_video(tmp_path / "one.mp4", np.zeros((1, SIZE, SIZE, 3), np.uint8), 8.0)
    with pytest.raises(SystemExit, match="one.mp4 has one frame: optical flow needs two or more"):
        run(tmp_path / "one.mp4", "--method", "opencv_dis")
    assert not (tmp_path / "flow.mp4").exists()
    before = (tmp_path / "one.mp4").rename(tmp_path / "flow.mp4").read_bytes()
    with pytest.raises(SystemExit, match="--out flow.mp4 is the video itself, which would be replaced"):
        run(tmp_path / "flow.mp4", "--method", "opencv_dis")
    assert (tmp_path / "flow.mp4").read_bytes() == before
    for option, value, least in (
        ("fps", 0, "more than 0"),
        ("fps", -1, "more than 0"),
        ("short_side", -5, "0 or more"),
    ):
        with pytest.raises(SystemExit, match=f"vidjax.flow: {option} = {value} must be {least}"):
            run(clip, "--method", "opencv_dis", f"--{option}", value)
    for arguments in (("--largest", 0), ("--largest", 5, "--out", tmp_path / "fields")):
        with pytest.raises(SystemExit, match="--largest . must be above 0, and is for the colours of an .mp4"):
            run(clip, *arguments)


def test_help(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["flow", "--help"])
    with pytest.raises(SystemExit):
        command.main()
    assert "default: the 99th percentile" in " ".join(capsys.readouterr().out.split())
