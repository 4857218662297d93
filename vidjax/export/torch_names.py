"""Converts our variables to the arrays of torchvision and pytorch-i3d: the inverse of `vidjax.weights.importers`."""

import functools
import re
from collections.abc import Callable
from pathlib import Path

import einops
import numpy as np
import safetensors.numpy
from flax import linen as nn

from vidjax import models, trees
from vidjax.inference import restore
from vidjax.models import video_swin
from vidjax.weights import clip_names, convnet_names, flow_names, importers, transformer_names, video_names, videoprism
from vidjax.weights import load as weights
from vidjax.weights.files import Arrays

NOT_IN_INFERENCE = ("dropout", "dtype", "batch_norm_momentum", "block", "use_scale", "parent", "name")
KINDS = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}


# --------------------------------------------------------------------------------------------- our paths -> their names
#
# Each function takes one of our paths without the collection and returns the library's name. It is the inverse of the
# function of the same name in `vidjax.weights.convnet_names`.


def resnet(path: str) -> str:
    """layer1_0/conv1/kernel -> layer1.0.conv1.weight."""
    path = re.sub(r"^(layer\d)_", r"\1.", path)
    path = path.replace("downsample_conv", "downsample.0").replace("downsample_bn", "downsample.1")
    return _dotted(path)


def video_resnet(path: str) -> str:
    """layer1_0/bn1/scale -> layer1.0.conv1.1.weight."""
    path = re.sub(r"(^|/)(conv|bn)(\d)/", lambda m: f"{m[1]}conv{m[3]}/{int(m[2] == 'bn')}/", path)
    return resnet(re.sub(r"^conv1/", "stem/", path))


def r2plus1d(path: str) -> str:
    """layer1_0/conv1/temporal/kernel -> layer1.0.conv1.0.3.weight."""
    if path.startswith(("conv1/", "bn1/")):  # the stem: spatial convolution, norm, temporal convolution, norm
        number = {"conv1/spatial": 0, "conv1/norm": 1, "conv1/temporal": 3}.get(path.rpartition("/")[0], 4)
        return f"stem.{number}.{KINDS[path.rpartition('/')[2]]}"
    path = video_resnet(path)
    for number, part in ((0, "spatial"), (1, "norm"), (3, "temporal")):
        path = path.replace(f".0.{part}.", f".0.{number}.")
    return path


UNITS = {unit: branch for branch, unit in convnet_names.INCEPTION_UNITS.items()}


def googlenet(path: str) -> str:
    """Mixed_3b/Branch_1/Conv3d_0b_3x3/conv_3d/kernel -> inception3a.branch2.1.conv.weight."""
    *module, layer, kind = _named(path).split("/")
    stems = {"Conv3d_1a_7x7": "conv1", "Conv3d_2b_1x1": "conv2", "Conv3d_2c_3x3": "conv3"}
    layer = {"conv_3d": "conv", "batch_norm": "bn"}[layer]
    if module[0] == "Logits":
        return f"fc.{KINDS[kind]}"
    if len(module) == 1:
        return f"{stems[module[0]]}.{layer}.{KINDS[kind]}"
    block = f"inception{module[0][6]}{chr(ord(module[0][7]) - 1)}"
    branch, number = UNITS["/".join(module[1:])].split("/")
    place = f"branch{int(branch) + 1}" + (f".{number}" if branch != "0" else "")
    return f"{block}.{place}.{layer}.{KINDS[kind]}"


S3D_STEMS = {"Conv3d_1a_7x7": "0", "Conv3d_2b_1x1": "2", "Conv3d_2c_3x3": "3"}
S3D_BLOCKS = {block: number for number, block in convnet_names.S3D_BLOCKS.items()}


def s3d(path: str) -> str:
    """Mixed_3b/Branch_1/Conv3d_0b_3x3/spatial/conv_3d/kernel -> features.5.branch1.1.0.0.weight."""
    *module, layer, kind = _named(path).split("/")
    if module[0] == "Logits":
        return f"classifier.1.{KINDS[kind]}"
    half = module.pop() if module[-1] in ("spatial", "temporal") else None
    if len(module) == 1:
        place = S3D_STEMS[module[0]]
    else:
        branch, number = UNITS["/".join(module[1:])].split("/")
        block = S3D_BLOCKS[module[0].removeprefix("Mixed_")]
        place = f"{block}.branch{branch}" + (f".{number}" if branch != "0" else "")
    if half:
        place += {"spatial": ".0", "temporal": ".1"}[half]
    return f"features.{place}.{int(layer == 'batch_norm')}.{KINDS[kind]}"


