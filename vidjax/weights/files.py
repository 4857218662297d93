"""Reads a file of weights: the arrays in it, under the names that the library which wrote it gave them.

Nothing in a file is ever run: pickles are read by unpicklers that make arrays and nothing else. PyTorch, TensorFlow and
h5py are imported only to read their own formats, and are not among the requirements.
"""

import pickle
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import safetensors.numpy
from flax import traverse_util

from vidjax.extras import needs

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
                arrays = _from_pickle(archive.extractfile(member))
        else:
            arrays = READERS[path.suffix](path)
        return {name: _number_array(name, x) for name, x in arrays.items()}
    except (ValueError, ModuleNotFoundError) as error:
        raise ValueError(f"{path}: {error}") from None
    except Exception as error:  # what the readers raise for half a file is of no common kind
        raise ValueError(f"{path} is damaged, or no such file as its name says ({error}).") from None


def _number_array(name: str, x) -> np.ndarray:
    if not isinstance(x, np.ndarray | np.generic | int | float) or np.asarray(x).dtype.kind not in "biufc":
        raise ValueError(f"{name} in it is no array of numbers, but {type(x).__name__}.")
    return np.asarray(x)


class _Dtype:
    """Stands in for numpy.dtype in a pickle: numbers only, and of its state the order of the bytes only.

    numpy's own would take any state, with which a crafted pickle makes arrays of pointers.
    """

    def __init__(self, name, *unused):
        if not isinstance(name, str) or not re.fullmatch(r"[?]|b1|[iufc]\d+", name):
            raise ValueError(f"The pickle has arrays of {name!r}; only numbers are read.")
        self.dtype = np.dtype(name)

    def __setstate__(self, state):
        self.dtype = self.dtype.newbyteorder({"<": "<", ">": ">"}.get(state[1], "="))


class _Array:
    """Stands in for numpy.ndarray in a pickle."""

    def __init__(self, *unused):
        self.array = None

    def __setstate__(self, state):
        _, shape, dtype, fortran_order, data = state
        if not isinstance(dtype, _Dtype) or not isinstance(data, bytes):
            raise ValueError("The pickle has arrays of other things than numbers.")
        self.array = np.frombuffer(data, dtype.dtype).reshape(shape, order="F" if fortran_order else "C")


class ArraysOnly(pickle.Unpickler):
    """Unpickles numpy arrays in plain containers. Whatever else a pickle names is refused, and nothing is imported."""

    ALLOWED = {
        ("numpy.core.multiarray", "_reconstruct"): _Array,
        ("numpy._core.multiarray", "_reconstruct"): _Array,
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Dtype,
    }

    def find_class(self, module, name):
        if (module, name) not in self.ALLOWED:
            raise ValueError(f"The pickle wants {module}.{name}; only numpy arrays are read.")
        return self.ALLOWED[module, name]


def _from_pickle(file: BinaryIO) -> Arrays:
    content = traverse_util.flatten_dict(ArraysOnly(file).load(), sep="/")
    return {name: x.array if isinstance(x, _Array) else x for name, x in content.items()}


def _read_pickle(path: Path) -> Arrays:
    with open(path, "rb") as file:
        return _from_pickle(file)


def _read_torch(path: Path) -> Arrays:
    torch = needs("torch", "torch")
    if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 6):
        raise ValueError(f"torch {torch.__version__} would run code in a .pth file; install 2.6 or newer.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's own message tells how to run the file nevertheless
        reason = re.search(r"(?:Unsupported global: GLOBAL|unsupported GLOBAL) (\S+)", str(error))
        raise ValueError(
            "it holds more than tensors, or is damaged, and was not run"
            + (f": it names {reason[1]}. Save the state_dict() alone." if reason else ".")
        ) from None
    if not isinstance(state, Mapping):
        raise ValueError(f"it holds no dict of tensors, but {type(state).__name__}.")
    for key in ("state_dict", "model", "model_state_dict"):  # where training scripts put it beside the optimizer
        if isinstance(state.get(key), Mapping):
            state = state[key]
    tensors = {name: x.detach() for name, x in state.items() if isinstance(x, torch.Tensor)}
    return {
        name.removeprefix("module."): x.float().numpy() if x.is_floating_point() else x.numpy()
        for name, x in tensors.items()
    }


def _read_safetensors(path: Path) -> Arrays:
    return safetensors.numpy.load_file(path)


def _read_keras(path: Path) -> Arrays:
    h5py = needs("h5py", "keras")
    arrays = {}

    def visit(name, x):
        if isinstance(x, h5py.Dataset) and x.dtype.kind in "biufc":
            if x.external or x.is_virtual:
                raise ValueError(f"{name} in it is stored in another file.")
            arrays[name] = x[()]

    with h5py.File(path) as file:
        file.visititems(visit)
    return arrays


def _read_tensorflow(path: Path) -> Arrays:
    train = needs("tensorflow", "tf").train
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
