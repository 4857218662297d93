"""Writes video_networks.json: outputs of pytorchvideo's and TSM's networks, with parameters drawn by formula.py.

    python tests/peers/make_video_networks.py [--published]

Needs vidjax, torch, torchvision, fvcore, iopath, and checkouts of facebookresearch/pytorchvideo and
mit-han-lab/temporal-shift-module in PYTHONPATH. Compares ours on the way: the logits, each stage, and how far swapping
two frames moves the logits. With --published at the published sizes; that writes nothing. Made with torch 2.14.1 and
torchvision 0.29.1.
"""

import argparse
import json
from pathlib import Path

import jax
import numpy as np
import torch
import torchvision
from formula import draw_tree, uniform
from from_torch import load_ours, versions
from ops.models import TSN
from pytorchvideo.models.resnet import _MODEL_STAGE_DEPTH, create_resnet
from pytorchvideo.models.slowfast import create_slowfast
from pytorchvideo.models.x3d import create_x3d
from torchvision.models.resnet import Bottleneck as TorchBottleneck
from torchvision.models.resnet import ResNet as TorchResNet

from vidjax.export.torch_names import NAMES
from vidjax.models.resnet import Bottleneck, ResNet, ResNet18, ResNet50, SlowOnly50
from vidjax.models.slowfast import SlowFast, SlowFast50_4x16, SlowFast101_8x8
from vidjax.models.tsm import TSM
from vidjax.models.x3d import X3D, X3DL
from vidjax.weights import importers

ONE_EACH = (1, 1, 1, 1)  # blocks per stage of pytorchvideo's networks of "depth 18", which have bottlenecks
CASES = {  # our network, without classes, and the shape of its videos: (frames, height, width)
    "x3d": (X3D(width_factor=0.5, depth_factor=0.3, hidden=32), (5, 64, 64)),
    "slowfast": (SlowFast(stage_sizes=ONE_EACH, width=0.5), (8, 32, 32)),
    "slowonly": (SlowOnly50(stage_sizes=ONE_EACH, width=0.25), (4, 32, 32)),
    "tsm": (TSM(backbone=ResNet18()), (4, 32, 32)),
    "tsm, bottlenecks": (TSM(backbone=ResNet(stage_sizes=ONE_EACH, block=Bottleneck)), (4, 32, 32)),
}
PUBLISHED = {
    "x3d_m": (X3D(), (16, 224, 224)),
    "x3d_l": (X3DL(), (16, 312, 312)),
    "slowfast 4x16": (SlowFast50_4x16(), (32, 224, 224)),
    "slowfast 8x8": (SlowFast(), (32, 224, 224)),
    "slowfast 101": (SlowFast101_8x8(), (32, 224, 224)),
    "slowonly": (SlowOnly50(), (8, 224, 224)),
    "tsm": (TSM(backbone=ResNet50()), (8, 224, 224)),
}
_MODEL_STAGE_DEPTH[18] = ONE_EACH  # as in their module of SlowFast
DEPTHS = {ONE_EACH: 18, (3, 4, 6, 3): 50, (3, 4, 23, 3): 101}


