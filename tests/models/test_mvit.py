import numpy as np
import pytest

from tests.transformers import check_logits, check_names, check_number_of_parameters, drawn
from vidjax.models import make_model
from vidjax.models.mvit import pooled, relative_places
from vidjax.weights import importers

ARGUMENTS = {"dims": (8, 16, 32, 64), "depths": (1, 2, 2, 1), "num_heads": (1, 2, 4, 8), "positions": (4, 16, 16)}
NETWORKS = {"mvit_v1": "mvit_v1_b", "mvit_v2": "mvit_v2_s"}


@pytest.mark.parametrize("case", NETWORKS)
def test_logits_are_torchvisions(case):
    check_logits(case, NETWORKS[case], ARGUMENTS, (8, 64, 64))


@pytest.mark.parametrize("network, expected", [("mvit_v1_b", 36_610_672), ("mvit_v2_s", 34_537_744)])
def test_number_of_parameters(network, expected):
    check_number_of_parameters(network, expected)


@pytest.mark.parametrize("network", NETWORKS.values())
def test_torchvisions_names(network):
    check_names(importers.MVIT, network, ARGUMENTS, (8, 64, 64))


def test_masked_frames_do_not_matter():
    arguments = {"dims": (8, 16), "depths": (1, 1), "num_heads": (1, 2), "key_strides": (2, 1), "positions": (2, 8, 8)}
    model, variables, video = drawn("mvit_v2_s", arguments, (4, 32, 32))
    mask = np.array([[1, 1, 0, 0], [1, 1, 1, 1]], np.float32)
    changed = video.copy()
    changed[0, 2:] = 7
    logits, again = (model.apply(variables, x, frame_mask=mask)[0] for x in (video, changed))
    np.testing.assert_allclose(again, logits, atol=1e-6)
    assert np.abs(logits[0] - model.apply(variables, video)[0][0]).max() > 1e-3


def test_places_of_pooled_keys():
    """Keys are every second place: the rows are the distances in the finer grid, from the last key on."""
    assert relative_places(2, 2).tolist() == [[1, 0], [2, 1]]
    assert relative_places(4, 2).tolist() == [[2, 0], [3, 1], [4, 2], [5, 3]]
    assert pooled((8, 57, 56), 8) == (8, 8, 7)


def test_an_unknown_version():
    with pytest.raises(ValueError, match="MViT has no version 3; choose 1 or 2"):
        make_model("mvit_v2_s", 5, version=3)
