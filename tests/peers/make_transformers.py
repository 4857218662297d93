"""Writes transformers.json: outputs of torchvision's and transformers' networks, with parameters drawn by formula.py.

    python tests/peers/make_transformers.py [--published]       needs vidjax, torch, torchvision and transformers

Compares ours on the way: the logits, each block, and how far swapping two frames or two patches moves the logits. With
--published at the published sizes; that writes nothing. Made with torch 2.14.1, torchvision 0.29.1 and transformers
5.24.0.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import einops
import jax
import numpy as np
import torch
import torchvision
import transformers
from formula import draw_tree, uniform
from from_torch import load_ours

from vidjax.export.torch_names import NAMES
from vidjax.models import make_model
from vidjax.weights import importers

SMALL = {"dim": 32, "depth": 3, "num_heads": 4}
CASES = {  # network, arguments, shape of the videos: (frames, height, width)
    "vit": ("vit_b", {**SMALL, "patch": (8, 8), "positions": (4, 4)}, (1, 32, 32)),
    "videomae": ("videomae_b", {**SMALL, "patch": (2, 8, 8)}, (6, 32, 24)),
    "timesformer": ("timesformer", {**SMALL, "patch": (8, 8), "positions": (4, 4, 4)}, (4, 32, 32)),
    "timesformer, joint": (
        "timesformer",
        {**SMALL, "attention": "joint", "patch": (8, 8), "positions": (4, 4, 4)},
        (4, 32, 32),
    ),
    "timesformer, larger": (
        "timesformer",
        {**SMALL, "attention": "joint", "patch": (8, 8), "positions": (4, 4, 4)},
        (6, 40, 40),
    ),
    "vivit": ("vivit", {**SMALL, "patch": (2, 8, 8), "positions": (3, 4, 4)}, (6, 32, 32)),
}
SWIN = {"dim": 16, "depths": (2, 2, 1, 1), "num_heads": (1, 2, 4, 8)}
MVIT = {"dims": (8, 16, 32, 64), "depths": (1, 2, 2, 1), "num_heads": (1, 2, 4, 8), "positions": (4, 16, 16)}
CASES |= {
    "swin": ("video_swin_t", SWIN, (18, 76, 66)),
    "mvit_v2": ("mvit_v2_s", MVIT, (8, 64, 64)),
    "mvit_v1": ("mvit_v1_b", MVIT, (8, 64, 64)),
}
PUBLISHED = {
    "vit": ("vit_b", {}, (1, 224, 224)),
    "videomae": ("videomae_b", {}, (16, 224, 224)),
    "timesformer": ("timesformer", {}, (8, 224, 224)),
    "vivit": ("vivit", {}, (32, 224, 224)),
    "swin": ("video_swin_t", {}, (16, 112, 112)),
    "mvit_v2": ("mvit_v2_s", {}, (16, 224, 224)),
    "mvit_v1": ("mvit_v1_b", {}, (16, 224, 224)),
}
VIDEO = torchvision.models.video
TORCHVISION = ("video_swin_t", "mvit_v1_b", "mvit_v2_s")


def names_of(layout: importers.Layout) -> Callable[[str], str]:
    return next(name_of for of in NAMES.values() for other, name_of in of if other is layout)


def theirs(
    network: str, model, shape: tuple[int, int, int], num_classes: int
) -> tuple[torch.nn.Module, importers.Layout]:
    """Returns the same network of the other library, and the layout of its arrays."""
    if network == "vit_b":
        size = model.positions[0] * model.patch[0]
        arguments = size, model.patch[0], model.depth, model.num_heads, model.dim, 4 * model.dim
        return torchvision.models.VisionTransformer(*arguments, num_classes=num_classes), importers.VIT
    if network == "video_swin_t":
        arguments = model.patch, model.dim, model.depths, model.num_heads, list(model.window)
        peer = VIDEO.swin_transformer.SwinTransformer3d(*map(lists, arguments), num_classes=num_classes)
        return peer, importers.SWIN
    if network.startswith("mvit"):
        frames, *size = model.positions
        blocks = []
        stages = [stage for stage, depth in enumerate(model.depths) for _ in range(depth)]
        for i, stage in enumerate(stages):
            before, after = stages[max(i - 1, 0)], stages[min(i + 1, len(stages) - 1)]
            widths = (before, stage) if model.version == 2 else (stage, after)
            stride, key_stride = 2 if stage > before else 1, model.key_strides[stage]
            pools = model.version == 2 or stride > 1
            blocks.append(
                VIDEO.mvit.MSBlockConfig(
                    num_heads=model.num_heads[stage],
                    input_channels=model.dims[widths[0]],
                    output_channels=model.dims[widths[1]],
                    kernel_q=[3, 3, 3] if pools else [],
                    kernel_kv=[3, 3, 3],
                    stride_q=[1, stride, stride] if pools else [],
                    stride_kv=[1, key_stride, key_stride],
                )
            )
        second = model.version == 2
        peer = VIDEO.mvit.MViT(
            spatial_size=tuple(4 * n for n in size),
            temporal_size=2 * frames,
            block_setting=blocks,
            residual_pool=second,
            residual_with_cls_embed=False,
            rel_pos_embed=second,
            proj_after_attn=second,
            num_classes=num_classes,
        )
        return peer, importers.MVIT
    shared = {
        "hidden_size": model.dim,
        "num_hidden_layers": model.depth,
        "num_attention_heads": model.num_heads,
        "intermediate_size": 4 * model.dim,
        "num_labels": num_classes,
        "attn_implementation": "eager",
    }
    if network == "videomae_b":
        config = transformers.VideoMAEConfig(
            image_size=shape[1:], num_frames=shape[0], patch_size=model.patch[1:], **shared
        )
        return transformers.VideoMAEForVideoClassification(config), importers.VIDEOMAE
    frames, rows, columns = model.positions
    if network == "vivit":
        size = rows * model.patch[1], columns * model.patch[2]
        config = transformers.VivitConfig(image_size=size, num_frames=shape[0], tubelet_size=model.patch, **shared)
        return transformers.VivitForVideoClassification(config), importers.VIVIT
    kind = {"divided": "divided_space_time", "joint": "joint_space_time"}[model.attention]
    config = transformers.TimesformerConfig(
        image_size=rows * model.patch[0], num_frames=frames, patch_size=model.patch[0], attention_type=kind, **shared
    )
    return transformers.TimesformerForVideoClassification(config), importers.TIMESFORMER


def lists(x):
    """torchvision changes the lists that it is given."""
    return list(x) if isinstance(x, tuple) else x


def blocks_of(network: str, peer: torch.nn.Module) -> list[tuple[str, torch.nn.Module]]:
    """Returns the blocks (of Swin, the stages) and their names among our endpoints."""
    if network == "video_swin_t":
        return [(f"stage{i}", peer.features[2 * i]) for i in range(4)]
    if network == "vit_b":
        blocks = peer.encoder.layers
    elif network.startswith("mvit"):
        blocks = peer.blocks
    else:
        base = next(peer.children())
        blocks = base.layers if network == "vivit" else base.encoder.layer
    return [(f"block{i}", block) for i, block in enumerate(blocks)]


def tokens_of(block, network: str, frames: int) -> np.ndarray:
    """Returns the tokens of their block without a class token, in our order, frame by frame."""
    x = block.numpy()
    if network in ("videomae_b", "video_swin_t"):
        return x
    x = x[:, 1:]
    return einops.rearrange(x, "b (n t) d -> b (t n) d", t=frames) if network == "timesformer" else x


def compare(network: str, arguments: dict, shape: tuple[int, int, int], num_classes: int) -> list:
    """Prints the largest differences, as shares of the largest value; returns their logits."""
    video = uniform("video", (2, *shape, 3))
    model = make_model(network, num_classes, **arguments)
    variables = {"params": draw_tree(jax.eval_shape(model.init, jax.random.key(0), video)["params"])}
    peer, layout = theirs(network, model, shape, num_classes)
    load_ours(peer, variables, layout, names_of(layout))
    outputs = {}

    def keep(name):
        def hook(module, inputs, out):
            outputs[name] = out[0] if isinstance(out, tuple) else out

        return hook

    for name, block in blocks_of(network, peer.eval()):
        block.register_forward_hook(keep(name))
    given = torch.from_numpy(video.transpose(0, 1, 4, 2, 3).copy())  # (B, T, C, H, W)
    given = given[:, 0] if network == "vit_b" else given.transpose(1, 2) if network in TORCHVISION else given
    with torch.no_grad():
        logits = peer(given)
    expected = getattr(logits, "logits", logits).numpy()
    with jax.default_matmul_precision("highest"):
        apply = jax.jit(model.apply)
        ours, ends = apply(variables, video)
        patch = getattr(model, "patch", (4,))[-1]
        swapped = video.copy()
        swapped[:, :, :patch, :patch], swapped[:, :, -patch:, -patch:] = (
            video[:, :, -patch:, -patch:],
            video[:, :, :patch, :patch],
        )
        moved = {"two patches": apply(variables, swapped)[0]}
        if shape[0] > 1:
            moved["two frames"] = apply(variables, video[:, [2, 1, 0, *range(3, shape[0])]])[0]

    def difference(a, b):
        return f"{np.abs(a - b).max() / np.abs(b).max():.1e}"

    found = {"logits": difference(ours, expected)}
    for name, out in outputs.items():
        out = tokens_of(out, network, shape[0])
        found[name] = difference(np.asarray(ends[name]).reshape(out.shape), out)
    print(network, arguments, shape, found, {f"{name} swapped": difference(x, expected) for name, x in moved.items()})
    return expected.astype(float).round(6).tolist()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--published", action="store_true", help="compare at the published sizes; writes nothing")
    if parser.parse_args().published:
        for case in PUBLISHED.values():
            compare(*case, 400)
        return
    golden = {name: compare(*case, 5) for name, case in CASES.items()}
    versions = {x.__name__: x.__version__ for x in (torch, torchvision, transformers)}
    path = Path(__file__).with_name("transformers.json")
    path.write_text(json.dumps({**versions, "logits": golden}, indent=1) + "\n")
    print(path)


if __name__ == "__main__":
    main()
