import cv2
import numpy as np
import pytest

from vidjax.data.sources import tfds


def test_tfds_builder(tmp_path, monkeypatch):
    """A dataset of tensorflow-datasets, generated here, listed and read without TensorFlow."""
    import tensorflow_datasets

    class TinyImages(tensorflow_datasets.core.GeneratorBasedBuilder):
        VERSION = tensorflow_datasets.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": tensorflow_datasets.features.Image(shape=(4, 4, 3)),
                "label": tensorflow_datasets.features.ClassLabel(names=["x", "y"]),
            }
            return self.dataset_info_from_configs(features=tensorflow_datasets.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(3), "test": self._generate_examples(1)}

        def _generate_examples(self, count):
            for i in range(count):
                cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((4, 4, 3), 10 * i, np.uint8))
                yield i, {"image": str(tmp_path / f"{i}.png"), "label": i % 2}  # arrays would need TensorFlow

    monkeypatch.setattr(tensorflow_datasets.core.utils.gcs_utils, "gcs_dataset_info_files", lambda *_: [])
    monkeypatch.setattr(tensorflow_datasets.core.constants, "DATA_DIR", str(tmp_path))
    items = tfds.list_videos("tiny_images")
    assert sorted((item.split, item.path) for item in items)[0] == ("test", "tfds:tiny_images/test/0")
    assert sorted(item.labels[0] for item in items if item.split == "train") == ["x", "x", "y"]
    values = sorted(int(tfds.read_video(item.path).mean()) for item in items if item.split == "train")
    assert values == [0, 10, 20]
    assert tfds.read_video(items[0].path).shape == (1, 4, 4, 3)


def test_unknown_tfds_builder():
    with pytest.raises(ValueError, match="tensorflow-datasets has no 'no_such_dataset'"):
        tfds.list_videos("no_such_dataset")
