import json
from collections import Counter

import pytest

from vidjax.data import segment_files as files
from vidjax.data.segment_files import Segment

WALK, SIT = Segment(0.0, 2.5, "walk", 0.875), Segment(1.25, 3.125, "sit down", 0.25)  # they overlap
ODD = Segment(3.0, 4.0, 'a <b>b</b> & {\\an8} --> x, "q"; é 跑', 1e-05)
SEGMENTS = [WALK, SIT, ODD]


def quiet(line: str):
    """Takes what a reader says when that is not the subject."""


def save(path, text: str):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


# ------------------------------------------------------------------------------------------------------------ one video


def test_text(tmp_path):
    files.write_text(tmp_path / "a.txt", [SIT, WALK])
    assert (tmp_path / "a.txt").read_text() == "0.0 2.5 walk 0.875\n1.25 3.125 sit down 0.25\n"
    assert files.read_text(tmp_path / "a.txt") == [WALK, SIT]
    by_hand = save(tmp_path / "b.txt", "\ufeff3\t4\twalk on\t1\r\n\r\n1 2   walk  0.5\r\n")
    assert files.read_text(by_hand) == [Segment(1, 2, "walk", 0.5), Segment(3, 4, "walk on", 1)]


def test_what_is_written_as_text_is_read(tmp_path):
    for segments in (SEGMENTS, [Segment(1.0, 2.0, "a (0.5)", 2.0)], [Segment(1.0, 2.0, "3", -1.5)], []):
        files.write_text(tmp_path / "a.txt", segments)
        assert files.read_text(tmp_path / "a.txt") == segments
    files.write_text(tmp_path / "a.txt", [Segment(1, 2, 7, 1)])  # a class without a name
    assert files.read_text(tmp_path / "a.txt") == [Segment(1.0, 2.0, "7", 1.0)]


# ---------------------------------------------------------------------------------------------------------- many videos


def test_csv(tmp_path):
    videos = {"a, b.mp4": SEGMENTS, "c.mp4": [WALK], "empty.mp4": []}
    files.write_csv(tmp_path / "a.csv", videos)
    lines = (tmp_path / "a.csv").read_text("utf-8").splitlines()
    assert lines[:2] == ["path,start,end,label,score", '"a, b.mp4",0.0,2.5,walk,0.875']
    said = []
    assert files.read_csv(tmp_path / "a.csv", say=said.append) == {"a, b.mp4": SEGMENTS, "c.mp4": [WALK]}
    (line,) = said
    assert (
        "segments that overlap: 2, of one class: 0. The first: sit down of a, b.mp4 starts at 1.25 s, walk ends" in line
    )


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_annotations_in_csv(separator, tmp_path):
    rows = ["label,video,note,from,end", "sit,b,,3,4", "walk,a,,5,6", "walk,b,x,1,2.5"]
    path = save(tmp_path / "a.csv", "\r\n".join(rows).replace(",", separator))
    found = files.read_csv(path, columns={"path": "video", "start": "from"})
    assert found == {"b": [Segment(1, 2.5, "walk"), Segment(3, 4, "sit")], "a": [Segment(5, 6, "walk")]}


def test_segments_that_overlap_or_end_late_are_kept_and_reported(tmp_path):
    rows = "path,start,end,label\na,0,9,x\na,1,2,y\na,3,4,x\na,9,10,x\nb,0,5,x\nc,0,99,x\n"
    said = []
    found = files.read_csv(save(tmp_path / "a.csv", rows), durations={"a": 9.5, "b": 5}, say=said.append)
    assert [len(segments) for segments in found.values()] == [4, 1, 1]
    assert [line.split(": ", 2)[2] for line in said] == [
        "segments that end after their video: 1. The first: x of a ends at 10.0 s, the video at 9.5 s.",
        "segments that overlap: 2, of one class: 1. The first: y of a starts at 1.0 s, x ends at 9.0 s.",
    ]


def test_json_has_the_layout_of_activitynet(tmp_path):
    videos = {"a": SEGMENTS, "b": []}
    files.write_json(tmp_path / "a.json", videos)
    content = json.loads((tmp_path / "a.json").read_text())
    assert {*content} == {"version", "results", "external_data"}
    assert content["results"]["a"][0] == {"segment": [0.0, 2.5], "label": "walk", "score": 0.875}
    assert files.read_json(tmp_path / "a.json", say=quiet) == videos


