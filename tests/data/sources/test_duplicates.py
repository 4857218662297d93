import cv2
import numpy as np

from vidjax.data.sources import duplicates
from vidjax.data.sources.items import Item


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


def test_copies_of_files_and_frame_folders(tmp_path):
    a, b, c = (write(tmp_path / f"{name}.mp4", data) for name, data in (("a", b"one"), ("b", b"one"), ("c", b"two")))
    empty = [write(tmp_path / f"empty{i}.mp4", b"") for i in range(2)]
    for folder, levels in (("x", (1, 2)), ("y", (1, 2)), ("z", (2, 1))):
        for i, level in enumerate(levels):
            (tmp_path / folder).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / folder / f"{folder}_{i}.png"), np.full((4, 4, 3), level, np.uint8))
    x, y, z = (str(tmp_path / name) for name in "xyz")
    assert duplicates.find_copies([c, b, a, *empty, x, y, z, "missing.mp4"]) == {a: a, b: a, x: x, y: x}


def test_copies_are_counted_and_their_labels_compared(tmp_path):
    a, b, c = (write(tmp_path / f"{name}.mp4", data) for name, data in (("a", b"one"), ("b", b"one"), ("c", b"two")))
    said = []
    items = [Item(a, ("run",)), Item(b, ("walk",)), Item(c, ("run",), start=0, end=1), Item(c, ("walk",), start=1)]
    assert duplicates.same_video(items, said.append) == {a: a, b: a, c: c}
    assert f"1 of 3 videos are copies of others (the same bytes), like {b} of {a}." in said[0]
    assert f"1 videos are given twice with different labels, like {a} (run) and {b} (walk)" in said[1]
    said.clear()
    captions = [Item(a, (word,), columns={"caption": word}) for word in ("red", "hot")]
    duplicates.same_video(captions, said.append)
    duplicates.same_video([Item("tfds:x/train/0", ("run",)), Item("tfds:x/train/1", ("walk",))], said.append)
    assert not said


def test_videos_in_several_splits():
    items = [Item("a", ("run",), "train"), Item("b", ("run",), "test"), Item("c", ("run",), "test")]
    said = []
    duplicates.warn_across_splits(items, {"a": "a", "b": "a", "c": "c"}, said.append)
    assert said[0].startswith("warning: 1 videos are in several splits, like b in test, a in train.")
    duplicates.warn_across_splits(items, {"a": "a", "b": "b", "c": "c"}, said.append)
    assert len(said) == 1


def test_a_row_that_is_there_twice():
    said = []
    rows = [Item("a.mp4", ("x",), start=start) for start in (1.0, 1.0, 2.0)]
    duplicates.same_video(rows, said.append)
    assert said == ["warning: 1 videos are listed twice, like a.mp4; remove one of the rows."]
