"""Weights of X3D, SlowFast and SlowOnly from pytorchvideo.

Addresses and settings: its docs/source/model_zoo.md and models/hub/; it gives no checksums. Files were not fetched
where this was written: names and shapes are those of its own networks. The order of its classes is taken to be that of
the dataset's list. Clips have the size of training, at which ours and theirs are the same network.
"""

from vidjax.weights import importers
from vidjax.weights.downloads import File
from vidjax.weights.table.entry import HALF, KINETICS400, Weights

X3D = "Feichtenhofer, CVPR 2020, https://arxiv.org/abs/2004.04730"
SLOWFAST = "Feichtenhofer et al., ICCV 2019, https://arxiv.org/abs/1812.03982"


def _entry(file: str, model: str, layout, paper: str, frames: int, stride: int, size: int = 224, short_side: int = 256):
    """Returns the entry of a file; `frames` of the fast pathway for SlowFast."""
    address = f"https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/{file}"
    clip = {"num_frames": frames, "frame_stride": stride, "size": size, "resize": short_side, "sampling": "clip"}
    return Weights(
        what=f"{file.removesuffix('.pyth')} trained on Kinetics-400 by pytorchvideo",
        source=f"{paper}; facebookresearch/pytorchvideo",
        licence="Apache-2.0 (pytorchvideo); the terms of the dataset may apply as well",
        files=(File(f"pytorchvideo/{file}", address),),
        layout=layout,
        model={"name": model},
        labels=KINETICS400,
        inputs={"fps": 30.0, "short_side": short_side},
        clip=clip,
        preprocess=HALF,
    )


# the short sides of X3D are from memory
PYTORCHVIDEO = {
    "pytorchvideo_x3d_xs": _entry("X3D_XS.pyth", "x3d_xs", importers.X3D, X3D, 4, 12, 160, 182),
    "pytorchvideo_x3d_s": _entry("X3D_S.pyth", "x3d_s", importers.X3D, X3D, 13, 6, 160, 182),
    "pytorchvideo_x3d_m": _entry("X3D_M.pyth", "x3d_m", importers.X3D, X3D, 16, 5),
    "pytorchvideo_x3d_l": _entry("X3D_L.pyth", "x3d_l", importers.X3D, X3D, 16, 5, 312, 356),
    "pytorchvideo_slowonly_r50_4x16": _entry(
        "SLOW_4x16_R50.pyth", "slowonly_r50", importers.SLOW_ONLY, SLOWFAST, 4, 16),
    "pytorchvideo_slowonly_r50_8x8": _entry(
        "SLOW_8x8_R50.pyth", "slowonly_r50", importers.SLOW_ONLY, SLOWFAST, 8, 8),
    "pytorchvideo_slowfast_r50_4x16": _entry(
        "SLOWFAST_4x16_R50.pyth", "slowfast_r50_4x16", importers.SLOWFAST, SLOWFAST, 32, 2),
    "pytorchvideo_slowfast_r50_8x8": _entry(
        "SLOWFAST_8x8_R50.pyth", "slowfast_r50_8x8", importers.SLOWFAST, SLOWFAST, 32, 2),
    "pytorchvideo_slowfast_r101_8x8": _entry(
        "SLOWFAST_8x8_R101.pyth", "slowfast_r101_8x8", importers.SLOWFAST, SLOWFAST, 32, 2),
}  # fmt: skip
