"""Weights of 3-D convolutional networks other than I3D."""

from vidjax.weights import importers
from vidjax.weights.table.entry import KINETICS, torchvision

VIDEO_RESNET = {  # the weights' documentation in torchvision 0.28, models/video/resnet.py
    "inputs": {"fps": 15.0, "short_side": 128},
    "clip": {"num_frames": 16, "frame_stride": 1, "size": 112, "resize": (128, 171), "sampling": "clip"},
}
S3D = {  # the same in models/video/s3d.py
    "inputs": {"fps": 15.0, "short_side": 256},
    "clip": {"num_frames": 128, "frame_stride": 1, "size": 224, "resize": (256, 256), "sampling": "clip"},
}
TRAN = "Tran et al., CVPR 2018, https://arxiv.org/abs/1711.11248"
CLIPS = {
    "torchvision_r3d_18": torchvision(
        "r3d_18-b3b3357e.pth", importers.VIDEO_RESNET, TRAN, KINETICS, VIDEO_RESNET),
    "torchvision_mc3_18": torchvision(
        "mc3_18-a90a0ba3.pth", importers.VIDEO_RESNET, TRAN, KINETICS, VIDEO_RESNET),
    "torchvision_r2plus1d_18": torchvision(
        "r2plus1d_18-91a641e6.pth", importers.R2PLUS1D, TRAN, KINETICS, VIDEO_RESNET),
    "torchvision_s3d": torchvision(
        "s3d-d76dad2f.pth", importers.S3D, "Xie et al., ECCV 2018, https://arxiv.org/abs/1712.04851", KINETICS, S3D),
}  # fmt: skip
