import io
import os
import pickle
import sys
import types

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from vidjax.weights import files

ARRAYS = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a.bias": np.ones(2, np.float32)}


class Shout:
    """An object whose pickle calls os.system when it is read."""

    def __reduce__(self):
        return os.system, ("touch pickle_was_run",)


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def assert_same(read, expected):
    assert set(read) == set(expected)
    for name in expected:
        np.testing.assert_array_equal(read[name], expected[name])


# ------------------------------------------------------------------------------------------------------------- pickles


def test_a_pickle_of_arrays_is_read(directory):
    tree = {"a": {"b": np.arange(6, dtype=np.float32).reshape(2, 3)}, "c": np.ones((), np.int64)}
    (directory / "x.ckpt").write_bytes(pickle.dumps(tree, protocol=4))
    assert_same(files.read(directory / "x.ckpt"), {"a/b": tree["a"]["b"], "c": tree["c"]})


@pytest.mark.parametrize(
    "culprit", [Shout(), eval, exec, np.load, getattr], ids=["call", "eval", "exec", "load", "getattr"]
)
def test_a_pickle_that_imports_is_rejected(directory, culprit):
    (directory / "x.pkl").write_bytes(pickle.dumps({"a": np.zeros(2), "b": culprit}))
    with pytest.raises(ValueError, match="x.pkl: The pickle refers to .*; only numpy arrays are supported"):
        files.read(directory / "x.pkl")
    assert [path.name for path in directory.iterdir()] == ["x.pkl"]


class Forged:
    """An array whose pickle forges the state of its dtype: a pointer to an object disguised as a number."""

    def __reduce__(self):
        array = np.zeros(1, np.dtype([("a", "O")]))
        reconstruct, arguments, _ = array.__reduce__()
        return reconstruct, arguments, (1, (1,), ForgedDtype(), False, b"AAAAAAAA")


class ForgedDtype:
    def __reduce__(self):
        _, arguments, state = np.dtype([("a", "O")]).__reduce__()
        return np.dtype, arguments, (*state[:-1], 0)


@pytest.mark.parametrize(
    "culprit",
    [Forged(), np.array([None, "x"]), np.array(["text"]), np.zeros(1, [("a", "f4")]), np.zeros(1, "M8[s]")],
    ids=["forged", "objects", "text", "record", "time"],
)
def test_a_pickle_of_arrays_of_other_types_is_rejected(directory, culprit):
    (directory / "x.pkl").write_bytes(pickle.dumps({"a": np.zeros(2), "b": culprit}))
    with pytest.raises(ValueError, match="only arrays of numbers are supported|other types than numbers"):
        files.read(directory / "x.pkl")


def test_a_pickle_holds_arrays_and_numbers_only(directory):
    (directory / "x.pkl").write_bytes(pickle.dumps({"a": {"b": "text"}, "c": np.zeros(2)}))
    with pytest.raises(ValueError, match="a/b is not an array of numbers, but str"):
        files.read(directory / "x.pkl")
    (directory / "x.pkl").write_bytes(pickle.dumps({"step": 3, "big_endian": np.arange(3, dtype=">f4")}))
    assert_same(files.read(directory / "x.pkl"), {"step": 3, "big_endian": np.arange(3.0)})
    fortran = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    (directory / "x.pkl").write_bytes(pickle.dumps({"x": fortran, "flag": np.array([True])}))
    assert_same(files.read(directory / "x.pkl"), {"x": fortran, "flag": [True]})


# ---------------------------------------------------------------------------------------------------------- safetensors


def test_safetensors_are_read(directory):
    safetensors.numpy.save_file(ARRAYS, directory / "x.safetensors")
    assert_same(files.read(directory / "x.safetensors"), ARRAYS)


def test_bfloat16_is_read_as_float32(directory):
    safetensors.numpy.save_file({name: x.astype(jnp.bfloat16) for name, x in ARRAYS.items()}, "x.safetensors")
    found = files.read(directory / "x.safetensors")
    assert_same(found, ARRAYS)
    assert {x.dtype for x in found.values()} == {np.dtype(np.float32)}


# -------------------------------------------------------------------------------------------------------------- PyTorch


def test_torch_reads_tensors_only_and_must_be_new_enough(directory, monkeypatch):
    """The two conditions that keep torch from running code in a file, tested with any version of torch."""
    settings_seen = []

    class Tensor:
        pass

    def load(path, **settings):
        settings_seen.append(settings)
        return {}

    stub = types.SimpleNamespace(__version__="2.6.0+cpu", load=load, Tensor=Tensor)
    monkeypatch.setitem(sys.modules, "torch", stub)
    (directory / "x.pth").write_bytes(b"")
    assert files.read(directory / "x.pth") == {}
    assert settings_seen == [{"map_location": "cpu", "weights_only": True}]
    stub.__version__ = "2.5.1"
    with pytest.raises(ValueError, match="torch 2.5.1 can run code in a .pth file; install 2.6 or newer"):
        files.read(directory / "x.pth")
    assert len(settings_seen) == 1


