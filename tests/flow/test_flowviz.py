import numpy as np
import pytest

from vidjax.flow import flowviz


def colour_of(u, v, largest=1.0):
    return flowviz.to_colours(np.array([[[u, v]]], np.float32), largest)[0, 0].tolist()


def test_wheel_is_the_published_one():
    wheel = flowviz.colour_wheel()
    assert wheel.shape == (55, 3)
    assert wheel.dtype == np.uint8
    corners = {0: "red", 15: "yellow", 21: "green", 25: "cyan", 36: "blue", 49: "magenta"}
    assert [wheel[place].tolist() for place in corners] == [
        [255, 0, 0],
        [255, 255, 0],
        [0, 255, 0],
        [0, 255, 255],
        [0, 0, 255],
        [255, 0, 255],
    ]
    assert wheel[1].tolist() == [255, 17, 0]  # 255 * 1 // 15
    assert wheel[16].tolist() == [213, 255, 0]  # 255 - 255 * 1 // 6
    assert wheel[22].tolist() == [0, 255, 63]  # 255 * 1 // 4
    assert wheel[35].tolist() == [0, 24, 255]  # 255 - 255 * 10 // 11
    assert wheel[48].tolist() == [235, 0, 255]  # 255 * 12 // 13
    assert wheel[54].tolist() == [255, 0, 43]  # 255 - 255 * 5 // 6


def test_directions():
    assert colour_of(1, 0) == colour_of(1, -0.0) == [255, 0, 0]  # right: hue 0
    assert colour_of(0, 1) == [255, 229, 0]  # down: a quarter of 54 is hue 13.5, between (255,221,0) and (255,238,0)
    assert colour_of(-1, 0) == [0, 209, 255]  # left: hue 27, 255 - 255 * 2 // 11
    assert colour_of(0, -1) == [88, 0, 255]  # up: hue 40.5, between (78,0,255) and (98,0,255)


def test_lengths():
    assert colour_of(0, 0) == [255, 255, 255]
    assert colour_of(0.5, 0) == [255, 127, 127]
    assert colour_of(1, 0) == [255, 0, 0]
    assert colour_of(1.01, 0) == [191, 0, 0]  # beyond the largest: 0.75 of the hue
    assert colour_of(5, 0, largest=10) == [255, 127, 127]


@pytest.mark.parametrize("unknown", [np.nan, np.inf, -np.inf, 2e9, -1e10])
def test_unknown_flow_is_black_and_does_not_count_as_the_largest(unknown):
    flow = np.array([[[unknown, 0], [0, unknown], [2, 0], [0, 0]]])
    assert flowviz.to_colours(flow)[0].tolist() == [[0, 0, 0], [0, 0, 0], [255, 0, 0], [255, 255, 255]]


def test_largest_is_by_default_that_of_the_whole_array():
    flow = np.random.default_rng(0).normal(size=(2, 3, 5, 7, 2)).astype(np.float32)
    colours = flowviz.to_colours(flow)
    assert colours.shape == (2, 3, 5, 7, 3)
    assert colours.dtype == np.uint8
    largest = np.linalg.norm(flow.astype(np.float64), axis=-1).max()
    np.testing.assert_array_equal(colours[1, 2], flowviz.to_colours(flow[1, 2], largest * (1 + 1e-12)))
    assert (flowviz.to_colours(np.zeros((4, 4, 2))) == 255).all()
    assert flowviz.to_colours(np.zeros((0, 4, 4, 2))).shape == (0, 4, 4, 3)


def test_to_colours_errors():
    with pytest.raises(ValueError, match=r"must be \(\.\.\., height, width, 2\), not \(4, 4, 3\)"):
        flowviz.to_colours(np.zeros((4, 4, 3)))
    with pytest.raises(ValueError, match="largest = 0 must be above 0 pixels"):
        flowviz.to_colours(np.zeros((4, 4, 2)), largest=0)