def of_pytorchvideo(model, shape: tuple[int, int, int], num_classes: int):
    """Returns pytorchvideo's network and the layout of its arrays."""
    frames, size, _ = shape
    after = -(-size // 32)
    if isinstance(model, X3D):
        sizes = {"input_clip_length": frames, "input_crop_size": size, "head_dim_out": model.hidden}
        factors = {"width_factor": model.width_factor, "depth_factor": model.depth_factor}
        return create_x3d(model_num_class=num_classes, **sizes, **factors), importers.X3D
    common = {"model_depth": DEPTHS[model.stage_sizes], "model_num_class": num_classes}
    channels = round(64 * model.width)
    if isinstance(model, SlowFast):
        peer = create_slowfast(
            **common,
            stem_dim_outs=(channels, channels // 8),
            slowfast_fusion_conv_kernel_size=(model.fusion_kernel, 1, 1),
            slowfast_fusion_conv_stride=(model.alpha, 1, 1),
            head_pool_kernel_sizes=((frames // model.alpha, after, after), (frames, after, after)),
        )
        return peer, importers.SLOWFAST
    sizes = {"stem_dim_out": channels, "stem_conv_kernel_size": (1, 7, 7)}
    return create_resnet(**common, **sizes, head_pool_kernel_size=(frames, after, after)), importers.SLOW_ONLY


def of_tsm(model: TSM, frames: int, num_classes: int):
    """Returns the authors' network and the layout of its arrays."""
    torchvision.models.resnet14 = lambda pretrained: TorchResNet(TorchBottleneck, list(ONE_EACH))
    depth = {(2, 2, 2, 2): 18, ONE_EACH: 14}.get(model.backbone.stage_sizes, 50)
    base = f"resnet{depth}"
    return TSN(num_classes, frames, "RGB", base, pretrain="", is_shift=True, print_spec=False), importers.TSM


def stages_of(model, peer) -> dict:
    """Returns the modules of theirs by the names of our endpoints."""
    if isinstance(model, TSM):
        return {f"layer{i}": getattr(peer.base_model, f"layer{i}") for i in range(1, 5)}
    name = "stage" if isinstance(model, X3D) else "layer"
    if isinstance(model, SlowFast):
        ways = enumerate(("slow", "fast"))
        return {f"{way}_layer{i}": peer.blocks[i].multipathway_blocks[n] for n, way in ways for i in range(1, 5)}
    return {f"{name}{i}": peer.blocks[i] for i in range(1, 5)}


def compare(model, shape: tuple[int, int, int], num_classes: int) -> list:
    """Prints the largest differences, as shares of the largest value; returns their logits."""
    video = uniform("video", (2, *shape, 3))
    model = model.clone(num_classes=num_classes)
    shapes = jax.eval_shape(model.init, jax.random.key(0), video)
    variables = {collection: draw_tree(tree) for collection, tree in shapes.items()}
    if isinstance(model, TSM):
        peer, layout = of_tsm(model, shape[0], num_classes)
    else:
        peer, layout = of_pytorchvideo(model, shape, num_classes)
    load_ours(peer, variables, layout, next(name_of for of in NAMES.values() for x, name_of in of if x is layout))
    peer.eval()  # TSN's returns None
    outputs = {}
    for name, module in stages_of(model, peer).items():
        module.register_forward_hook(lambda module, inputs, out, name=name: outputs.update({name: out.clone()}))
    given = torch.from_numpy(video.transpose(0, 4, 1, 2, 3).copy())  # (B, C, T, H, W)
    if isinstance(model, TSM):
        given = given.transpose(1, 2).reshape(-1, 3, *shape[1:])
    if isinstance(model, SlowFast):
        given = [given[:, :, :: model.alpha], given]
    with torch.no_grad():
        expected = peer(given).numpy()
    with jax.default_matmul_precision("highest"):
        apply = jax.jit(model.apply)
        ours, ends = apply(variables, video)
        swapped = apply(variables, video[:, [2, 1, 0, *range(3, shape[0])]])[0]

    def difference(a, b):
        return f"{np.abs(a - b).max() / np.abs(b).max():.1e}"

    found = {"logits": difference(ours, expected)}
    for name, out in outputs.items():
        out = out.numpy() if out.ndim == 5 else out.numpy().reshape(2, shape[0], *out.shape[1:]).swapaxes(1, 2)
        found[name] = difference(np.asarray(ends[name]), out.transpose(0, 2, 3, 4, 1))
    print(type(model).__name__, shape, found, "two frames swapped", difference(swapped, expected))
    return expected.astype(float).round(6).tolist()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--published", action="store_true", help="compare at the published sizes; writes nothing")
    if parser.parse_args().published:
        for case in PUBLISHED.values():
            compare(*case, 400)
        return
    golden = {name: compare(*case, 5) for name, case in CASES.items()}
    path = Path(__file__).with_name("video_networks.json")
    path.write_text(json.dumps({**versions(), "logits": golden}, indent=1) + "\n")
    print(path)


if __name__ == "__main__":
    main()
