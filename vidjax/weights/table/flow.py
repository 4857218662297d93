"""Weights of networks of optical flow."""

from vidjax.weights import importers
from vidjax.weights.downloads import File
from vidjax.weights.table.entry import MINUS_ONE_TO_ONE, Weights

PAIRS = {  # of frames; torchvision 0.29, references/optical_flow, validates at the size of the dataset
    "inputs": {"fps": 25.0, "short_side": 436},
    "clip": {"num_frames": 2, "frame_stride": 1, "size": 128, "resize": 0, "sampling": "clip"},
    "preprocess": MINUS_ONE_TO_ONE,
    "labels": (),
}
TEED = "Teed and Deng, ECCV 2020, https://arxiv.org/abs/2003.12039"


def _raft(file: str, data: str) -> Weights:
    """Returns an entry for a file named NETWORK_DATA-DIGITS.pth, where DIGITS are the first of its SHA-256."""
    name = "_".join(file.split("_")[:2])
    digits = file.removesuffix(".pth").rpartition("-")[2]
    return Weights(
        what=f"{name} trained on {data} by torchvision: optical flow, without classes",
        source=f"{TEED}; pytorch/vision 0.29",
        licence="BSD-3-Clause (torchvision); the terms of the datasets may apply as well",
        files=(File(file, f"https://download.pytorch.org/models/{file}", f"sha256:{digits}"),),
        layout=importers.RAFT,
        model={"name": name},
        **PAIRS,
    )


CHAIRS = "FlyingChairs and FlyingThings3D"
FLOW = {
    "torchvision_raft_large": _raft("raft_large_C_T_V2-1bb1363a.pth", CHAIRS),
    "torchvision_raft_large_sintel": _raft(
        "raft_large_C_T_SKHT_V2-ff5fadd5.pth", f"{CHAIRS}, then on Sintel, KITTI and HD1K"
    ),
    "torchvision_raft_small": _raft("raft_small_C_T_V2-01064c6d.pth", CHAIRS),
}


def _files(model: str, source: str, layout: importers.Layout) -> Weights:
    return Weights(
        what=f"{model}: optical flow, without classes",
        source=source,
        licence="see the publisher",
        files=(),
        layout=layout,
        model={"name": model},
        **PAIRS,
    )


FISCHER = "Fischer et al., ICCV 2015, https://arxiv.org/abs/1504.06852; ClementPinard/FlowNetPytorch"
RANJAN = "Ranjan and Black, CVPR 2017, https://arxiv.org/abs/1611.00850; sniklaus/pytorch-spynet"
FLOW_FILES = {  # published without a checksum: only read from a path
    "flownet_s": _files("flownet_s", FISCHER, importers.FLOWNET),
    "flownet_c": _files("flownet_c", FISCHER, importers.FLOWNET),
    "spynet": _files("spynet", RANJAN, importers.SPYNET),
}
