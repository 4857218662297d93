"""What files do to their readers: seeks that land elsewhere, the times of AVI, damage, sizes that change."""

import json

import av
import numpy as np
import pytest

from tests.grey_videos import FPS, grey, numbers_of, read, write
from vidjax.data import video


def bytes_flipped(path, places):
    data = bytearray(path.read_bytes())
    for place in places:
        data[place] ^= 0x55
    path.write_bytes(data)
    return path


# ------------------------------------------------------------------------------------------------ seeking


@pytest.mark.parametrize("name", ["a.ts", "a.mkv", "a.mp4", "a.flv"])
def test_a_part_far_from_a_key_frame_is_the_part(name, tmp_path):
    path = write(tmp_path / name, grey(range(58)))  # one key frame, at 0
    assert read(path, start=4.5, end=5.0) == [45, 46, 47, 48, 49]
    assert read(path, start=4.5, end=5.5, fps=5) == [45, 47, 49, 51, 53]


def test_a_part_before_the_next_key_frame(shared_data):
    for name in ("keyframes_10s.ts", "keyframes_10s.mp4"):
        frames = video.read_video(shared_data / "field_cases" / name, start=15, end=17, fps=12.5).frames
        assert block_numbers(frames) == list(range(375, 424, 2))


def block_numbers(frames):
    """The number that 12 blocks of a frame spell, as the data's README says."""
    places = [(16 + 16 * (b // 6) + 8, 16 * (b % 6) + 8) for b in range(12)]
    return [sum(int(frame[y, x].mean() > 127) << b for b, (y, x) in enumerate(places)) for frame in frames]


def test_times_count_from_the_first_frame(tmp_path):
    def an_hour_later(i, packet):
        packet.pts, packet.dts = (x + int(3600 / packet.time_base) for x in (packet.pts, packet.dts))
        return packet

    path = write(tmp_path / "a.ts", grey(range(58)), mux=an_hour_later)
    assert read(path, start=4.5, end=4.8) == [45, 46, 47]


@pytest.mark.parametrize(("start", "end"), [(-1.0, 2.0), (2.0, 1.0), (1.0, 1.0), (float("nan"), 2.0)])
def test_impossible_parts(start, end, tmp_path):
    path = write(tmp_path / "a.mp4", grey(range(8)))
    with pytest.raises(ValueError, match="start must be 0 or more, and end larger"):
        video.read_video(path, start=start, end=end)


# ------------------------------------------------------------------------------------------------ AVI


def test_avi_with_b_frames_keeps_order_and_rate(tmp_path):
    path = write(tmp_path / "a.avi", grey(range(40)))
    assert video.frame_rate(path) == FPS
    assert read(path) == list(range(40))
    assert read(path, start=2.5, end=3.0) == [25, 26, 27, 28, 29]


def test_avi_whose_header_counts_ticks(shared_data):
    path = shared_data / "field_cases/remuxed.avi"
    assert video.frame_rate(path) == 25
    assert block_numbers(video.read_video(path, start=4, end=6, fps=5).frames) == list(range(100, 146, 5))


def test_frames_that_avi_leaves_out_do_not_shift_the_rest(tmp_path):
    # Frames 3 to 5 are dropped: the muxer stores empty packets for them
    path = write(tmp_path / "a.avi", grey(range(12)), "mjpeg", mux=lambda i, packet: None if i in (3, 4, 5) else packet)
    times = [round(seconds, 3) for _, seconds in video.iterate_frames(path)]
    assert times == [0, 0.1, 0.2, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1]
    assert read(path, fps=FPS) == [0, 1, 2, 2, 2, 6, 6, 7, 8, 9, 10, 11]


# ------------------------------------------------------------------------------------------------ damage


def test_bad_packets_cost_their_frames_not_the_rest(tmp_path):
    path = write(tmp_path / "a.mkv", grey(range(40)), options={"g": "5", "bf": "0"})
    good = video.read_video(path)
    with av.open(str(path)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    bytes_flipped(path, [places[11] + 12, places[12] + 12])
    frames, _, warning = video.read_video(path)
    assert good.warning is None and "damaged frames: " in warning and "the first at 1." in warning
    assert numbers_of(frames)[-20:] == list(range(20, 40))


def test_a_matroska_file_cut_short_is_detected_by_its_header(tmp_path):
    path = write(tmp_path / "a.mkv", grey(range(58)), "mjpeg")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    frames, _, warning = video.read_video(path)
    assert 20 < len(frames) < 35
    assert f"cut short after {len(frames)} frames" in warning and "of 5.8 s" in warning
    assert video.count_frames(path) == (len(frames), warning)


def test_sound_that_is_longer_than_the_video_is_not_damage(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as output:
        pictures, sound = output.add_stream("mjpeg", rate=FPS), output.add_stream("pcm_s16le", rate=8000)
        pictures.height, pictures.width, pictures.pix_fmt = 32, 48, "yuvj420p"
        for frame in grey(range(10)):
            output.mux(pictures.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        for _ in range(50):  # 5 s
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
            samples.sample_rate = 8000
            output.mux(sound.encode(samples))
    assert video.read_video(tmp_path / "a.mkv").warning is None


def test_files_that_were_trimmed_or_cut(shared_data):
    trimmed = video.read_video(shared_data / "field_cases/trimmed.mp4")
    assert trimmed.warning is None and block_numbers(trimmed.frames) == list(range(100, 250))
    cut = video.read_video(shared_data / "field_cases/cut.mkv")
    assert len(cut.frames) == 99 and "cut short after 99 frames, at 4.0 s of 10.0 s" in cut.warning


def test_timestamps_that_go_back(tmp_path):
    part = write(tmp_path / "1.ts", grey(range(20)), options={"bf": "0"}).read_bytes()
    (tmp_path / "two.ts").write_bytes(part + part)  # joined as bytes
    frames, _, warning = video.read_video(tmp_path / "two.ts")
    assert numbers_of(frames) == [*range(20), *range(20)]
    assert "wrong timestamps: " in warning and "the first at 2.0" in warning


def test_a_part_of_joined_files_is_that_of_a_full_decode(tmp_path):
    first = write(tmp_path / "1.ts", grey(range(20)), options={"bf": "0", "g": "5"}).read_bytes()
    second = write(tmp_path / "2.ts", grey(range(20, 58)), options={"bf": "0", "g": "5"}).read_bytes()
    (tmp_path / "joined.ts").write_bytes(first + second)
    times = {number: k / FPS for k, number in enumerate(range(58))}
    for start in (1.5, 2.5, 4.0):
        frames, _, warning = video.read_video(tmp_path / "joined.ts", start=start, end=start + 0.5)
        expected = [number for number, time in times.items() if start - 0.01 <= time < start + 0.49]
        assert numbers_of(frames) == expected
        assert start < 2 or "wrong timestamps" in warning


def test_a_lost_packet_of_a_transport_stream_is_reported(tmp_path):
    path = write(tmp_path / "a.ts", grey(range(58), 64, 96), options={"bf": "0", "g": "5"})
    data = path.read_bytes()
    of_video = [i for i in range(0, len(data), 188) if (data[i + 1] & 31, data[i + 2]) == (1, 0)]  # stream 0x100
    lost = of_video[len(of_video) // 2]
    path.write_bytes(data[:lost] + data[lost + 188 :])
    assert "damaged frames: " in video.read_video(path).warning


def test_avi_cut_short_is_detected_by_its_header(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (58, 64, 96, 3), np.uint8)  # fills the file evenly
    path = write(tmp_path / "a.avi", noise, "mpeg4", {"bf": "2"})
    data = path.read_bytes()
    path.write_bytes(data[: int(0.6 * len(data))])
    frames, _, warning = video.read_video(path)
    assert len(frames) < 50 and f"cut short after {len(frames)} frames" in warning and "of 5.8 s" in warning


def test_a_stream_without_a_container_is_whole(tmp_path):
    path = write(tmp_path / "a.h264", grey(range(20)), options={"bf": "0"}, format="h264")
    frames, _, warning = video.read_video(path)
    assert numbers_of(frames) == list(range(20)) and warning is None


def test_a_timestamp_hours_away_does_not_fill_hours(tmp_path):
    def leap(i, packet):
        if i > 10:
            packet.pts, packet.dts = (x + int(40000 / packet.time_base) for x in (packet.pts, packet.dts))
        return packet

    path = write(tmp_path / "a.ts", grey(range(20)), mux=leap, options={"bf": "0"})
    frames, _, warning = video.read_video(path, fps=FPS)
    assert numbers_of(frames) == list(range(20))
    assert "wrong timestamps: 9, the first at 1.10 s" in warning


# ------------------------------------------------------------------------------------------------ sizes, real files


def test_frames_that_change_their_size(tmp_path):
    wide = write(tmp_path / "1.ts", grey(range(20, 30), 32, 64)).read_bytes()
    tall = write(tmp_path / "2.ts", grey(range(30, 40), 64, 32)).read_bytes()
    (tmp_path / "both.ts").write_bytes(wide + tall)
    frames, _, warning = video.read_video(tmp_path / "both.ts")
    assert frames.shape == (20, 32, 64, 3)
    assert "the frame size changes from 64x32 to 32x64 at 1.0" in warning
    assert frames[15, :, :24].max() == 0 and frames[15, :, 24:40].min() > 100  # as tall as the first, in the middle
    small = video.read_video(tmp_path / "both.ts", short_side=16).frames
    assert small.shape == (20, 16, 32, 3)


def test_reports_of_the_files_of_other_projects(shared_data):
    """Counts of frames as PyAV alone found them, in files without damage."""
    for entry in json.loads((shared_data / "codecs/report.json").read_text()):
        path = shared_data / "codecs" / entry["file"]
        if not entry.get("n") or entry.get("error") or "no_timescale" in entry["file"]:
            continue
        assert video.count_frames(path) == (entry["n"], None), entry["file"]
