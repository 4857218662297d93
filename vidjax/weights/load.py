"""Loads published weights by name, or a weight file of the same networks by path."""

import dataclasses
import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp

from vidjax import models, trees
from vidjax.models.backend import traced_for
from vidjax.weights import files as weight_files
from vidjax.weights import importers
from vidjax.weights.downloads import fetch
from vidjax.weights.table import FILES_ONLY, WEIGHTS, Weights


def find(name: str) -> Weights:
    """Returns an entry of the table; raises a ValueError for an unknown name, which lists the known ones."""
    if name not in WEIGHTS:
        raise ValueError(
            f"{name!r} is neither the name of weights nor a file of them ({', '.join(weight_files.READERS)}). "
            f"The names are {', '.join(WEIGHTS)}."
        )
    return WEIGHTS[name]


# -------------------------------------------------------------------------------------------------------------- loading


def load(source: str) -> tuple[Weights, importers.Variables]:
    """Reads published weights, downloading them if needed, or a weight file of one of the same networks.

    Args:
        source: a name of the table, or a path. The entry of a path is that of the network found in the file: its videos
            are assumed to be normalised like those of the published network, and `numbered` names its classes if their
            number differs.

    Returns:
        The entry, and the variables of its model: float32 arrays in the host's memory.

    Raises:
        ValueError: for an unknown name, or a file that cannot be downloaded (the message says where to put it by hand),
            is damaged, needs a missing library, contains code, or holds another network (the message lists the
            differences).
    """
    if source not in WEIGHTS and Path(source).suffix in weight_files.READERS:
        return load_file(Path(source))
    entry = find(source)
    paths = [fetch(file) for file in entry.files]
    arrays, names = importers.translate(weight_files.read(paths[0], entry.member), entry.layout)
    try:
        return entry, importers.fit(arrays, names, shapes_of(entry, len(entry.labels)))
    except ValueError as error:
        raise ValueError(f"{paths[0]} does not match {entry.model['name']}:{error}") from None


def numbered(num_classes: int) -> tuple[str, ...]:
    """Returns placeholder names of classes: "class 0", "class 1", ..."""
    return tuple(f"class {i}" for i in range(num_classes))


def load_file(path: Path) -> tuple[Weights, importers.Variables]:
    """Like `load` for a path: tries every network that comes in files with this extension."""
    content = weight_files.read(path)
    attempts = {}
    for name, entry in {**WEIGHTS, **FILES_ONLY}.items():
        if path.suffix not in entry.layout.suffixes:
            continue
        arrays, names = importers.translate(content, entry.layout)
        num_classes = importers.number_of_classes(arrays)
        shapes = shapes_of(entry, num_classes)
        try:
            variables = importers.fit(arrays, names, shapes)
        except ValueError as error:
            misplaced = sum(arrays[p].shape != shapes.get(p) for p in arrays) + sum(p not in arrays for p in shapes)
            attempts[name] = misplaced, str(error)
            continue
        if num_classes != len(entry.labels):
            entry = dataclasses.replace(entry, labels=numbered(num_classes))
        return dataclasses.replace(entry, what=f"{entry.model['name']}, read from {path}"), variables
    nearest = min(attempts, key=lambda name: attempts[name][0])
    raise ValueError(
        f"{path} holds none of the networks that come in {path.suffix} files: {', '.join(attempts)}. "
        f"The nearest is {nearest}; the differences are{attempts[nearest][1]}"
    )


def load_text(source: str) -> tuple[Weights, dict]:
    """Reads the text tower in the file of published weights.

    Returns:
        The entry, and the parameters of its `text.tower`: float32 arrays in the host's memory.

    Raises:
        ValueError: if the weights have no text tower, or the file lacks it; also the errors of `load`.
    """
    is_file = source not in WEIGHTS and Path(source).suffix in weight_files.READERS
    entry = load_file(Path(source))[0] if is_file else find(source)
    if not entry.text:
        known = ", ".join(name for name, other in WEIGHTS.items() if other.text)
        raise ValueError(f"{source} has no text tower: choose one of {known}.")
    path = Path(source) if is_file else fetch(entry.files[0])
    arrays, names = importers.translate(weight_files.read(path), entry.text.layout)
    tower = entry.text.tower(**entry.text.sizes)
    shapes = trees.shapes(dict(jax.eval_shape(tower.init, jax.random.key(0), jnp.zeros((1, 4), int))))
    try:
        return entry, importers.fit(arrays, names, shapes)["params"]
    except ValueError as error:
        raise ValueError(f"{path} does not hold the text tower of {entry.model['name']}:{error}") from None


@functools.cache
def _of_model(model: str, num_classes: int, size: int, channels: int) -> dict[str, tuple[int, ...]]:
    network = models.make_model(num_classes=num_classes, **json.loads(model))
    video = jax.ShapeDtypeStruct((1, 16, size, size, channels), jnp.float32)
    with traced_for("tpu"):  # the plain form of each layer, which is traced faster than that of CPUs
        return trees.shapes(dict(jax.eval_shape(network.init, jax.random.key(0), video)))


def shapes_of(entry: Weights, num_classes: int) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of the variables of an entry's model, by path."""
    return _of_model(json.dumps(entry.model), num_classes, entry.clip["size"], len(entry.preprocess["mean"]))
