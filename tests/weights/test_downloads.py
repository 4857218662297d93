import functools
import hashlib
import http.server
import tarfile
import threading

import pytest

from vidjax.weights import downloads
from vidjax.weights.downloads import File, fetch

CONTENT = b"numbers" * 1000


@pytest.fixture
def file(tmp_path, monkeypatch) -> File:
    """A file of a package on a local index; its setup.py must never run."""
    source = tmp_path / "package/thing-0.0.1"
    source.mkdir(parents=True)
    (source / "weights.bin").write_bytes(CONTENT)
    (source / "setup.py").write_text(f"open({str(tmp_path / 'setup_was_run')!r}, 'w')")
    page = tmp_path / "index/simple/thing"
    page.mkdir(parents=True)
    archive = page / "thing-0.0.1.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(source, "thing-0.0.1")
    (page / "index.html").write_text(f'<a href="{archive.name}">{archive.name}</a>')
    monkeypatch.setenv("VIDJAX_CACHE", str(tmp_path / "cache"))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path / "index"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        yield File("thing-0.0.1.tar.gz", "thing==0.0.1", f"sha256:{digest}")
        server.shutdown()


@pytest.fixture
def served(file, tmp_path):
    return tmp_path / "index/simple/thing" / file.name


def test_a_file_is_downloaded_once_from_the_index_in_pips_configuration(file, served, tmp_path):
    content = served.read_bytes()
    assert fetch(file).read_bytes() == content
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [file.name]
    served.unlink()
    assert fetch(file) == file.path == tmp_path / "cache" / file.name  # from the cache
    assert not (tmp_path / "setup_was_run").exists()


def test_users_who_share_a_cache_may_read_its_files(file, tmp_path):
    (tmp_path / "other").touch()
    assert fetch(file).stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_corrupted_download_is_removed(file, served, tmp_path):
    data = bytearray(served.read_bytes())
    data[100] ^= 1
    served.write_bytes(data)
    with pytest.raises(ValueError, match="is damaged: its checksum is sha256:.*, not sha256:.* Try again"):
        fetch(file)
    assert not list((tmp_path / "cache").iterdir())


def test_a_corrupted_file_in_the_cache_is_not_used(file):
    path = fetch(file)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=f"{path.name} is damaged.* Remove it to download it again"):
        fetch(file)
    path.unlink()
    fetch(file)


def test_a_cache_that_is_not_writable(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VIDJAX_CACHE", str(tmp_path / "file"))
    with pytest.raises(ValueError, match="is not writable .*; set VIDJAX_CACHE to another directory"):
        fetch(File("x", "https://127.0.0.1:9/x", "md5:00"))


def test_the_password_of_an_index_is_not_shown(file, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")
    with pytest.raises(ValueError, match="could not be downloaded") as error:
        fetch(file)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("index", ["http://127.0.0.1:9/simple", "{server}/nothing"])
def test_without_a_network_the_error_says_where_to_put_the_file(file, index, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", index.format(server=downloads.os.environ["PIP_INDEX_URL"]))
    with pytest.raises(ValueError) as error:
        fetch(file)
    place = "the files of thing==0.0.1 on the Python package index"
    for text in (file.name, "could not be downloaded", place, str(tmp_path / "cache" / file.name), file.digest):
        assert text in str(error.value)
    assert not list((tmp_path / "cache").iterdir())


def test_an_unreachable_address_and_the_path_of_the_file_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDJAX_CACHE", str(tmp_path))
    file = File("network/model.index", "https://127.0.0.1:9/model.index", "git:00")
    with pytest.raises(ValueError, match="could not be downloaded") as error:
        fetch(file)
    assert f"from {file.source}, and copy it to" in str(error.value) and str(tmp_path / file.name) in str(error.value)
    assert not list((tmp_path / "network").iterdir())


@pytest.mark.parametrize(
    "digest",
    [
        f"sha256:{hashlib.sha256(CONTENT).hexdigest()}",
        f"sha256:{hashlib.sha256(CONTENT).hexdigest()[:8]}",
        f"md5:{hashlib.md5(CONTENT).hexdigest()}",
        "git:b02755d9c548df592ace2261153a61a651fcd673",  # from `git hash-object`
    ],
)
def test_kinds_of_checksum(digest, tmp_path, monkeypatch):
    monkeypatch.setenv("VIDJAX_CACHE", str(tmp_path))
    file = File("weights.bin", "https://127.0.0.1:9/weights.bin", digest)
    file.path.write_bytes(CONTENT)
    assert fetch(file).read_bytes() == CONTENT
    file.path.write_bytes(CONTENT + b"!")
    with pytest.raises(ValueError, match=f"is damaged: its checksum is {digest.partition(':')[0]}:"):
        fetch(file)