def test_pth_files_with_and_without_other_training_state(directory):
    torch = pytest.importorskip("torch")
    tensors = {name: torch.from_numpy(array) for name, array in ARRAYS.items()}
    of_others = {"model_state": tensors, "epoch": 3}, {"model": tensors, "optimizer": {"lr": 0.1}}
    for content in (tensors, {"state_dict": tensors, "epoch": 3}, *of_others):
        torch.save(content, directory / "x.pth")
        assert_same(files.read(directory / "x.pth"), ARRAYS)
    torch.save(tensors, directory / "x.pt", _use_new_zipfile_serialization=False)  # the format before torch 1.6
    assert_same(files.read(directory / "x.pt"), ARRAYS)
    torch.save({f"module.{name}": tensor.half() for name, tensor in tensors.items()}, directory / "x.pth")
    assert_same(files.read(directory / "x.pth"), ARRAYS)


def test_a_pth_file_with_code_is_rejected(directory):
    torch = pytest.importorskip("torch")
    torch.save({"a": torch.zeros(2), "b": Shout()}, directory / "x.pth")
    with pytest.raises(
        ValueError, match="no code was run. It refers to (posix|nt).system: save the state_dict.. alone.$"
    ):
        files.read(directory / "x.pth")
    torch.save([torch.zeros(2)], directory / "x.pth")
    with pytest.raises(ValueError, match="it holds list, not a dict of tensors"):
        files.read(directory / "x.pth")
    torch.save({"a": torch.nn.Parameter(torch.ones(2))}, directory / "x.pth")
    assert_same(files.read(directory / "x.pth"), {"a": np.ones(2)})
    torch.save({"a": torch.zeros(2), "b": Shout()}, directory / "x.pth")
    (directory / "x.pth").write_bytes(pickle.dumps(Shout()))
    with pytest.raises(ValueError, match="it holds more than tensors, or is damaged; no code was run"):
        files.read(directory / "x.pth")
    assert not (directory / "pickle_was_run").exists()


def test_tensorflows_checkpoints_are_read(directory):
    tf = pytest.importorskip("tensorflow").compat.v1
    with tf.Graph().as_default(), tf.Session() as session:
        tf.get_variable("scope/w", initializer=ARRAYS["a.weight"])
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(directory / "model.ckpt"), write_meta_graph=False)
    assert_same(files.read(directory / "model.ckpt.index"), {"scope/w": ARRAYS["a.weight"]})
    (directory / "model.ckpt.data-00000-of-00001").unlink()
    with pytest.raises(ValueError, match="model.ckpt.index is damaged"):
        files.read(directory / "model.ckpt.index")


def test_keras_files_are_read(directory):
    h5py = pytest.importorskip("h5py")
    with h5py.File(directory / "x.h5", "w") as file:
        for name, array in ARRAYS.items():
            file[f"layer/{name}"] = array
    assert_same(files.read(directory / "x.h5"), {f"layer/{name}": array for name, array in ARRAYS.items()})


# ------------------------------------------------------------------------------------------------------------ bad files


@pytest.mark.parametrize(
    "suffix, module, extra",
    [(".pth", "torch", "torch"), (".pt", "torch", "torch"), (".index", "tensorflow", "tf"), (".h5", "h5py", "keras")],
)
def test_a_missing_library_is_named_with_its_extra(directory, monkeypatch, suffix, module, extra):
    (directory / f"x{suffix}").write_bytes(b"")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=rf"needs {module}, which is not installed: pip install -e '.\[{extra}\]'"):
        files.read(directory / f"x{suffix}")


@pytest.mark.parametrize("suffix, module", [(".pth", "torch"), (".h5", "h5py"), (".index", "tensorflow")])
def test_a_truncated_file_of_a_library(directory, suffix, module):
    pytest.importorskip(module)
    check_truncated(directory, suffix)


@pytest.mark.parametrize("suffix", [".safetensors", ".pkl", ".ckpt"])
def test_a_truncated_file(directory, suffix):
    check_truncated(directory, suffix)


def check_truncated(directory, suffix):
    path = directory / f"x{suffix}"
    write(path, {"a": np.arange(1000.0)})
    whole = path.read_bytes()
    for part in (whole[: len(whole) // 2], whole[:3], b"", b"<html>Not found</html>"):
        path.write_bytes(part)
        with pytest.raises(ValueError, match=f"x{suffix}( is|: it holds more than tensors, or is) damaged"):
            files.read(path)


def write(path, arrays):
    if path.suffix == ".safetensors":
        safetensors.numpy.save_file(arrays, path)
    elif path.suffix == ".pth":
        import torch

        torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, path)
    elif path.suffix == ".h5":
        import h5py

        with h5py.File(path, "w") as file:
            file.update(arrays)
    else:
        path.write_bytes(pickle.dumps(arrays))


def test_other_files(directory):
    with pytest.raises(ValueError, match="x.pth does not exist"):
        files.read(directory / "x.pth")
    (directory / "x.txt").write_text("")
    with pytest.raises(ValueError, match="x.txt is not a weight file; its extension must be one of .pth, .pt, .bin"):
        files.read(directory / "x.txt")
    with pytest.raises(ValueError, match="pickle"):
        files.ArraysOnly(io.BytesIO(pickle.dumps(print))).load()
