import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.transformers import (
    SMALL,
    check_logits,
    check_names,
    check_number_of_parameters,
    check_order_and_mask,
    drawn,
)
from vidjax.models import make_model
from vidjax.models.videomae import Encoder
from vidjax.weights import importers

NETWORK, SHAPE = ("videomae_b", {**SMALL, "patch": (2, 8, 8)}), (6, 32, 24)


def test_logits_are_those_of_the_transformers_library():
    check_logits("videomae", *NETWORK, SHAPE)


@pytest.mark.parametrize(
    "network, num_classes, expected",
    [
        ("videomae_s", 400, 22_033_936),
        ("videomae_b", 400, 86_534_800),
        ("videomae_l", 400, 304_270_736),
        ("videomae_b", 174, 86_361_006),
    ],
)
def test_number_of_parameters(network, num_classes, expected):
    check_number_of_parameters(network, expected, num_classes)


def test_names_of_the_transformers_library():
    check_names(importers.VIDEOMAE, *NETWORK, SHAPE)


def test_it_sees_the_order_and_no_masked_frames():
    check_order_and_mask("videomae_b", {**SMALL, "patch": (1, 8, 8)}, is_the_shorter_clip=True)


def test_it_encodes_the_visible_tokens_only():
    """With all tokens visible, in order, the encoder does what the classifier does."""
    model, variables, video = drawn(*NETWORK, SHAPE)
    encoder = Encoder(32, 3, 4, (2, 8, 8), 4.0, 0.0, model.block, model.dtype)
    variables = {"params": variables["params"]["encoder"]}
    visible = jnp.broadcast_to(jnp.array([1, 4, 30]), (2, 3))
    outputs, grid = encoder.apply(variables, video, visible=visible)
    assert outputs[-1].shape == (2, 3, 32) and grid == (3, 4, 3)
    everything, _ = encoder.apply(variables, video, visible=jnp.broadcast_to(jnp.arange(36), (2, 36)))
    np.testing.assert_allclose(everything[-1], encoder.apply(variables, video)[0][-1], atol=1e-6)


def test_fewer_frames_than_a_tubelet():
    model = make_model(NETWORK[0], 5, **NETWORK[1])
    with pytest.raises(ValueError, match="Patches of 2 frames of 8x8 do not fit a video of the shape"):
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 1, 32, 24, 3)))
