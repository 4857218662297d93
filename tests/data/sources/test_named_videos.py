from pathlib import Path

import pytest

from vidjax.data.sources.named_videos import by_name, match, shown


def test_videos_that_are_there_missing_or_doubled():
    paths, said = by_name(map(Path, ("x/a.avi", "y/a.mp4", "y/b.mp4"))), []
    assert match("abc", paths, said.append) == ({"a": Path("x/a.avi"), "b": Path("y/b.mp4")}, ["c"], [])
    assert said == [
        "warning: 1 of 3 annotated videos are missing: c.",
        "note: 1 videos have several files, of which the first is read, like x/a.avi, y/a.mp4.",
    ]
    with pytest.raises(ValueError, match="None of the 2 annotated videos is there, like c; there are a, b. Give the"):
        match("cd", paths, said.append)


def test_videos_that_are_spelt_differently():
    """Of two files that are alike neither is taken; a file that is named exactly is not taken again."""
    paths, said = by_name(map(Path, ("v_HandstandPushups_g01.avi", "A b.avi", "a-b.avi", "c.avi"))), []
    names = ["v_HandStandPushups_g01", "a_b", "c", "C"]
    found = match(names, paths, said.append, loosely=True)
    assert list(found.paths) == ["v_HandStandPushups_g01", "c"]
    assert found.missing == ["a_b", "C"] and found.misspelt == ["v_HandStandPushups_g01"]
    assert "1 videos are spelt differently in the annotations: v_HandStandPushups_g01 is v_HandstandPushups" in said[1]
    assert match(names, paths, said.append).missing == ["v_HandStandPushups_g01", "a_b", "C"]


def test_long_lists_are_cut():
    assert shown("abcde") == "a, b, c, d, e" and shown("abcdef") == "a, b, c, d, e, ..."
