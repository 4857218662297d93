"""The networks, by the names that configs call them. Adding one is a file, a line here, a config and a test."""

import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.frame_pool import FramePool
from vidjax.models.inception import I3D, InceptionV1
from vidjax.models.layers import check_arguments
from vidjax.models.recurrent import FrameRNN
from vidjax.models.resnet import ResNet18, ResNet34, ResNet50

MODELS = {
    "i3d": I3D,
    "inception_v1": InceptionV1,
    "resnet18": ResNet18,
    "resnet34": ResNet34,
    "resnet50": ResNet50,
    "frame_pool": FramePool,
    "frame_rnn": FrameRNN,
}


def make_model(name: str, num_classes: int | None, *, dtype=jnp.float32, **arguments) -> nn.Module:
    """Makes a network.

    Args:
        name: a key of `MODELS`.
        num_classes: 0 or None for a network without a classifier, which returns features.
        dtype: of the computation, as a type or its name ("bfloat16"); parameters are float32.
        **arguments: of that network, see the docstring of its class.

    Raises:
        ValueError: for an unknown name or argument; lists the valid ones.
    """
    check_arguments("model", name, MODELS, arguments)
    return MODELS[name](num_classes=num_classes, dtype=jnp.dtype(dtype), **arguments)
