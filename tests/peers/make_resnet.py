"""Writes resnet.json: the logits of torchvision's ResNets, 2-D and video, with parameters drawn by formula.py.

    python tests/peers/make_resnet.py         needs torch and torchvision, the two of one release

Made with torch 2.13.0 and torchvision 0.28.0.
"""

import json
import re
from pathlib import Path

import torch
import torchvision
from formula import uniform
from from_torch import kind_of, load, versions


def flax_name(name: str) -> str | None:
    """layer1.0.conv1.weight -> layer1_0/conv1/kernel; None for what Flax does not have."""
    *path, kind = name.split(".")
    module = re.sub(r"^(layer\d)/", r"\1_", "/".join(path))
    module = module.replace("downsample/0", "downsample_conv").replace("downsample/1", "downsample_bn")
    kind = kind_of(kind, re.search(r"bn\d?$", module) is not None)
    return f"{module}/{kind}" if kind else None


def flax_name_of_video(name: str, factorised: bool) -> str | None:
    """layer1.0.conv1.1.weight -> layer1_0/bn1/scale; in R(2+1)D layer1.0.conv1.0.3.weight -> .../conv1/temporal."""
    if factorised:
        name = re.sub(r"^stem\.(\d)\.", r"stem.0.\1.", name).replace("stem.0.4.", "stem.1.")
        name = re.sub(r"(stem|conv\d)\.0\.0\.", r"\1.spatial.", name)
        name = re.sub(r"(stem|conv\d)\.0\.1\.", r"\1.norm.", name)
        name = re.sub(r"(stem|conv\d)\.0\.3\.", r"\1.temporal.", name)
    name = name.replace("stem.", "conv1.", 1) if name.startswith("stem.") else name
    name = re.sub(r"conv(\d)\.0\.", r"conv\1.", name)
    name = re.sub(r"conv(\d)\.1\.", r"bn\1.", name)
    path = flax_name(name)
    return path.replace("norm/kernel", "norm/scale") if path else None


def main():
    golden = {}
    # An even and an odd size: symmetric padding differs from TensorFlow's SAME on the first.
    for name, size in [("resnet18", 64), ("resnet18", 75), ("resnet34", 64), ("resnet50", 64)]:
        model = getattr(torchvision.models, name)(num_classes=10).eval()
        load(model, flax_name)
        images = torch.from_numpy(uniform("images", (2, size, size, 3)).transpose(0, 3, 1, 2).copy())
        with torch.no_grad():
            golden[f"{name}/{size}"] = model(images).double().numpy().round(6).tolist()
    for name, *shape in [("r3d_18", 9, 40, 48), ("mc3_18", 9, 40, 48), ("r2plus1d_18", 9, 40, 48)]:
        model = getattr(torchvision.models.video, name)(num_classes=10).eval()
        load(model, lambda path, factorised="plus" in name: flax_name_of_video(path, factorised))
        video = torch.from_numpy(uniform("video", (2, *shape, 3)).transpose(0, 4, 1, 2, 3).copy())
        with torch.no_grad():
            golden[f"{name}/{'x'.join(map(str, shape))}"] = model(video).double().numpy().round(6).tolist()
    path = Path(__file__).with_name("resnet.json")
    path.write_text(json.dumps({**versions(), "logits": golden}, indent=1) + "\n")
    print(path)


if __name__ == "__main__":
    main()
