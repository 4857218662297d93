"""A directory that `vidjax.export` wrote: what it says of itself, and its network as a function of arrays.

    network = exported.load("exported/i3d")
    network({"video": clips})["logits"]        # uint8 (B, T, size, size, 3) -> float32 (B, K)

`model.json` says which arrays go in and how clips are cut; `labels.txt` has a class a line, in the order of the logits.
No checkpoint is needed any more, nor the config; but the runtime of the format is.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vidjax.data import clips
from vidjax.export import formats
from vidjax.inference import clip_logits
from vidjax.progress_bar import progress_bar

MANIFEST, VERSION = "model.json", 1


@dataclasses.dataclass(frozen=True)
class Exported:
    """A network with how its clips have to look; attributes as of `restore.Trained`.

    Attributes:
        format: a key of `formats.READERS`.
        arrays: of each input `shape`, with "batch" and "time" for sizes that are free, and `dtype`.
        time: where that is free, what it has to be: `multiple_of` and `at_least`; else empty.
        state: names of the inputs that hold the state of a stream; none of a network on whole clips.
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
    run: Callable = dataclasses.field(repr=False)
    config: None = None

    def __call__(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs the network.

        Raises:
            ValueError: for other arrays than it takes, or a wrong shape or dtype: says what it takes.
        """
        self.check(inputs)
        return self.run(inputs)

    def check(self, inputs: dict[str, np.ndarray]):
        if set(inputs) != set(self.arrays):
            raise ValueError(f"{self.name} takes {', '.join(self.arrays)}; got {', '.join(inputs) or 'nothing'}.")
        sizes = {}  # of those that are free, as they were first seen
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
                    f"{self.name} takes {name} of the shape ({axes}) and the dtype {wanted['dtype']}{time}; "
                    f"got {shape}, {dtype}."
                )

    def first_state(self, directory: Path | str, batch: int = 1) -> dict[str, np.ndarray]:
        """The state before the first frame of so many streams."""
        return {name: np.repeat(x, batch, axis=0) for name, x in np.load(Path(directory) / "state.npz").items()}

    def next_state(self, outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The state to go on from, of what the last call returned."""
        return {name: outputs[f"next_{name}"] for name in self.state}


def load(directory: Path | str) -> Exported:
    """Reads an export.

    Raises:
        ValueError: where there is none, it is of a later version or damaged, or its runtime is not installed.
    """
    said = read_manifest(directory)
    if said["format"] not in formats.READERS:
        raise ValueError(f"{directory} holds weights alone ({said['format']}), which no runtime runs by themselves.")
    try:
        run = formats.READERS[said["format"]](Path(directory))
    except ValueError:
        raise
    except Exception as error:  # what the runtimes raise for half a file is of no common kind
        raise ValueError(f"{directory} is damaged, or of another version of its runtime: {error}") from None
    names = [field.name for field in dataclasses.fields(Exported) if field.name not in ("run", "config", "name")]
    return Exported(name=str(directory), run=run, **{name: said[name] for name in names})


def read_manifest(directory: Path | str) -> dict:
    """The content of model.json. Raises a ValueError where there is none of ours."""
    path = Path(directory) / MANIFEST
    if not path.is_file():
        raise ValueError(f"{directory} holds no exported network: it has no {MANIFEST}. vidjax.export writes such.")
    try:
        said = json.loads(path.read_text())
        version = said["vidjax_export"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} is not one that vidjax.export wrote.") from None
    if version > VERSION:
        raise ValueError(f"{path} is of version {version}; this vidjax reads up to {VERSION}.")
    return said


def make_logits_fn(network: Exported) -> Callable[[clips.Clip], np.ndarray]:
    """`make_logits_fn` for an exported network, clip by clip."""
    clip_logits.check_names_videos(network)
    if network.state:
        raise ValueError(f"{network.name} holds the step over a stream: export the network on whole clips to predict.")

    def logits_of(views: clips.Clip) -> np.ndarray:
        count = len(next(iter(views.values())))
        numbers = progress_bar(range(count), "clips", leave=False)
        logits = [network({name: x[i : i + 1] for name, x in views.items()})["logits"] for i in numbers]
        if logits[0].ndim != 2:
            raise ValueError(f"{network.name} returns {logits[0].shape} for a clip, not a row of classes.")
        return np.concatenate(logits)

    return logits_of
