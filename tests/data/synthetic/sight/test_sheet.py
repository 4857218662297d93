"""Contact sheets."""

import numpy as np
import pytest

from vidjax.data.synthetic.sight import sheet
from vidjax.data.synthetic.sight.render import DIALS


@pytest.mark.parametrize(("name", "rows"), [("direction", 4), ("order", 5)])
def test_a_sheet_has_a_row_per_shown_level(name, rows):
    picture = sheet.sheet(name)
    assert picture.dtype == np.uint8 and picture.shape == (rows * (sheet.HEIGHT + 4), sheet.LEFT + sheet.WIDTH, 3)
    assert len(DIALS[name].levels) in (rows, 2 * rows)
    for row in np.split(picture, rows):
        assert row[:, sheet.LEFT :].std() > 10 and (row[-4:] == 255).all()
