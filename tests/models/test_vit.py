from tests.transformers import SMALL, check_blind_to_order, check_logits, check_names, check_number_of_parameters
from vidjax.weights import importers

NETWORK = "vit_b", {**SMALL, "patch": (8, 8), "positions": (4, 4)}


def test_logits_are_torchvisions():
    check_logits("vit", *NETWORK, (1, 32, 32))


def test_number_of_parameters():
    check_number_of_parameters("vit_b", 86_567_656, num_classes=1000, frames=1)


def test_torchvisions_names():
    check_names(importers.VIT, *NETWORK, (1, 32, 32))


def test_the_order_of_frames_does_not_matter():
    check_blind_to_order(*NETWORK)
