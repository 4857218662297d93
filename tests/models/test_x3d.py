from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.peers.formula import uniform
from tests.video_networks import check_golden, check_masks, check_names, check_number_of_parameters
from vidjax.models import make_model
from vidjax.models.layers import conv, torch_same
from vidjax.models.x3d import Block, rounded
from vidjax.weights import importers

ARGUMENTS = {"width_factor": 0.5, "depth_factor": 0.3, "hidden": 32}  # as in make_video_networks.py
SHAPE = (5, 64, 64)


def test_logits_are_pytorchvideos():
    check_golden("x3d", "x3d_m", ARGUMENTS, SHAPE)


@pytest.mark.parametrize("network, expected", [("x3d_m", 3_794_274), ("x3d_l", 6_153_384)])
def test_number_of_parameters(network, expected):
    """XS and S are the same network: pytorchvideo, docs/source/model_zoo.md, in millions."""
    check_number_of_parameters(network, expected)


def test_names_of_pytorchvideo():
    check_names(importers.X3D, "x3d_m", ARGUMENTS, SHAPE)


def test_a_padded_clip_has_the_means_of_its_valid_frames():
    check_masks("x3d_m", ARGUMENTS, frames=6, valid=4)


def test_channels_are_multiples_of_8():
    assert [rounded(x) for x in (1, 12, 24.4, 27, 28, 9.0)] == [8, 16, 24, 32, 32, 16]


def test_a_block_starts_as_the_identity():
    norm = partial(nn.BatchNorm, use_running_average=True)
    x, model = abs(uniform("x", (1, 2, 4, 4, 8))), Block(16, 8, 1, 8, partial(conv, padding=torch_same), norm, None)
    outputs, _ = jax.jit(model.init_with_output)(jax.random.key(0), x)
    np.testing.assert_array_equal(outputs, x)


def test_small_frames_are_refused():
    with pytest.raises(ValueError, match="at least 32x32"):
        jax.eval_shape(make_model("x3d_m", 5).init, jax.random.key(0), jnp.zeros((1, 4, 24, 32, 3)))
