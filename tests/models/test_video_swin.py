import numpy as np
import pytest

from tests.transformers import check_logits, check_names, check_number_of_parameters, check_order_and_mask
from vidjax.models.video_swin import regions, relative_index
from vidjax.weights import importers

ARGUMENTS = {"dim": 16, "depths": (2, 2, 1, 1), "num_heads": (1, 2, 4, 8)}
SHAPE = (18, 76, 66)  # windows are padded and shifted


def test_logits_are_torchvisions():
    check_logits("swin", "video_swin_t", ARGUMENTS, SHAPE)


@pytest.mark.parametrize(
    "network, expected",
    [("video_swin_t", 28_158_070), ("video_swin_s", 49_816_678), ("video_swin_b", 88_048_984)],
)
def test_number_of_parameters(network, expected):
    check_number_of_parameters(network, expected)


def test_torchvisions_names():
    check_names(importers.SWIN, "video_swin_t", ARGUMENTS, SHAPE)


def test_it_sees_the_order_and_no_masked_frames():
    check_order_and_mask("video_swin_t", {**ARGUMENTS, "patch": (1, 4, 4)}, is_the_shorter_clip=True)


def test_relative_positions_of_a_row_of_three():
    """Row 2 is for a query and key at one place, row 4 for a query two places after the key."""
    assert relative_index((1, 1, 3)).tolist() == [[2, 1, 0], [3, 2, 1], [4, 3, 2]]


def test_regions_of_a_shifted_row():
    """Windows of 4, shifted by 2: the last window holds two places of its own and two from the start."""
    assert regions((1, 1, 8), (1, 1, 4), (0, 0, 2)).ravel().tolist() == [0, 0, 0, 0, 1, 1, 2, 2]
    assert len(np.unique(regions((8, 7, 7), (8, 7, 7), (0, 0, 0)))) == 1
