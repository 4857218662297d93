import io

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from vidjax.ladder import profile_plots


@pytest.fixture
def row():
    """Two levels of gap, at 100 and 60 %."""
    levels = [
        {"level": 0, "accuracy": 1.0, "low": 0.8, "high": 1.0},
        {"level": 4, "accuracy": 0.6, "low": 0.4, "high": 0.8},
    ]
    return {"dial": "gap", "title": "TCN", "profile": {"levels": levels, "chance": 0.5, "mean": 0.8, "seen": []}}


def test_the_unit_is_that_of_the_dial():
    assert profile_plots.unit_of("gap") == "empty frames between"


def test_a_curve_has_the_accuracies_in_percent_and_its_levels_as_ticks(row):
    axes = Figure().subplots()
    profile_plots.draw_curve(axes, row, "C0", with_interval=True)
    profile_plots.finish(axes, row)
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [100, 60])
    assert [line.get_ydata()[0] for line in axes.lines[1:]] == [50, 75]  # chance and the threshold
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "4"]


def test_styles_repeat_after_ten_colours_with_other_dashes():
    assert [profile_plots.style(i) for i in (0, 9, 10)] == [("C0", "-"), ("C9", "-"), ("C0", "--")]


@pytest.mark.parametrize("draw", [profile_plots.curves, profile_plots.matrix])
def test_pictures_of_several_rows(draw, row):
    file = io.BytesIO()
    draw([row, {**row, "title": "C3D"}, {**row, "dial": "speed"}], file)
    assert cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR).std() > 1


def test_the_legend_of_many_rungs_on_one_dial_fits(row):
    file = io.BytesIO()
    profile_plots.curves([{**row, "title": f"a network of a long name {i}"} for i in range(12)], file)
    image = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    assert (image[:, [0, -1]] == 255).all()  # nothing is cut off at the sides
