import os

import numpy as np
import pytest

from vidjax.data import video
from vidjax.data.sources import folder_tree


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def names(paths):
    return [path.name for path in paths]


def read(directory):
    said, ignored = [], folder_tree.Ignored(directory)
    tree = folder_tree.read_tree(directory, ignored)
    ignored.report(said.append)
    return tree, said


def test_well_known_endings_and_what_is_ignored(tmp_path):
    for name in ("b.F4V", "a.divx", "c.rmvb", "d.m2v", "poster.jpg", "notes.txt", "more.TXT"):
        touch(tmp_path / name)
    for junk in ("Thumbs.db", "._a.divx", ".cache/x.mp4", "__MACOSX/a.mp4", "@eaDir/a.mp4"):
        touch(tmp_path / junk)
    tree, said = read(tmp_path)
    assert names(tree.videos) == ["a.divx", "b.F4V", "c.rmvb", "d.m2v"] and names(tree.images) == ["poster.jpg"]
    assert tree.folders == []
    assert said == [
        "ignored: 2 .txt files, like more.TXT.",
        "ignored: 5 hidden or system files and folders, like ._a.divx.",
        "If some of these are videos, list them in a CSV (path,label).",
    ]


def test_ffmpeg_says_whether_other_files_are_videos(tmp_path):
    video.write_video(tmp_path / "a.mp4", np.zeros((2, 32, 32, 3), np.uint8), 10)
    for name in ("no_ending", "clip.dat", "clip.1"):
        (tmp_path / name).write_bytes((tmp_path / "a.mp4").read_bytes())
    (tmp_path / "README").write_text("text")
    (tmp_path / "model.weights").write_bytes(bytes(100))
    tree, said = read(tmp_path)
    assert names(tree.videos) == ["a.mp4", "clip.1", "clip.dat", "no_ending"]
    assert said[0].startswith("ignored: 1 .weights files, like model.weights (is not a video")
    assert said[1].startswith("ignored: 1 extensionless files, like README (")


def test_special_files_and_links_are_ignored(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    touch(tmp_path / "split/class/folder/a.mp4")
    (tmp_path / "split/class/link").symlink_to(tmp_path / "split")  # never ends if followed
    (tmp_path / "linked").symlink_to(tmp_path / "split/class/folder")
    tree, said = read(tmp_path)
    assert [names(folder.videos) for folder in tree.walk()] == [[], ["a.mp4"], [], [], ["a.mp4"]]
    assert said[:2] == [
        "ignored: 1 broken links or special files, like pipe.",
        "ignored: 1 links to folders inside class folders, like split/class/link.",
    ]


def test_a_folder_that_cannot_be_listed(tmp_path, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.iterdir", refuse)
    with pytest.raises(ValueError, match="cannot be listed: Permission denied. Change its permissions"):
        read(tmp_path)
