"""Which files are videos: streams, covers, playlists, text, and names that FFmpeg would take for something else."""

import os

import av
import pytest

from tests.grey_videos import FPS, grey, read, write
from vidjax.data import containers, video


def test_a_cover_picture_is_not_a_video(shared_data):
    path = shared_data / "field_cases/cover_only.mp4"
    with pytest.raises(ValueError, match="cover_only.mp4 has no video stream, only a cover picture"):
        video.read_video(path)
    assert "only a cover picture" in containers.why_not_a_video(path)


def test_the_default_stream_is_taken(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as output:
        streams = [output.add_stream("mjpeg", rate=FPS) for _ in range(2)]
        for stream in streams:
            stream.height, stream.width, stream.pix_fmt = 32, 48, "yuvj420p"
        streams[0].disposition = 0
        streams[1].disposition = av.stream.Disposition.default
        for first, second in zip(grey(range(5)), grey(range(10, 15)), strict=True):
            for stream, frame in zip(streams, (first, second), strict=True):
                output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
    assert read(tmp_path / "a.mkv") == [10, 11, 12, 13, 14]


@pytest.mark.parametrize(
    "name", ["12:30.mp4", "a b%20.mp4", "100%d.mp4", "#?&.mp4", "-y.mp4", os.fsdecode(b"caf\xe9.mp4")]
)
def test_names_that_ffmpeg_would_take_for_something_else(name, tmp_path, monkeypatch):
    write(tmp_path / "a.mp4", grey(range(5))).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert read(name) == read(tmp_path / name) == [0, 1, 2, 3, 4]


def test_playlists_are_refused(tmp_path):
    write(tmp_path / "a.ts", grey(range(5)))
    text = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.5,\na.ts\n#EXT-X-ENDLIST\n"
    for name, content in (("a.m3u8", text), ("b.mp4", text), ("c.txt", "ffconcat version 1.0\nfile a.ts\n")):
        (tmp_path / name).write_text(content)
        with pytest.raises(ValueError, match="is a playlist, not a video|is not a video that FFmpeg can read"):
            video.read_video(tmp_path / name)


def test_text_is_not_a_video(tmp_path):
    for name in ("notes.txt", "art.ans", "a.nfo", "labels"):
        (tmp_path / name).write_text("just a text\n" * 100)
        assert containers.why_not_a_video(tmp_path / name)
    write(tmp_path / "video", grey(range(5)), format="mp4")
    assert containers.why_not_a_video(tmp_path / "video") is None
