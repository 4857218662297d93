"""Writes inception.json: the logits of torchvision's GoogLeNet and S3D with parameters drawn by formula.py.

    python tests/peers/make_inception.py         needs vidjax, torch and torchvision, the two of one release

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
    model = torchvision.models.googlenet(num_classes=10, aux_logits=False, init_weights=False).eval()

    def load_googlenet():
        state = model.fc.weight  # torch's (10, 1024) is the convolution (1, 1, 1024, 10) here
        model.fc.weight = torch.nn.Parameter(state[:, :, None, None])
        load(model, convnet_names.googlenet)
        model.fc.weight = torch.nn.Parameter(model.fc.weight[:, :, 0, 0])

    load_googlenet()
    for size in (64, 75):
        images = torch.from_numpy(uniform("images", (2, size, size, 3)).transpose(0, 3, 1, 2).copy())
        with torch.no_grad():
            golden[f"googlenet/{size}"] = model(images).double().numpy().round(6).tolist()
    model = torchvision.models.video.s3d(num_classes=10).eval()
    load(model, convnet_names.s3d)
    video = torch.from_numpy(uniform("video", (1, 18, 224, 224, 3)).transpose(0, 4, 1, 2, 3).copy())
    with torch.no_grad():
        golden["s3d/18x224x224"] = model(video).double().numpy().round(6).tolist()
    path = Path(__file__).with_name("inception.json")
    path.write_text(json.dumps({**versions(), "logits": golden}, indent=1) + "\n")
    print(path)


if __name__ == "__main__":
    main()
