"""All networks under the names used in configs. To add one, write a file, a line here, a config and a test."""

import functools
import inspect

import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.alexnet import CNNM2048, AlexNet
from vidjax.models.asformer import ASFormer
from vidjax.models.attentive_pooler import AttentivePooler
from vidjax.models.captioner import Captioner
from vidjax.models.cifar import SmallCNN
from vidjax.models.clip import CLIP, CLIPB16, CLIPL14
from vidjax.models.conv4 import Conv4
from vidjax.models.conv_lstm import FrameConvLSTM
from vidjax.models.embedding import Embedding
from vidjax.models.flow_stream import FlowStream
from vidjax.models.flownet import FlowNetC, FlowNetS
from vidjax.models.forecast import Forecaster
from vidjax.models.frame_pool import FramePool
from vidjax.models.frame_rnn import ClipRNN, FrameRNN
from vidjax.models.fusion import Fusion
from vidjax.models.inception import I3D, S3D, GoogLeNet, InceptionV1
from vidjax.models.ms_tcn import MSTCN
from vidjax.models.mvit import MViT, MViTv1B
from vidjax.models.raft import RAFT, RAFTSmall
from vidjax.models.resnet import (
    MC318,
    R3D18,
    R3D34,
    R2Plus1D18,
    R2Plus1D34,
    ResNet18,
    ResNet34,
    ResNet50,
    ResNet101,
    SlowOnly50,
)
from vidjax.models.siamese import Siamese
from vidjax.models.skip_rnn import SkipRNN
from vidjax.models.slowfast import SlowFast, SlowFast50_4x16, SlowFast101_8x8
from vidjax.models.spynet import SPyNet
from vidjax.models.stacked_flow import StackedFlow
from vidjax.models.stateful import LAYERS, Stateful
from vidjax.models.tcn import FrameTCN
from vidjax.models.timesformer import TimeSformer
from vidjax.models.tsm import TSM
from vidjax.models.two_stream import TwoStream, TwoStream3D, TwoStreamRNN
from vidjax.models.vgg import C3D, VGG16, VGG16_3D
from vidjax.models.video_swin import VideoSwin, VideoSwinB, VideoSwinS
from vidjax.models.videomae import VideoMAE, VideoMAEL, VideoMAES
from vidjax.models.videomae_pretrain import VideoMAEPretrain
from vidjax.models.videoprism import VideoPrism, VideoPrismL
from vidjax.models.videoprism_lvt import VideoPrismLvT
from vidjax.models.vit import ViT, ViTL, ViTS
from vidjax.models.vivit import ViViT, ViViTFactorised
from vidjax.models.x3d import X3D, X3DL

