"""Writes inception.json: the logits of torchvision's GoogLeNet and S3D with parameters drawn by formula.py.

    python tests/peers/make_inception.py         needs torch and torchvision, the two of one release

Made with torch 2.13.0 and torchvision 0.28.0.
"""

import json
from pathlib import Path

import torch
import torchvision
from formula import uniform
from from_torch import kind_of, load, versions

BLOCKS = "3b 3c 4b 4c 4d 4e 4f 5b 5c".split()
UNITS = {  # of a branch, counted from 0
    "0/0": "Branch_0/Conv3d_0a_1x1",
    "1/0": "Branch_1/Conv3d_0a_1x1",
    "1/1": "Branch_1/Conv3d_0b_3x3",
    "2/0": "Branch_2/Conv3d_0a_1x1",
    "2/1": "Branch_2/Conv3d_0b_3x3",
    "3/1": "Branch_3/Conv3d_0b_1x1",
}


def block(number: int, unit: str) -> str:
    """(0, "1/1") -> Mixed_3b/Branch_1/Conv3d_0b_3x3, with DeepMind's misnamed one."""
    path = f"Mixed_{BLOCKS[number]}/{UNITS[unit]}"
    return path.replace("Mixed_5b/Branch_2/Conv3d_0b_3x3", "Mixed_5b/Branch_2/Conv3d_0a_3x3")


def googlenet_name(name: str) -> str | None:
    """inception3a.branch2.1.conv.weight -> Mixed_3b/Branch_1/Conv3d_0b_3x3/conv_3d/kernel."""
    *path, kind = name.split(".")
    stems = {"conv1": "Conv3d_1a_7x7", "conv2": "Conv3d_2b_1x1", "conv3": "Conv3d_2c_3x3", "fc": "Logits/Conv3d_0c_1x1"}
    if path[0] in stems:
        module = stems[path[0]]
    else:
        names = [f"inception{x}" for x in "3a 3b 4a 4b 4c 4d 4e 5a 5b".split()]
        branch = int(path[1][-1]) - 1
        module = block(names.index(path[0]), f"{branch}/{path[2] if branch else 0}")
    is_norm = path[-1] == "bn"
    kind = kind_of(kind, is_norm)
    return f"{module}/{'batch_norm' if is_norm else 'conv_3d'}/{kind}" if kind else None


def s3d_name(name: str) -> str | None:
    """features.5.branch1.1.0.0.weight -> Mixed_3b/Branch_1/Conv3d_0b_3x3/spatial/conv_3d/kernel."""
    *path, kind = name.split(".")
    if path[0] == "classifier":
        return f"Logits/Conv3d_0c_1x1/conv_3d/{kind_of(kind, False)}"
    stems = {"0": "Conv3d_1a_7x7", "2": "Conv3d_2b_1x1", "3": "Conv3d_2c_3x3"}
    blocks = dict(zip("5 6 8 9 10 11 12 14 15".split(), range(9), strict=True))
    if path[1] in stems:
        module, rest = stems[path[1]], path[2:]
    else:
        branch = path[2][-1]
        rest = path[3:] if branch != "0" else ["0", *path[3:]]
        module, rest = block(blocks[path[1]], f"{branch}/{rest[0]}"), rest[1:]
    if len(rest) == 2:
        module += "/spatial" if rest[0] == "0" else "/temporal"
    is_norm = rest[-1] == "1"
    kind = kind_of(kind, is_norm)
    return f"{module}/{'batch_norm' if is_norm else 'conv_3d'}/{kind}" if kind else None


def main():
    golden = {}
    model = torchvision.models.googlenet(num_classes=10, aux_logits=False, init_weights=False).eval()

    def load_googlenet():
        state = model.fc.weight  # torch's (10, 1024) is the convolution (1, 1, 1024, 10) here
        model.fc.weight = torch.nn.Parameter(state[:, :, None, None])
        load(model, googlenet_name)
        model.fc.weight = torch.nn.Parameter(model.fc.weight[:, :, 0, 0])

    load_googlenet()
    for size in (64, 75):
        images = torch.from_numpy(uniform("images", (2, size, size, 3)).transpose(0, 3, 1, 2).copy())
        with torch.no_grad():
            golden[f"googlenet/{size}"] = model(images).double().numpy().round(6).tolist()
    model = torchvision.models.video.s3d(num_classes=10).eval()
    load(model, s3d_name)
    video = torch.from_numpy(uniform("video", (1, 18, 224, 224, 3)).transpose(0, 4, 1, 2, 3).copy())
    with torch.no_grad():
        golden["s3d/18x224x224"] = model(video).double().numpy().round(6).tolist()
    path = Path(__file__).with_name("inception.json")
    path.write_text(json.dumps({**versions(), "logits": golden}, indent=1) + "\n")
    print(path)


if __name__ == "__main__":
    main()
