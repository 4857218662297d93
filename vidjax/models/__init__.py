"""The networks, by the names that configs call them. Adding one is a file, a line here, a config and a test."""

import inspect

import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.alexnet import CNNM2048, AlexNet
from vidjax.models.captioner import Captioner
from vidjax.models.cifar import SmallCNN
from vidjax.models.conv_lstm import FrameConvLSTM
from vidjax.models.forecast import Forecaster
from vidjax.models.frame_pool import FramePool
from vidjax.models.frame_rnn import ClipRNN, FrameRNN
from vidjax.models.fusion import Fusion
from vidjax.models.inception import I3D, S3D, GoogLeNet, InceptionV1
from vidjax.models.layers import check_arguments
from vidjax.models.resnet import MC318, R3D18, R3D34, R2Plus1D18, R2Plus1D34, ResNet18, ResNet34, ResNet50
from vidjax.models.skip_rnn import SkipRNN
from vidjax.models.stacked_flow import StackedFlow
from vidjax.models.tcn import FrameTCN
from vidjax.models.two_stream import TwoStream, TwoStream3D, TwoStreamRNN
from vidjax.models.vgg import C3D, VGG16, VGG16_3D

MODELS = {
    "inception_v1": InceptionV1,
    "googlenet": GoogLeNet,
    "resnet18": ResNet18,
    "resnet34": ResNet34,
    "resnet50": ResNet50,
    "vgg16": VGG16,
    "alexnet": AlexNet,
    "cnn_m_2048": CNNM2048,
    "small_cnn": SmallCNN,
    "fusion": Fusion,
    "c3d": C3D,
    "vgg16_3d": VGG16_3D,
    "i3d": I3D,
    "s3d": S3D,
    "r3d_18": R3D18,
    "r3d_34": R3D34,
    "mc3_18": MC318,
    "r2plus1d_18": R2Plus1D18,
    "r2plus1d_34": R2Plus1D34,
    "frame_pool": FramePool,
    "frame_rnn": FrameRNN,
    "clip_rnn": ClipRNN,
    "skip_rnn": SkipRNN,
    "conv_lstm": FrameConvLSTM,
    "tcn": FrameTCN,
    "stacked_flow": StackedFlow,
    "two_stream": TwoStream,
    "two_stream_3d": TwoStream3D,
    "two_stream_rnn": TwoStreamRNN,
    "forecaster": Forecaster,
    "captioner": Captioner,
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


def inputs_of(name: str) -> list[str]:
    """What a network takes, as its signature names it: ["video", "frame_mask", "train"]; empty for an unknown name."""
    network = MODELS.get(name)
    parameters = inspect.signature(getattr(network, "func", network).__call__).parameters if network else ()
    return [name for name in parameters if name != "self"]


def sees_both(name: str) -> bool:
    """Whether a network sees frames and their optical flow, side by side."""
    return {"video", "flow"} <= set(inputs_of(name))


def needs_flow(name: str) -> bool:
    """Whether a network is for optical flow, alone or beside frames; others see what `config.flow` says."""
    return sees_both(name) or name == "stacked_flow"
