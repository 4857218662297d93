import cv2
import pytest

from vidjax.data.synthetic.sight import __main__ as command
from vidjax.data.synthetic.sight import sheet
from vidjax.data.synthetic.sight.render import DIALS


@pytest.mark.parametrize("name", ["order", "speed"])
def test_a_contact_sheet_has_a_row_for_levels(tmp_path, name):
    command.main([name, "--out", str(tmp_path / "new" / "sheet.png")])
    picture = cv2.imread(str(tmp_path / "new" / "sheet.png"))
    rows = len(DIALS[name].levels) if name == "order" else len(DIALS[name].levels) // 2
    assert picture.shape == (rows * (sheet.HEIGHT + 4), sheet.LEFT + sheet.WIDTH, 3)


def test_unknown_dials_are_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        command.main(["colour", "--out", str(tmp_path / "x.png")])
    assert "invalid choice" in capsys.readouterr().err
