"""Loads an exported network as a function of arrays.

    network = exported.load("exported/i3d")
    network({"video": clips})["logits"]        # uint8 (B, T, size, size, 3) -> float32 (B, K); or "embedding" (B, D)

`model.json` describes the input arrays and how to cut clips. `labels.txt` has one class per line, in the order of the
logits. This needs the runtime of the format, but neither the checkpoint nor the config.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vidjax.data import clips
from vidjax.export import formats
from vidjax.inference import clip_logits, embedding
from vidjax.progress_bar import progress_bar

MANIFEST, VERSION = "model.json", 1


@dataclasses.dataclass(frozen=True)
class Exported:
    """A network and the form of its clips. See `restore.Trained` for the other attributes.

    Attributes:
        format: a key of `formats.READERS`.
        arrays: `shape` and `dtype` of each input; "batch" and "time" stand for free sizes.
        time: limits of a free "time": `multiple_of` and `at_least`; empty if it is fixed.
        state: names of the inputs with the state of a stream; empty for a network on whole clips.
        embedder: `digest` and `distance` of an embedder, see `inference.embedding`; empty for a classifier.
        run: arrays by name -> arrays by name, in the format's own runtime.
    """

    name: str
    format: str
    labels: list[str]
    preprocess: dict
    clip: dict
    inputs: dict
    multi_label: bool
    arrays: dict[str, dict]
    time: dict[str, int]
    state: list[str]
    embedder: dict[str, str]
    run: Callable = dataclasses.field(repr=False)
    config: None = None

    def __call__(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs the network.

        Raises:
            ValueError: for the wrong arrays, shapes or dtypes; describes the right ones.
        """
        self.check(inputs)
        return self.run(inputs)

    def check(self, inputs: dict[str, np.ndarray]):
        """Raises the errors of a call without running the network."""
        if set(inputs) != set(self.arrays):
            raise ValueError(f"{self.name} takes {', '.join(self.arrays)}; got {', '.join(inputs) or 'nothing'}.")
        sizes = {}  # of free axes, from their first occurrence
        for name, wanted in self.arrays.items():
            shape, dtype = np.shape(inputs[name]), inputs[name].dtype
            same = [
                size == (sizes.setdefault(axis, size) if isinstance(axis, str) else axis)
                for size, axis in zip(shape, wanted["shape"], strict=False)
            ]
            length = sizes.get("time", 0) if self.time else 0
            fits = self.time == {} or not length % self.time["multiple_of"] and length >= self.time["at_least"]
            if not (all(same) and fits and len(shape) == len(wanted["shape"]) and dtype == wanted["dtype"]):
                axes = ", ".join(map(str, wanted["shape"]))
                time = ", time a multiple of {multiple_of}, {at_least} or more".format(**self.time) if self.time else ""
                raise ValueError(
                    f"{self.name} takes {name} with shape ({axes}) and dtype {wanted['dtype']}{time}; "
                    f"got {shape}, {dtype}."
                )

    def first_state(self, directory: Path | str, batch: int = 1) -> dict[str, np.ndarray]:
        """Returns the state before the first frame, for a batch of streams."""
        return {name: np.repeat(x, batch, axis=0) for name, x in np.load(Path(directory) / "state.npz").items()}

    def next_state(self, outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the state for the next call from the outputs of the last."""
        return {name: outputs[f"next_{name}"] for name in self.state}


def load(directory: Path | str) -> Exported:
    """Reads an export.

    Raises:
        ValueError: if there is no export, it is damaged or of a later version, or its runtime is not installed.
    """
    manifest = read_manifest(directory)
    if manifest["format"] not in formats.READERS:
        raise ValueError(f"{directory} holds weights only ({manifest['format']}); export another format to run it.")
    try:
        run = formats.READERS[manifest["format"]](Path(directory))
    except ValueError:
        raise
    except Exception as error:  # runtimes raise many types for a truncated file
        raise ValueError(f"{directory} is damaged, or needs another version of its runtime: {error}") from None
    names = [field.name for field in dataclasses.fields(Exported) if field.name not in ("run", "config", "name")]
    manifest.setdefault("embedder", {})  # exports of earlier versions
    return Exported(name=str(directory), run=run, **{name: manifest[name] for name in names})


def read_manifest(directory: Path | str) -> dict:
    """Returns the content of model.json; raises a ValueError if it is missing or was not written by vidjax."""
    path = Path(directory) / MANIFEST
    if not path.is_file():
        raise ValueError(f"{directory} is not an exported network: it has no {MANIFEST}; run vidjax.export.")
    try:
        manifest = json.loads(path.read_text())
        version = manifest["vidjax_export"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} was not written by vidjax.export.") from None
    if version > VERSION:
        raise ValueError(f"{path} has version {version}; this vidjax reads versions up to {VERSION}.")
    return manifest


def make_logits_fn(network: Exported) -> Callable[[clips.Clip], np.ndarray]:
    """Returns a function from the clips of a video to logits, like `clip_logits.make_logits_fn`, clip by clip."""
    if network.embedder:
        raise ValueError(f"{network.name} is an embedder, which has no classes: predict with a --gallery.")
    clip_logits.check_names_videos(network)
    if network.state:
        raise ValueError(f"{network.name} is a step over a stream; export without --stream to predict.")

    def logits_of(views: clips.Clip) -> np.ndarray:
        logits = _clip_by_clip(network, views, "logits")
        if logits.ndim != 2:
            raise ValueError(f"{network.name} returns {logits[:1].shape} per clip, not (1, classes).")
        return logits

    return logits_of


def make_embedder(network: Exported) -> embedding.Embedder:
    """Returns an exported embedder in use, like `embedding.of_run`.

    Raises:
        ValueError: for a network that is not an embedder, or does not see whole videos.
    """
    if not network.embedder:
        raise ValueError(f"{network.name} is not an embedder: export the network with --embedder.")
    clip_logits.check_sees_videos(network)

    def embed(views: clips.Clip) -> np.ndarray:
        return embedding.pooled(_clip_by_clip(network, views, "embedding")[None])[0]

    return embedding.Embedder(network, network.embedder["digest"], network.embedder["distance"], embed)


def _clip_by_clip(network: Exported, views: clips.Clip, name: str) -> np.ndarray:
    count = len(next(iter(views.values())))
    numbers = progress_bar(range(count), "clips", leave=False)
    return np.concatenate([network({key: x[i : i + 1] for key, x in views.items()})[name] for i in numbers])