PYTORCH_I3D_UNITS = {unit: name for name, unit in convnet_names.PYTORCH_I3D_UNITS.items()}


def pytorch_i3d(path: str) -> str:
    """Mixed_3b/Branch_0/Conv3d_0a_1x1/conv_3d/kernel -> Mixed_3b.b0.conv3d.weight."""
    *module, layer, kind = _named(path).split("/")
    if module[0] == "Logits":
        place = "logits"
    else:
        place = ".".join([module[0], *filter(None, [PYTORCH_I3D_UNITS.get("/".join(module[1:]))])])
    return f"{place}.{ {'conv_3d': 'conv3d', 'batch_norm': 'bn'}[layer] }.{KINDS[kind]}"


def _named(path: str) -> str:
    """Undoes `convnet_names.misnamed`."""
    return path.replace("Mixed_5b/Branch_2/Conv3d_0a_3x3", "Mixed_5b/Branch_2/Conv3d_0b_3x3")


def _dotted(path: str) -> str:
    *module, kind = path.split("/")
    return ".".join([*module, KINDS[kind]])


def numbered(modules: dict[str, str]) -> Callable[[str], str]:
    """Returns a function conv2/kernel -> features.3.weight, for a table of modules by number in `convnet_names`."""
    numbers = {module: number for number, module in modules.items()}
    return lambda path: f"{numbers[path.rpartition('/')[0]]}.{KINDS[path.rpartition('/')[2]]}"


def _from_table(table: transformer_names.Table) -> Callable[[str], str]:
    return functools.partial(transformer_names.theirs, table=table)


NAMES: dict[str, list[tuple[importers.Layout, Callable[[str], str]]]] = {
    "torchvision": [
        (importers.RESNET, resnet),
        (importers.VIDEO_RESNET, video_resnet),
        (importers.R2PLUS1D, r2plus1d),
        (importers.S3D, s3d),
        (importers.GOOGLENET, googlenet),
        (importers.VGG16, numbered(convnet_names.VGG16_MODULES)),
        (importers.ALEXNET, numbered(convnet_names.ALEXNET_MODULES)),
        (importers.VIT, _from_table(transformer_names.VIT)),
        (importers.SWIN, _from_table(transformer_names.SWIN)),
        (importers.MVIT, _from_table(transformer_names.MVIT)),
        (importers.RAFT, _from_table(flow_names.RAFT)),
    ],
    "pytorch_i3d": [(importers.PYTORCH_I3D, pytorch_i3d)],
    "pytorchvideo": [
        (importers.X3D, _from_table(video_names.X3D)),
        (importers.SLOWFAST, _from_table(video_names.SLOWFAST)),
        (importers.SLOW_ONLY, _from_table(video_names.SLOW_ONLY)),
    ],
    "tsm": [(importers.TSM, _from_table(video_names.TSM))],
    "mmaction2": [(importers.MMACTION_TSM, _from_table(video_names.MMACTION_TSM))],
    "transformers": [
        (importers.VIDEOMAE, _from_table(transformer_names.VIDEOMAE)),
        (importers.VIDEOMAE_PRETRAIN, _from_table(transformer_names.VIDEOMAE_PRETRAIN)),
        (importers.TIMESFORMER, _from_table(transformer_names.TIMESFORMER)),
        (importers.CLIP_IMAGE, _from_table(clip_names.HUB_IMAGE)),
        (importers.CLIP_TEXT, _from_table(clip_names.HUB_TEXT)),
        (importers.VIVIT, _from_table(transformer_names.VIVIT)),
    ],
    "open_clip": [
        (importers.OPEN_CLIP_IMAGE, _from_table(clip_names.OPEN_IMAGE)),
        (importers.OPEN_CLIP_TEXT, _from_table(clip_names.OPEN_TEXT)),
    ],
    "flownet_pytorch": [(importers.FLOWNET, _from_table(flow_names.FLOWNET))],
    "pytorch_spynet": [(importers.SPYNET, _from_table(flow_names.SPYNET))],
    "videoprism": [
        (importers.VIDEOPRISM, _from_table(transformer_names.VIDEOPRISM)),
        (importers.LVT_VIDEO, _from_table(videoprism.LVT_VIDEO)),
        (importers.LVT_TEXT, _from_table(videoprism.LVT_TEXT)),
    ],
}


# ------------------------------------------------------------------------------------------------ our arrays -> theirs


