"""A gallery: classes that are known by examples, for a network that was never trained on them.

    gallery = add(empty(embedder), "wave", embeddings, videos)
    nearest(gallery, embedding)          # [("wave", 0.21), ("clap", 0.64)]

A video has the class whose prototype, the mean of its examples, is nearest. All functions are pure; a class is added
without changing what is stored of the others. The file is one safetensors file: the examples of each class, and in its
metadata their names, a checksum, and which network they belong to.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from vidjax.inference import embedding

UNKNOWN = "unknown"  # what is shown for a video that is far from all classes
ACCEPTED = 0.95  # share of the gallery's own examples that its threshold accepts
KEY, VERSION = "vidjax_gallery", 1
REMEDY = "restore a copy, or remove it and add the classes again"


@dataclasses.dataclass(frozen=True)
class Gallery:
    """Examples of classes.

    Attributes:
        network: digest of the network that made the embeddings; name: its name, for messages.
        distance: between embeddings, see `embedding.distances`; of a file its name, until `for_network`.
        examples: class -> embeddings of its examples, float32 (n, D), n >= 1, in the order of addition.
        videos: class -> the video of each example, for readers.
    """

    network: str
    name: str
    distance: embedding.Distance
    examples: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    videos: dict[str, list[str]] = dataclasses.field(default_factory=dict)


def empty(of: embedding.Embedder) -> Gallery:
    """Returns a gallery without classes for the embeddings of a network."""
    return Gallery(of.digest, of.network.name, of.distance)


def for_network(gallery: Gallery, of: embedding.Embedder) -> Gallery:
    """Returns a gallery that was read, with the distance of its network. Raises a ValueError for another network."""
    if gallery.network != of.digest:
        raise ValueError(
            f"The gallery belongs to another network, {gallery.name} ({gallery.network}), not to {of.network.name} "
            f"({of.digest}): its distances would mean nothing. Use that network, or start a new gallery."
        )
    return dataclasses.replace(gallery, distance=of.distance)


def add(gallery: Gallery, name: str, embeddings: np.ndarray, videos: list[str]) -> Gallery:
    """Returns a gallery with more examples of a class, float (n, D); the class may be new.

    Raises:
        ValueError: for an invalid name, embeddings that are not finite or of another size, or an example that is there.
    """
    embeddings = np.asarray(embeddings, np.float32)
    if not name.strip() or name == UNKNOWN:
        raise ValueError(f"{name!r} cannot be the name of a class: choose another.")
    there = {row.tobytes(): (of, video) for of, rows in gallery.examples.items()
             for row, video in zip(rows, gallery.videos[of], strict=True)}  # fmt: skip
    for row, video in zip(embeddings, videos, strict=True):
        if not np.isfinite(row).all():
            raise ValueError(f"The embedding of {video} is not finite: has the training diverged?")
        if row.tobytes() in there:
            of, before = there[row.tobytes()]
            raise ValueError(f"{video} is an example of {of!r} already ({before}): give each video once.")
        there[row.tobytes()] = name, video
    for rows in gallery.examples.values():
        if rows.shape[1] != embeddings.shape[1]:
            raise ValueError(f"The embeddings have {embeddings.shape[1]} values, those of the gallery {rows.shape[1]}.")
    before = gallery.examples.get(name, embeddings[:0])
    examples = {**gallery.examples, name: np.concatenate([before, embeddings])}
    return dataclasses.replace(
        gallery, examples=examples, videos={**gallery.videos, name: [*gallery.videos.get(name, ()), *videos]}
    )


def remove(gallery: Gallery, name: str) -> Gallery:
    """Returns a gallery without a class. Raises a ValueError if it has no such class."""
    if name not in gallery.examples:
        raise ValueError(f"The gallery has no class {name!r}; choose from {', '.join(gallery.examples) or 'none'}.")
    without = ({of: x for of, x in kept.items() if of != name} for kept in (gallery.examples, gallery.videos))
    return dataclasses.replace(gallery, **dict(zip(("examples", "videos"), without, strict=True)))


def mean(rows: np.ndarray) -> np.ndarray:
    """Returns the prototype of a class, float64 (D,), from its examples (n, D)."""
    return rows.mean(axis=0, dtype=np.float64)


def nearest(gallery: Gallery, x: np.ndarray) -> list[tuple[str, float]]:
    """Returns the classes and their distances to an embedding (D,), nearest first.

    Raises:
        ValueError: for a gallery without classes.
    """
    if not gallery.examples:
        raise ValueError("The gallery has no class: add one with `vidjax gallery add`.")
    apart = embedding.distances(x[None], np.stack(list(map(mean, gallery.examples.values()))), gallery.distance)[0]
    return sorted(zip(gallery.examples, apart.tolist(), strict=True), key=lambda pair: pair[1])


def threshold(gallery: Gallery) -> float:
    """Returns the distance beyond which a video is of no class: it accepts 95 % of the gallery's own examples.

    Each example is taken out of its class, and has the distance of the nearest prototype then. A class with a single
    example would be without a prototype; it has the threshold of the rest, since all classes share one.

    Raises:
        ValueError: if no class has two examples.
    """
    prototypes, apart = np.array(list(map(mean, gallery.examples.values()))), []
    for number, rows in enumerate(gallery.examples.values()):
        for i, row in enumerate(rows if len(rows) > 1 else ()):
            without = prototypes.copy()
            without[number] = mean(np.delete(rows, i, axis=0))
            apart.append(embedding.distances(row[None], without, gallery.distance).min())
    if not apart:
        raise ValueError("Rejection needs a class with two or more examples: add some, or leave --reject out.")
    return float(np.quantile(apart, ACCEPTED, method="higher"))


def make_classifier(gallery: Gallery, *, top: int, reject: bool) -> Callable[[np.ndarray], list[dict]]:
    """Returns the function from an embedding (D,) to its nearest classes, [{"label", "distance"}, ...].

    Args:
        reject: puts `UNKNOWN` first, without a distance, if the nearest class is beyond `threshold`.
    """
    limit = threshold(gallery) if reject else np.inf

    def classify(x: np.ndarray) -> list[dict]:
        found = nearest(gallery, x)
        unknown = [{"label": UNKNOWN, "distance": None}] if found[0][1] > limit else []
        return unknown + [{"label": name, "distance": apart} for name, apart in found[:top]]

    return classify


# ------------------------------------------------------------------------------------------------------------- the file


def write(path: Path, gallery: Gallery):
    """Writes a gallery beside `path`, then renames it: an interruption leaves the old file whole."""
    arrays = {f"class_{i}": rows for i, rows in enumerate(gallery.examples.values())}
    described = {name: getattr(gallery, name) for name in ("network", "name", "videos")}
    text = json.dumps({"version": VERSION, "distance": embedding.name_of(gallery.distance), **described})
    data = safetensors.numpy.save(arrays, metadata={KEY: text, "sha256": _sha256(text, arrays)})
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read(path: Path) -> Gallery:
    """Reads a gallery.

    Raises:
        ValueError: if the file is missing, damaged, of a later version, or not a gallery.
    """
    if not path.is_file():
        raise ValueError(f"The gallery {path} does not exist; make one with `vidjax gallery add`.")
    try:
        with safetensors.safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is not a dict
    except (safetensors.SafetensorError, ValueError, OSError) as error:
        raise ValueError(f"{path} is damaged, or not a gallery ({error}): {REMEDY}.") from None
    if KEY not in metadata:
        raise ValueError(f"{path} is a safetensors file, but not a gallery of vidjax: give another file.")
    if metadata.get("sha256") != _sha256(metadata[KEY], arrays):
        raise ValueError(f"{path} is damaged, its content does not match its checksum: {REMEDY}.")
    described = json.loads(metadata[KEY])
    if (version := described.pop("version")) != VERSION:
        raise ValueError(f"{path} has version {version}; this vidjax reads version {VERSION}.")
    return Gallery(**described, examples={name: arrays[f"class_{i}"] for i, name in enumerate(described["videos"])})


def _sha256(text: str, arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].shape}".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()
