import numpy as np
import pytest

from vidjax.data import feature_files
from vidjax.data.sources.items import Item, Steps


def test_every_second_step_with_its_label(tmp_path):
    path = str(tmp_path / "a.npy")
    np.save(path, np.array([range(5), range(10, 15)], np.float64))
    segments = ((0.0, 0.3, "cut"), (0.3, 0.5, "peel"))  # of the frames 0, 1, 2 and 3, 4
    item = Item(path, ("cut", "peel"), end=0.5, segments=segments, steps=Steps(fps=10, stride=2, every=2))
    example = feature_files.read_example(item, ["peel", "cut"])
    assert (
        example.features["RGB"].tolist() == [[0, 10], [2, 12], [4, 14]] and example.features["RGB"].dtype == np.float32
    )
    assert list(example.frame_labels) == [1, 1, 0] and example.labels == [1, 0]
    assert example.feature_times["RGB"] == pytest.approx([0.05, 0.25, 0.45])
    np.save(path, np.full((2, 5), np.nan, np.float32))
    with pytest.raises(ValueError, match="a.npy holds numbers that are not finite; download it again"):
        feature_files.read_example(item, ["peel", "cut"])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([[{}]]), "cannot be read as a NumPy array of numbers: .*Python objects"),
        (np.zeros((3, 15), int), r"holds int64 \(3, 15\); features are floating-point numbers with the axes"),
        (np.zeros(15), r"holds float64 \(15,\)"),
        (np.zeros((3, 0)), r"holds float64 \(3, 0\)"),
    ],
)
def test_wrong_arrays(array, message, tmp_path):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=message):
        feature_files.open_features(tmp_path / "a.npy")


def test_wrong_files(tmp_path):
    path = tmp_path / "a.npy"
    with pytest.raises(ValueError, match="a.npy cannot be read as a NumPy array of numbers: .*No such file"):
        feature_files.open_features(path)
    for content in (b"", b"not an array"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="a.npy cannot be read as a NumPy array of numbers"):
            feature_files.open_features(path)
    np.savez(tmp_path / "a.npz", np.zeros((3, 15)))
    with pytest.raises(ValueError, match="a.npz holds an archive; features are"):
        feature_files.open_features(tmp_path / "a.npz")
