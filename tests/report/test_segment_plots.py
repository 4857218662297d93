import io

import cv2
import numpy as np

from vidjax.report import segment_plots
from vidjax.report.segments import OfClass

BLUE = (31, 119, 180)  # of matplotlib


def picture_of(draw, *arguments):
    file = io.BytesIO()
    draw(*arguments, file)
    return cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR_RGB)


def test_bars_grow_with_the_predicted_segments():
    def blue(num_predicted):
        rows = [OfClass("all classes", 9, 9, [0.0, 1.0]), OfClass("walk", 5, num_predicted, [])]
        return int((picture_of(segment_plots.classes, rows, "s") == BLUE).all(-1).sum())

    one, two, many = blue(5), blue(10), blue(100)
    assert 1.8 < two / one < 2.2 and 3.5 < many / one < 4.5  # bars end at 4
    assert picture_of(segment_plots.classes, [OfClass("all classes", 0, 1, []), OfClass("x", 0, 1, [])], "s").size


def test_a_confusion_of_frames_is_normalised():
    """A class of 1000 frames and one of 10 have the same shade and text; a class without frames has none."""
    rare, often = (np.array([[n, n, 0], [0, 2 * n, 0], [0, 0, 0]]) for n in (5, 500))
    pictures = [picture_of(segment_plots.confusion, counts, ["a", "$b", "c_d"]) for counts in (rare, often)]
    np.testing.assert_array_equal(*pictures)
    other = picture_of(segment_plots.confusion, np.eye(3, dtype=int), ["a", "$b", "c_d"])
    assert (other != pictures[0]).any()
