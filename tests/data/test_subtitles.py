import av
import pytest

from tests.data.test_segment_files import SEGMENTS, SIT, WALK, save
from vidjax.data import segment_files
from vidjax.data import subtitles as files
from vidjax.data.segment_files import Segment

WRITERS = [(files.write_srt, "a.srt"), (files.write_vtt, "a.vtt")]


def test_srt(tmp_path):
    files.write_srt(tmp_path / "a.srt", [Segment(3725.5, 3726.0, "sit", 1.0), Segment(0.5, 1.0004, "walk", 0.5)])
    expected = "1\n00:00:00,500 --> 00:00:01,000\nwalk (0.5)\n\n2\n01:02:05,500 --> 01:02:06,000\nsit (1)\n\n"
    assert (tmp_path / "a.srt").read_text() == expected


def test_vtt(tmp_path):
    files.write_vtt(tmp_path / "a.vtt", [Segment(60.25, 61.0, "sit", 1.0), Segment(0.5, 2.0, "a<b & c-->d", 0.5)])
    assert (tmp_path / "a.vtt").read_text() == (
        "WEBVTT\n\n00:00:00.500 --> 00:00:02.000\na&lt;b &amp; c--&gt;d (0.5)\n\n"
        "00:01:00.250 --> 00:01:01.000\nsit (1)\n"
    )


@pytest.mark.parametrize(("write", "name"), WRITERS)
def test_what_is_written_is_read(write, name, tmp_path):
    for segments in (SEGMENTS, [Segment(1.0, 2.0, "a (0.5)", 2.0)], [Segment(1.0, 2.0, "3", -1.5)], []):
        write(tmp_path / name, segments)
        assert files.read_subtitles(tmp_path / name) == segments
    write(tmp_path / name, [Segment(1, 2, 7, 1)])  # a class without a name
    assert files.read_subtitles(tmp_path / name) == [Segment(1.0, 2.0, "7", 1.0)]


@pytest.mark.parametrize(("write", "name"), WRITERS)
def test_ffmpeg_reads_the_same_cues(write, name, tmp_path):
    short = Segment(3.0, 3.0001, "x < y, <b> & --> z", 1.0)  # ends after it starts, also in milliseconds
    write(tmp_path / name, [short, WALK, SIT])
    with av.open(str(tmp_path / name)) as container:
        packets = [packet for packet in container.demux() if packet.size]
        assert [(packet.pts, packet.duration) for packet in packets] == [(0, 2500), (1250, 1875), (3000, 1)]
        texts = [packet.decode()[0].dialogue.decode().replace(files.JOINER, "") for packet in packets]
    assert texts == ["walk (0.875)", "sit down (0.25)", "x < y, <b> & --> z (1)"]


def test_subtitles_of_others(tmp_path):
    vtt = save(
        tmp_path / "a.vtt",
        "WEBVTT - title\r\n\r\nNOTE nothing\r\n\r\nSTYLE\r\n::cue { color: red }\r\n\r\n"
        "cue-1\r\n00:01.000 --> 00:02.500 align:start line:0\r\n<v Ann>sit <i>down</i>\r\nslowly &amp; well\r\n",
    )
    assert files.read_subtitles(vtt) == [Segment(1.0, 2.5, "sit down slowly & well", 1.0)]
    srt = save(
        tmp_path / "a.srt",
        "\n1\n00:00:03,000 --> 00:00:04,000  X1:40\n{\\an8}<font color=red>wait</font> (...)\n \n"
        "00:00:01.000 --> 00:00:02.000\na < b & c (0.5)\n",
    )
    assert files.read_subtitles(srt) == [Segment(1.0, 2.0, "a < b & c", 0.5), Segment(3.0, 4.0, "wait (...)", 1.0)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\n0.5 --> 0.7\nx\n", "cue 1: '0.5 ' is not a time like 00:00:01.500"),
        ("00:02.000 --> 00:01.000\nx\n", "cue 1: the end, 1.0 s, is not after the start"),
        ("00:01.000 --> 00:02.000\n", "cue 1: the segment from 1.0 to 2.0 s has no label"),
    ],
)
def test_wrong_files(text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        files.read_subtitles(save(tmp_path / "file", text))
    with pytest.raises(ValueError, match="missing"):
        files.read_subtitles(tmp_path / "missing")


@pytest.mark.parametrize(("write", "name"), WRITERS)
def test_segments_that_no_subtitle_can_hold(write, name, tmp_path):
    for segment, message in (
        (Segment(2, 1, "x"), f"{name}: the end, 1.0 s, is not after the start, 2.0 s"),
        (Segment(0, 1, " "), "has no label"),
        (Segment(0, 1, "x\ny"), "the label 'x\\\\ny' has a line break; rename it"),
    ):
        with pytest.raises(ValueError, match=message):
            write(tmp_path / name, [segment])


def test_real_annotations_as_subtitles(shared_data, tmp_path):
    columns = {"path": "video", "start": "start_s", "end": "end_s"}
    videos = segment_files.read_csv(shared_data / "fir/segments.csv", columns=columns, say=lambda line: None)
    for segments in videos.values():
        for write, name in WRITERS:
            write(tmp_path / name, segments)
            assert files.read_subtitles(tmp_path / name) == segments  # in hundredths of a second
