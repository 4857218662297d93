import sys

import pytest

from vidjax.weights import __main__
from vidjax.weights import load as weights

NAME = "i3d_kinetics400_rgb"


def test_every_entry_is_listed_and_described(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["weights"])
    __main__.main()
    listed = capsys.readouterr().out
    for name, entry in weights.WEIGHTS.items():
        assert f"{name} " in listed and entry.what in listed
        monkeypatch.setattr(sys, "argv", ["weights", "show", name])
        __main__.main()
        shown = capsys.readouterr().out
        assert all(text in shown for text in (name, entry.licence, entry.source, f"{entry.inputs['fps']:g} frames/s"))
    with pytest.raises(ValueError, match=f"'i3d' is neither the name of weights nor a file .* The names are {NAME}"):
        weights.load("i3d")
