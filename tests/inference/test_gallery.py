import dataclasses

import numpy as np
import pytest
import safetensors.numpy

from tests import networks
from vidjax.inference import embedding, gallery

EMPTY = gallery.Gallery("0123", "net", "euclidean")
WAVE, CLAP = np.array([[0.0, 0], [0, 2]]), np.array([[4.0, 0]])


@pytest.fixture
def two() -> gallery.Gallery:
    """wave at (0, 1), clap at (4, 0)."""
    return gallery.add(gallery.add(EMPTY, "wave", WAVE, ["a", "b"]), "clap", CLAP, ["c"])


def test_the_nearest_prototype_comes_first(two):
    assert gallery.nearest(two, np.array([0, 1.0])) == [("wave", 0.0), ("clap", pytest.approx(np.sqrt(17)))]
    assert [name for name, _ in gallery.nearest(two, np.array([3.0, 0]))] == ["clap", "wave"]
    with pytest.raises(ValueError, match="has no class: add one with `vidjax gallery add`"):
        gallery.nearest(EMPTY, np.zeros(2))


def test_a_class_is_added_without_a_change_of_the_others(two):
    three = gallery.add(two, "point", np.ones((1, 2)), ["d"])
    more = gallery.add(three, "wave", np.array([[0, 4.0]]), ["e"])
    for name in ("wave", "clap"):
        assert three.examples[name].tobytes() == two.examples[name].tobytes()
    assert more.examples["wave"].tolist() == [[0, 0], [0, 2], [0, 4]] and more.videos["wave"] == ["a", "b", "e"]
    assert list(two.examples) == ["wave", "clap"]  # the argument is unchanged


def test_removing_and_adding_again_gives_the_same_bits(two):
    without = gallery.remove(two, "wave")
    assert list(without.examples) == list(without.videos) == ["clap"]
    again = gallery.add(without, "wave", WAVE, ["a", "b"])
    assert {name: rows.tobytes() for name, rows in again.examples.items()} == {
        name: rows.tobytes() for name, rows in two.examples.items()
    }
    with pytest.raises(ValueError, match="has no class 'jump'; choose from wave, clap"):
        gallery.remove(two, "jump")


def test_the_threshold_accepts_95_percent_of_the_examples():
    """100 examples on a line; each is compared with the mean of the other 99."""
    line = np.arange(100.0)[:, None]
    apart = np.sort(np.abs(line - (line.sum() - line) / 99).ravel())
    many = gallery.add(EMPTY, "line", line, [""] * 100)
    assert gallery.threshold(many) == pytest.approx(apart[95]) and apart[93] < apart[94] == pytest.approx(apart[95])


def test_classes_with_one_example_share_the_threshold_of_the_others(two):
    assert gallery.threshold(two) == 2  # of wave: each of its two is 2 away from the other
    classify = gallery.make_classifier(two, top=1, reject=True)
    assert classify(np.array([4.0, 2])) == [{"label": "clap", "distance": 2.0}]
    assert classify(np.array([4.0, 2.1]))[0] == {"label": "unknown", "distance": None}
    assert [entry["label"] for entry in classify(np.array([9.0, 0]))] == ["unknown", "clap"]
    assert gallery.make_classifier(two, top=5, reject=False)(np.array([9.0, 0]))[0]["label"] == "clap"
    near = gallery.add(gallery.remove(two, "clap"), "clap", np.array([[0.5, 1]]), ["c"])
    assert gallery.threshold(near) == np.sqrt(0.5**2 + 1)  # clap is nearer to either than the other example of wave
    with pytest.raises(ValueError, match="needs a class with two or more examples"):
        gallery.threshold(gallery.remove(two, "wave"))


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("unknown", CLAP + 1, "'unknown' cannot be the name of a class"),
        (" ", CLAP + 1, "cannot be the name of a class"),
        ("clap", CLAP * np.nan, "The embedding of d is not finite"),
        ("clap", CLAP, "d is an example of 'clap' already .c.: give each video once"),
        ("jump", CLAP, "d is an example of 'clap' already"),
        ("clap", np.ones((1, 3)), "The embeddings have 3 values, those of the gallery 2"),
        ("jump", np.ones((1, 3)), "The embeddings have 3 values, those of the gallery 2"),
    ],
)
def test_examples_that_are_refused(name, rows, message, two):
    with pytest.raises(ValueError, match=message):
        gallery.add(two, name, rows, ["d"])


def test_another_network_is_refused():
    run = networks.network_of("frame_pool", 4, **networks.RESNET)
    found = gallery.empty(embedding.of_run(run))
    assert found.distance == "cosine"
    assert gallery.for_network(found, embedding.of_run(run)) == found
    with pytest.raises(ValueError, match="belongs to another network, drawn .*, not to drawn .*start a new gallery"):
        gallery.for_network(found, embedding.of_run(dataclasses.replace(run, clip={**run.clip, "size": 64})))


# ------------------------------------------------------------------------------------------------------------- the file


def test_the_file_keeps_everything(two, tmp_path):
    two = gallery.add(two, "__metadata__", np.ones((1, 2)), ["caf\udce9.mp4"])  # a reserved name of safetensors
    gallery.write(tmp_path / "g", two)
    back = gallery.read(tmp_path / "g")
    assert dataclasses.replace(back, examples={}) == dataclasses.replace(two, examples={})
    assert list(back.examples) == ["wave", "clap", "__metadata__"]
    for name, rows in two.examples.items():
        assert back.examples[name].tobytes() == rows.tobytes() and back.examples[name].dtype == np.float32
    gallery.write(tmp_path / "g", EMPTY)
    assert gallery.read(tmp_path / "g").examples == {}
    assert [path.name for path in tmp_path.iterdir()] == ["g"]


def test_every_damaged_byte_is_found(two, tmp_path):
    gallery.write(tmp_path / "g", two)
    data = (tmp_path / "g").read_bytes()
    for place in range(0, len(data), 7):
        damaged = bytearray(data)
        damaged[place] ^= 1
        (tmp_path / "g").write_bytes(damaged)
        with pytest.raises(ValueError, match="is damaged|not a gallery"):
            gallery.read(tmp_path / "g")
    (tmp_path / "g").write_bytes(data[:-3])
    with pytest.raises(ValueError, match="restore a copy, or remove it and add the classes again"):
        gallery.read(tmp_path / "g")


def test_files_that_are_not_galleries(tmp_path, two, monkeypatch):
    with pytest.raises(ValueError, match="The gallery .* does not exist; make one with `vidjax gallery add`"):
        gallery.read(tmp_path / "missing")
    safetensors.numpy.save_file({"x": np.zeros(2)}, tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match="is a safetensors file, but not a gallery"):
        gallery.read(tmp_path / "weights.safetensors")
    monkeypatch.setattr(gallery, "VERSION", 2)
    gallery.write(tmp_path / "later", two)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="has version 2; this vidjax reads version 1"):
        gallery.read(tmp_path / "later")


def test_a_write_that_fails_leaves_the_old_file_whole(two, tmp_path, monkeypatch):
    gallery.write(tmp_path / "g", two)
    before = (tmp_path / "g").read_bytes()

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(gallery.os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        gallery.write(tmp_path / "g", gallery.remove(two, "wave"))
    assert (tmp_path / "g").read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["g"]
