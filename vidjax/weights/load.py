"""Published weights: what there is, where it is from, how its videos must look, and how it becomes our parameters.

    python -m vidjax.weights             lists them
    python -m vidjax.weights show NAME   source, licence, classes, preprocessing, files
    python -m vidjax.weights get NAME    fetches one into $VIDJAX_CACHE (by default ~/.cache/vidjax)

Wherever a name is asked for, the path of a file will do: of the same networks, trained by anyone.
"""

import dataclasses
import functools
from pathlib import Path

import jax
import jax.numpy as jnp

from vidjax import models, trees
from vidjax.weights import files as weight_files
from vidjax.weights import importers
from vidjax.weights.downloads import fetch
from vidjax.weights.table import WEIGHTS, Weights


def find(name: str) -> Weights:
    """Returns an entry. Raises a ValueError for an unknown name; it lists the known ones."""
    if name not in WEIGHTS:
        raise ValueError(
            f"{name!r} is neither the name of weights nor a file of them ({', '.join(weight_files.READERS)}). "
            f"The names are {', '.join(WEIGHTS)}."
        )
    return WEIGHTS[name]


# -------------------------------------------------------------------------------------------------------------- loading


def load(source: str) -> tuple[Weights, importers.Variables]:
    """Reads published weights, fetching them where they are not yet in the cache, or a file of the same networks.

    Args:
        source: a name of the table, or a path. Of a file, the entry is that of the network which it turns out to hold:
            its videos are taken to be normalised as those of the published network, and where it has another number of
            classes, these are called by `numbered`.

    Returns:
        The entry, and the variables of its model: float32 arrays in the host's memory.

    Raises:
        ValueError: for an unknown name, a file that cannot be fetched (the message says where to put it by hand), is
            damaged, needs a library that is not installed, holds code, or holds another network (what differs is
            listed).
    """
    if source not in WEIGHTS and Path(source).suffix in weight_files.READERS:
        return load_file(Path(source))
    entry = find(source)
    paths = [fetch(file) for file in entry.files]
    arrays, names = importers.translate(weight_files.read(paths[0], entry.member), entry.layout)
    try:
        return entry, importers.fit(arrays, names, shapes_of(entry, len(entry.labels)))
    except ValueError as error:
        raise ValueError(f"{paths[0]} is not the {entry.model['name']} that it should be:{error}") from None


def numbered(num_classes: int) -> tuple[str, ...]:
    """The names of classes of which only the number is known: "class 0", "class 1", ..."""
    return tuple(f"class {i}" for i in range(num_classes))


def load_file(path: Path) -> tuple[Weights, importers.Variables]:
    """As `load`, of a path: tries the networks that come in such files."""
    content = weight_files.read(path)
    attempts = {}
    for name, entry in WEIGHTS.items():
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
        f"{path} holds none of the networks that are known to come in {path.suffix} files: {', '.join(attempts)}. "
        f"The nearest is {nearest}; there is{attempts[nearest][1]}"
    )


@functools.cache
def _of_model(model: str, num_classes: int, channels: int, **arguments) -> dict[str, tuple[int, ...]]:
    network = models.make_model(model, num_classes, **arguments)
    return trees.shapes(dict(jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 16, 64, 64, channels)))))


def shapes_of(entry: Weights, num_classes: int) -> dict[str, tuple[int, ...]]:
    """The shapes of the variables of an entry's model, by path."""
    arguments = {name: value for name, value in entry.model.items() if name != "name"}
    return _of_model(entry.model["name"], num_classes, len(entry.preprocess["mean"]), **arguments)