FRAME_NETWORKS = {  # 2-D: run on each frame separately
    "inception_v1": InceptionV1,
    "googlenet": GoogLeNet,
    "resnet18": ResNet18,
    "resnet34": ResNet34,
    "resnet50": ResNet50,
    "resnet101": ResNet101,
    "vgg16": VGG16,
    "alexnet": AlexNet,
    "cnn_m_2048": CNNM2048,
    "small_cnn": SmallCNN,
    "conv4": Conv4,
    "vit_s": ViTS,
    "vit_b": ViT,
    "vit_l": ViTL,
    "clip_b32": CLIP,
    "clip_b16": CLIPB16,
    "clip_l14": CLIPL14,
}
CLIP_NETWORKS = {  # 3-D
    "c3d": C3D,
    "vgg16_3d": VGG16_3D,
    "i3d": I3D,
    "s3d": S3D,
    "r3d_18": R3D18,
    "r3d_34": R3D34,
    "mc3_18": MC318,
    "r2plus1d_18": R2Plus1D18,
    "r2plus1d_34": R2Plus1D34,
    "x3d_xs": X3D,
    "x3d_s": X3D,
    "x3d_m": X3D,
    "x3d_l": X3DL,
    "slowonly_r50": SlowOnly50,
    "slowfast_r50_4x16": SlowFast50_4x16,
    "slowfast_r50_8x8": SlowFast,
    "slowfast_r101_8x8": SlowFast101_8x8,
    "timesformer": TimeSformer,
    "vivit": ViViT,
    "vivit_factorised": ViViTFactorised,
    "video_swin_t": VideoSwin,
    "video_swin_s": VideoSwinS,
    "video_swin_b": VideoSwinB,
    "mvit_v1_b": MViTv1B,
    "mvit_v2_s": MViT,
    "videomae_s": VideoMAES,
    "videomae_b": VideoMAE,
    "videomae_l": VideoMAEL,
    "videoprism_b": VideoPrism,
    "videoprism_l": VideoPrismL,
    "videoprism_lvt_b": VideoPrismLvT,
}
FLOW_NETWORKS = {  # optical flow from frames
    "raft_large": RAFT,
    "raft_small": RAFTSmall,
    "flownet_s": FlowNetS,
    "flownet_c": FlowNetC,
    "spynet": SPyNet,
}
MODELS = {
    **FRAME_NETWORKS,
    **CLIP_NETWORKS,
    **FLOW_NETWORKS,
    "tsm": TSM,
    "fusion": Fusion,
    "frame_pool": FramePool,
    "attentive_pooler": AttentivePooler,
    "frame_rnn": FrameRNN,
    "clip_rnn": ClipRNN,
    "skip_rnn": SkipRNN,
    "conv_lstm": FrameConvLSTM,
    "tcn": FrameTCN,
    "ms_tcn": MSTCN,
    "asformer": ASFormer,
    "stacked_flow": StackedFlow,
    "flow_stream": FlowStream,
    "two_stream": TwoStream,
    "two_stream_3d": TwoStream3D,
    "two_stream_rnn": TwoStreamRNN,
    "forecaster": Forecaster,
    "captioner": Captioner,
    "siamese": Siamese,
    "videomae_pretrain": VideoMAEPretrain,
    "embedding": Embedding,
}
ON_FRAMES, ON_CLIPS = {"backbone": (*FRAME_NETWORKS, None)}, {"network": (*CLIP_NETWORKS,)}
OVER_TIME = ("tsm", "fusion", "frame_pool", "attentive_pooler", "frame_rnn", "clip_rnn", "skip_rnn", "conv_lstm", "tcn")
PARTS = {  # the sub-networks of each network and the valid choices for each; None marks an optional part
    "tsm": {"backbone": ("resnet18", "resnet34", "resnet50")},
    "frame_pool": ON_FRAMES,
    "attentive_pooler": ON_FRAMES,
    "frame_rnn": ON_FRAMES,
    "skip_rnn": ON_FRAMES,
    "conv_lstm": ON_FRAMES,
    "tcn": ON_FRAMES,
    "ms_tcn": ON_FRAMES,
    "asformer": ON_FRAMES,
    "stacked_flow": {"backbone": (*FRAME_NETWORKS,)},
    "flow_stream": {"network": (*FLOW_NETWORKS,), "stream": ("stacked_flow", *CLIP_NETWORKS)},
    "clip_rnn": ON_CLIPS,
    "captioner": ON_CLIPS,
    "embedding": {"network": (*FRAME_NETWORKS, *CLIP_NETWORKS, *OVER_TIME)},
    "two_stream": {"spatial": ("frame_pool", *CLIP_NETWORKS), "temporal": ("stacked_flow", *CLIP_NETWORKS)},
    "two_stream_3d": {"spatial": ("frame_pool",), "temporal": ("stacked_flow",)},
    "two_stream_rnn": {"spatial": ("frame_pool",), "temporal": ("stacked_flow",)},
}