def to_torch(variables: Arrays, layout: importers.Layout, name_of: Callable[[str], str]) -> Arrays:
    """Converts arrays by our paths to arrays by a library's names: the inverse of `importers.translate`."""
    theirs = {}
    for path, x in (join_fused(variables) if layout.fused else variables).items():
        name = name_of(path.partition("/")[2])
        if layout.grid and path == "params/fc1/kernel":
            x = einops.rearrange(x, "(h w c) f -> (c h w) f", h=layout.grid, w=layout.grid)
        if layout.torch_order and path.endswith("/kernel"):
            x = np.moveaxis(x, (-1, -2), (0, 1))
        if name == "fc.weight":  # GoogLeNet's classifier, a convolution here
            x = x.reshape(x.shape[:2])
        theirs[name] = np.ascontiguousarray(x)
        if layout is importers.SWIN and path.endswith("relative_positions"):
            index = video_swin.relative_index(video_swin.VideoSwin.window)
            theirs[name.replace("relative_position_bias_table", importers.COMPUTED)] = index
    return layout.pack(theirs)


def join_fused(variables: Arrays) -> Arrays:
    """Joins queries, keys and values that other libraries make in one layer: the inverse of `importers.split_fused`."""
    joined = {}
    for path, x in variables.items():
        part = next((part for part in importers.PARTS if part in path), None)
        if part is None:
            joined[path] = x
        elif part == importers.PARTS[0]:
            pieces = [variables[path.replace(part, other)] for other in importers.PARTS]
            joined[path.replace(part, importers.FUSED)] = np.concatenate(pieces, -1)
    return joined


def write(run: restore.Trained, variables: Arrays, names: str, path: Path) -> dict:
    """Writes a safetensors file, reads it back and compares.

    Args:
        run: the network.
        variables: its variables, by path.
        names: "vidjax" for our paths, or a key of `NAMES` for the arrays that `load_state_dict` of the library takes.
        path: the file to write.

    Returns:
        `arrays`: their number; `network`: the network that they fit; `names`.

    Raises:
        ValueError: if the library has no such network; lists those that it has.
    """
    if names == "vidjax":
        path.write_bytes(safetensors.numpy.save(variables))
        network, back = type(run.model).__name__, safetensors.numpy.load_file(path)
    else:
        network, layout, name_of, variables = find(run, variables, names)
        path.write_bytes(safetensors.numpy.save(to_torch(variables, layout, name_of)))
        back, _ = importers.translate(safetensors.numpy.load_file(path), layout)
        back = {path: x.reshape(variables[path].shape) for path, x in back.items()}
    error = 1e-7 if names == "videoprism" else 0  # its scales are stored minus 1
    same = [np.allclose(back[p], x, rtol=0, atol=error) for p, x in variables.items() if p in back]
    if set(back) != set(variables) or not all(same):
        raise ValueError(f"{path} differs from the variables when it is read back.")
    return {"arrays": len(back), "network": network, "names": names}


def find(run: restore.Trained, variables: Arrays, library: str) -> tuple[str, importers.Layout, Callable, Arrays]:
    """Finds the network of a library that fits these variables.

    The norms of I3D have no scale here; those of pytorch-i3d get a scale of 1.

    Returns:
        Its name, layout and function of names, and the variables, with any such scales added.

    Raises:
        ValueError: if the library has no such network; lists those that it has.
    """
    known = []
    for layout, name_of in NAMES[library]:
        for entry in (*weights.WEIGHTS.values(), *weights.FILES_ONLY.values()):
            if entry.layout is not layout:
                continue
            shapes = weights.shapes_of(entry, len(run.labels))
            ones = {p: np.ones(s, np.float32) for p, s in shapes.items() if p.endswith("/scale") and p not in variables}
            theirs = models.make_model(num_classes=len(run.labels), **entry.model)
            if trees.shapes(variables | ones) == shapes and same_network(run.model, theirs):
                return entry.model["name"], layout, name_of, variables | ones
            known.append(entry.model["name"])
    raise ValueError(
        f"{library} has no network with the parameters of {run.name} ({type(run.model).__name__}); it has "
        f"{', '.join(dict.fromkeys(known))}, in their published widths."
    )


def same_network(ours: nn.Module, theirs: nn.Module) -> bool:
    """Whether two modules compute the same function. (A causal ResNet has the same parameters as any other.)"""
    names = [field for field in type(ours).__dataclass_fields__ if field not in NOT_IN_INFERENCE]
    return type(ours) is type(theirs) and all(getattr(ours, name) == getattr(theirs, name) for name in names)
