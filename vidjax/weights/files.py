"""Reads the arrays of a weight file, under the names of the library that wrote it.

Code in a file is never run: the unpicklers create arrays only. PyTorch, TensorFlow and h5py are imported only to read
their own formats; they are not requirements.
"""

import pickle
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from flax import traverse_util

from vidjax.extras import needs

Arrays = dict[str, np.ndarray]


def read(path: Path, member: str = "") -> Arrays:
    """Reads the arrays of a weight file, under the names of the library that wrote it.

    Args:
        path: `.pth`, `.pt`, `.pyth`, `.bin`, `.pth.tar` or `.pytorch` (PyTorch), `.safetensors`, `.npz` (NumPy),
            `.h5` (Keras), `.index` (TensorFlow's Saver, with its `.data` file beside it), `.pkl` or `.ckpt` (a pickled
            nested dict of numpy arrays); or a tar archive.
        member: name of a pickle in the archive.

    Raises:
        ValueError: for another extension, a missing or damaged file, content other than arrays, or a missing library
            (the message names the extra).
    """
    if not path.exists():
        raise ValueError(f"{path} does not exist.")
    if not member and path.suffix not in READERS:
        raise ValueError(f"{path} is not a weight file; its extension must be one of {', '.join(READERS)}.")
    try:
        if member:
            with tarfile.open(path) as archive:  # read in memory, so that nothing is extracted
                arrays = _from_pickle(archive.extractfile(member))
        else:
            arrays = READERS[path.suffix](path)
        return {name: _number_array(name, x) for name, x in arrays.items()}
    except (ValueError, ModuleNotFoundError) as error:
        raise ValueError(f"{path}: {error}") from None
    except Exception as error:  # readers raise many types for a truncated file
        raise ValueError(f"{path} is damaged, or its extension is wrong ({error}).") from None


def _number_array(name: str, x) -> np.ndarray:
    if not isinstance(x, np.ndarray | np.generic | int | float) or np.asarray(x).dtype.kind not in "biufc":
        raise ValueError(f"{name} is not an array of numbers, but {type(x).__name__}.")
    return np.asarray(x)


class _Dtype:
    """Stands in for numpy.dtype in a pickle: accepts number types only, and only the byte order of their state.

    numpy's own dtype accepts any state, so a crafted pickle could create arrays of pointers.
    """

    def __init__(self, name, *unused):
        if not isinstance(name, str) or not re.fullmatch(r"[?]|b1|[iufc]\d+", name):
            raise ValueError(f"The pickle has arrays of {name!r}; only arrays of numbers are supported.")
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
            raise ValueError("The pickle has arrays of other types than numbers.")
        self.array = np.frombuffer(data, dtype.dtype).reshape(shape, order="F" if fortran_order else "C")


class ArraysOnly(pickle.Unpickler):
    """Unpickles numpy arrays in plain containers. It rejects everything else and imports nothing."""

    ALLOWED = {
        ("numpy.core.multiarray", "_reconstruct"): _Array,
        ("numpy._core.multiarray", "_reconstruct"): _Array,
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Dtype,
    }

    def find_class(self, module, name):
        if (module, name) not in self.ALLOWED:
            raise ValueError(f"The pickle refers to {module}.{name}; only numpy arrays are supported.")
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
        raise ValueError(f"torch {torch.__version__} can run code in a .pth file; install 2.6 or newer.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's own message explains how to run the code
        reason = re.search(r"(?:Unsupported global: GLOBAL|unsupported GLOBAL) (\S+)", str(error))
        raise ValueError(
            "it holds more than tensors, or is damaged; no code was run"
            + (f". It refers to {reason[1]}: save the state_dict() alone." if reason else ".")
        ) from None
    if not isinstance(state, Mapping):
        raise ValueError(f"it holds {type(state).__name__}, not a dict of tensors.")
    # Training scripts store it beside the optimizer
    for key in ("state_dict", "model", "model_state_dict", "model_state"):
        if isinstance(state.get(key), Mapping):
            state = state[key]
    tensors = {name: x.detach() for name, x in state.items() if isinstance(x, torch.Tensor)}
    return {
        name.removeprefix("module."): x.float().numpy() if x.is_floating_point() else x.numpy()
        for name, x in tensors.items()
    }


def _read_safetensors(path: Path) -> Arrays:
    arrays = safetensors.numpy.load_file(path)
    return {name: x.astype(np.float32) if x.dtype == jnp.bfloat16 else x for name, x in arrays.items()}


def _read_numpy(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def _read_keras(path: Path) -> Arrays:
    h5py = needs("h5py", "keras")
    arrays = {}

    def visit(name, x):
        if isinstance(x, h5py.Dataset) and x.dtype.kind in "biufc":
            if x.external or x.is_virtual:
                raise ValueError(f"{name} is stored in another file.")
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
    ".bin": _read_torch,
    ".pyth": _read_torch,
    ".tar": _read_torch,  # FlowNetPytorch's .pth.tar
    ".pytorch": _read_torch,
    ".safetensors": _read_safetensors,
    ".h5": _read_keras,
    ".npz": _read_numpy,
    ".index": _read_tensorflow,
    ".pkl": _read_pickle,
    ".ckpt": _read_pickle,
}
