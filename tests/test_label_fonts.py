import warnings

import cv2
import numpy as np
import pytest

from vidjax import label_fonts, plots

LETTER = "\U0001d49c"  # a script A: in STIX, which comes with matplotlib, and not in DejaVu Sans
NO_FONT = "\U000e0fff"  # in no font


def test_names_that_the_first_font_has():
    assert label_fonts.shown(["stehen", "прыжок"]) == (["stehen", "прыжок"], ["sans-serif"], False)
    assert label_fonts.shown(["a\tb\n"]).texts == ["a b"]


def test_another_font_is_found():
    found = label_fonts.shown(["run", LETTER])
    assert found.texts == ["run", LETTER] and not found.is_numbered
    _, name = found.family  # the first one and one more
    assert LETTER in label_fonts.characters(label_fonts.regular_faces()[name], frozenset(LETTER))
    assert not name.startswith("Last Resort")


def test_numbers_if_no_font_has_a_character(tmp_path):
    labels = ["run", NO_FONT]
    assert label_fonts.shown(labels)[::2] == (["0", "1"], True)
    plots.confusion(np.eye(2, dtype=int), labels, tmp_path / "confusion.png")
    assert (tmp_path / "confusion_labels.txt").read_text() == f"0: run\n1: {NO_FONT}\n"
    plots.frames_used(np.ones((2, 3)), labels, tmp_path / "frames_used.png")
    assert (tmp_path / "frames_used_labels.txt").exists()


@pytest.mark.parametrize(
    "label", ["$x^", "$", "$$", "\\frac", "a_b^c", "$\\alpha$", "\\$5", LETTER, "_hidden", "100 %"]
)
def test_names_are_drawn_as_they_are(label, tmp_path, monkeypatch):
    monkeypatch.setattr("matplotlib.mathtext.MathTextParser.parse", lambda *given: pytest.fail("mathtext"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a glyph that is missing
        for draw, values in ((plots.confusion, np.eye(2, dtype=int)), (plots.frames_used, np.ones((2, 3)))):
            draw(values, [label, "run"], tmp_path / "picture.png")
            assert cv2.imread(str(tmp_path / "picture.png")).std() > 0
    assert not (tmp_path / "picture_labels.txt").exists()


def test_a_file_that_is_not_a_font(tmp_path):
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    assert label_fonts.characters(str(tmp_path / "broken.ttf"), frozenset("a")) == frozenset()
