import pytest

from vidjax.data.sources import lists


def parsed(tmp_path, text):
    return [entry[1:] for entry in lists.read_list(tmp_path / "list.txt", text)]


@pytest.mark.parametrize("separator", [" ", "  ", "\t", ",", ", ", ";"])
def test_path_and_label(separator, tmp_path):
    text = f"a/1.avi{separator}run\n\nb/2.avi{separator}walk\n"
    assert parsed(tmp_path, text) == [("a/1.avi", "run", None), ("b/2.avi", "walk", None)]
    assert [entry.line for entry in lists.read_list(tmp_path / "list.txt", text)] == [1, 3]


def test_spaces_and_commas_in_paths(tmp_path):
    assert parsed(tmp_path, "my video.mp4 3\nother.mp4 4\n") == [("my video.mp4", "3", None), ("other.mp4", "4", None)]
    assert parsed(tmp_path, "my, video.mp4 3\n") == [("my, video.mp4", "3", None)]
    assert parsed(tmp_path, '"my video.mp4" 3\n') == [("my video.mp4", "3", None)]
    assert parsed(tmp_path, "my video.mp4\n") == [("my video.mp4", None, None)]
    assert parsed(tmp_path, "a.mp4\u00a03\u00a0\n") == [("a.mp4", "3", None)]


def test_frame_folders_with_their_number_of_frames(tmp_path):
    assert parsed(tmp_path, "v_g01_c01 120 3\nv_g01_c02 95 4\n") == [
        ("v_g01_c01", "3", "120"),
        ("v_g01_c02", "4", "95"),
    ]
    (tmp_path / "take 2").mkdir()
    assert parsed(tmp_path, "take 2 3\n") == [("take 2", "3", None)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.mp4 run\nb.mp4\n", "list.txt, line 2: 'b.mp4' is not `path label` like the other lines"),
        ("a.mp4,run\nb.mp4,\n", "list.txt, line 2: 'b.mp4,' is not `path label`"),
    ],
)
def test_invalid_lines(text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        parsed(tmp_path, text)


def test_the_folder_that_paths_are_relative_to(tmp_path):
    for folder in ("lists/inside", "videos", "other"):
        (tmp_path / folder / "run").mkdir(parents=True)
    path = tmp_path / "lists/train.txt"
    assert lists.find_root(path, ["run/a.mp4"]) == tmp_path / "lists"
    for name in ("run/a.mp4", "b.mp4"):
        (tmp_path / "videos" / name).touch()
    assert lists.find_root(path, ["run/a.mp4"]) == tmp_path / "videos"
    assert lists.find_root(path, ["run/missing.mp4", "run/a.mp4"]) == tmp_path / "lists"  # one of two may be chance
    assert lists.find_root(path, ["b.mp4"]) == tmp_path / "lists"
    (tmp_path / "lists/inside/b.mp4").touch()
    assert lists.find_root(path, ["b.mp4"]) == tmp_path / "lists/inside"
    (tmp_path / "lists/inside/run/a.mp4").touch()
    with pytest.raises(ValueError, match="exist in .*videos, .*inside: move the list to the folder that you mean"):
        lists.find_root(path, ["run/a.mp4"])
    (tmp_path / "lists/run").mkdir()
    (tmp_path / "lists/run/a.mp4").touch()
    assert lists.find_root(path, ["run/a.mp4"]) == tmp_path / "lists"
