import numpy as np
import pytest

from vidjax.data import make_records, pipeline, video
from vidjax.data.sources import splits, tables
from vidjax.data.sources.items import Item, words
from vidjax.data.synthetic import captions


def test_held_out_phrases_have_seen_parts():
    assert (len(captions.PHRASES), len(captions.HELD_OUT), len(captions.SEEN)) == (72, 12, 60)
    for parts in (captions.COLOURS, captions.SHAPES, captions.MOTIONS):
        for part in parts:
            assert any(part in phrase for phrase in captions.SEEN)
            assert any(part in phrase for phrase in captions.HELD_OUT)
    pairs = {tuple(phrase.split(" ", 2)[:2]) for phrase in captions.HELD_OUT}
    assert len(pairs) == 12  # one motion of each colour and shape


def centre_and_size(frame, colour):
    """The centre (x, y) of a colour in a frame, and the number of pixels that it covers."""
    covered = np.abs(frame.astype(float) - captions.COLOURS[colour]).max(-1) < 60
    y, x = np.nonzero(covered)
    return x.mean(), y.mean(), covered.sum()


def test_shapes_move_as_captioned():
    for move, change in {  # of x, y and size
        "moves left": (-1, 0, 0),
        "moves right": (1, 0, 0),
        "moves up": (0, -1, 0),
        "moves down": (0, 1, 0),
        "grows": (0, 0, 1),
        "shrinks": (0, 0, -1),
    }.items():
        film = captions.clip([f"red square {move}", "blue circle grows"], 3)
        assert film.shape == (24, 64, 64, 3) and film.dtype == np.uint8
        first, last = (np.array(centre_and_size(film[t], "red")) for t in (0, -1))
        x, y, size = last - first
        moved = np.array([x if abs(x) > 5 else 0, y if abs(y) > 5 else 0, size if abs(size) > 30 else 0])
        np.testing.assert_array_equal(np.sign(moved), change)
        assert first[0] < 32 < centre_and_size(film[0], "blue")[0]  # from left to right
    np.testing.assert_array_equal(captions.clip(["red square grows"], 1), captions.clip(["red square grows"], 1))


def test_the_background_is_independent_of_the_phrase():
    """The brightness of the border is drawn independently of the phrases: any correlation is chance."""
    numbers = range(300)
    first = [captions.PHRASES.index(captions.draw(i, captions.PHRASES)[0]) for i in numbers]
    brightness = [captions.clip(["red circle grows"], i, num_frames=1)[0, :2].mean() for i in numbers]
    assert abs(np.corrcoef(first, brightness)[0, 1]) < 4 / np.sqrt(300)


def test_words():
    assert words("Red square grows, blue circle  moves left.") == (
        *("red", "square", "grows", ",", "blue", "circle", "moves", "left"),
    )


def test_captions_become_tokens_and_targets(tmp_path):
    (tmp_path / "list.csv").write_text("path,caption,split\n" + "a.gif,b a,train\n" + "a.gif,a,test\n")
    video.write_video(tmp_path / "a.gif", np.zeros((3, 32, 32, 3), np.uint8), 10.0)
    args = make_records.parse_args([str(tmp_path / "list.csv"), "--out", str(tmp_path / "out"), "--workers", "1"])
    assert make_records.make_records(args) is None
    source = pipeline.open_records(tmp_path / "out", ["train"])
    assert source.info.labels == ["<end>", "a", "b"] and source.info.inputs["caption_length"] == 3
    arguments = {"num_frames": 2, "size": 32}
    batch = next(pipeline.train_batches(source, arguments, batch_size=1, num_steps=1))
    assert {name: batch[name].tolist() for name in ("tokens", "target", "weight")} == {
        "tokens": [[0, 2, 1]],
        "target": [[2, 1, 0]],
        "weight": [[1, 1, 1]],
    }
    source = pipeline.open_records(tmp_path / "out", ["test"])
    (batch,) = pipeline.eval_batches(source, {**arguments, "num_views": 2}, batch_size=1)
    assert batch["tokens"].tolist() == [[[0, 1, 0]] * 2] and batch["weight"].tolist() == [[[1, 1, 0]] * 2]


def test_invalid_captions(tmp_path):
    (tmp_path / "list.csv").write_text("path,caption\na.mp4,red square\nb.mp4, \n")
    with pytest.raises(ValueError, match="list.csv, line 3: path and caption must both be given"):
        tables.from_tables([tmp_path / "list.csv"])
    (tmp_path / "list.csv").write_text("path,label,caption\na.mp4,red,red square\n")
    with pytest.raises(ValueError, match="has both a label and a caption"):
        tables.from_tables([tmp_path / "list.csv"])


def test_the_split_does_not_depend_on_the_first_word():
    items = [Item(str(i), (f"word{i}", "b"), columns={"caption": "x"}) for i in range(10)]
    split = splits.split_randomly(items, 0.2, 0.1, 0)
    assert [sum(item.split == name for item in split) for name in ("train", "val", "test")] == [7, 1, 2]
