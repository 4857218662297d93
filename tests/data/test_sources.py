import dataclasses

import cv2
import numpy as np
import pytest

from vidjax.data import sources
from vidjax.data.sources import Item


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return str(path)


def test_folder_of_class_folders(tmp_path):
    run, walk = touch(tmp_path / "run/b.mp4"), touch(tmp_path / "walk/day one/a.AVI")
    touch(tmp_path / "walk/notes.txt")
    touch(tmp_path / "walk/.hidden.mp4")
    touch(tmp_path / ".cache/c.mp4")
    assert sources.from_folder(tmp_path) == [Item(run, ("run",)), Item(walk, ("walk",))]


def test_folder_with_splits(tmp_path):
    train, test = touch(tmp_path / "train/run/a.mp4"), touch(tmp_path / "test/run/b.mp4")
    assert sources.from_folder(tmp_path) == [Item(test, ("run",), "test"), Item(train, ("run",), "train")]


def test_folder_errors(tmp_path):
    with pytest.raises(ValueError, match="nowhere is no folder"):
        sources.from_folder(tmp_path / "nowhere")
    touch(tmp_path / "a.mp4")  # not in a class folder
    with pytest.raises(ValueError, match="has no videos: expected .*CLASS/video.mp4"):
        sources.from_folder(tmp_path)


def write_csv(tmp_path, text):
    (tmp_path / "videos.csv").write_text(text)
    return tmp_path / "videos.csv"


def test_csv(tmp_path):
    path = write_csv(
        tmp_path, "path,label,split,start,end,camera\na.mp4,run,train,1.5,3,left\nb.mp4,run|jump,test,,,right\n"
    )
    first, second = sources.from_csv(path)
    assert (first.path, first.labels, first.split, first.start, first.end) == (
        str(tmp_path / "a.mp4"), ("run",), "train", 1.5, 3.0,
    )  # fmt: skip
    assert first.columns["camera"] == "left"
    assert (second.labels, second.start, second.end) == (("run", "jump"), 0.0, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na.mp4,run\n", "no column path; it has file, label"),
        ("", "no column path or label; it has none"),
        ("path,label\n", "has a header but no rows"),
        ("path,label\na.mp4,run\nb.mp4,\n", "line 3: path and label must both be given"),
        ("path,label,start,end\na.mp4,run,soon,2\n", "line 2: start and end are seconds, not 'soon'"),
    ],
)
def test_csv_errors(text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        sources.from_csv(write_csv(tmp_path, text))


def test_csv_that_is_missing(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        sources.from_csv(tmp_path / "none.csv")


def test_split_by_column():
    items = [Item(f"{i}.mp4", ("a",), columns={"sequence": str(i)}) for i in (1, 2, 2)]
    assert [item.split for item in sources.split_by(items, "sequence")] == ["sequence_1", "sequence_2", "sequence_2"]
    with pytest.raises(ValueError, match=r"no such column; there are \['sequence'\]"):
        sources.split_by(items, "camera")


def test_random_split_is_stratified_complete_and_repeatable():
    items = [Item(f"{label}{i}.mp4", (label,)) for label in "ab" for i in range(10)]
    split = sources.split_randomly(items, test_fraction=0.2, val_fraction=0.1, seed=0)
    counts = {(item.labels[0], item.split): 0 for item in split}
    for item in split:
        counts[item.labels[0], item.split] += 1
    assert counts == {(label, name): n for label in "ab" for name, n in (("test", 2), ("train", 7), ("val", 1))}
    assert sorted(dataclasses.replace(item, split="").path for item in split) == sorted(item.path for item in items)
    assert split == sources.split_randomly(reversed(items[::-1]), 0.2, 0.1, 0)
    assert split != sources.split_randomly(items, 0.2, 0.1, seed=1)


def test_a_class_with_one_video_cannot_be_split():
    items = [Item("a1.mp4", ("a",)), *(Item(f"b{i}.mp4", ("b",)) for i in range(5))]
    with pytest.raises(ValueError, match=r"Too few videos to split into train, test, val: a \(1\)"):
        sources.split_randomly(items, 0.2, 0.1, 0)
    with pytest.raises(ValueError, match="leave nothing to train on"):
        sources.split_randomly(items, 0.9, 0.1, 0)


def test_tfds_builder(tmp_path, monkeypatch):
    """A dataset of tensorflow-datasets, generated here, listed and read without TensorFlow."""
    import tensorflow_datasets as tfds

    class TinyImages(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(4, 4, 3)),
                "label": tfds.features.ClassLabel(names=["x", "y"]),
            }
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(3), "test": self._generate_examples(1)}

        def _generate_examples(self, count):
            for i in range(count):
                cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((4, 4, 3), 10 * i, np.uint8))
                yield i, {"image": str(tmp_path / f"{i}.png"), "label": i % 2}  # arrays would need TensorFlow

    monkeypatch.setattr(tfds.core.utils.gcs_utils, "gcs_dataset_info_files", lambda *_: [])
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    items = sources.from_tfds("tiny_images")
    assert sorted((item.split, item.path) for item in items)[0] == ("test", "tfds:tiny_images/test/0")
    assert sorted(item.labels[0] for item in items if item.split == "train") == ["x", "x", "y"]
    values = sorted(int(sources.read_tfds(item.path).mean()) for item in items if item.split == "train")
    assert values == [0, 10, 20]
    assert sources.read_tfds(items[0].path).shape == (1, 4, 4, 3)


def test_unknown_tfds_builder():
    with pytest.raises(ValueError, match="tensorflow-datasets has no 'no_such_dataset'"):
        sources.from_tfds("no_such_dataset")