def make_model(
    name: str,
    num_classes: int | None = None,
    *,
    dtype=jnp.float32,
    remat: bool = False,
    stateful: bool = False,
    place: str = "model",
    **arguments,
) -> nn.Module:
    """Build a network by name, building its parts first.

        make_model("frame_rnn", 8, backbone={"name": "resnet18", "width": 0.125}, hidden=128)

    Args:
        name: a key of `MODELS`.
        num_classes: 0 or None for a network without a classifier, which returns features.
        dtype: dtype of the computation, as a type or a name ("bfloat16"); parameters are float32.
        remat: keep only the inputs of blocks for the backward pass; see `rematerialised`.
        stateful: continue from batch to batch; see `stateful.Stateful`.
        place: the name of this network in error messages, such as "model.backbone".
        **arguments: arguments of the network; see the docstring of its class. A part is a dict with a `name` and the
            arguments of that part; see `PARTS`.

    Raises:
        ValueError: for an unknown name, argument or part. The message lists the valid ones.
    """
    if name not in MODELS:
        raise ValueError(f"{place}: unknown network {name!r}; choose one of {', '.join(sorted(MODELS))}.")
    parts, valid = PARTS.get(name, {}), arguments_of(name)
    wanted = {*arguments} | ({"remat"} if remat else set()) | ({"stateful"} if stateful else set())
    if unknown := sorted(wanted - set(valid)):
        raise ValueError(f"{place}: {name} has no argument {', '.join(unknown)}; choose from {', '.join(valid)}.")
    for part, choices in parts.items():
        inner = arguments.get(part)
        names = ", ".join(filter(None, choices))
        if isinstance(inner, str) or inner is None and None not in choices:
            raise ValueError(f"{place}.{part} must be a dict with the name of a network; choose one of {names}.")
        if inner is None:
            continue
        inner = dict(inner)
        inner_name = inner.pop("name", None)
        if inner_name is None or inner_name not in choices:
            problem = "does not fit here" if inner_name in MODELS else "is unknown"
            raise ValueError(f"{place}.{part}: the network {inner_name!r} {problem}; choose one of {names}.")
        arguments[part] = make_model(inner_name, dtype=dtype, place=f"{place}.{part}", **inner)
    network = MODELS[name](num_classes=num_classes, dtype=jnp.dtype(dtype), **arguments)
    network = network.clone(block=rematerialised(network.block)) if remat else network
    return Stateful(network) if stateful else network


@functools.cache
def rematerialised(block: type[nn.Module]) -> type[nn.Module]:
    """Return a block that keeps only its input and recomputes the rest in the backward pass.

    Chen et al., "Training Deep Nets with Sublinear Memory Cost" (2016), https://arxiv.org/abs/1604.06174. Saves memory
    at the cost of one more forward pass; the results are the same.
    """
    arguments = enumerate(inspect.signature(block.__call__).parameters)
    return nn.remat(block, static_argnums=tuple(i for i, name in arguments if name in ("grid", "train")))


def arguments_of(name: str) -> list[str]:
    """Return the arguments of a network that a config can set."""
    network = MODELS[name]
    fixed = getattr(network, "keywords", {})  # set by a functools.partial
    given = ("parent", "name", "num_classes", "dtype", "block", *fixed)
    parameters = inspect.signature(network).parameters
    remat = ["remat"] if "block" in parameters else []
    stateful = ["stateful"] if getattr(network, "func", network) in LAYERS else []
    return [argument for argument in parameters if argument not in given] + remat + stateful


def inputs_of(name: str) -> list[str]:
    """Return the inputs in a network's signature: ["video", "frame_mask", "train"]. Empty for an unknown name."""
    network = MODELS.get(name)
    parameters = inspect.signature(getattr(network, "func", network).__call__).parameters if network else ()
    return [name for name in parameters if name != "self"]


def sees_both(name: str) -> bool:
    """Return whether a network takes both frames and their optical flow."""
    return {"video", "flow"} <= set(inputs_of(name))


def needs_flow(name: str) -> bool:
    """Return whether a network requires optical flow, with or without frames. Others follow `config.flow`."""
    return sees_both(name) or name == "stacked_flow"
