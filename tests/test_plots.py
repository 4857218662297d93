import cv2
import numpy as np

from vidjax import plots


def test_curves_are_drawn_from_whatever_was_logged(tmp_path):
    lines = [{"step": i, "loss": 1 / i, "top1": 1 - 1 / i} for i in range(1, 200)]
    lines[100] |= {"val_loss": 0.5, "val_top1": 0.4}
    for name, some in (
        ("all.png", lines),
        ("one.png", lines[:1]),
        ("none.png", []),
        ("no_top1.png", [{"step": 1, "loss": 2}]),
    ):
        plots.curves(some, tmp_path / name)
        assert cv2.imread(str(tmp_path / name)).std() > 0


def test_confusion_of_few_and_many_classes(tmp_path):
    for num_classes in (2, 101):
        labels = [f"class {i}" for i in range(num_classes)]
        plots.confusion(np.eye(num_classes, dtype=int), labels, tmp_path / "confusion.png")
        assert cv2.imread(str(tmp_path / "confusion.png")).std() > 0


def test_frames_used(tmp_path):
    share = np.array([[1, 0, 0.5], [1, 1, np.nan]])
    plots.frames_used(share, ["still", "moving"], tmp_path / "frames_used.png")
    assert cv2.imread(str(tmp_path / "frames_used.png")).std() > 0
