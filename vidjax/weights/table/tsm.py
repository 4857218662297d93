"""Weights of TSM on ResNet-50, from its authors and from MMAction2.

Addresses: the README of mit-han-lab/temporal-shift-module, which gives no checksums, and configs/recognition/tsm of
open-mmlab/mmaction2, whose file names end in the first digits of the SHA-256. Files were not fetched where this was
written: their names follow both libraries' code, and those of the authors its own network.
"""

from vidjax.weights import importers
from vidjax.weights.downloads import File
from vidjax.weights.table.entry import IMAGENET, KINETICS400, Weights, labels_of

LIN = "Lin et al., ICCV 2019, https://arxiv.org/abs/1811.08383"
SOMETHING_V2 = labels_of("something_something_v2.txt")  # MMAction2, tools/data/sthv2/label_map.txt


def _entry(file: File, layout, source: str, licence: str, frames: int, stride: int = 0, labels=KINETICS400):
    """Returns the entry of a file; a stride of 0 spreads the frames over the video."""
    dataset = "Kinetics-400" if labels is KINETICS400 else "Something-Something V2"
    sampling = {"frame_stride": stride, "sampling": "clip"} if stride else {"frame_stride": 1, "sampling": "segments"}
    return Weights(
        what=f"TSM of ResNet-50 on {frames} frames, trained on {dataset}",
        source=f"{LIN}; {source}",
        licence=f"{licence}; the terms of the dataset may apply as well",
        files=(file,),
        layout=layout,
        model={"name": "tsm", "backbone": {"name": "resnet50"}},
        labels=labels,
        inputs={"fps": 30.0 if labels is KINETICS400 else 12.0, "short_side": 256},
        clip={"num_frames": frames, "size": 224, "resize": 256, **sampling},
        preprocess=IMAGENET,
    )


def _authors(frames: int, name: str, stride: int = 0):
    file = f"TSM_kinetics_RGB_resnet50_shift8_blockres_avg_segment{frames}_{name}.pth"
    address = f"https://hanlab18.mit.edu/projects/tsm/models/{file}"
    return _entry(File(file, address), importers.TSM, "mit-han-lab/temporal-shift-module", "MIT", frames, stride)


def _mmaction(config: str, ending: str, frames: int, labels=KINETICS400):
    file = f"{config}_{ending}.pth"
    address = f"https://download.openmmlab.com/mmaction/v1.0/recognition/tsm/{config}/{file}"
    digest = f"sha256:{ending.partition('-')[2]}"
    layout, source = importers.MMACTION_TSM, "open-mmlab/mmaction2"
    return _entry(File(file, address, digest), layout, source, "Apache-2.0", frames, labels=labels)


TSMS = {
    "tsm_r50_8f_kinetics400": _authors(8, "e50"),
    "tsm_r50_16f_kinetics400": _authors(16, "e50"),
    "tsm_r50_8f_kinetics400_dense": _authors(8, "e100_dense", stride=8),
    "mmaction_tsm_r50_8f_kinetics400": _mmaction(
        "tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb", "20220831-64d69186", 8),
    "mmaction_tsm_r50_16f_kinetics400": _mmaction(
        "tsm_imagenet-pretrained-r50_8xb16-1x1x16-50e_kinetics400-rgb", "20220831-042b1748", 16),
    "mmaction_tsm_r50_8f_something_v2": _mmaction(
        "tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_sthv2-rgb", "20230317-be0fc26e", 8, SOMETHING_V2),
    "mmaction_tsm_r50_16f_something_v2": _mmaction(
        "tsm_imagenet-pretrained-r50_8xb16-1x1x16-50e_sthv2-rgb", "20230317-ec6696ad", 16, SOMETHING_V2),
}  # fmt: skip
