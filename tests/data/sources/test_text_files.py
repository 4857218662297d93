import codecs

import pytest

from vidjax.data.sources import text_files

TEXT = "path,label\r\nüben.mp4,跑\n"


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"),
    ],
)
def test_unicode_with_and_without_a_mark(data, tmp_path):
    (tmp_path / "a.csv").write_bytes(data)
    said = []
    assert text_files.read_text(tmp_path / "a.csv", said.append) == TEXT
    assert not said


def test_windows_1252_is_a_guess(tmp_path):
    (tmp_path / "a.csv").write_bytes("path,label\nüben.mp4,laufen\n".encode("cp1252"))
    said = []
    assert text_files.read_text(tmp_path / "a.csv", said.append) == "path,label\nüben.mp4,laufen\n"
    assert "a.csv is not UTF-8; read as Windows-1252, like 'üben.mp4,laufen'" in said[0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a\x81b", "neither UTF-8 nor Windows-1252 .see byte 1.: save it as UTF-8"),
        ("a,b".encode("utf-16-le"), "holds zero bytes: it is not text, or UTF-16 without a mark. Save it as UTF-8"),
        (codecs.BOM_UTF16_LE + b"a\0b", "is damaged UTF-16-LE text at byte 2: save it again"),
    ],
)
def test_what_cannot_be_read(data, message, tmp_path):
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        text_files.read_text(tmp_path / "a.csv")


def test_no_file(tmp_path):
    with pytest.raises(ValueError, match="none.csv does not exist"):
        text_files.read_text(tmp_path / "none.csv")
    with pytest.raises(ValueError, match="is a directory, not a text file"):
        text_files.read_text(tmp_path)
