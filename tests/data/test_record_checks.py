import os

import pytest

from vidjax.data import make_records, record_checks
from vidjax.data.sources.items import Item


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("folder", ("--fps", "-1"), "--fps -1: give 0 to 1000 .frames per second"),
        ("folder", ("--fps", "nan"), "--fps nan: give 0 to 1000"),
        ("folder", ("--short_side", "-5"), "--short_side -5: give 0 to 16384"),
        ("folder", ("--quality", "101"), "--quality 101: give 1 to 100"),
        ("folder", ("--format", "mp4", "--quality", "90"), "--quality 90: give 0 to 51 .of mp4; 0 is best"),
        ("flow", ("--format", "mp4"), "--format mp4 is for videos; the source is flow: give --format png or jpeg"),
        ("folder", ("--workers", "0"), "--workers 0: give 1 to"),
        ("folder", ("--max_bad", "5"), "--max_bad 5: give 0 to 1"),
        ("folder", ("--num_shards", "0"), "--num_shards 0: give 1 to"),
        ("folder", ("--val_fraction", "-0.1"), "leave nothing to train on"),
        ("folder", ("--test_fraction", "nan"), "leave nothing to train on"),
        ("folder", ("--flow", "tv"), "Unknown optical flow 'tv'"),
        ("motion", ("--motion_videos", "8", "-8", "8"), "--motion_videos 8 -8 8: give numbers"),
        ("motion", ("--horizontal_flip", "a:b"), "--horizontal_flip is fixed for the source motion: remove it"),
        ("sight_gap", ("--horizontal_flip", "a:b"), "--horizontal_flip is fixed for the source sight_gap: remove it"),
        ("flow", ("--horizontal_flip", "unchanged"), "--horizontal_flip is fixed for the source flow: remove it"),
        ("tfds", ("--fps", "5"), "--fps 5: tfds does not tell its frame rate; remove --fps"),
        ("motion", ("--frame_folders",), "--frame_folders is for a folder of class folders; the source is motion"),
        ("folder", ("--group", "person"), "--group is for a CSV or list of videos; the source is folder"),
        ("folder", ("--class_file", "x"), "--class_file is for a CSV or list"),
        ("table", ("--group", "a", "--split_by", "b"), "remove one of them"),
        ("table", ("--num_folds", "1"), "--num_folds 1: give 2 to 1000"),
        ("table", ("--num_folds", "5", "--split_by", "b"), "--num_folds draws the splits: remove --split_by"),
        ("motion", ("--num_folds", "5"), "--num_folds is for a CSV or a folder of class folders; the source is motion"),
    ],
)
def test_arguments(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        record_checks.check_arguments(make_records.parse_args([kind, "--out", "out", *arguments]), kind)


def test_out(tmp_path, monkeypatch):
    record_checks.check_out(tmp_path / "a/b")
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").touch()
    for out in ("file", "file/below"):
        with pytest.raises(ValueError, match=f"--out .*{out}: .*file is not a directory; give another path"):
            record_checks.check_out(tmp_path / out)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(ValueError, match="--out .*b: .* cannot be written; give another directory"):
        record_checks.check_out(tmp_path / "a/b")


def test_labels():
    record_checks.check_labels(["run", "跑"])
    for label, message in (("a\nb", "line break"), ("a\u2028b", "line break"), ("\udcff", "not valid UTF-8: rename")):
        with pytest.raises(ValueError, match=message):
            record_checks.check_labels([label])
    with pytest.raises(ValueError, match="No video has a label"):
        record_checks.check_labels([])


def test_files(tmp_path):
    (tmp_path / "a.mp4").touch()
    items = [Item(str(tmp_path / "a.mp4"), ("a",)), Item(str(tmp_path / "b.mp4"), ("a",))]
    record_checks.check_files(items, 0.5)
    with pytest.raises(ValueError, match="1 of 2 videos do not exist, more than --max_bad 0.4 allows, like .*b.mp4"):
        record_checks.check_files(items, 0.4)
