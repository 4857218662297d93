import pathlib

import pytest

from vidjax.data import dataset_info


def test_info(tmp_path):
    info = dataset_info.DatasetInfo(["left", "right"], horizontal_flip=[1, 0], time_reversal=[1, 0])
    dataset_info.write(tmp_path, info, complete=True)
    assert dataset_info.read(tmp_path) == info
    dataset_info.write(tmp_path, info, complete=False)
    with pytest.raises(ValueError, match="run the same make_records command again"):
        dataset_info.read(tmp_path)


def test_a_full_disk_leaves_the_description_before(tmp_path, monkeypatch):
    info = dataset_info.DatasetInfo(["left", "right"], "unchanged")
    dataset_info.write(tmp_path, info, complete=True)

    def half(path, text, **_):
        path.write_bytes(text.encode()[: len(text) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_text", half)
    with pytest.raises(OSError, match="No space"):
        dataset_info.write(tmp_path, info, complete=True)
    assert dataset_info.read(tmp_path) == info
    assert {path.name for path in tmp_path.iterdir()} == {"labels.txt", "dataset.json"}


@pytest.mark.parametrize("label", ["", " a", "a\nb", "a\rb", "a\u2028b"])
def test_a_label_must_fit_in_its_line(label, tmp_path):
    with pytest.raises(ValueError, match="must be one line, neither empty nor with spaces around it"):
        dataset_info.write(tmp_path, dataset_info.DatasetInfo(["c", label], "unchanged"), complete=True)


def test_info_of_others_forbids_flips_and_asks_for_labels(tmp_path):
    with pytest.raises(ValueError, match="labels.txt"):
        dataset_info.read(tmp_path)
    (tmp_path / "labels.txt").write_text("a\nb\n")
    assert dataset_info.read(tmp_path) == dataset_info.DatasetInfo(["a", "b"], "forbidden", None)
    (tmp_path / "labels.txt").write_bytes("\ufeffa \r\n张\r\n\r\n".encode())  # a byte-order mark and Windows line ends
    assert dataset_info.read(tmp_path).labels == ["a", "张"]
    (tmp_path / "labels.txt").write_text("a\n\nb\n")
    with pytest.raises(ValueError, match="labels.txt, line 2 is empty: write one class name per line"):
        dataset_info.read(tmp_path)
    (tmp_path / "labels.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(ValueError, match="labels.txt is not UTF-8 .*: save it as UTF-8"):
        dataset_info.read(tmp_path)
    (tmp_path / "labels.txt").write_text("a\nb\n")
    for text, message in (("{not", "dataset.json is not valid JSON"), ("[]", "dataset.json is not a JSON object")):
        (tmp_path / "dataset.json").write_text(text)
        with pytest.raises(ValueError, match=f"{message}.*: remove it, and make the records again"):
            dataset_info.read(tmp_path)
    (tmp_path / "dataset.json").unlink()
    with pytest.raises(ValueError, match="make_records"):
        dataset_info.read(tmp_path / "nowhere")