def test_annotations_of_activitynet(tmp_path):
    database = {
        "v1": {"subset": "training", "duration": 9.5, "annotations": [{"segment": [1, 10.5], "label": "Surfing"}]},
        "v2": {"subset": "testing", "duration": 20, "annotations": []},
    }
    path, said = save(tmp_path / "a.json", json.dumps({"version": "VERSION 1.3", "database": database})), []
    assert files.read_json(path, say=said.append) == {"v1": [Segment(1, 10.5, "Surfing")], "v2": []}
    assert (
        "segments that end after their video: 1. The first: Surfing of v1 ends at 10.5 s, the video at 9.5 s" in said[0]
    )
    assert files.read_json(path, subset="testing") == {"v2": []}
    database["v1"]["annotations"].append({"segment": [0, 0], "label": "Surfing"})
    assert files.read_json(save(path, json.dumps({"database": database})), say=said.append)["v1"][0].end == 10.5
    assert "segments without length, which are left out: 1. The first: Surfing of v1 at 0 s." in said[1]
    with pytest.raises(ValueError, match="has no subset validation; it has testing, training"):
        files.read_json(path, subset="validation")


def test_thumos(tmp_path):
    save(tmp_path / "CliffDiving_val.txt", "v2  3.5 4.0\nv1  1.0 2.0\n")
    save(tmp_path / "Diving_val.txt", "v2  1.5 4.0\n\n")
    save(tmp_path / "readme.txt", "not annotations")
    said = []
    assert files.read_thumos(tmp_path, labels=["CliffDiving", "Diving"], say=said.append) == {
        "v1": [Segment(1, 2, "CliffDiving")],
        "v2": [Segment(1.5, 4, "Diving"), Segment(3.5, 4, "CliffDiving")],
    }
    assert len(said) == 1 and "segments that overlap: 1, of one class: 0" in said[0]


def test_detections(tmp_path):
    first = save(tmp_path / "Diving.txt", "v2 3.5 4.0 26 0.25\r\nv1  1.0 2.0 26 1e-06\n\nv2 1.5 4.0 26 0.5\n")
    v1, v2 = [Segment(1, 2, "Diving", 1e-6)], [Segment(1.5, 4, "Diving", 0.5), Segment(3.5, 4, "Diving", 0.25)]
    assert files.read_detections(first) == {"v1": v1, "v2": v2}
    save(tmp_path / "Shotput.txt", "v1 5 6 79 0.5\n")
    assert files.read_detections(tmp_path) == {"v1": [*v1, Segment(5, 6, "Shotput", 0.5)], "v2": v2}
    assert files.read_detections(tmp_path / "Shotput.txt", classes={79: "shot"}) == {"v1": [Segment(5, 6, "shot", 0.5)]}


