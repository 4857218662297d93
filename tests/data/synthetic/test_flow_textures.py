import cv2
import numpy as np
import pytest

from vidjax.data.synthetic import flow_textures


def test_textures_and_shapes_fill_their_size():
    rng = np.random.default_rng(0)
    coverage = flow_textures.shape(rng, 40)
    assert coverage.shape == (40, 40) and coverage.min() == 0 and coverage.max() == 1
    assert coverage[[0, -1]].max() == coverage[:, [0, -1]].max() == 0  # the outline is inside
    coefficients = flow_textures.texture(rng, (20, 30), ())
    assert coefficients.shape == (20, 30, 3) and coefficients.std() > 1


def test_half_of_the_textures_are_photographs(tmp_path):
    path = tmp_path / "white.png"
    cv2.imwrite(str(path), np.full((40, 50, 3), 255, np.uint8))
    rng = np.random.default_rng(0)
    white = [np.ptp(flow_textures.texture(rng, (16, 24), [path])) < 1e-3 for _ in range(100)]
    assert 35 < sum(white) < 65
    assert flow_textures.list_photographs(None) == []


def test_photographs_are_listed_at_any_depth(tmp_path):
    names = ["0.png", "1.JPG", "sub/2.ppm", "sub/3.webp", "sub/deep/4.bmp"]
    for name in [*names, "notes.txt"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert flow_textures.list_photographs(tmp_path) == sorted(tmp_path / name for name in names)


def test_photographs_must_be_images(tmp_path):
    with pytest.raises(ValueError, match="has 0 images; give five or more"):
        flow_textures.list_photographs(tmp_path)
    with pytest.raises(ValueError, match="is not a directory"):
        flow_textures.list_photographs(tmp_path / "none")
    (tmp_path / "bad.png").write_text("no image")
    with pytest.raises(ValueError, match="bad.png is not an image"):
        flow_textures.read_photograph(tmp_path / "bad.png")
