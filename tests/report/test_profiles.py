import base64

import cv2
import numpy as np

from tests.level_rows import rows_of
from vidjax.evaluation import profile
from vidjax.report import page, profiles


def row_of(title, right):
    return {"title": title, "dial": "gap", "profile": profile.profile_of([rows_of(right)])}


def shape_of(picture):
    return cv2.imdecode(np.frombuffer(base64.b64decode(picture.png), np.uint8), cv2.IMREAD_COLOR).shape


def test_the_profile_of_a_rung_beside_sample_clips():
    curve, samples = profiles.of_rung(row_of("TCN", {0: (20, 20), 4: (10, 20)}))
    assert "75 % or more: <= 2 [" in curve.caption and "Sample clips of gap by empty frames between" in samples.caption
    assert shape_of(curve)[2] == shape_of(samples)[2] == 3
    assert profiles.of_rung({"title": "of an earlier version"}) == []


def test_what_all_rungs_see():
    rows = [row_of("TCN", {0: (20, 20), 4: (10, 20)}), row_of("C3D", {0: (9, 20)}), {"title": "not run", "profile": {}}]
    matrix, curves = profiles.of_ladder(rows)
    assert "What each rung sees" in matrix.caption and "Accuracy against the level" in curves.caption
    assert profiles.of_ladder(rows[2:]) == []
    assert page.wide_picture(matrix).startswith("<figure>")
