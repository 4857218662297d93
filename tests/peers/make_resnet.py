"""Writes resnet.json: the logits of torchvision's ResNets, 2-D and video, with parameters drawn by formula.py.

    python tests/peers/make_resnet.py         needs vidjax, torch and torchvision, the two of one release

Made with torch 2.13.0 and torchvision 0.28.0.
"""

import json
from pathlib import Path

import torch
import torchvision
from formula import uniform
from from_torch import load, versions

from vidjax.weights import convnet_names


def main():
    golden = {}
    # An even and an odd size: symmetric padding differs from TensorFlow's SAME on the first.
    for name, size in [("resnet18", 64), ("resnet18", 75), ("resnet34", 64), ("resnet50", 64)]:
        model = getattr(torchvision.models, name)(num_classes=10).eval()
        load(model, convnet_names.resnet)
        images = torch.from_numpy(uniform("images", (2, size, size, 3)).transpose(0, 3, 1, 2).copy())
        with torch.no_grad():
            golden[f"{name}/{size}"] = model(images).double().numpy().round(6).tolist()
    names = {
        "r3d_18": convnet_names.video_resnet,
        "mc3_18": convnet_names.video_resnet,
        "r2plus1d_18": convnet_names.r2plus1d,
    }
    for name, *shape in [("r3d_18", 9, 40, 48), ("mc3_18", 9, 40, 48), ("r2plus1d_18", 9, 40, 48)]:
        model = getattr(torchvision.models.video, name)(num_classes=10).eval()
        load(model, names[name])
        video = torch.from_numpy(uniform("video", (2, *shape, 3)).transpose(0, 4, 1, 2, 3).copy())
        with torch.no_grad():
            golden[f"{name}/{'x'.join(map(str, shape))}"] = model(video).double().numpy().round(6).tolist()
    path = Path(__file__).with_name("resnet.json")
    path.write_text(json.dumps({**versions(), "logits": golden}, indent=1) + "\n")
    print(path)


if __name__ == "__main__":
    main()
