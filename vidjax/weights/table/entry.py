"""An entry of the table of published weights, and the settings that families share."""

import dataclasses
import importlib.resources
from collections.abc import Callable
from pathlib import Path

from vidjax.weights.downloads import File
from vidjax.weights.importers import Layout


def labels_of(file: str) -> tuple[str, ...]:
    """Reads one class per line, in the order of the logits."""
    return tuple((importlib.resources.files("vidjax.weights") / "labels" / file).read_text().splitlines())


KINETICS400 = labels_of("kinetics400.txt")  # label_map.txt of google-deepmind/kinetics-i3d; torchvision has the same
KINETICS600 = labels_of("kinetics600.txt")  # label_map_600.txt of the same repository
IMAGENET1000 = labels_of("imagenet1000.txt")  # torchvision 0.28, models/_meta.py
CHARADES = tuple(f"c{i:03}" for i in range(157))  # the dataset's own names of its classes


@dataclasses.dataclass(frozen=True)
class Text:
    """The text tower of a network.

    Attributes:
        tower: the module, tokens (N, L) -> embeddings (N, E) and the scale of their products with those of videos. It
            has the attributes `vocabulary`, `length` and `embedding`, the width E.
        sizes: its arguments.
        layout: the mapping from the arrays of the file to its parameters.
        reader: of the tokenizer: path -> (texts, length) -> int32 (N, length), with the attributes `path` and `size`.
        tokenizer: the file for it.
    """

    tower: type
    sizes: dict
    layout: Layout
    reader: Callable[[Path], Callable]
    tokenizer: File


@dataclasses.dataclass(frozen=True)
class Weights:
    """An entry of the table.

    Attributes:
        what: the network and its training data.
        source: the paper, and the first publication of the weights.
        licence: licence of the weights.
        files: files to download; the first is the one to read.
        layout: the mapping from their arrays to ours.
        model: `name` and arguments, as in a config.
        labels: the classes in the order of the logits; empty without a classifier.
        inputs: how to read videos: `fps` (frames per second), `short_side` (pixels).
        clip: `num_frames`, `frame_stride`, `size`, `resize` of the test clips.
        preprocess: `mean` and `std` per channel, in units of 0..255. Two channels are optical flow, and `flow` is the
            method that computes it from a video.
        member: path in the first of `files` if that is an archive.
        multi_label: whether the classes are independent of each other.
        text: the tower for texts in the same file, of networks that compare videos with texts.
    """

    what: str
    source: str
    licence: str
    files: tuple[File, ...]
    layout: Layout
    model: dict
    labels: tuple[str, ...]
    inputs: dict
    clip: dict
    preprocess: dict
    member: str = ""
    multi_label: bool = False
    text: Text | None = None


MINUS_ONE_TO_ONE = {"mean": [127.5] * 3, "std": [127.5] * 3}
IMAGENET = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}  # torchvision's, in units of 0..255
# torchvision 0.28, transforms/_presets.py, VideoClassification
KINETICS = {"mean": [110.2008, 100.63983, 95.99475], "std": [58.14765, 56.46975, 55.332195]}
HALF = {"mean": [114.75] * 3, "std": [57.375] * 3}  # 0.45 and 0.225: MViT, TimeSformer
IMAGES = {  # networks that see single frames
    "inputs": {"fps": 25.0, "short_side": 256},
    "clip": {"num_frames": 16, "frame_stride": 1, "size": 224, "resize": 256, "sampling": "clip"},
}


def torchvision(file: str, layout: Layout, source: str, preprocess: dict, alike: dict, model: str | None = None):
    """Returns an entry for a file named NAME-DIGITS.pth, where DIGITS are the first of its SHA-256."""
    name, _, digits = file.removesuffix(".pth").rpartition("-")
    name = name.removesuffix("-owt")  # AlexNet's "one weird trick"
    dataset, labels = ("ImageNet", IMAGENET1000) if alike is IMAGES else ("Kinetics-400", KINETICS400)
    return Weights(
        what=f"{name} trained on {dataset} by torchvision",
        source=f"{source}; pytorch/vision 0.28",
        licence="BSD-3-Clause (torchvision); the terms of the dataset may apply as well",
        files=(File(file, f"https://download.pytorch.org/models/{file}", f"sha256:{digits}"),),
        layout=layout,
        model={"name": model or name},
        labels=labels,
        preprocess=preprocess,
        **alike,
    )
