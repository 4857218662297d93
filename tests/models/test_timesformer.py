import jax
import numpy as np
import pytest

from tests.peers.formula import uniform
from tests.transformers import (
    SMALL,
    check_blind_to_order,
    check_logits,
    check_names,
    check_number_of_parameters,
    check_order_and_mask,
)
from vidjax.models import make_model
from vidjax.weights import importers

ARGUMENTS = {**SMALL, "patch": (8, 8), "positions": (4, 4, 4)}


@pytest.mark.parametrize(
    "case, attention, shape",
    [
        ("timesformer", "divided", (4, 32, 32)),
        ("timesformer, joint", "joint", (4, 32, 32)),
        ("timesformer, larger", "joint", (6, 40, 40)),  # both tables are resized
    ],
)
def test_logits_are_those_of_the_transformers_library(case, attention, shape):
    check_logits(case, "timesformer", {**ARGUMENTS, "attention": attention}, shape)


@pytest.mark.parametrize(
    "num_classes, positions, expected",
    [
        (400, (8, 14, 14), 121_566_352),
        (600, (8, 14, 14), 121_720_152),
        (400, (16, 28, 28), 122_024_080),
        (400, (96, 14, 14), 121_633_936),
    ],
)
def test_number_of_parameters(num_classes, positions, expected):
    check_number_of_parameters("timesformer", expected, num_classes, positions[0], positions=positions)


@pytest.mark.parametrize("attention", ["divided", "joint"])
def test_names_of_the_transformers_library(attention):
    check_names(importers.TIMESFORMER, "timesformer", {**ARGUMENTS, "attention": attention}, (4, 32, 32))


def test_attention_in_space_does_not_see_the_order_of_frames():
    check_blind_to_order("timesformer", {**ARGUMENTS, "attention": "space"})


def test_divided_attention_sees_the_order_and_no_masked_frames():
    check_order_and_mask("timesformer", ARGUMENTS, is_the_shorter_clip=False)


@pytest.mark.parametrize("attention", ["divided", "joint"])
def test_from_nothing_a_clip_and_its_reverse_differ(attention):
    """Else the two would be a saddle point of training."""
    video = uniform("video", (1, 4, 32, 32, 3))
    model = make_model("timesformer", 5, **ARGUMENTS, attention=attention)
    variables = jax.jit(model.init)(jax.random.key(0), video)
    apply = jax.jit(model.apply)
    difference = np.abs(apply(variables, video)[0] - apply(variables, video[:, ::-1])[0]).max()
    assert difference > 1e-3


def test_an_unknown_attention():
    with pytest.raises(ValueError, match="Unknown attention 'time'; choose one of divided, joint, space"):
        make_model("timesformer", 5, attention="time")
