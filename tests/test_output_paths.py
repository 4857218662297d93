import errno
import tempfile
from pathlib import Path

import pytest

from vidjax import output_paths


def test_directories_that_cannot_be_written_to(tmp_path, monkeypatch):
    output_paths.check_writable(tmp_path / "new" / "run", "--workdir")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="--workdir .*/file/run cannot be written to .*file: Not a directory.: name"):
        output_paths.check_writable(tmp_path / "file/run", "--workdir")
    with pytest.raises(ValueError, match="--out .*/file/x.json: .*/file is not a directory; create it first"):
        output_paths.check_out(tmp_path / "file/x.json")
    with pytest.raises(ValueError, match="--out .* is a directory: name a file in it"):
        output_paths.check_out(tmp_path)
    output_paths.check_out(tmp_path / "x.json")
    with pytest.raises(ValueError, match="--workdir gs:/bucket/run is not a local directory; mount the bucket first"):
        output_paths.check_writable(Path("gs://bucket/run"), "--workdir")

    def refusing(**given):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refusing)
    with pytest.raises(ValueError, match=r"cannot be written to \(.*: Read-only file system\): free it"):
        output_paths.check_writable(tmp_path, "--workdir", "free it")


def test_files_that_cannot_be_replaced(tmp_path):
    (tmp_path / "confusion.csv").mkdir()
    with pytest.raises(ValueError, match="confusion.csv cannot be written: remove it"):
        output_paths.check_replaceable([tmp_path / "none", tmp_path / "confusion.csv"], "remove it")
