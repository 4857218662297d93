import pytest

from vidjax.data.sources.items import Item
from vidjax.data.sources.untrimmed import cut_segments, frame_labels, join_segments


def row(path, start, end, *labels, split=""):
    return Item(path, labels, split, start, end)


def test_rows_become_videos():
    said = []
    rows = [row("a", 5, 6, "sit"), row("b", 0, None), row("a", 1, 3, "walk", split=""), row("a", 2, 4, "sit")]
    a, b = join_segments(rows, said.append)
    assert a.segments == ((1, 3, "walk"), (2, 4, "sit"), (5, 6, "sit")) and a.labels == ("sit", "walk")
    assert (a.start, a.end) == (0, None) and b.segments == () and b.labels == ()
    assert said == [
        "note: 1 segments overlap the one before them, the first is sit at 2 s of a. A frame has the label of the "
        "segment that begins last.",
        "note: 1 videos have no segments.",
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row("a", 5, None, "sit")], "a: the segment 'sit' at 5 s has no end"),
        ([row("a", 5, 6)], "a: the segment from 5 to 6 s has no label"),
        ([row("a", 1, 2, "x", split="train"), row("a", 3, 4, "x", split="test")], "a is in the splits test, train"),
    ],
)
def test_rows_that_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        join_segments(rows)


def test_the_label_of_a_frame_is_that_of_its_middle():
    segments = [(0.2, 0.5, "walk"), (0.4, 0.55, "sit"), (0.9, 9.0, "fall")]
    labels = frame_labels(segments, 10, 10.0)
    assert labels == ["background"] * 2 + ["walk"] * 2 + ["sit"] + ["background"] * 4 + ["fall"]
    assert frame_labels([(0.35, 0.45, "x")], 6, 10.0) == ["background"] * 3 + ["x"] + ["background"] * 2
    assert frame_labels([(2.0, 3.0, "x")], 3, 1.0) == ["background"] * 2 + ["x"]
    assert frame_labels([], 2, 1.0) == ["background"] * 2


def test_segments_that_end_after_the_video():
    cut, note = cut_segments([(0, 2, "a"), (3, 9, "b")], 4.0)
    assert cut == [(0, 2, "a"), (3, 4.0, "b")]
    assert note == "1 segments end after the video, at up to 9 s; they were cut at 4 s"
    assert cut_segments([(0, 2, "a")], 4.0) == ([(0, 2, "a")], None)
    with pytest.raises(ValueError, match="the segment 'b' begins at 4 s, but the video ends at 4 s"):
        cut_segments([(4, 5, "b")], 4.0)
