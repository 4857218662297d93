import cv2
import numpy as np
import pytest

from vidjax.data import sources


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
