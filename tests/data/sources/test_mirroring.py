import pytest

from vidjax.data.sources.mirroring import swapped


def test_sides_swap_with_their_case():
    classes = ["Swiping Left", "Swiping Right", "Turning Hand Clockwise", "Turning Hand Counterclockwise", "Stop"]
    assert swapped(classes) == [1, 0, 3, 2, 4]
    assert swapped(["from left to right", "from right to left"]) == [1, 0]


def test_words_that_name_no_side():
    assert swapped(["putting something upright", "pulling it right out", "leftovers"]) == "unchanged"


def test_a_class_without_its_mirror_image():
    with pytest.raises(
        ValueError, match="The class 'turn left' becomes 'turn right' when mirrored, which is not a class"
    ):
        swapped(["turn left", "stop"])
