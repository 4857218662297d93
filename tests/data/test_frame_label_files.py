import pytest

from tests.data.test_segment_files import save
from vidjax.data import frame_label_files as files


def test_labels_per_frame(tmp_path):
    save(tmp_path / "groundTruth/rgb-01.txt", "background\ncut\ncut\n")
    save(tmp_path / "groundTruth/rgb-02.txt", "cut\r\nbackground\r\n")
    save(tmp_path / "groundTruth/rgb-03.txt", "peel\n")
    names = files.read_mapping(save(tmp_path / "mapping.txt", "1 cut\n0 background\n"))
    bundle = files.read_bundle(save(tmp_path / "splits/test.split1.bundle", "rgb-02.txt\nrgb-01.txt\n"))
    assert (names, bundle) == (["background", "cut"], ["rgb-02", "rgb-01"])
    found = files.read_frame_labels(tmp_path / "groundTruth", mapping=names, bundle=bundle)
    assert found == {"rgb-02": ["cut", "background"], "rgb-01": ["background", "cut", "cut"]}
    assert [*files.read_frame_labels(tmp_path / "groundTruth")] == ["rgb-01", "rgb-02", "rgb-03"]
    with pytest.raises(ValueError, match=r"mapping misses peel \(.*rgb-03.txt, line 1\); it has background, cut"):
        files.read_frame_labels(tmp_path / "groundTruth", mapping=names)


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (files.read_mapping, "", "names no classes"),
        (files.read_mapping, "0 cut\n2 peel\n", "misses class 1; numbers must count from 0"),
        (files.read_mapping, "0 cut\n1 cut\n", "line 2: '1 cut' repeats a number or a name"),
        (files.read_mapping, "cut\n", "line 1: 'cut' is not `number name`"),
        (files.read_bundle, "\n", "names no videos"),
        (files.read_bundle, "a.txt\nb.txt\na.txt\n", "names a more than once"),
    ],
)
def test_wrong_files(read, text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read(save(tmp_path / "file", text))
    with pytest.raises(ValueError, match="missing"):
        read(tmp_path / "missing")


def test_wrong_folders(tmp_path):
    with pytest.raises(ValueError, match="has no file VIDEO.txt"):
        files.read_frame_labels(tmp_path)
    with pytest.raises(ValueError, match="b.txt does not exist"):
        files.read_frame_labels(tmp_path, bundle=["b"])
    for text, line in (("", 1), ("cut\n\ncut\n", 2)):
        save(tmp_path / "frames/a.txt", text)
        with pytest.raises(ValueError, match=f"a.txt, line {line} is empty; each line is the label of a frame"):
            files.read_frame_labels(tmp_path / "frames")