# --------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,2,1,x", r"line 2: the end, 1.0 s, is not after the start, 2.0 s; correct it, or remove the segment"),
        ("a,2,2,x", "line 2: the end, 2.0 s, is not after the start"),
        ("a,-1,2,x", "line 2: the start, -1.0 s, is before the video"),
        ("a,one,2,x", "line 2: start 'one', end '2' and score 1 must be numbers"),
        ("a,1", "line 2: start '1', end '' and score 1 must be numbers"),
        ("a,0,inf,x", "line 2: .* must be finite"),
        ("a,0,1,", "line 2: the segment from 0.0 to 1.0 s has no label"),
        (",0,1,x", "line 2: the column path is empty"),
        ("a,0,1,z\na,1,2,w", "unknown labels w, z; choose from x, y"),
        ("", "has a header, but no segments"),
    ],
)
def test_wrong_rows(row, message, tmp_path):
    path = save(tmp_path / "a.csv", f"path,start,end,label\n{row}\n")
    with pytest.raises(ValueError, match=f"a.csv.*{message}"):
        files.read_csv(path, labels=["x", "y"])


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (files.read_csv, "", "has no column path, start, end, label; it has none"),
        (
            files.read_csv,
            "video,start,end,label\na,0,1,x",
            "has no column path; it has video, start, end, label. Rename",
        ),
        (files.read_text, "0 1 walk\n", "line 1: '0 1 walk' is not `start end label score`"),
        (files.read_text, "0 1 walk 0.5\n2 1 walk 0.5\n", "line 2: the end, 1.0 s, is not after the start"),
        (files.read_json, "{}", 'has no videos: it needs an object "database" .annotations. or "results"'),
        (files.read_json, '{"results": {"a": [{"label": "x"}]}}', 'a, segment 0 must have "segment": .start, end.'),
        (files.read_json, "", "cannot be read"),
        (files.read_json, "[1]", "is not a JSON object: it holds .1."),
        (files.read_detections, "", "has no detections"),
        (files.read_detections, "v1 1 2 7\n", "line 1: 'v1 1 2 7' is not `video start end class-number score`"),
        (files.read_detections, "v1 1 2 Diving 0.5\n", "line 1: 'v1 1 2 Diving 0.5' is not `video start end class"),
        (files.read_detections, "v1 1 2 26 1\nv1 1 2 8 1\n", "line 2: unknown class 8; choose from 7, 9, 12, .*, 97"),
        (files.read_detections, "v1 2 1 7 0.5\n", "line 1: the end, 1.0 s, is not after the start, 2.0 s"),
    ],
)
def test_wrong_files(read, text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read(save(tmp_path / "file", text))
    with pytest.raises(ValueError, match="missing"):
        read(tmp_path / "missing")


def test_wrong_folders(tmp_path):
    with pytest.raises(ValueError, match="has no file like Billiards_test.txt"):
        files.read_thumos(tmp_path)
    save(tmp_path / "thumos/Diving_val.txt", "v1 1.0\n")
    with pytest.raises(ValueError, match="Diving_val.txt, line 1: 'v1 1.0' is not `video start end`"):
        files.read_thumos(tmp_path / "thumos")
    save(tmp_path / "thumos/Diving_val.txt", "")
    with pytest.raises(ValueError, match="Diving_val.txt is empty; download it again"):
        files.read_thumos(tmp_path / "thumos")
    (tmp_path / "turn").mkdir()
    with pytest.raises(ValueError, match=r"turn has no file \*.txt; give a file, or unpack those in the folder"):
        files.read_detections(tmp_path / "turn")
    for name in ("a.txt", "b.txt"):
        save(tmp_path / "turn" / name, "v1 1.0 2.0 7 0.5\n")
    with pytest.raises(ValueError, match=r"a.txt and .*b.txt both have detections of class 7 in v1; give one file"):
        files.read_detections(tmp_path / "turn")


def test_segments_that_no_file_can_hold(tmp_path):
    for segment, message in (
        (Segment(2, 1, "x"), "a.txt: the end, 1.0 s, is not after the start, 2.0 s"),
        (Segment(0, 1, " "), "has no label"),
        (Segment(0, 1, "x\ny"), "the label 'x\\\\ny' has a line break; rename it"),
    ):
        with pytest.raises(ValueError, match=message):
            files.write_text(tmp_path / "a.txt", [segment])
    with pytest.raises(ValueError, match="v.mp4: the end"):
        files.write_csv(tmp_path / "a.csv", {"v.mp4": [Segment(2, 1, "x")]})


# ------------------------------------------------------------------------------------------------------------ real data


def test_real_thumos_annotations(shared_data):
    """The published counts: 3,358 segments of 20 classes in the test set and 3,007 in the validation set."""
    for split, late, same, count, num_videos in (("test", 26, 3, 3358, 213), ("validation", 4, 5, 3007, 200)):
        lines = (shared_data / f"thumos14/{split}_durations.txt").read_text().split()
        names, seconds = (line.removesuffix(".mp4") for line in lines[::2]), map(float, lines[1::2])
        durations, said = dict(zip(names, seconds, strict=True)), []
        folder = shared_data / f"thumos14/temporal_annotations_{split}"
        videos = files.read_thumos(folder, durations=durations, say=said.append)
        assert sum(x.label != "Ambiguous" for segments in videos.values() for x in segments) == count
        assert len(videos) == num_videos
        assert f"segments that end after their video: {late}" in said[0]
        assert f"of one class: {same}" in said[1]


def test_real_annotations_in_csv(shared_data, tmp_path):
    columns, said = {"path": "video", "start": "start_s", "end": "end_s"}, []
    durations = {"20200627_212458_mlx90640_01_light_none": 4264 / 25}
    path = shared_data / "fir/segments.csv"
    videos = files.read_csv(path, columns=columns, durations=durations, say=said.append)
    assert (len(videos), sum(map(len, videos.values()))) == (21, 288)
    assert (
        "segments that end after their video: 1" in said[0] and "segments that overlap: 1, of one class: 0" in said[1]
    )
    for write, read, name in (
        (files.write_csv, files.read_csv, "a.csv"),
        (files.write_json, files.read_json, "a.json"),
    ):
        write(tmp_path / name, videos)
        assert read(tmp_path / name, say=quiet) == videos


def test_real_thumos_detections(shared_data):
    """TURN with S-CNN: detections mostly have the class of the true segments that they overlap.

    Detections of CliffDiving are an exception: true segments of CliffDiving are Diving, too.
    """
    folder = shared_data / "thumos14"
    truth = files.read_thumos(folder / "temporal_annotations_test", say=quiet)

    def iou(a, b):  # negative if they are apart
        return (min(a.end, b.end) - max(a.start, b.start)) / (max(a.end, b.end) - min(a.start, b.start))

    for name, count in (("C3D", 18209), ("FLOW", 16565)):
        videos = files.read_detections(folder / f"turn_tap/TURN-{name}-16_SCNN_thumos14_iou0.5.txt")
        assert (len(videos), sum(map(len, videos.values()))) == (213, count)
        found = {label: Counter() for label in files.THUMOS14_CLASSES.values()}
        for video in videos:
            for x in (x for x in videos[video] if x.score > 0.05):
                found[x.label].update(true.label for true in truth[video] if iou(x, true) >= 0.5)
        assert {x for x in found if found[x].most_common(1)[0][0] != x} == {"CliffDiving"}
    with pytest.raises(ValueError, match="both have detections of class 9 in video_test_0000896; give one file"):
        files.read_detections(folder / "turn_tap")
