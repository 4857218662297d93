import pytest

from tests.transformers import SMALL, check_logits, check_names, check_number_of_parameters, check_order_and_mask
from vidjax.weights import importers

NETWORK, SHAPE = ("vivit", {**SMALL, "patch": (2, 8, 8), "positions": (3, 4, 4)}), (6, 32, 32)


def test_logits_of_model_1_are_those_of_the_transformers_library():
    check_logits("vivit", *NETWORK, SHAPE)


def test_number_of_parameters():
    check_number_of_parameters("vivit", 88_954_000, frames=32)


def test_names_of_the_transformers_library():
    check_names(importers.VIVIT, *NETWORK, SHAPE)


@pytest.mark.parametrize("network", ["vivit", "vivit_factorised"])
def test_it_sees_the_order_and_no_masked_frames(network):
    arguments = {**SMALL, "patch": (1, 8, 8), "positions": (4, 4, 4)}
    check_order_and_mask(network, arguments, is_the_shorter_clip=False)
