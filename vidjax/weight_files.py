"""Reads a file of weights: the arrays in it, under the names that the library which wrote it gave them.

Nothing in a file is ever run: pickles are read by unpicklers that make arrays and nothing else. PyTorch, TensorFlow and
h5py are imported only to read their own formats, and are not among the requirements.
"""

import importlib
import pickle
import re
import tarfile
from pathlib import Path
from typing import BinaryIO

import numpy as np
import safetensors.numpy
from flax import traverse_util

Arrays = dict[str, np.ndarray]


def read(path: Path, member: str = "") -> Arrays:
    """Reads a file of arrays under the names that the library which wrote it gave them.

    Args:
        path: `.pth` or `.pt` (PyTorch), `.safetensors`, `.h5` (Keras), `.index` (TensorFlow's Saver; the `.data` file
            lies beside it), `.pkl` or `.ckpt` (a pickled nested dict of numpy arrays); or an archive of tar.
        member: the file within the archive, a pickle.

    Raises:
        ValueError: for another ending, a missing or damaged file, one that holds more than arrays, or where a library
            is not installed that is needed to read it (the message names the extra).
    """
    if not path.exists():
        raise ValueError(f"There is no file {path}.")
    if not member and path.suffix not in READERS:
        raise ValueError(f"{path}: weights are read from files that end in {', '.join(READERS)}.")
    try:
        if member:
            with tarfile.open(path) as archive:  # read in memory: no path of the archive is ever written to
                return _from_pickle(archive.extractfile(member))
        return READERS[path.suffix](path)
    except (ValueError, ModuleNotFoundError) as error:
        raise ValueError(f"{path}: {error}") from None
    except Exception as error:  # what the readers raise for half a file is of no common kind
        raise ValueError(f"{path} is damaged, or no such file as its name says ({error}).") from None


def _needs(module: str, extra: str):
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ValueError(
            f"reading it needs {module.partition('.')[0]}, which is not installed: pip install -e '.[{extra}]'"
        ) from None


class ArraysOnly(pickle.Unpickler):
    """Unpickles numpy arrays in plain containers. Whatever else a pickle names is refused, and nothing is imported."""

    ALLOWED = {
        ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module, name):
        if (module, name) not in self.ALLOWED:
            raise ValueError(f"The pickle wants {module}.{name}; only numpy arrays are read.")
        return self.ALLOWED[module, name]


def _from_pickle(file: BinaryIO) -> Arrays:
    return traverse_util.flatten_dict(ArraysOnly(file).load(), sep="/")


def _read_pickle(path: Path) -> Arrays:
    with open(path, "rb") as file:
        return _from_pickle(file)


def _read_torch(path: Path) -> Arrays:
    torch = _needs("torch", "torch")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = re.search("(Trying to load|Unsupported).*", str(error))  # the rest tells how to run it nevertheless
        raise ValueError(
            "it holds more than tensors, or is damaged, and was not run" + (f": {reason[0]}" if reason else ".")
        ) from None
    for key in ("state_dict", "model", "model_state_dict"):  # where training scripts put it beside the optimizer
        if isinstance(state.get(key), dict):
            state = state[key]
    return {
        name.removeprefix("module."): x.float().numpy() if x.is_floating_point() else x.numpy()
        for name, x in state.items()
        if isinstance(x, torch.Tensor)
    }


def _read_safetensors(path: Path) -> Arrays:
    return safetensors.numpy.load_file(path)


def _read_keras(path: Path) -> Arrays:
    h5py = _needs("h5py", "keras")
    arrays = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, x: arrays.update({name: x[()]}) if isinstance(x, h5py.Dataset) else None)
    return arrays


def _read_tensorflow(path: Path) -> Arrays:
    train = _needs("tensorflow", "tf").train
    reader = train.load_checkpoint(str(path.with_suffix("")))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


READERS = {
    ".pth": _read_torch,
    ".pt": _read_torch,
    ".safetensors": _read_safetensors,
    ".h5": _read_keras,
    ".index": _read_tensorflow,
    ".pkl": _read_pickle,
    ".ckpt": _read_pickle,
}
